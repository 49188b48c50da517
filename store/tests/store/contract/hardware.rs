use super::{ODD, at, node};
use domain::history::{HardwareTest, Outcome, TestKind, TestResult};
use domain::ids::OrderId;
use domain::order::TestPlan;
use domain::ports::{NodeStore, StoreError};
use uuid::Uuid;

fn test(n: u128, ordered: i64) -> HardwareTest {
    let plan = TestPlan { memory: true, cpu: true, disks: false, network: false, seconds: 600 };
    HardwareTest { id: OrderId(Uuid::from_u128(n)), plan, ordered: at(ordered), started: None, finished: None, results: vec![] }
}

/// What [`NodeStore`] promises of tests.
pub async fn hardware_contract(store: &dyn NodeStore) {
    let one = node(1).id;
    assert!(matches!(store.keep_test(one, &test(1, 1)).await, Err(StoreError::Changed)), "the node is not there");
    assert_eq!(store.tests(one, 10).await.expect("read"), vec![]);
    store.keep_node(&node(1)).await.expect("kept");
    store.keep_node(&node(2)).await.expect("kept");

    store.keep_test(one, &test(1, 1)).await.expect("kept");
    store.keep_test(node(2).id, &test(2, 2)).await.expect("kept");
    let failed =
        TestResult { kind: TestKind::Memory, part: Some(ODD.into()), outcome: Outcome::Failed, detail: ODD.into(), took_ms: u64::MAX };
    let ended = HardwareTest { started: Some(at(2)), finished: Some(at(3)), results: vec![failed], ..test(1, 1) };
    store.keep_test(one, &ended).await.expect("kept");
    assert_eq!(store.tests(one, 10).await.expect("read"), [ended], "in place of what was kept of it");
    assert_eq!(store.tests(node(2).id, 10).await.expect("read"), [test(2, 2)]);

    for n in 3..=40 {
        store.keep_test(one, &test(n, n as i64)).await.expect("kept");
    }
    let kept: Vec<_> = store.tests(one, 100).await.expect("read").iter().map(|test| test.id.0.as_u128()).collect();
    assert_eq!(kept, (21..=40).rev().collect::<Vec<_>>(), "the newest twenty, newest first");
    assert_eq!(store.tests(one, 2).await.expect("read"), [test(40, 40), test(39, 39)]);
    assert_eq!(store.tests(node(2).id, 10).await.expect("read").len(), 1, "of each node");

    store.forget_node(one, 1).await.expect("forgotten");
    assert_eq!(store.tests(one, 10).await.expect("read"), vec![], "they go with their node");
    assert!(matches!(store.keep_test(one, &test(1, 1)).await, Err(StoreError::Changed)));
}
