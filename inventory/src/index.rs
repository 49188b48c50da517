//! Every node in memory: enough to recognise a machine, to answer the boot protocols, waiting agents and lists without the
//! store.
//!
//! Knows nothing of the store; whoever kept a node there tells the index afterwards, in any order: an older version
//! never replaces a newer one.

use domain::clock::seconds_between;
use domain::identity::{Identity, Sign, uuid_key};
use domain::node::{Known, Node};
use domain::order::Order;
use domain::ports::Page;
use domain::site::DeclaredNode;
use domain::{BootId, MacAddr, NodeId, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;
use uuid::Uuid;

/// How often the time at which a node was last heard is written to the store, seconds.
pub(crate) const SEEN_KEPT_EVERY: i64 = 60;
/// How many nodes are looked at that share one sign; what more of them share tells nothing.
const HANDFUL: usize = 16;

/// One node.
struct Entry {
    /// As it stands in the store; when it was last heard stands here.
    node: Arc<Node>,
    last_seen: Timestamp,
    kept_seen: Timestamp,
    /// Rings when its order or its boot changes, and when it is forgotten.
    bell: Arc<Notify>,
}

impl Entry {
    fn as_heard(&self) -> Arc<Node> {
        if self.node.last_seen == self.last_seen {
            return self.node.clone();
        }
        Arc::new(Node { last_seen: self.last_seen, ..Node::clone(&self.node) })
    }
}

#[derive(Default)]
struct Tables {
    nodes: BTreeMap<NodeId, Entry>,
    /// By the hash of each [`Sign`]: a tenth of the room that the signs themselves would take, and where two have one hash,
    /// whoever looks compares.
    by_sign: HashMap<u64, Vec<NodeId>>,
    hasher: RandomState,
    by_name: HashMap<String, NodeId>,
    by_boot: HashMap<BootId, NodeId>,
}

/// A node that shares a sign with a machine, and when it was heard last.
pub(crate) struct Like {
    pub(crate) node: Arc<Node>,
    pub(crate) last_seen: Timestamp,
}

/// The nodes by everything they are looked up by.
#[derive(Default)]
pub(crate) struct Index(RwLock<Tables>);

impl Index {
    /// Takes in a node as it now stands in the store.
    pub(crate) fn put(&self, node: Arc<Node>) {
        let mut tables = self.write();
        let (mut last_seen, mut kept_seen, mut bell) = (node.last_seen, node.last_seen, Arc::new(Notify::new()));
        if let Some(old) = tables.nodes.get(&node.id) {
            if old.node.version > node.version {
                return;
            }
            last_seen = last_seen.max(old.last_seen);
            kept_seen = kept_seen.max(old.kept_seen);
            bell = old.bell.clone();
            if old.node.boot != node.boot || old.node.order != node.order {
                bell.notify_waiters();
            }
            if tables.only_facts_differ(&node) {
                tables.nodes.insert(node.id, Entry { node, last_seen, kept_seen, bell });
                return;
            }
            tables.unlink(node.id);
        }
        tables.link(Entry { node, last_seen, kept_seen, bell });
    }

    /// Takes out a node that the store has forgotten, and tells its agent if that waits.
    pub(crate) fn remove(&self, id: NodeId) {
        let mut tables = self.write();
        if let Some(entry) = tables.nodes.get(&id) {
            entry.bell.notify_waiters();
        }
        tables.unlink(id);
    }

    /// One node, as it was heard last.
    pub(crate) fn get(&self, id: NodeId) -> Option<Arc<Node>> {
        self.read().nodes.get(&id).map(Entry::as_heard)
    }

    /// Nodes by id, those after `after`, at most `limit`.
    pub(crate) fn page(&self, after: Option<NodeId>, limit: usize) -> Page<Arc<Node>> {
        let tables = self.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = tables.nodes.range((from, Bound::Unbounded));
        let items: Vec<_> = left.by_ref().take(limit).map(|(_, entry)| entry.as_heard()).collect();
        let next = left.next().and_then(|_| items.last().map(|node| node.id));
        Page { items, next }
    }

    /// The nodes that share a sign with a machine. Of those that share no more than what a whole batch has, a handful: enough
    /// to see that it is no evidence.
    pub(crate) fn like(&self, identity: &Identity) -> Vec<Like> {
        let tables = self.read();
        let mut ids: Vec<_> = identity.signs().flat_map(|sign| tables.with(&sign).iter().take(HANDFUL)).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let like = |id: &NodeId| tables.nodes.get(id).map(|entry| Like { node: entry.node.clone(), last_seen: entry.last_seen });
        ids.iter().filter_map(like).collect()
    }

    /// The node that a machine is, judged by one interface and its UUID.
    ///
    /// A card may have moved: where two nodes had it, the one whose UUID agrees counts, then the one heard last; and a
    /// node that is known by the UUID counts more than one whose card it once was but whose UUID is another.
    pub(crate) fn known(&self, mac: Option<MacAddr>, uuid: Option<Uuid>) -> Option<Known> {
        let tables = self.read();
        let uuid = uuid.and_then(domain::identity::usable_uuid).map(uuid_key);
        let with_card = mac.map(|mac| tables.having(&Sign::Card(mac))).unwrap_or_default();
        let agreement = |entry: &Entry| match (uuid, entry.node.identity.uuid.map(uuid_key)) {
            (Some(a), Some(b)) if a == b => 2,
            (Some(_), Some(_)) => 0,
            _ => 1,
        };
        let best = with_card.into_iter().max_by_key(|entry| (agreement(entry), entry.last_seen));
        let by_uuid = match uuid.map(|uuid| tables.having(&Sign::Uuid(uuid))).unwrap_or_default()[..] {
            [only] => Some(only),
            // Several machines of a careless factory: the UUID tells nothing.
            _ => None,
        };
        let found = match best {
            Some(entry) if agreement(entry) > 0 => Some(entry),
            _ => by_uuid.or(best),
        };
        found.map(|entry| entry.node.known())
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
        self.read().nodes.get(&id).map_or_else(|| id.to_string(), |entry| entry.node.label())
    }

    /// The node's last order, and what rings when it gets another.
    pub(crate) fn order(&self, id: NodeId) -> Option<(Option<Order>, Arc<Notify>)> {
        self.read().nodes.get(&id).map(|entry| (entry.node.order, entry.bell.clone()))
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.read().nodes.len()
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
        let serial = declared.serial.as_ref().map(|serial| Sign::Serial(serial.to_ascii_lowercase()));
        let uuid = declared.uuid.map(|uuid| Sign::Uuid(uuid_key(uuid)));
        let mut found: Vec<_> = [serial, uuid, declared.mac.map(Sign::Card)]
            .into_iter()
            .flatten()
            .flat_map(|sign| tables.having(&sign))
            .filter(|entry| entry.node.name.is_none() && domain::admission::answers_to(declared, &entry.node.identity))
            .map(|entry| entry.node.id)
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
        let named = by_name.or(id.as_ref().map(std::slice::from_ref)).map(|ids| tables.entries(ids));
        let signs = [uuid.map(|uuid| Sign::Uuid(uuid_key(uuid))), text.parse().ok().map(Sign::Card), Some(Sign::Serial(lower.clone()))];
        let by_sign = || signs.into_iter().flatten().map(|sign| tables.having(&sign)).find(|found| !found.is_empty());
        named.or_else(by_sign).into_iter().flatten().map(|entry| (entry.node.id, entry.node.label())).collect()
    }

    /// Nodes whose id, without hyphens, begins or ends with these digits; at most `most`.
    pub(crate) fn by_part_of_id(&self, digits: &str, most: usize) -> Vec<(NodeId, String)> {
        let tables = self.read();
        let fits = |id: &NodeId| {
            let mut buffer = Uuid::encode_buffer();
            let text = id.0.simple().encode_lower(&mut buffer);
            text.starts_with(digits) || text.ends_with(digits)
        };
        tables.nodes.iter().filter(|(id, _)| fits(id)).take(most).map(|(id, entry)| (*id, entry.node.label())).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn entries(&self, ids: &[NodeId]) -> Vec<&Entry> {
        ids.iter().filter_map(|id| self.nodes.get(id)).collect()
    }

    /// Those that have this sign, and perhaps one that has not.
    fn with(&self, sign: &Sign) -> &[NodeId] {
        self.by_sign.get(&self.hasher.hash_one(sign)).map_or(&[], Vec::as_slice)
    }

    fn having(&self, sign: &Sign) -> Vec<&Entry> {
        let mut found = self.entries(self.with(sign));
        found.retain(|entry| entry.node.identity.signs().any(|other| other == *sign));
        found
    }

    /// Whether a node is known under everything by which it is looked up already, as with most reports.
    fn only_facts_differ(&self, node: &Node) -> bool {
        self.nodes
            .get(&node.id)
            .is_some_and(|old| old.node.identity == node.identity && old.node.name == node.name && old.node.boot == node.boot)
    }

    fn link(&mut self, entry: Entry) {
        let node = &entry.node;
        for sign in node.identity.signs() {
            self.by_sign.entry(self.hasher.hash_one(sign)).or_default().push(node.id);
        }
        if let Some(name) = &node.name {
            self.by_name.insert(name.clone(), node.id);
        }
        if let Some(boot) = node.boot {
            self.by_boot.insert(boot, node.id);
        }
        self.nodes.insert(node.id, entry);
    }

    fn unlink(&mut self, id: NodeId) {
        let Some(Entry { node, .. }) = self.nodes.remove(&id) else { return };
        for sign in node.identity.signs() {
            drop_from(&mut self.by_sign, self.hasher.hash_one(sign), id);
        }
        if let Some(name) = &node.name
            && self.by_name.get(name) == Some(&id)
        {
            self.by_name.remove(name);
        }
        if let Some(boot) = &node.boot
            && self.by_boot.get(boot) == Some(&id)
        {
            self.by_boot.remove(boot);
        }
    }
}

fn drop_from(table: &mut HashMap<u64, Vec<NodeId>>, key: u64, id: NodeId) {
    if let Some(ids) = table.get_mut(&key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            table.remove(&key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use domain::document::Digest;
    use domain::hardware::Summary;
    use domain::node::{Origin, Seen};
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
            digest: Digest([0; 32]),
            origin: Origin::Boot { boot: BootId(uuid(n)), key: KeyFingerprint("k".into()), address: Ipv4Addr::LOCALHOST },
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
            nodes.into_iter().for_each(|node| index.put(Arc::new(node)));
            assert_eq!(index.known(Some(CARD), asked).map(|known| known.id), expected.map(|n| NodeId(uuid(n))), "{what}");
        }
    }

    #[test]
    fn news_that_arrive_late_change_nothing_and_old_ways_to_a_node_are_forgotten() {
        let index = Index::default();
        let first = Node { name: Some("w1".into()), ..node(1, Some(uuid(11)), &[CARD], 0) };
        let other_card = MacAddr([0x52, 0x54, 0, 0, 0, 2]);
        let mut second = node(1, Some(uuid(12)), &[other_card], 0);
        (second.version, second.boot, second.name) = (2, Some(BootId(uuid(99))), Some("w2".into()));
        let (old_boot, new_boot) = (first.boot.unwrap(), second.boot.unwrap());
        let first = Arc::new(first);
        index.put(first.clone());
        index.put(Arc::new(second.clone()));
        index.put(first);
        assert_eq!(index.known(Some(CARD), Some(uuid(11))), None);
        assert_eq!(index.known(Some(other_card), None).map(|known| known.label), Some("w2".into()));
        assert_eq!((index.named("w1"), index.of_boot(old_boot)), (None, None));
        assert_eq!(index.of_boot(new_boot), Some(second.id));
        assert_eq!(index.len(), 1);
    }
}
