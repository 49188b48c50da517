//! Where nodes stand and what the site says of them, for lists: arranged once for each site that is in force.

use crate::search::Table;
use domain::node::Node;
use domain::place::Layout;
use domain::search::Placed;
use domain::site::Site;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The site in force, arranged for looking up.
pub(crate) struct Placing {
    site: watch::Receiver<Arc<Site>>,
    made: Mutex<Option<(Arc<Site>, Arc<Layout>)>>,
}

impl Placing {
    pub(crate) fn new(site: watch::Receiver<Arc<Site>>) -> Self {
        Self { site, made: Mutex::default() }
    }

    /// Of the site in force; made anew when that is another.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        let site = self.site.borrow().clone();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((of, layout)) if Arc::ptr_eq(of, &site) => layout.clone(),
            _ => {
                let layout = Arc::new(Layout::new(site.clone()));
                *made = Some((site, layout.clone()));
                layout
            }
        }
    }

    /// Takes a node into the table with what the site says of it.
    pub(crate) fn put(&self, table: &Table, node: &Node) {
        let layout = self.layout();
        let labels = layout.labels(node);
        if labels == node.labels {
            table.put(node);
        } else {
            table.put(&Node { labels, ..node.clone() });
        }
        let place = layout.place(node);
        let placed = Placed { rack: place.as_ref().map(|place| place.rack.as_str().into()), unit: place.and_then(|place| place.unit) };
        table.place(node.id, placed);
    }
}
