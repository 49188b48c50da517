//! The site in force: read, compared, kept as a revision, and only then acted on.

use crate::files::Complaints;
use crate::site::{self, Files};
use domain::clock::Clock;
use domain::ports::{Revision, SiteStore, StoreError};
use domain::site::{Network, Site};
use domain::{RevisionId, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// Keeps the site in force and tells everyone when it changes.
pub struct Sites {
    store: Arc<dyn SiteStore>,
    clock: Arc<dyn Clock>,
    in_force: watch::Sender<Arc<Site>>,
    current: Mutex<Option<Revision>>,
}

/// Why a site was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It is wrong.
    #[error("mistakes in the site:\n\n{0}")]
    Wrong(Complaints),
    /// This machine cannot serve it; the site before stays in force.
    #[error("this site cannot be served here")]
    Unservable(#[source] domain::ports::BoxError),
    /// It could not be kept.
    #[error("the site could not be kept")]
    Store(#[from] StoreError),
}

/// What applying did, or would do.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The revision in force.
    pub revision: Option<Revision>,
    /// Whether it is new.
    pub changed: bool,
    /// What differs, a line each.
    pub changes: Vec<String>,
}

/// Makes the machine able to serve a site before it is in force.
#[async_trait::async_trait]
pub trait Serve: Send + Sync {
    /// Whether this machine could serve a site, as far as that can be told without binding anything.
    fn could_serve(&self, site: &Site) -> Result<(), domain::ports::BoxError>;
    /// Binds what the site needs and is not bound yet. Nothing is answered on it before [`Serve::switch`].
    async fn prepare(&self, site: &Site) -> Result<(), domain::ports::BoxError>;
    /// Lets go of what was prepared for a site that does not come into force after all.
    async fn abandon(&self);
    /// Puts the leases where they belong in a site that comes into force, and calls `tell` before anything is decided again
    /// about a lease: nobody may look for a lease where the site before had it.
    fn rehome(&self, site: &Site, tell: &mut (dyn FnMut() + Send));
    /// Serves what was prepared, and stops what the site no longer has.
    async fn switch(&self, site: &Site);
    /// The networks of the site in force that are not served now, because of their interfaces.
    fn unserved(&self, site: &Site) -> Vec<String>;
}

impl Sites {
    /// Takes up the site that the store has in force.
    pub async fn restore(store: Arc<dyn SiteStore>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let current = store.current_site().await?;
        let site = current.as_ref().map(|revision| revision.site.clone()).unwrap_or_default();
        Ok(Self { store, clock, in_force: watch::Sender::new(Arc::new(site)), current: Mutex::new(current) })
    }

    /// The site in force, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Site>> {
        self.in_force.subscribe()
    }

    /// The revision in force.
    pub async fn current(&self) -> Option<Revision> {
        self.current.lock().await.clone()
    }

    /// The last revisions, newest first.
    pub async fn revisions(&self) -> Result<Vec<Revision>, StoreError> {
        self.store.revisions(100).await
    }

    /// Reads files and, unless it is a dry run, puts them in force: bound, kept, then told to everyone.
    /// The same files again change nothing.
    pub async fn apply(&self, files: Files, by: String, dry_run: bool, serve: &dyn Serve) -> Result<Outcome, ApplyError> {
        // Thousands of nodes take a while to compare, and DHCP must not wait for that.
        let reading = tokio::task::spawn_blocking(move || (site::parse(&files, ""), files));
        let (wanted, files) = reading.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
        let wanted = wanted.map_err(ApplyError::Wrong)?;
        let mut current = self.current.lock().await;
        let before = current.as_ref().map(|revision| revision.site.clone()).unwrap_or_default();
        let same = current.as_ref().is_some_and(|revision| revision.files == files);
        let changes = differences(&before, &wanted);
        if dry_run {
            serve.could_serve(&wanted).map_err(ApplyError::Unservable)?;
        }
        if same || dry_run {
            return Ok(Outcome { revision: current.clone(), changed: false, changes });
        }
        serve.prepare(&wanted).await.map_err(ApplyError::Unservable)?;
        let number = current.as_ref().map_or(0, |revision| revision.number) + 1;
        let revision = Revision { id: RevisionId(Uuid::now_v7()), number, applied: self.now(), by, files, site: wanted.clone() };
        if let Err(error) = self.store.keep_revision(&revision).await {
            serve.abandon().await;
            return Err(error.into());
        }
        serve.rehome(&wanted, &mut || drop(self.in_force.send_replace(Arc::new(wanted.clone()))));
        serve.switch(&wanted).await;
        *current = Some(revision.clone());
        tracing::info!("site {}, revision {} is in force, applied by {}", revision.site.name, revision.number, revision.by);
        Ok(Outcome { revision: Some(revision), changed: true, changes })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What differs between two sites, a line each, `+` for new, `-` for gone, `~` for changed.
pub fn differences(before: &Site, after: &Site) -> Vec<String> {
    let mut lines = vec![];
    let mut changed = |what: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("~ {what}: {} → {}", shown(&old), shown(&new)));
        }
    };
    changed("site.name", before.name.clone(), after.name.clone());
    changed("site.domain", before.domain.clone().unwrap_or_default(), after.domain.clone().unwrap_or_default());
    changed("site.ntp", list(&before.ntp), list(&after.ntp));
    for (name, new) in &after.networks {
        let Some(old) = before.networks.get(name) else {
            lines.push(format!("+ network {name}: {} on {}, pool {}", new.subnet, new.interface, new.pool));
            continue;
        };
        for ((field, old), (_, new)) in fields(old).into_iter().zip(fields(new)) {
            if old != new {
                lines.push(format!("~ network.{name}.{field}: {} → {}", shown(&old), shown(&new)));
            }
        }
    }
    for (name, old) in before.networks.iter().filter(|(name, _)| !after.networks.contains_key(*name)) {
        lines.push(format!("- network {name}: {} on {}", old.subnet, old.interface));
    }
    named(&mut lines, "profile", before.profiles.iter(), after.profiles.iter());
    named(&mut lines, "switch", before.switches.iter().map(|s| (&s.name, s)), after.switches.iter().map(|s| (&s.name, s)));
    named(&mut lines, "rack", before.racks.iter(), after.racks.iter());
    named(&mut lines, "node", before.nodes.iter().map(|n| (&n.name, n)), after.nodes.iter().map(|n| (&n.name, n)));
    lines
}

