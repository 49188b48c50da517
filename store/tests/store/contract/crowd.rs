use super::{Told, document, lease, node, revision};
use domain::node::Node;
use domain::ports::{Revision, StoreError};
use store::OpenStore;

/// What any store promises to many who write at once.
pub async fn crowd_contract<S: OpenStore + Clone + 'static>(store: &S) {
    a_refused_operation_takes_no_other_with_it(store).await;
    an_operation_that_the_database_refuses_takes_no_other_with_it(store).await;
    reports_of_many_nodes_are_all_kept(store).await;
    assert_eq!(store.stats().failures, 0);
}

async fn a_refused_operation_takes_no_other_with_it<S: OpenStore + Clone + 'static>(store: &S) {
    store.keep_node(&Node { name: Some("w".into()), ..node(1) }).await.expect("kept");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 2..=60u16 {
        let store = store.clone();
        let name = (n % 3 == 0).then(|| "w".into());
        let refused = name.is_some();
        tasks.spawn(async move { (refused, store.keep_node(&Node { name, ..node(n) }).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (refused, result) = done.expect("no panic");
        assert_eq!(matches!(result, Err(StoreError::NameTaken { .. })), refused, "{result:?}");
    }
    assert_eq!(store.nodes(None, 100).await.expect("read").items.len(), 40);
}

async fn an_operation_that_the_database_refuses_takes_no_other_with_it<S: OpenStore + Clone + 'static>(store: &S) {
    store.keep_revision(&revision(1)).await.expect("kept");
    let mut tasks = tokio::task::JoinSet::new();
    for n in 1..=60u8 {
        let store = store.clone();
        tasks.spawn(async move {
            if n != 30 {
                return store.keep_lease(&lease("n", n, n.into())).await.is_ok();
            }
            // The right number under an id that is taken: no rule sees it, only the database.
            let twin = Revision { id: revision(1).id, ..revision(2) };
            matches!(store.keep_revision(&twin).await, Err(StoreError::Unavailable { .. }))
        });
    }
    while let Some(done) = tasks.join_next().await {
        assert!(done.expect("no panic"));
    }
    assert_eq!(store.leases().await.expect("read").len(), 59);
}

async fn reports_of_many_nodes_are_all_kept<S: OpenStore + Clone + 'static>(store: &S) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 100..140u16 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut now = node(n);
            for turn in 0..10 {
                let told = if turn % 5 == 0 { Told::Changed(document(n + turn)) } else { Told::Unchanged };
                now = super::tell(&store, now, told, i64::from(turn)).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("kept");
    }
    for n in 100..140u16 {
        assert_eq!(store.reports(node(n).id, None, 100).await.expect("read").len(), 10);
        let newest = store.snapshot(node(n).id, None).await.expect("read").expect("a snapshot");
        assert_eq!((newest.number, newest.document), (10, document(n + 5)));
    }
}
