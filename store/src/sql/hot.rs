//! Every statement of a write, and the reads that somebody waits for.

use super::{answers, boots, hardware, history, leases, nodes, observe, prune, site};

pub const STATEMENTS: [(&str, &str); 37] = [
    ("leases::KEEP", leases::KEEP),
    ("boots::CHANGE", boots::CHANGE),
    ("boots::ADD", boots::ADD),
    ("boots::FORGET_OF_MAC", boots::FORGET_OF_MAC),
    ("boots::FORGET_OF_NOBODY", boots::FORGET_OF_NOBODY),
    ("boots::ADD_STEP", boots::ADD_STEP),
    ("nodes::NAME_OF_ANOTHER", nodes::NAME_OF_ANOTHER),
    ("nodes::ADD", nodes::ADD),
    ("nodes::CHANGE", nodes::CHANGE),
    ("nodes::KEEP_SEEN", nodes::KEEP_SEEN),
    ("nodes::FORGET", nodes::FORGET),
    ("nodes::FORGET_HISTORY", nodes::FORGET_HISTORY),
    ("nodes::IS_THERE", nodes::IS_THERE),
    ("nodes::ONE", nodes::ONE),
    ("nodes::PAGE", nodes::PAGE),
    ("history::ADD_UNCHANGED", history::ADD_UNCHANGED),
    ("history::ADD_CHANGED", history::ADD_CHANGED),
    ("history::TOO_MUCH", history::TOO_MUCH),
    ("history::FORGET_UP_TO", history::FORGET_UP_TO),
    ("history::PAST", history::PAST),
    ("history::NOW", history::NOW),
    ("history::AT", history::AT),
    ("history::AFTER", history::AFTER),
    ("history::ALL_NOW", history::ALL_NOW),
    ("history::ALL_AT", history::ALL_AT),
    ("history::CHANGED_SINCE", history::CHANGED_SINCE),
    ("prune::FIND", prune::FIND),
    ("prune::PRUNE", prune::PRUNE),
    ("prune::FORGET_DOCUMENTS", prune::FORGET_DOCUMENTS),
    ("hardware::KEEP", hardware::KEEP),
    ("hardware::FORGET_OLD", hardware::FORGET_OLD),
    ("hardware::NEWEST", hardware::NEWEST),
    ("observe::GET", observe::GET),
    ("site::ADD", site::ADD),
    ("site::FORGET", site::FORGET),
    ("answers::FORGET_OLD", answers::FORGET_OLD),
    ("answers::ONE", answers::ONE),
];

/// Its list is made for each question; two values are enough to see how it is looked up.
pub fn steps() -> String {
    format!("{}$1, $2) ORDER BY boot, number", boots::STEPS)
}
