//! A small inventory, and factories that write what they like: machines report in any order, and stay as many nodes as they are.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ids::NodeId;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Nodes, and nothing else that an inventory has.
#[derive(Default)]
struct Inventory {
    nodes: BTreeMap<NodeId, Identity>,
}

impl Inventory {
    fn judge(&self, seen: &Identity) -> Judgement {
        let signs: BTreeSet<_> = seen.signs().collect();
        let like = self.nodes.iter().filter(|(_, known)| known.signs().any(|sign| signs.contains(&sign)));
        let candidates: Vec<_> = like.map(|(id, identity)| Candidate { id: *id, identity, live_elsewhere: false }).collect();
        let backwards: Vec<_> = candidates.iter().rev().copied().collect();
        let judgement = judge(seen, &candidates);
        let known = |judgement: &Judgement| matches!(judgement.recognised, Recognised::Known(..)).then(|| judgement.clone());
        assert_eq!(known(&judgement), known(&judge(seen, &backwards)), "whatever order the nodes come in");
        let all: Vec<_> = self.nodes.iter().map(|(id, identity)| Candidate { id: *id, identity, live_elsewhere: false }).collect();
        assert_eq!(judgement.recognised, judge(seen, &all).recognised, "nodes that share no sign change nothing");
        judgement
    }

    /// Takes in a report as the inventory does; the node, unless a person must look.
    fn report(&mut self, seen: &Identity) -> Option<NodeId> {
        let id = match self.judge(seen).recognised {
            Recognised::Known(id, _) => id,
            Recognised::New => NodeId(Uuid::from_u128(self.nodes.len() as u128 + 1)),
            Recognised::Ambiguous(_) | Recognised::Nameless => return None,
        };
        let known = self.nodes.get(&id).cloned().unwrap_or_default();
        self.nodes.insert(id, known.refreshed(seen.clone()));
        Some(id)
    }
}

fn mac(machine: usize, card: usize) -> MacAddr {
    MacAddr([0x3c, 0xec, 0xef, card as u8, (machine >> 8) as u8, machine as u8])
}

fn own_uuid(machine: usize) -> Uuid {
    Uuid::from_u128(0x4c4c_4544_0042_3510_8052 << 48 | (machine as u128 + 7))
}

/// What a factory writes into every one of its machines, and what it fills in for each.
#[derive(Debug, Clone, Copy)]
enum Writes {
    Nothing,
    ThePlaceholder,
    OneForAll,
    Properly,
}

#[derive(Debug, Clone)]
struct Factory {
    uuid: Writes,
    serial: Writes,
    board: Writes,
    cards: usize,
    disks: usize,
    /// An address that is in the management controller of each.
    shared_card: bool,
}

impl Factory {
    fn machine(&self, n: usize) -> Identity {
        let text = |writes: Writes, name: &str| match writes {
            Writes::Nothing => None,
            Writes::ThePlaceholder => Some("To be filled by O.E.M.".to_owned()),
            Writes::OneForAll => Some(format!("{name}-2024-A")),
            Writes::Properly => Some(format!("{name}{n}")),
        };
        let uuid = match self.uuid {
            Writes::Nothing => None,
            Writes::ThePlaceholder => "03000200-0400-0500-0006-000700080009".parse().ok(),
            Writes::OneForAll => Some(own_uuid(100_000)),
            Writes::Properly => Some(own_uuid(n)),
        };
        let shared = self.shared_card.then_some(MacAddr([0xbe, 0x3a, 0xf2, 0xb6, 0x05, 0x9f]));
        let disks: Vec<_> = (0..self.disks).map(|disk| format!("DSK{n}-{disk}")).collect();
        Identity::new(uuid, text(self.serial, "SYS").as_deref(), (0..self.cards).map(|card| mac(n, card)).chain(shared))
            .with_board(text(self.board, "BRD").as_deref())
            .with_disks(disks.iter().map(String::as_str))
    }
}

fn writes() -> impl Strategy<Value = Writes> {
    prop_oneof![Just(Writes::Nothing), Just(Writes::ThePlaceholder), Just(Writes::OneForAll), Just(Writes::Properly)]
}

fn factory() -> impl Strategy<Value = Factory> {
    (writes(), writes(), writes(), 1..4usize, 0..3usize, any::<bool>())
        .prop_map(|(uuid, serial, board, cards, disks, shared_card)| Factory { uuid, serial, board, cards, disks, shared_card })
}

/// A machine of a maker who fills in its serial, with cards of its own board and one that is plugged in.
fn proper() -> impl Strategy<Value = Factory> {
    (writes(), 1..3usize).prop_map(|(board, disks)| Factory {
        uuid: Writes::Properly,
        serial: Writes::Properly,
        board,
        cards: 3,
        disks,
        shared_card: true,
    })
}