/// What is new, changed or gone among things with names, in their order. By maps: a hall has many nodes.
fn named<'s, T: PartialEq + 's>(
    lines: &mut Vec<String>,
    what: &str,
    before: impl Iterator<Item = (&'s String, &'s T)> + Clone,
    after: impl Iterator<Item = (&'s String, &'s T)> + Clone,
) {
    let (old, new): (HashMap<_, _>, HashMap<_, _>) = (before.clone().collect(), after.clone().collect());
    for (name, value) in after {
        match old.get(name) {
            None => lines.push(format!("+ {what} {name}")),
            Some(old) if *old != value => lines.push(format!("~ {what} {name}")),
            Some(_) => {}
        }
    }
    lines.extend(before.filter(|(name, _)| !new.contains_key(name)).map(|(name, _)| format!("- {what} {name}")));
}

fn fields(network: &Network) -> Vec<(&'static str, String)> {
    let option = |value: Option<String>| value.unwrap_or_default();
    vec![
        ("interface", network.interface.clone()),
        ("subnet", network.subnet.to_string()),
        ("gateway", option(network.gateway.map(|gateway| gateway.to_string()))),
        ("dns", list(&network.dns)),
        ("pool", network.pool.to_string()),
        ("static", option(network.fixed.map(|fixed| fixed.to_string()))),
        ("unknown", format!("{:?}", network.unknown)),
        ("lease_seconds", network.lease_seconds.to_string()),
    ]
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "(none)" } else { text }
}
