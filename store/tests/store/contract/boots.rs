use super::{ODD, at, mac};
use domain::boot::{Architecture, Asker, Boot, Speaker};
use domain::ids::{BootId, NodeId};
use domain::ports::BootStore;
use domain::ticket::{KeyFingerprint, Ticket};
use domain::timeline::{Protocol, Step};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The `n`th boot, of `mac(machine)`.
pub fn boot(n: u128, machine: u16) -> Boot {
    let asker = Asker { mac: mac(machine), xid: u32::MAX, speaker: Speaker::Pxe, architecture: None, uuid: None };
    Boot::begin(BootId(Uuid::from_u128(n)), "provision", &asker, at(n as i64))
}

/// A step of a boot.
pub fn step(boot: &Boot, message: &str) -> Step {
    Step { boot: boot.id, at: at(1), protocol: Protocol::Dhcp, event: "offer".into(), message: message.into(), rule: None }
}

/// Everything that was handed over before is kept when this returns: order is kept, and this one is waited for.
pub async fn all_is_kept(store: &dyn BootStore, last: &Boot) {
    store.keep_boot(last).await.expect("kept");
}

async fn messages(store: &dyn BootStore, boot: &Boot) -> Vec<String> {
    let timeline = store.timeline(boot.id).await.expect("read").expect("a boot");
    timeline.steps.into_iter().map(|step| step.message).collect()
}

/// What [`BootStore`] promises.
pub async fn boot_contract(store: &dyn BootStore) {
    assert_eq!(store.recent_boots(10).await.expect("read"), vec![]);
    assert!(store.timeline(BootId(Uuid::from_u128(1))).await.expect("read").is_none());
    a_boot_is_kept_as_it_is(store).await;
    steps_stay_in_order(store).await;
    boots_are_found_by_machine(store).await;
}

async fn a_boot_is_kept_as_it_is(store: &dyn BootStore) {
    let mut first = boot(1, 1);
    store.keep_boot(&first).await.expect("kept");
    store.keep_boot(&first).await.expect("kept");
    assert_eq!(store.recent_boots(10).await.expect("read"), vec![first.clone()]);

    first.ipxe_xid = Some(7);
    first.last_heard = at(50);
    first.architecture = Some(Architecture(u16::MAX));
    first.uuid = Some(Uuid::from_u128(u128::MAX));
    first.ticket = Some(Ticket::from_random([0xab; 16]));
    first.ticket_address = Some(Ipv4Addr::new(10, 20, 0, 9));
    first.key = Some(KeyFingerprint("ab".repeat(32)));
    first.node = Some(NodeId(Uuid::from_u128(5)));
    first.revoked = Some(ODD.into());
    store.keep_boot(&first).await.expect("kept");
    assert_eq!(store.recent_boots(10).await.expect("read"), vec![first]);
}

async fn steps_stay_in_order(store: &dyn BootStore) {
    let (second, third) = (boot(2, 2), boot(3, 1));
    let full = Step { rule: Some(ODD.into()), protocol: Protocol::Agent, ..step(&second, ODD) };
    // All at one time: only the order in which they came tells which was first.
    assert!(store.note(Some(&second), full.clone()));
    for n in 0..20 {
        let nul = if n == 7 { "\0" } else { "" };
        assert!(store.note(None, step(&second, &format!("step {n}{nul}"))));
    }
    assert!(store.note(None, step(&boot(77, 7), "of a boot that nobody kept")), "it is taken, and dropped");
    all_is_kept(store, &third).await;

    let timeline = store.timeline(second.id).await.expect("read").expect("a boot");
    assert_eq!((&timeline.boot, &timeline.steps[0]), (&second, &full));
    let expected: Vec<_> =
        std::iter::once(ODD.into()).chain((0..20).map(|n| format!("step {n}{}", if n == 7 { "\u{fffd}" } else { "" }))).collect();
    assert_eq!(messages(store, &second).await, expected);
    assert!(messages(store, &third).await.is_empty());
    assert!(store.timeline(BootId(Uuid::from_u128(77))).await.expect("read").is_none());
}

async fn boots_are_found_by_machine(store: &dyn BootStore) {
    let ids = |boots: Vec<Boot>| boots.iter().map(|boot| boot.id.0.as_u128()).collect::<Vec<_>>();
    assert_eq!(ids(store.recent_boots(10).await.expect("read")), [3, 2, 1]);
    assert_eq!(ids(store.recent_boots(2).await.expect("read")), [3, 2]);

    let of =
        async |macs: &[_], most| ids(store.timelines(macs, most).await.expect("read").into_iter().map(|timeline| timeline.boot).collect());
    assert_eq!(of(&[mac(1)], 10).await, [3, 1]);
    assert_eq!(of(&[mac(1)], 1).await, [3]);
    assert_eq!(of(&[mac(2), mac(1), mac(9)], 10).await, [3, 2, 1]);
    assert!(of(&[mac(9)], 10).await.is_empty());
    assert!(of(&[], 10).await.is_empty());
    assert_eq!(store.timelines(&[mac(2)], 10).await.expect("read")[0].steps.len(), 21);

    // The clock has been set back: the boot that came last is still the newest.
    let wrong_clock = Boot { started: at(-1_000_000), ..boot(4, 1) };
    store.keep_boot(&wrong_clock).await.expect("kept");
    assert_eq!(of(&[mac(1)], 10).await, [4, 3, 1]);
    // An old boot that is heard of again is no newer for it.
    store.keep_boot(&boot(2, 2)).await.expect("kept");
    assert_eq!(ids(store.recent_boots(2).await.expect("read")), [4, 3]);
}
