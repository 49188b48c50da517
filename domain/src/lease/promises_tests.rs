//! Whatever comes in whatever order: no address is promised to two machines, and what was acknowledged holds.
//!
//! A model remembers what machines were told: what they were offered and may still ask for, and what was acknowledged
//! and may still be used. Leases take their time to reach the disk, or never do, and who waits for that hears of it in any order.

use super::*;
use crate::site::{DeclaredNode, Network, Unknown};
use jiff::SignedDuration;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

const MACHINES: u8 = 3;
/// Addresses 0 and 1 are the pool's, 2 is outside of it; a change of the site declares 0 for the first machine.
const ADDRESSES: u8 = 3;
/// Who waits longer for the disk gives up.
const PATIENCE: i64 = 2;

#[derive(Debug, Clone)]
enum Step {
    Discover {
        machine: u8,
        wanted: Option<u8>,
    },
    Request {
        machine: u8,
        address: u8,
    },
    /// DISCOVER, and REQUEST for what is offered.
    Boot {
        machine: u8,
    },
    /// REQUEST for what it has.
    Renew {
        machine: u8,
    },
    /// Gives back what it has, as a machine in order does.
    Release {
        machine: u8,
    },
    Decline {
        machine: u8,
        address: u8,
    },
    /// The disk takes what was decided first.
    Write,
    DiskFails,
    /// Whoever waited for the disk hears of it, in any order.
    Hear {
        which: prop::sample::Index,
    },
    Pass {
        seconds: i64,
    },
    ChangeSite,
    TakeForOurselves {
        address: Option<u8>,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (machine, address) = (0..MACHINES, 0..ADDRESSES);
    let which = any::<prop::sample::Index>();
    prop_oneof![
        3 => (machine.clone(), prop::option::of(address.clone())).prop_map(|(machine, wanted)| Step::Discover { machine, wanted }),
        2 => (machine.clone(), address.clone()).prop_map(|(machine, address)| Step::Request { machine, address }),
        9 => machine.clone().prop_map(|machine| Step::Boot { machine }),
        4 => machine.clone().prop_map(|machine| Step::Renew { machine }),
        5 => machine.clone().prop_map(|machine| Step::Release { machine }),
        1 => (machine, address.clone()).prop_map(|(machine, address)| Step::Decline { machine, address }),
        12 => Just(Step::Write),
        1 => Just(Step::DiskFails),
        12 => which.prop_map(|which| Step::Hear { which }),
        3 => prop_oneof![3 => 0..3i64, 1 => 50..70i64, 2 => 550..650i64, 1 => Just(4000)].prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::ChangeSite),
        1 => prop::option::of(address).prop_map(|address| Step::TakeForOurselves { address }),
        1 => Just(Step::Restart),
    ]
}

/// The network is called otherwise after the change.
fn name(declared: bool) -> &'static str {
    if declared { "declared" } else { "n" }
}

fn site(declared: bool) -> Site {
    let network = Network {
        interface: "br0".into(),
        subnet: "10.20.0.0/24".parse().expect("subnet"),
        gateway: None,
        dns: vec![],
        pool: if declared { "10.20.0.1-10.20.0.1" } else { "10.20.0.0-10.20.0.1" }.parse().expect("range"),
        fixed: None,
        unknown: Unknown::Discover,
        lease_seconds: 600,
    };
    let node = DeclaredNode { name: "w1".into(), mac: Some(mac(0)), address: Some(ip(0)), ..DeclaredNode::default() };
    Site {
        networks: BTreeMap::from([(name(declared).into(), network)]),
        nodes: if declared { vec![node] } else { vec![] },
        ..Site::default()
    }
}

fn mac(machine: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 0, machine])
}

fn ip(address: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 20, 0, address)
}

/// The table, the disk, and what the machines were told.
struct World {
    table: LeaseTable,
    disk: HashMap<(String, Ipv4Addr), Lease>,
    writing: VecDeque<Lease>,
    written: Vec<Lease>,
    declared: bool,
    taken: Vec<Ipv4Addr>,
    now: Timestamp,
    offered: HashMap<MacAddr, (Ipv4Addr, Timestamp)>,
    /// What a machine waits to have acknowledged, and when it asked; other acknowledgements are not listened to.
    asked: HashSet<(MacAddr, Ipv4Addr, Timestamp)>,
    acknowledged: HashMap<MacAddr, (Ipv4Addr, Timestamp)>,
}

impl World {
    fn new() -> Self {
        Self {
            table: LeaseTable::default(),
            disk: HashMap::new(),
            writing: VecDeque::new(),
            written: vec![],
            declared: false,
            taken: vec![],
            now: Timestamp::from_second(1_000_000).expect("in range"),
            offered: HashMap::new(),
            asked: HashSet::new(),
            acknowledged: HashMap::new(),
        }
    }

