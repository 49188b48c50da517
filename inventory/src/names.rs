//! Gives nodes the names that the site declares for them.

use crate::counters::Happened;
use crate::owner::{Change, Inventory};
use domain::NodeId;
use domain::admission::answers_to;
use domain::identity::Identity;
use domain::node::Node;
use domain::ports::StoreError;
use domain::site::{DeclaredNode, Site};
use std::sync::Arc;

/// Why a node did not get the name.
enum NotNamed {
    Store(StoreError),
    Gone,
}

impl From<StoreError> for NotNamed {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}

impl Inventory {
    /// The name that the site in force declares for a machine, unless another node has it. `id` is the machine's own.
    pub(crate) fn declared_name(&self, identity: &Identity, id: Option<NodeId>) -> Option<String> {
        let site: Arc<Site> = self.site.borrow().clone();
        let declared = site.nodes.iter().find(|declared| answers_to(declared, identity))?;
        match self.index.named(&declared.name) {
            Some(holder) if Some(holder) != id => {
                self.name_conflict(&declared.name, holder);
                None
            }
            _ => Some(declared.name.clone()),
        }
    }

    pub(crate) fn name_conflict(&self, name: &str, holder: NodeId) {
        self.refuse(Happened::NameConflict, || {
            format!(
                "the site declares `{name}` for a machine whose name another node has, {holder}: it stays without a name; rename one of them"
            )
        });
    }

    /// Gives each node without a name the one that a site declares for it; call it when a revision has come into force.
    /// Returns how many were named. Nodes that have a name keep it.
    ///
    /// # Errors
    /// When the store could not keep a name; those before are kept, and calling again goes on.
    pub async fn apply_site(&self, site: &Site) -> Result<usize, StoreError> {
        for node in self.all_nodes() {
            self.placing.put(&self.table, &node);
        }
        let mut named = 0;
        for declared in &site.nodes {
            if self.index.named(&declared.name).is_some() {
                continue;
            }
            match self.index.unnamed_like(declared)[..] {
                [] => {}
                [only] => named += usize::from(self.give_name(only, declared).await?),
                [..] => self.refuse(Happened::NameConflict, || {
                    format!("the site's node `{}` fits several nodes, none is named so: declare its serial or UUID", declared.name)
                }),
            }
        }
        Ok(named)
    }

    async fn give_name(&self, id: NodeId, declared: &DeclaredNode) -> Result<bool, StoreError> {
        let named = self.change(id, |node| match node {
            None => Err(NotNamed::Gone),
            Some(node) if node.name.is_some() => Ok(Change::Nothing(Box::new(node))),
            Some(node) => Ok(Change::Keep(Box::new(Node { name: Some(declared.name.clone()), ..node }))),
        });
        match named.await {
            Ok(node) => Ok(node.name.as_ref() == Some(&declared.name)),
            Err(NotNamed::Gone | NotNamed::Store(StoreError::NameTaken { .. })) => Ok(false),
            Err(NotNamed::Store(error)) => Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::fakes::{Hall, NodeOf, declared, machine};
    use domain::site::Site;

    #[tokio::test]
    async fn a_declared_machine_has_its_name_from_its_first_report() {
        let hall = Hall::new().await;
        hall.declare(vec![declared("w1", "VM-1"), declared("w2", "VM-2")]);
        assert_eq!(hall.report_ok(&machine(1)).await.name.as_deref(), Some("w1"));
        assert_eq!(hall.report_ok(&machine(3)).await.name, None);
    }

    #[tokio::test]
    async fn a_new_site_names_those_without_a_name_and_leaves_the_others() {
        let hall = Hall::new().await;
        let (one, two, three) = (hall.report_ok(&machine(1)).await, hall.report_ok(&machine(2)).await, hall.report_ok(&machine(3)).await);
        hall.inventory.rename(two.id(), Some("mine"), None).await.unwrap();
        let site = Site { nodes: vec![declared("w1", "VM-1"), declared("w2", "VM-2"), declared("w9", "VM-9")], ..Site::default() };
        assert_eq!(hall.inventory.apply_site(&site).await.unwrap(), 1);
        assert_eq!(hall.inventory.apply_site(&site).await.unwrap(), 0, "a second time changes nothing");
        let names = [hall.node(one.id()).await.name, hall.node(two.id()).await.name, hall.node(three.id()).await.name];
        assert_eq!(names, [Some("w1".into()), Some("mine".into()), None]);
    }

    #[tokio::test]
    async fn a_name_that_another_node_has_is_not_given_twice() {
        let hall = Hall::new().await;
        let one = hall.report_ok(&machine(1)).await;
        hall.inventory.rename(one.id(), Some("w2"), None).await.unwrap();
        hall.declare(vec![declared("w2", "VM-2")]);
        assert_eq!(hall.report_ok(&machine(2)).await.name, None);
        assert_eq!(hall.counted("name_conflicts"), 1);
    }

    #[tokio::test]
    async fn a_declaration_that_fits_two_nodes_names_neither() {
        let hall = Hall::new().await;
        let (mut a, mut b) = (machine(1), machine(2));
        (a.serial, b.serial) = (None, None);
        b.mac = a.mac;
        hall.report_ok(&a).await;
        hall.start(&b);
        hall.report_ok(&b).await;
        let mut w1 = declared("w1", "VM-1");
        w1.mac = Some(a.mac);
        assert_eq!(hall.inventory.apply_site(&Site { nodes: vec![w1], ..Site::default() }).await.unwrap(), 0);
        assert_eq!(hall.counted("name_conflicts"), 1);
    }
}
