//! Serving what can be served of the site in force, again and again: interfaces come late, vanish, are made anew, and
//! change their addresses.

use super::{BindError, BoundNetwork, Networks, Serving, interface};
use domain::site::Network;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether every network is served.
const SETTLE_EVERY: Duration = Duration::from_secs(5);
/// What came of settling.
#[derive(Debug, Default)]
pub struct Settled {
    /// What is served now that was not before.
    pub served: Vec<BoundNetwork>,
    /// What cannot be served.
    pub errors: Vec<BindError>,
}

impl Networks {
    /// Serves what of the site in force can be served now, and says what cannot. An interface that was made anew, or whose
    /// address has changed, is bound anew.
    pub async fn settle(&self) -> Settled {
        let preparing = self.ready.lock().await;
        let site = self.shared.site.borrow().clone();
        let mut settled = Settled::default();
        for (name, network) in site.networks.iter().filter(|(_, network)| !preparing.contains_key(&network.interface)) {
            match self.settle_one(name, network).await {
                Ok(served) => settled.served.extend(served),
                Err(error) => settled.errors.push(error),
            }
        }
        settled
    }

    async fn settle_one(&self, name: &str, network: &Network) -> Result<Option<BoundNetwork>, BindError> {
        let found = interface::find(name, network);
        let is_dead = |serving: &Serving| match &found {
            Ok(found) => !serving.fits(found),
            // The sockets stay good for an address that comes back.
            Err(_) => Some(serving.interface) != interface::number_of(&network.interface),
        };
        let dead = {
            let mut serving = self.locked();
            if serving.get(&network.interface).is_some_and(is_dead) { serving.remove(&network.interface) } else { None }
        };
        if let Some(dead) = dead {
            self.changed.notify_one();
            dead.stop().await;
        }
        let found = found?;
        if self.locked().contains_key(&network.interface) {
            return Ok(None);
        }
        let serving = self.start(self.bind(name, network, &found)?);
        let bound = serving.bound.clone();
        self.locked().insert(network.interface.clone(), serving);
        self.changed.notify_one();
        Ok(Some(bound))
    }

    /// Goes on settling until cancelled, and tells what changes.
    pub async fn keep_settled(self: Arc<Self>, cancel: CancellationToken) {
        let mut said: Vec<String> = vec![];
        loop {
            let Settled { served, errors } = self.settle().await;
            for BoundNetwork { network, interface, dhcp, tftp, boot, agents } in served {
                tracing::info!(
                    "network {network} is served on {interface} now: DHCP {dhcp}, TFTP {tftp}, boot HTTP {boot}, agents' HTTPS {agents}"
                );
            }
            let errors: Vec<String> = errors.iter().map(|error| crate::chain(error)).collect();
            for error in errors.iter().filter(|error| !said.contains(error)) {
                tracing::error!("not served for now, and tried again every {} s: {error}", SETTLE_EVERY.as_secs());
            }
            said = errors;
            if cancel.run_until_cancelled(tokio::time::sleep(SETTLE_EVERY)).await.is_none() {
                return;
            }
        }
    }
}