    fn take(&mut self, step: Step) {
        // No two packets come at the same moment.
        self.now += SignedDuration::from_millis(1);
        match step {
            Step::Discover { machine, wanted } => self.discover(mac(machine), wanted.map(ip)),
            Step::Request { machine, address } => self.request(mac(machine), ip(address)),
            Step::Boot { machine } => {
                self.discover(mac(machine), None);
                if let Some(&(address, _)) = self.offered.get(&mac(machine)) {
                    self.request(mac(machine), address);
                }
            }
            Step::Renew { machine } => {
                if let Some(&(address, _)) = self.acknowledged.get(&mac(machine)) {
                    self.request(mac(machine), address);
                }
            }
            Step::Release { machine } => {
                if let Some((address, _)) = self.acknowledged.get(&mac(machine)) {
                    self.writing.extend(self.table.release(name(self.declared), mac(machine), *address, self.now));
                    self.gives_up(mac(machine));
                }
            }
            Step::Decline { machine, address } => {
                self.writing.extend(self.table.decline(name(self.declared), mac(machine), ip(address), self.now));
                self.gives_up(mac(machine));
            }
            Step::Write => {
                if let Some(lease) = self.writing.pop_front() {
                    self.disk.retain(|_, old| {
                        let of_machine = old.network == lease.network && old.mac == lease.mac && old.state != LeaseState::Declined;
                        !of_machine || old.address == lease.address
                    });
                    self.disk.insert((lease.network.clone(), lease.address), lease.clone());
                    self.written.push(lease);
                }
            }
            Step::DiskFails => {
                self.writing.pop_front();
            }
            Step::Hear { which } => {
                if !self.written.is_empty() {
                    let lease = self.written.swap_remove(which.index(self.written.len()));
                    self.granted(lease);
                }
            }
            Step::Pass { seconds } => {
                self.now += SignedDuration::from_secs(seconds);
                if seconds > PATIENCE {
                    self.writing.clear();
                    self.written.clear();
                }
            }
            Step::ChangeSite => {
                self.declared = !self.declared;
                self.table.rehome(&site(self.declared));
            }
            Step::TakeForOurselves { address } => self.taken = address.map(ip).into_iter().collect(),
            Step::Restart => {
                self.writing.clear();
                self.written.clear();
                self.asked.clear();
                self.offered.clear();
                self.table = LeaseTable::restore(self.disk.values().cloned(), self.now);
                self.table.rehome(&site(self.declared));
            }
        }
    }

    fn discover(&mut self, mac: MacAddr, wanted: Option<Ipv4Addr>) {
        if self.is_declining(mac) {
            return;
        }
        let site = site(self.declared);
        let asking = Asking { site: &site, network: name(self.declared), mac, taken: &self.taken, now: self.now };
        self.asked.retain(|(other, ..)| *other != mac);
        if let Ok((address, rule)) = self.table.offer(&asking, wanted) {
            self.must_be_free(address, mac, rule);
            self.offered.insert(mac, (address, self.now + SignedDuration::from_secs(OFFER_SECONDS - 1)));
        }
    }

    fn request(&mut self, mac: MacAddr, address: Ipv4Addr) {
        if self.is_declining(mac) {
            return;
        }
        let site = site(self.declared);
        let asking = Asking { site: &site, network: name(self.declared), mac, taken: &self.taken, now: self.now };
        self.asked.retain(|(other, before, _)| *other != mac || *before == address);
        self.asked.insert((mac, address, self.now));
        // Who asks for another address than it has does not use that one any more.
        self.acknowledged.retain(|other, promise| *other != mac || promise.0 == address);
        match self.table.request(&asking, address, None) {
            Requested::Grant(lease) => {
                self.must_be_free(address, mac, "granted");
                // Who asks for another address than the offered one does not want that one.
                self.offered.retain(|other, promise| *other != mac || promise.0 == address);
                self.writing.push_back(lease);
            }
            // RFC 2131, 4.4.1: a machine that is refused starts anew.
            Requested::Refuse(_) => self.gives_up(mac),
            Requested::Silence(_) | Requested::Withhold(_) => {}
        }
    }

    fn granted(&mut self, lease: Lease) {
        self.table.granted(lease.clone());
        if lease.state == LeaseState::Bound && self.asked.contains(&(lease.mac, lease.address, lease.granted)) {
            self.offered.remove(&lease.mac);
            self.acknowledged.insert(lease.mac, (lease.address, lease.expires));
        }
    }

    /// RFC 2131, 3.1: who has declined an address waits for ten seconds before it asks again.
    fn is_declining(&self, mac: MacAddr) -> bool {
        self.writing.iter().chain(&self.written).any(|lease| lease.mac == mac && lease.state == LeaseState::Declined)
    }

    fn gives_up(&mut self, mac: MacAddr) {
        self.offered.remove(&mac);
        self.asked.retain(|(other, ..)| *other != mac);
        self.acknowledged.remove(&mac);
    }

    /// What is about to be promised to `mac` was promised to nobody else and is not ours.
    fn must_be_free(&self, address: Ipv4Addr, mac: MacAddr, what: &str) {
        assert!(!self.taken.contains(&address), "{what}: {address} is the appliance's own");
        for (kind, promises) in [("offered to", &self.offered), ("acknowledged to", &self.acknowledged)] {
            let other = promises.iter().find(|(other, promise)| **other != mac && promise.0 == address && promise.1 > self.now);
            assert!(other.is_none(), "{what}: {address} for {mac} was {kind} {other:?}");
        }
    }

    fn check(&self) {
        let mut users = HashMap::new();
        for (mac, (address, _)) in self.acknowledged.iter().filter(|(_, promise)| promise.1 > self.now) {
            assert_eq!(users.insert(*address, *mac), None, "two machines use {address}");
            let held = self.table.held_by(name(self.declared), *mac, self.now).map(|lease| lease.address);
            assert_eq!(held, Some(*address), "{mac} was acknowledged {address}");
        }
        let mut holders = HashMap::new();
        for machine in 0..MACHINES {
            if let Some(lease) = self.table.held_by(name(self.declared), mac(machine), self.now) {
                assert_eq!(holders.insert(lease.address, machine), None, "two machines hold {}", lease.address);
                assert_eq!(self.table.holder_of(lease.address, self.now), Some(lease));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_address_is_promised_to_two_and_what_was_acknowledged_holds(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        world.table.rehome(&site(world.declared));
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}
