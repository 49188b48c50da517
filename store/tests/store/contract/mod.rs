//! What any store must do, one function for each port. Each is given an empty store.
//!
//! Nothing here knows which database it talks to. Times are whole microseconds: a store need not keep more.

mod answers;
mod boots;
mod crowd;
mod hardware;
mod history;
mod leases;
mod nodes;
mod observe;
mod pruning;
mod site;

pub use answers::{answer, answer_contract};
pub use boots::{boot, boot_contract, step};
pub use crowd::crowd_contract;
pub use hardware::hardware_contract;
pub use history::{Told, document, history_contract, tell};
pub use leases::{lease, lease_contract};
pub use nodes::{node, node_contract};
pub use observe::observe_contract;
pub use pruning::pruning_contract;
pub use site::{revision, site_contract};

use domain::Timestamp;
use domain::mac::MacAddr;

/// Text that has broken other programmes: quotes, a parameter, a direction mark, an escape, a line break, four-byte characters.
pub const ODD: &str = "'; DROP TABLE nodes;-- \"$1\" ? \u{202e}\u{1b}[2J\n\u{1f40e} é";

/// Makes a test for each contract, given how an empty store is had: with whatever must live as long, which comes first.
#[macro_export]
macro_rules! keeps_the_contract {
    ($empty:expr) => {
        $crate::keeps_the_contract! { $empty =>
            leases_are_kept_as_the_contract_says: lease_contract,
            boots_are_kept_as_the_contract_says: boot_contract,
            nodes_are_kept_as_the_contract_says: node_contract,
            history_is_kept_as_the_contract_says: history_contract,
            history_is_let_go_as_the_contract_says: pruning_contract,
            tests_of_hardware_are_kept_as_the_contract_says: hardware_contract,
            revisions_are_kept_as_the_contract_says: site_contract,
            answers_are_kept_as_the_contract_says: answer_contract,
            many_may_write_at_once_as_the_contract_says: crowd_contract,
            watching_is_kept_as_the_contract_says: observe_contract,
        }
    };
    ($empty:expr => $($test:ident: $contract:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let (_place, store) = $empty().await;
            $crate::contract::$contract(&store).await;
        }
    )*};
}

/// Some point in time.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_000_000 + second * 1_000_000 + 123_456).expect("in range")
}

/// Some network card.
pub fn mac(last: u16) -> MacAddr {
    let [a, b] = last.to_be_bytes();
    MacAddr([0x52, 0x54, 0, 0, a, b])
}
