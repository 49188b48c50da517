//! Lets reports of different machines be taken in side by side, and reports of one machine only one after the other.
//!
//! Two reports that could be of one machine share something by which it is recognised, and so at least one lock. A lock
//! stands for many values, so that there are a fixed number of them.

use domain::identity::Identity;
use domain::{BootId, NodeId};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Enough that a few hundred reports under way seldom meet by chance.
const STRIPES: u64 = 4096;

/// The locks.
pub(crate) struct MachineLocks {
    stripes: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

/// Held from recognising a machine until it is kept.
pub(crate) struct Locked(#[expect(dead_code, reason = "held, not read")] Vec<OwnedMutexGuard<()>>);

impl Default for MachineLocks {
    fn default() -> Self {
        // The hasher's keys are random: nobody outside can choose values that meet.
        Self { stripes: (0..STRIPES).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl MachineLocks {
    /// Waits until no other report that shares something with this one is being taken in.
    pub(crate) async fn machine(&self, boot: Option<BootId>, identity: &Identity) -> Locked {
        let mut stripes: Vec<_> = identity.signs().map(|sign| self.stripe(sign)).collect();
        stripes.extend(boot.map(|boot| self.stripe(("boot", boot))));
        self.lock(stripes).await
    }

    /// Waits until nothing else is being done to the tests of a node.
    pub(crate) async fn tests_of(&self, node: NodeId) -> Locked {
        self.lock(vec![self.stripe(("tests", node))]).await
    }

    fn stripe(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value) % STRIPES
    }

    /// In order, or two that want the same two would wait for each other.
    async fn lock(&self, mut stripes: Vec<u64>) -> Locked {
        stripes.sort_unstable();
        stripes.dedup();
        let mut held = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            if let Some(lock) = usize::try_from(stripe).ok().and_then(|stripe| self.stripes.get(stripe)) {
                held.push(lock.clone().lock_owned().await);
            }
        }
        Locked(held)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use domain::MacAddr;
    use std::time::Duration;
    use uuid::Uuid;

    fn machine(uuid: Uuid, serial: &str, macs: &[u8]) -> Identity {
        Identity::new(Some(uuid), Some(serial), macs.iter().map(|&last| MacAddr([0x3c, 0xec, 0xef, 0, 0, last])))
    }

    #[tokio::test(start_paused = true)]
    async fn reports_that_share_anything_wait_for_each_other_and_others_do_not() {
        let locks = MachineLocks::default();
        let uuid = |n: u128| Uuid::from_u128(0xabcdef << 96 | n);
        let boot = |n| Some(BootId(uuid(n)));
        let held = locks.machine(boot(1), &machine(uuid(1), "A1", &[1, 2])).await;
        let waits = async |boot, other: Identity| tokio::time::timeout(Duration::from_secs(1), locks.machine(boot, &other)).await.is_err();
        let swapped = Uuid::from_bytes_le(uuid(1).into_bytes());
        assert!(waits(boot(2), machine(uuid(1), "A2", &[])).await, "a UUID");
        assert!(waits(boot(2), machine(swapped, "A2", &[])).await, "a UUID in the other byte order");
        assert!(waits(None, machine(uuid(2), "a1", &[])).await, "a serial");
        assert!(waits(boot(2), machine(uuid(2), "A2", &[2, 3])).await, "a card");
        assert!(waits(boot(1), machine(uuid(2), "A2", &[3])).await, "the boot");
        // Values may meet by chance, but not ten times.
        let mut met = 0;
        for n in 10..20 {
            met += u32::from(waits(boot(n), machine(uuid(n), &format!("B{n}"), &[u8::try_from(n).unwrap()])).await);
        }
        assert!(met < 5, "{met} of 10 strangers waited");
        drop(held);
        assert!(!waits(boot(1), machine(uuid(1), "A1", &[1, 2])).await);
    }
}