proptest! {
    #[test]
    fn as_many_machines_are_as_many_nodes_in_any_order_however_often_they_report(
        factory in factory(), orders in prop::collection::vec(Just((0..9usize).collect::<Vec<_>>()).prop_shuffle(), 1..4),
    ) {
        let mut inventory = Inventory::default();
        let mut nodes = BTreeMap::new();
        for n in orders.into_iter().flatten() {
            let id = inventory.report(&factory.machine(n));
            prop_assert!(id.is_some());
            prop_assert_eq!(*nodes.entry(n).or_insert(id), id, "machine {} became another node", n);
        }
        prop_assert_eq!(inventory.nodes.len(), 9);
    }

    #[test]
    fn a_machine_that_reports_twice_unchanged_is_the_same_node(factory in factory(), others in prop::collection::vec(0..20usize, 0..9)) {
        let mut inventory = Inventory::default();
        for n in others {
            inventory.report(&factory.machine(n));
        }
        let first = inventory.report(&factory.machine(5));
        prop_assert!(first.is_some());
        prop_assert_eq!(inventory.report(&factory.machine(5)), first);
    }

    #[test]
    fn a_machine_stays_a_node_while_its_parts_are_changed_one_by_one(
        factory in proper(), parts in prop::collection::vec((0..5usize, any::<prop::sample::Index>()), 1..12),
    ) {
        let mut inventory = Inventory::default();
        let other = inventory.report(&factory.machine(1));
        let mut machine = factory.machine(0);
        let node = inventory.report(&machine);
        for (spare, (part, which)) in (100..).zip(parts) {
            let new = factory.machine(spare);
            match part {
                0 => {
                    // The board with two of its cards; the chassis keeps its serial.
                    machine.macs = machine.macs.iter().copied().filter(|mac| mac.0[3] == 2).chain([mac(spare, 0), mac(spare, 1)]).collect();
                    (machine.uuid, machine.board_serial) = (new.uuid, new.board_serial);
                }
                1 => {
                    let gone = *which.get(&machine.macs.iter().copied().collect::<Vec<_>>());
                    machine.macs.remove(&gone);
                    machine.macs.insert(MacAddr([0x3c, 0xec, 0xef, gone.0[3].min(2), 1, spare as u8]));
                }
                2 => {
                    let gone = which.get(&machine.disks.iter().cloned().collect::<Vec<_>>()).clone();
                    machine.disks.remove(&gone);
                    machine.disks.insert(format!("SPARE{spare}"));
                }
                3 => machine.uuid = machine.uuid.map(turned),
                _ => {
                    // The installed system, where the agent may not read what is typed in.
                    let installed = Identity { uuid: None, serial: None, board_serial: None, ..machine.clone() };
                    prop_assert_eq!(inventory.report(&installed), node);
                }
            }
            prop_assert_eq!(inventory.report(&machine), node, "after part {}", part);
            prop_assert_eq!(inventory.report(&factory.machine(1)), other);
        }
        prop_assert_eq!(inventory.nodes.len(), 2);
    }

    #[test]
    fn a_card_or_a_disk_that_moves_merges_nobody(factory in factory(), disk in any::<bool>()) {
        let mut inventory = Inventory::default();
        let (mut a, mut b) = (factory.machine(0), factory.machine(1));
        let nodes = (inventory.report(&a), inventory.report(&b));
        if disk {
            b.disks.extend(a.disks.pop_first());
        } else {
            let card = mac(0, 0);
            a.macs.remove(&card);
            b.macs.insert(card);
        }
        // A person may have to look; but none is taken for the other.
        for _ in 0..2 {
            prop_assert_ne!(inventory.report(&b), nodes.0);
            prop_assert_ne!(inventory.report(&a), nodes.1);
        }
    }

    #[test]
    fn no_report_makes_a_panic_and_the_answer_is_always_the_same(
        nodes in prop::collection::vec(odd(), 0..8), seen in odd(),
    ) {
        let mut inventory = Inventory::default();
        for (n, identity) in (1..).zip(nodes) {
            inventory.nodes.insert(NodeId(Uuid::from_u128(n)), identity);
        }
        let first = inventory.judge(&seen);
        prop_assert_eq!(inventory.judge(&seen), first);
    }
}

/// Anything, of so few values that all of them meet.
fn odd() -> impl Strategy<Value = Identity> {
    let text = |name: &'static str| prop::option::of((0..3usize).prop_map(move |n| format!("{name}{n}")));
    let cards = prop::collection::btree_set((0..4usize).prop_map(|n| mac(n, 0)), 0..3);
    let disks = prop::collection::btree_set((0..3usize).prop_map(|n| format!("DSK{n}")), 0..3);
    (prop::option::of((0..3usize).prop_map(own_uuid)), any::<bool>(), text("SYS"), text("BRD"), cards, disks).prop_map(
        |(uuid, turn, serial, board_serial, macs, disks)| Identity {
            uuid: uuid.map(|uuid| if turn { turned(uuid) } else { uuid }),
            serial,
            board_serial,
            macs,
            disks,
        },
    )
}
