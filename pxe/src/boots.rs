//! Follows each machine's boot from its first DHCPDISCOVER, issues its ticket, and notes what it was answered.
//!
//! One owner for DHCP, TFTP, boot HTTP and, through the port [`domain::ports::Boots`], the inventory. What is promised
//! (a ticket, the binding of a key) is in the store before it is told; what only explains is handed over without
//! waiting.

use async_trait::async_trait;
use domain::boot::{Asker, Boot, CurrentBoots};
use domain::clock::Clock;
use domain::ports::{BootStore, ClaimError, StoreError};
use domain::ticket::{ClaimRefused, KeyFingerprint, NoTicket, Ticket};
use domain::timeline::{Protocol, Step};
use domain::{BootId, MacAddr, NodeId};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// How many machines' boots are remembered at once.
const MOST_BOOTS: usize = 20_000;

/// The boots under way.
pub struct Boots {
    current: Mutex<CurrentBoots>,
    /// Boots whose node the store does not know yet: it goes with their next note.
    recognised: Mutex<HashMap<BootId, MacAddr>>,
    store: Arc<dyn BootStore>,
    clock: Arc<dyn Clock>,
    /// One claim of a ticket at a time: until a binding is on disk, nobody may see it.
    turns: [tokio::sync::Mutex<()>; TURNS],
}

/// How many claims of different tickets go on at once, at the most.
const TURNS: usize = 64;

