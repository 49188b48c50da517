use super::{ODD, at, mac};
use domain::document::Digest;
use domain::hardware::{DiskBrief, Firmware, NicBrief, Summary};
use domain::identity::Identity;
use domain::ids::{BootId, NodeId, OrderId};
use domain::node::{Labels, Node, Origin, Seen};
use domain::order::{Order, OrderKind, TestPlan};
use domain::ports::{NodeStore, StoreError};
use domain::ticket::KeyFingerprint;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The `n`th node, with a serial, a UUID and a card of its own.
pub fn node(n: u16) -> Node {
    let summary = Summary {
        memory_bytes: Some(u64::MAX),
        firmware: Some(Firmware::Uefi),
        gpus: vec![ODD.into()],
        each_disk: vec![DiskBrief { name: "sda".into(), serial: Some(ODD.into()), ..DiskBrief::default() }],
        each_nic: vec![NicBrief { name: "eno1".into(), mac: Some(mac(n)), link: Some(false), ..NicBrief::default() }],
        ..Summary::default()
    };
    let origin = Origin::Boot {
        boot: BootId(Uuid::from_u128(u128::from(n))),
        key: KeyFingerprint("cd".repeat(32)),
        address: Ipv4Addr::new(10, 20, 0, 9),
    };
    let seen = Seen { identity: identity(Some(n), Some(n), &[n]), summary, digest: Digest([n as u8; 32]), origin };
    Node::first_seen(NodeId(Uuid::from_u128(u128::from(n))), None, seen, at(i64::from(n)))
}

fn identity(uuid: Option<u16>, serial: Option<u16>, macs: &[u16]) -> Identity {
    Identity {
        uuid: uuid.map(|n| Uuid::from_u128(0xabcd << 64 | u128::from(n))),
        serial: serial.map(|n| format!("VM-{n}")),
        macs: macs.iter().map(|&n| mac(n)).collect(),
        ..Identity::default()
    }
}

/// What [`NodeStore`] promises.
pub async fn node_contract(store: &dyn NodeStore) {
    let (one, two) = (node(1), node(2));
    assert_eq!(store.node(one.id).await.expect("read"), None);
    assert_eq!(store.nodes(None, 10).await.expect("read").items, vec![]);
    store.keep_node(&one).await.expect("kept");
    store.keep_node(&two).await.expect("kept");
    assert_eq!(store.node(one.id).await.expect("read"), Some(one.clone()));

    let one = a_node_changes_only_from_what_it_was(store, one).await;
    names_belong_to_one_node(store, &one, &two).await;
    imported_nodes_have_no_boot(store).await;
    nodes_are_listed_in_pages(store).await;
    being_heard_is_no_change(store).await;
    a_forgotten_node_leaves_nothing(store).await;
}

const PLAN: TestPlan = TestPlan { memory: true, cpu: false, disks: true, network: false, seconds: u32::MAX };

async fn a_node_changes_only_from_what_it_was(store: &dyn NodeStore, one: Node) -> Node {
    let changed = |result| matches!(result, Err(StoreError::Changed));
    let order = Order { id: OrderId(Uuid::from_u128(9)), kind: OrderKind::Test, given: at(5), taken: Some(at(6)), test: Some(PLAN) };
    let next = Node {
        name: Some("w1".into()),
        identity: identity(Some(1), Some(1), &[1, 10, 11]),
        last_seen: at(99),
        reports: 2,
        order: Some(order),
        labels: Labels { owner: Some(ODD.into()), tags: [ODD.to_owned(), "b".into()].into(), note: Some("\u{1f40e}".into()) },
        version: 2,
        ..one.clone()
    };
    assert!(changed(store.keep_node(&one).await), "a new node that is there already");
    assert!(changed(store.keep_node(&Node { version: 3, ..next.clone() }).await), "a version was left out");
    assert!(changed(store.keep_node(&Node { version: 2, ..node(50) }).await), "a changed node that is not there");
    assert_eq!(store.node(one.id).await.expect("read"), Some(one), "nothing was changed");
    assert_eq!(store.node(node(50).id).await.expect("read"), None);

    store.keep_node(&next).await.expect("kept");
    assert!(changed(store.keep_node(&next).await), "the same version again");
    assert_eq!(store.node(next.id).await.expect("read"), Some(next.clone()));
    next
}

