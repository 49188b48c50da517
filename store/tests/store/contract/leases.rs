use super::{ODD, at, mac};
use domain::Timestamp;
use domain::lease::{Lease, LeaseState};
use domain::ports::LeaseStore;
use std::net::Ipv4Addr;

/// A lease of `mac(machine)` on the address that ends in `address`.
pub fn lease(network: &str, address: u8, machine: u16) -> Lease {
    Lease {
        network: network.into(),
        address: Ipv4Addr::new(10, 20, 0, address),
        mac: mac(machine),
        granted: at(0),
        expires: at(600),
        state: LeaseState::Bound,
        host_name: None,
    }
}

async fn holds(store: &dyn LeaseStore, mut expected: Vec<Lease>, what: &str) {
    let mut found = store.leases().await.expect("leases");
    let order = |lease: &Lease| (lease.network.clone(), lease.address);
    found.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(found, expected, "{what}");
}

/// What [`LeaseStore`] promises.
pub async fn lease_contract(store: &dyn LeaseStore) {
    let keep = async |lease: &Lease| store.keep_lease(lease).await.expect("kept");
    holds(store, vec![], "an empty store").await;

    let first = Lease { host_name: Some(ODD.into()), ..lease("a", 1, 1) };
    keep(&first).await;
    keep(&first).await;
    holds(store, vec![first.clone()], "the same lease twice").await;

    let renewed = Lease { granted: at(300), expires: at(900), host_name: None, ..first.clone() };
    keep(&renewed).await;
    holds(store, vec![renewed.clone()], "a renewal").await;

    let elsewhere = lease("b", 1, 1);
    keep(&elsewhere).await;
    holds(store, vec![renewed.clone(), elsewhere.clone()], "the same machine and address on another network").await;

    let moved = lease("a", 2, 1);
    keep(&moved).await;
    holds(store, vec![moved.clone(), elsewhere.clone()], "the machine has another address").await;

    let taken_over = lease("a", 2, 2);
    keep(&taken_over).await;
    holds(store, vec![taken_over.clone(), elsewhere.clone()], "the address has another machine").await;

    let declined = Lease { state: LeaseState::Declined, ..lease("a", 3, 3) };
    let declined_too = Lease { state: LeaseState::Declined, ..lease("a", 4, 3) };
    let bound = lease("a", 5, 3);
    for lease in [&declined, &declined_too, &bound] {
        keep(lease).await;
    }
    let all = vec![taken_over.clone(), elsewhere.clone(), declined.clone(), declined_too.clone(), bound.clone()];
    holds(store, all, "declined addresses stay when their machine gets another").await;

    let declined_at_last = Lease { state: LeaseState::Declined, ..bound };
    keep(&declined_at_last).await;
    let reused = lease("a", 3, 4);
    keep(&reused).await;
    let all = vec![taken_over.clone(), elsewhere.clone(), reused.clone(), declined_too.clone(), declined_at_last.clone()];
    holds(store, all, "a bound address is declined, a declined one is given to another machine").await;

    let released = Lease { state: LeaseState::Released, expires: at(1), ..taken_over };
    keep(&released).await;
    let ends = Lease { granted: Timestamp::UNIX_EPOCH, expires: Timestamp::from_second(-1).expect("in range"), ..lease("a", 6, 6) };
    keep(&ends).await;
    let all = vec![released, elsewhere, reused, declined_too, declined_at_last, ends];
    holds(store, all, "a released lease, and one from before 1970").await;

    let nul = Lease { host_name: Some("a\0b".into()), ..lease("c", 1, 1) };
    keep(&nul).await;
    let kept = store.leases().await.expect("leases").into_iter().find(|lease| lease.network == "c").expect("kept");
    assert_eq!(kept.host_name.as_deref(), Some("a\u{fffd}b"), "not every database holds NUL in a text");
}
