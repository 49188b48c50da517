//! How often what happened, by reason; and how often it is worth a line in the log.

use domain::Timestamp;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! happened {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// Something that is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Happened { $($(#[$doc])* $variant,)* }

        impl Happened {
            pub(crate) const ALL: &[(Happened, &'static str)] = &[$((Happened::$variant, $word),)*];
        }
    };
}

happened!(
    /// A report made a new node.
    AcceptedNew = "accepted_new",
    /// A report updated a node.
    AcceptedKnown = "accepted_known",
    /// No ticket came along.
    NoTicket = "refused_no_ticket",
    /// The ticket was not one by its form, or the peer not IPv4.
    BadTicket = "refused_bad_ticket",
    /// No boot under way has the ticket, or it was revoked.
    UnknownTicket = "refused_unknown_ticket",
    /// The ticket was used from elsewhere.
    WrongAddress = "refused_wrong_address",
    /// A second key used the ticket.
    SecondKey = "refused_second_key",
    /// What was sent is not what it should be.
    Malformed = "refused_malformed",
    /// More was sent than is read.
    TooLarge = "refused_too_large",
    /// The body did not come in time.
    TooSlow = "refused_too_slow",
    /// A version of the report that is not known here.
    Version = "refused_version",
    /// The report names another boot than its ticket.
    OtherBoot = "refused_other_boot",
    /// A later boot has reported as the same node.
    Superseded = "refused_superseded",
    /// The report amends something that is not there.
    NothingToAmend = "refused_nothing_to_amend",
    /// Nothing in the report identifies a machine.
    Nameless = "refused_nameless",
    /// The report fits several nodes.
    Ambiguous = "refused_ambiguous",
    /// A new machine, and no room for another node.
    Full = "refused_inventory_full",
    /// A later report of a boot has the identity of another node than its first.
    Contradiction = "identity_conflicts",
    /// The agent has not reported yet.
    UnknownNode = "refused_unknown_node",
    /// Progress of an order that is not the node's.
    OtherOrder = "refused_other_order",
    /// The store could not do its part, or there was no room.
    Unavailable = "refused_unavailable",
    /// A name that the site declares belongs to another node, or a declaration fits several.
    NameConflict = "name_conflicts",
    /// An order was given by an operator.
    OrderGiven = "orders_given",
    /// An order was taken by an agent.
    OrderTaken = "orders_taken",
    /// A test of a node's hardware came to its end.
    TestFinished = "tests_finished",
    /// A report was imported by an operator.
    Imported = "reports_imported",
    /// A node was forgotten by an operator.
    Forgotten = "nodes_forgotten",
);

/// One counter a reason.
#[derive(Default)]
pub(crate) struct Counters([AtomicU64; Happened::ALL.len()]);

impl Counters {
    pub(crate) fn count(&self, what: Happened) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Every reason with its count, in a fixed order.
    pub(crate) fn read(&self) -> Vec<(&'static str, u64)> {
        Happened::ALL.iter().map(|&(what, word)| (word, self.0[what as usize].load(Ordering::Relaxed))).collect()
    }
}

/// Lines in [`WINDOW_SECONDS`] that a log gets about what the network does wrong; the rest is only counted.
const MOST_LINES: u32 = 10;
const WINDOW_SECONDS: i64 = 10;

/// Keeps a hostile or broken machine from flooding the log.
#[derive(Default)]
pub(crate) struct Quiet(Mutex<(i64, u32)>);

impl Quiet {
    /// Whether a line may be written now.
    pub(crate) fn may_speak(&self, now: Timestamp) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = now.as_second().div_euclid(WINDOW_SECONDS);
        if window.0 != current {
            *window = (current, 0);
        }
        window.1 += 1;
        window.1 <= MOST_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let counters = Counters::default();
        for (times, (what, _)) in Happened::ALL.iter().enumerate() {
            (0..times).for_each(|_| counters.count(*what));
        }
        let read = counters.read();
        assert!(read.iter().enumerate().all(|(times, (_, count))| *count == times as u64), "{read:?}");
    }

    #[test]
    fn a_flood_gets_ten_lines_and_the_next_window_ten_more() {
        let quiet = Quiet::default();
        let at = |second| Timestamp::from_second(second).expect("in range");
        assert_eq!((0..1000).filter(|_| quiet.may_speak(at(100))).count(), 10);
        assert_eq!((0..1000).filter(|_| quiet.may_speak(at(110))).count(), 10);
    }
}