async fn names_belong_to_one_node(store: &dyn NodeStore, one: &Node, two: &Node) {
    assert_eq!(one.name.as_deref(), Some("w1"));
    let named = Node { name: Some("w1".into()), version: 2, ..two.clone() };
    let taken = store.keep_node(&named).await;
    assert!(matches!(&taken, Err(StoreError::NameTaken { name }) if name == "w1"), "{taken:?}");
    let new = Node { name: Some("w1".into()), ..node(51) };
    assert!(matches!(store.keep_node(&new).await, Err(StoreError::NameTaken { .. })));
    assert_eq!(store.node(two.id).await.expect("read").as_ref(), Some(two), "nothing was changed");
    assert_eq!(store.node(new.id).await.expect("read"), None);
    store.keep_node(&Node { name: Some("w2".into()), version: 2, ..two.clone() }).await.expect("kept");
    let renamed = Node { name: Some("w1".into()), version: 3, ..two.clone() };
    assert!(matches!(store.keep_node(&renamed).await, Err(StoreError::NameTaken { .. })), "a name is kept from one change to the next");
}

async fn imported_nodes_have_no_boot(store: &dyn NodeStore) {
    let imported = Node { boot: None, key: None, address: None, digest: None, ..node(3) };
    store.keep_node(&imported).await.expect("kept");
    assert_eq!(store.node(imported.id).await.expect("read"), Some(imported));
}

async fn nodes_are_listed_in_pages(store: &dyn NodeStore) {
    for n in (4..=7).rev() {
        store.keep_node(&node(n)).await.expect("kept");
    }
    let (mut after, mut found) = (None, vec![]);
    for expected in [3, 3, 1] {
        let page = store.nodes(after, 3).await.expect("read");
        assert_eq!((page.items.len(), page.next.is_none()), (expected, expected == 1));
        after = page.next;
        for listed in page.items {
            assert_eq!(store.node(listed.id).await.expect("read").as_ref(), Some(&listed));
            found.push(listed);
        }
    }
    assert_eq!(found.iter().map(|node| node.id.0.as_u128()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let exact = store.nodes(None, 7).await.expect("read");
    assert_eq!((exact.items.len(), exact.next), (7, None), "a full last page has no next");
    assert_eq!(store.nodes(None, 0).await.expect("read").items, vec![]);
}

async fn being_heard_is_no_change(store: &dyn NodeStore) {
    let before = store.node(node(5).id).await.expect("read").expect("a node");
    for (said, last) in [(500, 500), (400, 500), (500, 500), (501, 501)] {
        store.keep_seen(before.id, at(said)).await.expect("kept");
        let now = store.node(before.id).await.expect("read").expect("a node");
        assert_eq!(now, Node { last_seen: at(last), ..before.clone() }, "only that has changed");
    }
    let listed = store.nodes(Some(node(4).id), 1).await.expect("read").items.remove(0);
    assert_eq!((listed.id, listed.last_seen), (before.id, at(501)));
    let next = Node { last_seen: at(600), version: before.version + 1, ..before };
    store.keep_node(&next).await.expect("whoever has read the node may still change it");
    store.keep_seen(node(60).id, at(1)).await.expect("a node that is not there is not heard");
    assert_eq!(store.node(node(60).id).await.expect("read"), None);
}

async fn a_forgotten_node_leaves_nothing(store: &dyn NodeStore) {
    let wanted = Node { name: Some("leaving".into()), ..node(70) };
    store.keep_node(&wanted).await.expect("kept");
    for version in [0, 2, u64::MAX] {
        assert!(matches!(store.forget_node(wanted.id, version).await, Err(StoreError::Changed)), "it has version 1, not {version}");
    }
    assert_eq!(store.node(wanted.id).await.expect("read"), Some(wanted.clone()), "nothing was changed");
    let others = store.nodes(None, 100).await.expect("read").items.len() - 1;

    store.forget_node(wanted.id, 1).await.expect("forgotten");
    store.forget_node(wanted.id, 1).await.expect("twice is once");
    assert_eq!(store.node(wanted.id).await.expect("read"), None);
    assert_eq!(store.nodes(None, 100).await.expect("read").items.len(), others);

    let late = Node { version: 2, ..wanted.clone() };
    assert!(matches!(store.keep_node(&late).await, Err(StoreError::Changed)), "a change that comes late does not bring it back");
    store.keep_seen(wanted.id, at(900)).await.expect("nor does its agent");
    assert_eq!(store.node(wanted.id).await.expect("read"), None);
    let again = Node { name: wanted.name.clone(), identity: wanted.identity.clone(), ..node(71) };
    store.keep_node(&again).await.expect("the machine may come back, its name is free");
    assert_eq!(store.node(again.id).await.expect("read"), Some(again));
}
