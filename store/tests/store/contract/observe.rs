use super::{ODD, at};
use domain::ports::ObserveOnly;
use store::OpenStore;

/// What `ObserveStore` promises, and [`OpenStore::begin_observing`].
pub async fn observe_contract(store: &dyn OpenStore) {
    assert_eq!(store.observe_only().await.expect("read"), None);
    store.end_observing().await.expect("there is nothing to end");
    let first = ObserveOnly { since: at(1), reason: "restored from a backup".into() };
    let second = ObserveOnly { since: at(2), reason: ODD.into() };
    for why in [first, second] {
        store.begin_observing(&why).await.expect("kept");
        assert_eq!(store.observe_only().await.expect("read"), Some(why));
    }
    store.end_observing().await.expect("ended");
    assert_eq!(store.observe_only().await.expect("read"), None);
}
