//! What the tests of TFTP and boot HTTP share: a site, a store in memory, machines with leases.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use async_trait::async_trait;
use domain::boot::{Asker, Boot, Speaker};
use domain::clock::{Clock, Timestamp};
use domain::lease::{Lease, LeaseState};
use domain::node::Known;
use domain::ports::{BootStore, Directory, LeaseStore, StoreError};
use domain::site::{DEFAULT_LEASE_SECONDS, DeclaredNode, Network, Site, Unknown};
use domain::timeline::{Step, Timeline};
use domain::{BootId, MacAddr};
use pxe::boots::Boots;
use pxe::files::BootFiles;
use pxe::leases::LeaseBook;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

pub const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

/// Keeps nothing but the notes.
#[derive(Default)]
pub struct MemoryStore {
    steps: Mutex<Vec<Step>>,
    pub broken: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        Ok(vec![])
    }
    async fn keep_lease(&self, _: &Lease) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl BootStore for MemoryStore {
    async fn recent_boots(&self, _: usize) -> Result<Vec<Boot>, StoreError> {
        Ok(vec![])
    }
    async fn keep_boot(&self, _: &Boot) -> Result<(), StoreError> {
        match self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            true => Err(StoreError::Busy { attempted: "keep a boot" }),
            false => Ok(()),
        }
    }
    fn note(&self, _: Option<&Boot>, step: Step) -> bool {
        self.steps.lock().unwrap().push(step);
        true
    }
    async fn timelines(&self, _: &[MacAddr], _: usize) -> Result<Vec<Timeline>, StoreError> {
        Ok(vec![])
    }
    async fn timeline(&self, _: BootId) -> Result<Option<Timeline>, StoreError> {
        Ok(None)
    }
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }
}

/// Knows one node, when it is told.
#[derive(Default)]
pub struct OneNode(pub Mutex<Option<Known>>);

impl Directory for OneNode {
    fn known(&self, _: Option<MacAddr>, _: Option<Uuid>) -> Option<Known> {
        self.0.lock().unwrap().clone()
    }
}

pub struct World {
    pub store: Arc<MemoryStore>,
    pub clock: Arc<dyn Clock>,
    pub boots: Arc<Boots>,
    pub leases: Arc<LeaseBook>,
    pub files: Arc<BootFiles>,
    pub directory: Arc<OneNode>,
    pub site: watch::Sender<Arc<Site>>,
}

impl World {
    /// A site with one network, no machine, no file.
    pub async fn new(unknown: Unknown) -> Self {
        let store = Arc::<MemoryStore>::default();
        let clock: Arc<dyn Clock> = Arc::new(Noon);
        Self {
            boots: Arc::new(Boots::restore(store.clone(), clock.clone()).await.unwrap()),
            leases: Arc::new(LeaseBook::restore(store.clone(), domain::clock::Clock::now(&*clock)).await.unwrap()),
            files: Arc::new(BootFiles::new()),
            directory: Arc::default(),
            site: watch::channel(Arc::new(site(unknown))).0,
            store,
            clock,
        }
    }

    /// Begins a boot of a machine.
    pub fn boots_up(&self, mac: MacAddr) -> Boot {
        let asker = Asker { mac, xid: 7, speaker: Speaker::Ipxe, architecture: None, uuid: None };
        self.boots.discover("provision", &asker)
    }

    /// Gives a machine an address.
    pub async fn leases_to(&self, mac: MacAddr, address: Ipv4Addr) {
        let granted = self.clock.now();
        let expires = domain::clock::after_seconds(granted, 3600);
        let network = "provision".to_owned();
        let lease = Lease { network, address, mac, granted, expires, state: LeaseState::Bound, host_name: None };
        self.leases.keep(lease).await.unwrap();
    }

    /// The notes so far: event and message, and the rule behind a dash.
    pub fn notes(&self) -> Vec<String> {
        let steps = self.store.steps.lock().unwrap();
        let rule = |step: &Step| step.rule.as_ref().map(|rule| format!(" — {rule}")).unwrap_or_default();
        steps.iter().map(|step| format!("{}: {}{}", step.event, step.message, rule(step))).collect()
    }

    /// Waits until a note holds a text.
    pub async fn noted(&self, text: &str) -> String {
        for _ in 0..500 {
            if let Some(note) = self.notes().into_iter().find(|note| note.contains(text)) {
                return note;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing noted of `{text}`: {:#?}", self.notes());
    }
}

pub fn site(unknown: Unknown) -> Site {
    let network = Network {
        interface: "br0".into(),
        subnet: "10.20.0.0/24".parse().unwrap(),
        gateway: None,
        dns: vec![],
        pool: "10.20.0.100-10.20.0.199".parse().unwrap(),
        fixed: None,
        unknown,
        lease_seconds: DEFAULT_LEASE_SECONDS,
    };
    let w1 = DeclaredNode { name: "w1".into(), serial: Some("VM-0001".into()), ..DeclaredNode::default() };
    let networks = BTreeMap::from([("provision".to_owned(), network)]);
    Site { name: "hall-1".into(), networks, nodes: vec![w1], ..Site::default() }
}

/// Runs a programme to its end, away from the runtime's threads; fails with what to do when it is not there.
pub async fn run(programme: &'static str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(programme);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let output = output.unwrap_or_else(|error| panic!("`{programme}` cannot be started ({error}): run `make deps`"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// A counter by its name.
pub fn count(pairs: &[(&'static str, u64)], name: &str) -> u64 {
    pairs.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no counter {name}")).1
}

/// Bytes that differ from place to place.
pub fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
