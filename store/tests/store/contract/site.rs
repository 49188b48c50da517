use super::{ODD, at};
use domain::ids::RevisionId;
use domain::ports::{Revision, SiteStore, StoreError};
use domain::site::{DeclaredNode, Network, Site, Unknown};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The `number`th revision.
pub fn revision(number: u64) -> Revision {
    let network = Network {
        interface: "br0".into(),
        subnet: "10.20.0.0/24".parse().expect("subnet"),
        gateway: None,
        dns: vec![],
        pool: "10.20.0.100-10.20.0.199".parse().expect("range"),
        fixed: Some("10.20.0.20-10.20.0.99".parse().expect("range")),
        unknown: Unknown::LocalDisk,
        lease_seconds: 600,
    };
    let node = DeclaredNode { name: "w1".into(), serial: Some(ODD.into()), ..DeclaredNode::default() };
    Revision {
        id: RevisionId(Uuid::from_u128(u128::from(number))),
        number,
        applied: at(i64::try_from(number).expect("small")),
        by: "uid 0".into(),
        files: BTreeMap::from([("site.toml".into(), ODD.into()), ("racks/r1.csv".into(), String::new())]),
        site: Site {
            name: format!("hall-{number}"),
            domain: Some("hall1.example".into()),
            networks: BTreeMap::from([("provision".into(), network)]),
            nodes: vec![node],
            ..Site::default()
        },
    }
}

/// What [`SiteStore`] promises.
pub async fn site_contract(store: &dyn SiteStore) {
    let changed = |result| matches!(result, Err(StoreError::Changed));
    assert_eq!(store.current_site().await.expect("read"), None);
    assert_eq!(store.revisions(10).await.expect("read"), vec![]);
    assert!(changed(store.keep_revision(&revision(2)).await), "the first has number 1");
    assert!(changed(store.keep_revision(&revision(0)).await));

    for number in 1..=3 {
        store.keep_revision(&revision(number)).await.expect("kept");
        assert_eq!(store.current_site().await.expect("read"), Some(revision(number)));
    }
    let rival = Revision { id: RevisionId(Uuid::from_u128(99)), ..revision(3) };
    assert!(changed(store.keep_revision(&rival).await), "somebody else was first");
    assert!(changed(store.keep_revision(&revision(5)).await));
    assert!(changed(store.keep_revision(&Revision { number: u64::MAX, ..revision(4) }).await));
    assert_eq!(store.current_site().await.expect("read"), Some(revision(3)));

    let without_files = |number| Revision { files: BTreeMap::new(), ..revision(number) };
    assert_eq!(store.revisions(10).await.expect("read"), [3, 2, 1].map(without_files));
    assert_eq!(store.revisions(2).await.expect("read"), [3, 2].map(without_files));
}
