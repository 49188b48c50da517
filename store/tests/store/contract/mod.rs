//! What any store must do, one function for each port. Each is given an empty store.
//!
//! Nothing here knows which database it talks to. Times are whole microseconds: a store need not keep more.

mod answers;
mod boots;
mod leases;
mod nodes;
mod site;

pub use answers::{answer, answer_contract};
pub use boots::{boot, boot_contract, step};
pub use leases::{lease, lease_contract};
pub use nodes::{node, node_contract};
pub use site::{revision, site_contract};

use domain::Timestamp;
use domain::mac::MacAddr;

/// Text that has broken other programmes: quotes, a parameter, a direction mark, an escape, a line break, four-byte characters.
pub const ODD: &str = "'; DROP TABLE nodes;-- \"$1\" ? \u{202e}\u{1b}[2J\n\u{1f40e} é";

/// Some point in time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_000_000 + second * 1_000_000 + 123_456).expect("in range")
}

/// Some network card.
pub fn mac(last: u16) -> MacAddr {
    let [a, b] = last.to_be_bytes();
    MacAddr([0x52, 0x54, 0, 0, a, b])
}
