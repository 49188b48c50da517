//! What is kept of each node in memory: enough to answer the boot protocols and waiting agents without the store.
//!
//! Knows nothing of the store; whoever kept a node there tells the index afterwards, in any order: an older version
//! never replaces a newer one.

use domain::clock::seconds_between;
use domain::node::{Brief, Known};
use domain::order::Order;
use domain::site::DeclaredNode;
use domain::{BootId, MacAddr, NodeId, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;
use uuid::Uuid;

/// How often the time at which a node was last heard is written to the store, seconds.
pub(crate) const SEEN_KEPT_EVERY: i64 = 60;

/// One node.
struct Entry {
    known: Known,
    name: Option<String>,
    boot: BootId,
    version: u64,
    last_seen: Timestamp,
    kept_seen: Timestamp,
    /// Rings when its order or its boot changes, and when it is forgotten.
    bell: Arc<Notify>,
}

#[derive(Default)]
struct Tables {
    nodes: BTreeMap<NodeId, Entry>,
    by_mac: HashMap<MacAddr, Vec<NodeId>>,
    by_uuid: HashMap<Uuid, Vec<NodeId>>,
    /// In lower case: people type serials as they like.
    by_serial: HashMap<String, Vec<NodeId>>,
    by_name: HashMap<String, NodeId>,
    by_boot: HashMap<BootId, NodeId>,
}

/// The nodes by everything they are looked up by.
#[derive(Default)]
pub(crate) struct Index(RwLock<Tables>);

impl Index {
    /// Takes in a node as it now stands in the store.
    pub(crate) fn put(&self, node: Brief) {
        let mut tables = self.write();
        let (mut last_seen, mut kept_seen, mut bell) = (node.last_seen, node.last_seen, Arc::new(Notify::new()));
        if let Some(old) = tables.nodes.get(&node.id) {
            if old.version > node.version {
                return;
            }
            last_seen = last_seen.max(old.last_seen);
            kept_seen = kept_seen.max(old.kept_seen);
            bell = old.bell.clone();
            if old.boot != node.boot || old.known.order != node.order {
                bell.notify_waiters();
            }
            tables.unlink(node.id);
        }
        let (known, boot, version) = (node.known(), node.boot, node.version);
        tables.link(Entry { known, name: node.name, boot, version, last_seen, kept_seen, bell });
    }

    /// Takes out a node that the store has forgotten, and tells its agent if that waits.
    pub(crate) fn remove(&self, id: NodeId) {
        let mut tables = self.write();
        if let Some(entry) = tables.nodes.get(&id) {
            entry.bell.notify_waiters();
        }
        tables.unlink(id);
    }

    /// The node that a machine is, judged by one interface and its UUID.
    ///
    /// A card may have moved: where two nodes had it, the one whose UUID agrees counts, then the one heard last; and a
    /// node that is known by the UUID counts more than one whose card it once was but whose UUID is another.
    pub(crate) fn known(&self, mac: Option<MacAddr>, uuid: Option<Uuid>) -> Option<Known> {
        let tables = self.read();
        let uuid = uuid.and_then(domain::identity::usable_uuid);
        let with_card = tables.entries(mac.as_ref().and_then(|mac| tables.by_mac.get(mac)));
        let agreement = |entry: &Entry| match (uuid, entry.known.identity.uuid) {
            (Some(a), Some(b)) if a == b => 2,
            (Some(_), Some(_)) => 0,
            _ => 1,
        };
        let best = with_card.into_iter().max_by_key(|entry| (agreement(entry), entry.last_seen));
        let by_uuid = match tables.entries(uuid.as_ref().and_then(|uuid| tables.by_uuid.get(uuid)))[..] {
            [only] => Some(only),
            // Several machines of a careless factory: the UUID tells nothing.
            _ => None,
        };
        let found = match best {
            Some(entry) if agreement(entry) > 0 => Some(entry),
            _ => by_uuid.or(best),
        };
        found.map(|entry| entry.known.clone())
    }

    /// The node whose last report came from this boot.
    pub(crate) fn of_boot(&self, boot: BootId) -> Option<NodeId> {
        self.read().by_boot.get(&boot).copied()
    }

    /// Whether there is such a node.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.read().nodes.contains_key(&id)
    }

    /// What a person calls the node.
    pub(crate) fn label(&self, id: NodeId) -> String {
        self.read().nodes.get(&id).map_or_else(|| id.to_string(), |entry| entry.known.label.clone())
    }

    /// The node's last order, and what rings when it gets another.
    pub(crate) fn order(&self, id: NodeId) -> Option<(Option<Order>, Arc<Notify>)> {
        self.read().nodes.get(&id).map(|entry| (entry.known.order, entry.bell.clone()))
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.read().nodes.len()
    }

    /// When the node was last heard.
    pub(crate) fn last_seen(&self, id: NodeId) -> Option<Timestamp> {
        self.read().nodes.get(&id).map(|entry| entry.last_seen)
    }

    /// Notes that a node was heard; returns whether that should now be written to the store too, at most once in
    /// [`SEEN_KEPT_EVERY`] seconds whoever asks.
    pub(crate) fn heard(&self, id: NodeId, now: Timestamp) -> bool {
        let mut tables = self.write();
        let Some(entry) = tables.nodes.get_mut(&id) else { return false };
        entry.last_seen = entry.last_seen.max(now);
        let due = seconds_between(entry.kept_seen, now) >= SEEN_KEPT_EVERY;
        if due {
            entry.kept_seen = now;
        }
        due
    }

    /// The holder of a name.
    pub(crate) fn named(&self, name: &str) -> Option<NodeId> {
        self.read().by_name.get(name).copied()
    }

    /// Nodes that a declaration means and that have no name yet.
    pub(crate) fn unnamed_like(&self, declared: &DeclaredNode) -> Vec<NodeId> {
        let tables = self.read();
        let serial = declared.serial.as_ref().and_then(|serial| tables.by_serial.get(&serial.to_ascii_lowercase()));
        let uuid = declared.uuid.as_ref().and_then(|uuid| tables.by_uuid.get(uuid));
        let mac = declared.mac.as_ref().and_then(|mac| tables.by_mac.get(mac));
        let mut found: Vec<_> = [serial, uuid, mac]
            .into_iter()
            .flat_map(|ids| tables.entries(ids))
            .filter(|entry| entry.name.is_none() && domain::admission::answers_to(declared, &entry.known.identity))
            .map(|entry| entry.known.id)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Nodes by exactly this name, id, SMBIOS UUID, MAC address or serial, whichever kind of word fits first.
    pub(crate) fn exactly(&self, text: &str) -> Vec<(NodeId, String)> {
        let tables = self.read();
        let lower = text.to_ascii_lowercase();
        let uuid = text.parse::<Uuid>().ok();
        let by_name = tables.by_name.get(&lower).map(std::slice::from_ref);
        let id = uuid.map(NodeId).filter(|id| tables.nodes.contains_key(id));
        let by_uuid = uuid.and_then(|uuid| tables.by_uuid.get(&uuid)).map(Vec::as_slice);
        let by_mac = text.parse::<MacAddr>().ok().and_then(|mac| tables.by_mac.get(&mac)).map(Vec::as_slice);
        let by_serial = tables.by_serial.get(&lower).map(Vec::as_slice);
        let ids = by_name.or(id.as_ref().map(std::slice::from_ref)).or(by_uuid).or(by_mac).or(by_serial);
        ids.into_iter().flatten().filter_map(|id| Some((*id, tables.nodes.get(id)?.known.label.clone()))).collect()
    }

    /// Nodes whose id, without hyphens, begins or ends with these digits; at most `most`.
    pub(crate) fn by_part_of_id(&self, digits: &str, most: usize) -> Vec<(NodeId, String)> {
        let tables = self.read();
        let fits = |id: &NodeId| {
            let mut buffer = Uuid::encode_buffer();
            let text = id.0.simple().encode_lower(&mut buffer);
            text.starts_with(digits) || text.ends_with(digits)
        };
        tables.nodes.iter().filter(|(id, _)| fits(id)).take(most).map(|(id, entry)| (*id, entry.known.label.clone())).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn entries(&self, ids: Option<&Vec<NodeId>>) -> Vec<&Entry> {
        ids.into_iter().flatten().filter_map(|id| self.nodes.get(id)).collect()
    }

    fn link(&mut self, entry: Entry) {
        let id = entry.known.id;
        let identity = &entry.known.identity;
        for mac in &identity.macs {
            self.by_mac.entry(*mac).or_default().push(id);
        }
        if let Some(uuid) = identity.uuid {
            self.by_uuid.entry(uuid).or_default().push(id);
        }
        if let Some(serial) = &identity.serial {
            self.by_serial.entry(serial.to_ascii_lowercase()).or_default().push(id);
        }
        if let Some(name) = &entry.name {
            self.by_name.insert(name.clone(), id);
        }
        self.by_boot.insert(entry.boot, id);
        self.nodes.insert(id, entry);
    }

    fn unlink(&mut self, id: NodeId) {
        let Some(entry) = self.nodes.remove(&id) else { return };
        for mac in &entry.known.identity.macs {
            drop_from(&mut self.by_mac, mac, id);
        }
        if let Some(uuid) = &entry.known.identity.uuid {
            drop_from(&mut self.by_uuid, uuid, id);
        }
        if let Some(serial) = &entry.known.identity.serial {
            drop_from(&mut self.by_serial, &serial.to_ascii_lowercase(), id);
        }
        if let Some(name) = &entry.name
            && self.by_name.get(name) == Some(&id)
        {
            self.by_name.remove(name);
        }
        if self.by_boot.get(&entry.boot) == Some(&id) {
            self.by_boot.remove(&entry.boot);
        }
    }
}

fn drop_from<K: Hash + Eq>(table: &mut HashMap<K, Vec<NodeId>>, key: &K, id: NodeId) {
    if let Some(ids) = table.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            table.remove(key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use domain::hardware::Summary;
    use domain::identity::Identity;
    use domain::node::{Node, Seen};
    use domain::ticket::KeyFingerprint;
    use std::net::Ipv4Addr;

    const CARD: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);

    fn uuid(n: u128) -> Uuid {
        Uuid::from_u128(0xabc << 64 | n)
    }

    fn node(n: u128, machine: Option<Uuid>, macs: &[MacAddr], heard: i64) -> Node {
        let seen = Seen {
            identity: Identity::new(machine, Some(&format!("VM-{n}")), macs.iter().copied()),
            summary: Summary::default(),
            facts: serde_json::Value::Null,
            gaps: vec![],
            other: serde_json::Map::new(),
            boot: BootId(uuid(n)),
            key: KeyFingerprint("k".into()),
            address: Ipv4Addr::LOCALHOST,
        };
        Node::first_seen(NodeId(uuid(n)), None, seen, Timestamp::from_second(heard).unwrap())
    }

    #[test]
    fn a_machine_is_known_by_its_card_unless_the_card_moved() {
        let cases = [
            ("its card and UUID", vec![node(1, Some(uuid(11)), &[CARD], 0)], Some(uuid(11)), Some(1)),
            ("its card, no UUID asked", vec![node(1, Some(uuid(11)), &[CARD], 0)], None, Some(1)),
            ("its card, no UUID known", vec![node(1, None, &[CARD], 0)], Some(uuid(11)), Some(1)),
            ("its card, and firmware that lies about its UUID", vec![node(1, Some(uuid(11)), &[CARD], 0)], Some(uuid(12)), Some(1)),
            ("a placeholder for a UUID", vec![node(1, Some(uuid(11)), &[CARD], 0)], Some(Uuid::nil()), Some(1)),
            ("only its UUID", vec![node(1, Some(uuid(11)), &[], 0)], Some(uuid(11)), Some(1)),
            (
                "another node's old card",
                vec![node(1, Some(uuid(11)), &[CARD], 9), node(2, Some(uuid(12)), &[], 0)],
                Some(uuid(12)),
                Some(2),
            ),
            (
                "a card that two reported",
                vec![node(1, Some(uuid(11)), &[CARD], 9), node(2, Some(uuid(12)), &[CARD], 0)],
                Some(uuid(12)),
                Some(2),
            ),
            (
                "the same without a UUID: whoever had it last",
                vec![node(1, Some(uuid(11)), &[CARD], 0), node(2, Some(uuid(12)), &[CARD], 9)],
                None,
                Some(2),
            ),
            ("a UUID of a whole batch", vec![node(1, Some(uuid(11)), &[], 0), node(2, Some(uuid(11)), &[], 0)], Some(uuid(11)), None),
            ("nobody", vec![], Some(uuid(11)), None),
        ];
        for (what, nodes, asked, expected) in cases {
            let index = Index::default();
            nodes.iter().for_each(|node| index.put(node.brief()));
            assert_eq!(index.known(Some(CARD), asked).map(|known| known.id), expected.map(|n| NodeId(uuid(n))), "{what}");
        }
    }

    #[test]
    fn news_that_arrive_late_change_nothing_and_old_ways_to_a_node_are_forgotten() {
        let index = Index::default();
        let first = Node { name: Some("w1".into()), ..node(1, Some(uuid(11)), &[CARD], 0) };
        let other_card = MacAddr([0x52, 0x54, 0, 0, 0, 2]);
        let mut second = node(1, Some(uuid(12)), &[other_card], 0);
        (second.version, second.boot, second.name) = (2, BootId(uuid(99)), Some("w2".into()));
        index.put(first.brief());
        index.put(second.brief());
        index.put(first.brief());
        assert_eq!(index.known(Some(CARD), Some(uuid(11))), None);
        assert_eq!(index.known(Some(other_card), None).map(|known| known.label), Some("w2".into()));
        assert_eq!((index.named("w1"), index.of_boot(first.boot)), (None, None));
        assert_eq!(index.of_boot(second.boot), Some(second.id));
        assert_eq!(index.len(), 1);
    }
}