/// Why no ticket could be given.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// The machine did no DHCP here since the service can remember.
    #[error("no boot of this machine is under way: it did not ask for an address here")]
    NoBoot,
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] NoTicket),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Boots {
    /// Takes up the boots that the store remembers.
    pub async fn restore(store: Arc<dyn BootStore>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let mut current = CurrentBoots::new(MOST_BOOTS);
        for boot in store.recent_boots(MOST_BOOTS).await? {
            current.put(boot);
        }
        let turns = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Ok(Self { current: Mutex::new(current), recognised: Mutex::default(), store, clock, turns })
    }

    /// The boot that a DHCPDISCOVER belongs to, begun if it opens a new one.
    pub fn discover(&self, network: &str, asker: &Asker) -> Boot {
        let fresh = BootId(Uuid::now_v7());
        self.locked().discover(network, asker, fresh, self.clock.now()).0
    }

    /// The boot under way of a machine.
    pub fn of(&self, mac: MacAddr) -> Option<Boot> {
        self.locked().of(mac).cloned()
    }

    /// Notes a step of the boot under way of a machine; nothing when there is none.
    pub fn note_for(&self, mac: MacAddr, protocol: Protocol, event: &str, message: String, rule: Option<String>) {
        // Handed over under the lock: a boot that somebody changes meanwhile must not reach the store as it was before.
        let current = self.locked();
        if let Some(boot) = current.of(mac) {
            let step = Step { boot: boot.id, at: self.clock.now(), protocol, event: event.to_owned(), message, rule };
            self.hand_over(Some(boot), step);
        }
    }

    /// The ticket of the boot under way, for the machine `mac` that asks from `asked` and holds the lease of `held`.
    pub async fn ticket(&self, mac: MacAddr, asked: Ipv4Addr, held: Option<Ipv4Addr>) -> Result<(Boot, Ticket), TicketError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable { attempted: "make a ticket", source: error.into() })?;
        let (boot, ticket) = {
            let mut current = self.locked();
            let mut boot = current.of(mac).cloned().ok_or(TicketError::NoBoot)?;
            let ticket = domain::ticket::issue(&mut boot, asked, held, Ticket::from_random(random))?;
            current.put(boot.clone());
            (boot, ticket)
        };
        self.store.keep_boot(&boot).await?;
        Ok((boot, ticket))
    }

    fn hand_over(&self, boot: Option<&Boot>, step: Step) {
        // A note that found no room is counted by the store.
        let _ = self.store.note(boot, step);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, CurrentBoots> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl domain::ports::Boots for Boots {
    async fn claim(&self, ticket: &Ticket, from: Ipv4Addr, key: &KeyFingerprint) -> Result<Boot, ClaimError> {
        let last = ticket.as_str().bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        let _turn = self.turns[last % TURNS].lock().await;
        let (before, boot, claimed, changed) = {
            let mut current = self.locked();
            let before = current.by_ticket(ticket).cloned().ok_or(ClaimRefused::Unknown)?;
            let mut boot = before.clone();
            let claimed = domain::ticket::claim(&mut boot, from, key);
            let changed = boot != before;
            if claimed.is_ok() {
                // An agent that waits for orders asks for no address: a flood of strangers must not push its boot out.
                boot.last_heard = self.clock.now();
            }
            current.put(boot.clone());
            (before, boot, claimed, changed)
        };
        if let Err(refused) = &claimed {
            if changed {
                tracing::warn!(node.mac = %boot.mac, "ALARM: {from} claims to be {} too, with another key: {refused}", boot.mac);
            }
            let message = format!("{from} used this boot's ticket and was refused");
            domain::ports::Boots::note(self, boot.id, "refused", message, Some(refused.to_string()));
        }
        // A revocation must outlive a restart as much as a binding; an agent that only asks again costs no write.
        if changed && let Err(error) = self.store.keep_boot(&boot).await {
            // What is not on disk was not bound: the next attempt binds and keeps again. Unless somebody else's claim
            // has voided the ticket meanwhile, which stays.
            let mut current = self.locked();
            if current.of(boot.mac) == Some(&boot) {
                current.put(before);
            }
            return Err(error.into());
        }
        claimed?;
        Ok(boot)
    }

    fn reported(&self, boot: BootId, mac: MacAddr, node: NodeId) {
        let mut current = self.locked();
        if let Some(mut now) = current.of(mac).filter(|now| now.id == boot).cloned() {
            now.node = Some(node);
            current.put(now);
            self.recognised.lock().unwrap_or_else(PoisonError::into_inner).insert(boot, mac);
        }
    }

    fn note(&self, boot: BootId, event: &str, message: String, rule: Option<String>) {
        let step = Step { boot, at: self.clock.now(), protocol: Protocol::Agent, event: event.to_owned(), message, rule };
        let current = self.locked();
        let mac = self.recognised.lock().unwrap_or_else(PoisonError::into_inner).remove(&boot);
        self.hand_over(mac.and_then(|mac| current.of(mac)).filter(|now| now.id == boot), step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use domain::boot::Speaker;
    use domain::ports::Boots as _;
    use domain::timeline::Timeline;
    use std::sync::atomic::{AtomicI64, Ordering};

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);

    /// Keeps what it was told last of each boot.
    #[derive(Default)]
    struct Kept(Mutex<HashMap<BootId, Boot>>);

    impl Kept {
        fn keep(&self, boot: &Boot) {
            self.0.lock().expect("nobody panicked").insert(boot.id, boot.clone());
        }
    }

    #[async_trait]
    impl BootStore for Kept {
        async fn recent_boots(&self, _: usize) -> Result<Vec<Boot>, StoreError> {
            Ok(vec![])
        }
        async fn keep_boot(&self, boot: &Boot) -> Result<(), StoreError> {
            self.keep(boot);
            Ok(())
        }
        fn note(&self, boot: Option<&Boot>, _: Step) -> bool {
            boot.into_iter().for_each(|boot| self.keep(boot));
            true
        }
        async fn timelines(&self, _: &[MacAddr], _: usize) -> Result<Vec<Timeline>, StoreError> {
            Ok(vec![])
        }
        async fn timeline(&self, _: BootId) -> Result<Option<Timeline>, StoreError> {
            Ok(None)
        }
    }

    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap_or_default()
        }
    }

    fn mac(number: u32) -> MacAddr {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    fn asker(number: u32) -> Asker {
        Asker { mac: mac(number), xid: number, speaker: Speaker::Ipxe, architecture: None, uuid: None }
    }

    #[tokio::test]
    async fn the_store_learns_which_node_a_boot_is_with_the_note_of_its_report() {
        let (store, clock) = (Arc::new(Kept::default()), Arc::new(Hand(AtomicI64::new(0))));
        let boots = Boots::restore(store.clone(), clock).await.expect("an empty store");
        let boot = boots.discover("n", &asker(0)).id;
        let node = NodeId(Uuid::from_u128(7));
        boots.reported(boot, mac(0), node);
        domain::ports::Boots::note(&boots, boot, "report", "reported its hardware".into(), None);
        let kept = store.0.lock().expect("nobody panicked").get(&boot).and_then(|boot| boot.node);
        assert_eq!(kept, Some(node));
    }

    #[tokio::test]
    async fn a_flood_of_strangers_pushes_out_no_agent_that_asks_for_orders() {
        let clock = Arc::new(Hand(AtomicI64::new(0)));
        let boots = Boots::restore(Arc::new(Kept::default()), clock.clone()).await.expect("an empty store");
        boots.discover("n", &asker(0));
        let (_, ticket) = boots.ticket(mac(0), ADDRESS, Some(ADDRESS)).await.expect("a ticket");
        let key = KeyFingerprint("k".into());
        for round in 1..=3 {
            clock.0.store(round, Ordering::Relaxed);
            boots.claim(&ticket, ADDRESS, &key).await.expect("its own ticket");
            (0..15_000).for_each(|n| drop(boots.discover("n", &asker(u32::try_from(round).unwrap_or(0) * 100_000 + n))));
        }
        boots.claim(&ticket, ADDRESS, &key).await.expect("still its ticket");
    }
}
