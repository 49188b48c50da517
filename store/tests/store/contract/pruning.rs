use super::history::{Told, document, tell};
use super::{at, node};
use domain::history::Retention;
use domain::ids::NodeId;
use domain::node::Node;
use domain::ports::NodeStore;

async fn numbers(store: &dyn NodeStore, id: NodeId) -> Vec<u64> {
    store.reports(id, None, 10_000).await.expect("read").into_iter().map(|report| report.number).collect()
}

/// Prunes until nothing goes any more; yields how many went in all.
async fn prune(store: &dyn NodeStore, before: i64, most_reports: u64) -> u64 {
    let retention = Retention { before: at(before), most_reports };
    let mut gone = 0;
    loop {
        match store.prune(&retention).await.expect("pruned") {
            0 => return gone,
            some => gone += some,
        }
    }
}

async fn a_node(store: &dyn NodeStore, n: u16, reports: &[(i64, Option<u16>)]) -> Node {
    let mut now = node(n);
    for (second, changed) in reports {
        let told = changed.map_or(Told::Unchanged, |n| Told::Changed(document(n)));
        now = tell(store, now, told, *second).await;
    }
    now
}

/// What [`NodeStore::prune`] promises.
pub async fn pruning_contract(store: &dyn NodeStore) {
    assert_eq!(prune(store, 1_000_000, 1).await, 0, "there is nothing");
    what_stood_at_the_moment_can_still_be_told(store).await;
    the_last_report_stays(store).await;
    too_many_reports_go_whenever_they_were(store).await;
    much_goes_in_portions(store).await;
    a_clock_that_was_set_back_does_no_harm(store).await;
}

async fn what_stood_at_the_moment_can_still_be_told(store: &dyn NodeStore) {
    let one = a_node(store, 1, &[(10, Some(1)), (20, None), (30, Some(2)), (40, None), (50, None), (60, Some(3)), (70, None)]).await;
    assert_eq!(prune(store, 10, 100).await, 0, "a report at the moment is not before it");
    assert_eq!(prune(store, 55, 100).await, 4);
    assert_eq!(numbers(store, one.id).await, [7, 6, 5]);
    let at_the_moment = store.snapshot(one.id, Some(at(55))).await.expect("read").expect("a snapshot");
    assert_eq!((at_the_moment.number, at_the_moment.document), (5, document(2)), "although the report that changed it is gone");
    assert_eq!(store.snapshot(one.id, Some(at(49))).await.expect("read"), None);
    assert_eq!(store.snapshot_after(one.id, 3).await.expect("read"), None, "the report is gone, and with it what stood after it");
    assert!(!store.reports(one.id, None, 10).await.expect("read")[2].changed);
    assert_eq!(prune(store, 55, 100).await, 0, "once is enough");
}

async fn the_last_report_stays(store: &dyn NodeStore) {
    let one = node(1).id;
    assert_eq!(prune(store, 1_000_000, 100).await, 2);
    assert_eq!(numbers(store, one).await, [7]);
    assert_eq!(store.snapshot(one, None).await.expect("read").expect("a snapshot").document, document(3));
    assert_eq!(prune(store, 1_000_000, 0).await, 0, "also when none at all are wanted");
    let told = tell(store, store.node(one).await.expect("read").expect("a node"), Told::Unchanged, 80).await;
    assert_eq!(told.reports, 8);
    assert_eq!(store.snapshot(one, None).await.expect("read").expect("a snapshot").document, document(3));
}

async fn too_many_reports_go_whenever_they_were(store: &dyn NodeStore) {
    let two = a_node(store, 2, &[(10, Some(1)), (20, Some(2)), (30, None), (40, None), (50, Some(3))]).await;
    assert_eq!(prune(store, 0, 2).await, 3);
    assert_eq!(numbers(store, two.id).await, [5, 4]);
    let before = store.snapshot_after(two.id, 4).await.expect("read").expect("a snapshot");
    assert_eq!(before.document, document(2), "its document is older than any report that is left");
}

async fn much_goes_in_portions(store: &dyn NodeStore) {
    for n in 10..=14u16 {
        let reports: Vec<_> = (0..150).map(|second| (second, (second == 0).then_some(n))).collect();
        a_node(store, n, &reports).await;
    }
    let retention = Retention { before: at(1000), most_reports: 1000 };
    let first = store.prune(&retention).await.expect("pruned");
    assert!((1..745).contains(&first), "{first}");
    let in_all = first + prune(store, 1000, 1000).await;
    assert_eq!(in_all, 5 * 149 + 1 + 1, "and those of the nodes from before");
    for n in 10..=14 {
        assert_eq!(store.snapshot(node(n).id, None).await.expect("read").expect("a snapshot").document, document(n));
    }
}

async fn a_clock_that_was_set_back_does_no_harm(store: &dyn NodeStore) {
    let odd = a_node(store, 20, &[(5000, Some(1)), (10, Some(2)), (20, None), (30, Some(3))]).await;
    let other = a_node(store, 21, &[(10, Some(1)), (20, Some(2))]).await;
    assert_eq!(prune(store, 25, 100).await, 2, "one of each; what claims to be newer stays");
    assert_eq!(numbers(store, odd.id).await, [4, 3, 1]);
    assert_eq!(numbers(store, other.id).await, [2]);
    assert_eq!(store.snapshot_after(odd.id, 1).await.expect("read").expect("a snapshot").document, document(1));
    assert_eq!(store.snapshot_after(odd.id, 3).await.expect("read").expect("a snapshot").document, document(2));
}
