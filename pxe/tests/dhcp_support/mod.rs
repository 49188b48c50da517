//! What DHCP's tests share: recorded packets, packets written by hand, and stores in memory.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use domain::boot::Boot;
use domain::clock::Clock;
use domain::lease::Lease;
use domain::node::Known;
use domain::ports::{BootStore, Directory, LeaseStore, StoreError};
use domain::site::{DeclaredNode, Network, Site, Unknown};
use domain::timeline::{Step, Timeline};
use domain::{BootId, MacAddr, Timestamp};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;
use uuid::Uuid;

/// A recorded UDP packet.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub to_server: bool,
    pub payload: Vec<u8>,
}

/// The UDP packets of a capture in `tests/fixtures/` (classic pcap, little-endian, Ethernet, IPv4).
pub fn capture(name: &str) -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{name} is no classic pcap file");
    let mut rest = &bytes[24..];
    let mut packets = vec![];
    while rest.len() >= 16 {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let frame = &rest[16..16 + length];
        rest = &rest[16 + length..];
        let ip = &frame[14..];
        let udp = &ip[usize::from(ip[0] & 15) * 4..];
        let (to, size) = (u16::from_be_bytes([udp[2], udp[3]]), u16::from_be_bytes([udp[4], udp[5]]));
        packets.push(Recorded { to_server: to == 67, payload: udp[8..usize::from(size)].to_vec() });
    }
    packets
}

pub const CAPTURES: [&str; 6] =
    ["ipxe-bios.pcap", "plain-rom-bios.pcap", "ovmf-pxe.pcap", "ovmf-http.pcap", "ovmf-secureboot-shim.pcap", "ovmf-arm64-pxe.pcap"];

/// A client's packet, written byte by byte and by none of our codecs.
#[derive(Debug, Clone)]
pub struct Packet {
    pub header: [u8; 44],
    pub sname: Vec<u8>,
    pub file: Vec<u8>,
    pub options: Vec<(u8, Vec<u8>)>,
}

pub const DISCOVER: u8 = 1;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const RELEASE: u8 = 7;
pub const INFORM: u8 = 8;

impl Packet {
    pub fn new(kind: u8, mac: MacAddr) -> Self {
        let mut header = [0; 44];
        header[..4].copy_from_slice(&[1, 1, 6, 0]);
        header[4..8].copy_from_slice(&0x1234_5678u32.to_be_bytes());
        header[28..34].copy_from_slice(&mac.0);
        Self { header, sname: vec![], file: vec![], options: vec![(53, vec![kind])] }
    }

    pub fn ciaddr(mut self, address: Ipv4Addr) -> Self {
        self.header[12..16].copy_from_slice(&address.octets());
        self
    }

    pub fn giaddr(mut self, address: Ipv4Addr) -> Self {
        self.header[24..28].copy_from_slice(&address.octets());
        self
    }

    pub fn option(mut self, code: u8, value: impl AsRef<[u8]>) -> Self {
        self.options.push((code, value.as_ref().to_vec()));
        self
    }

    pub fn address(self, code: u8, address: Ipv4Addr) -> Self {
        self.option(code, address.octets())
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.header.to_vec();
        out.extend(&self.sname);
        out.resize(108, 0);
        out.extend(&self.file);
        out.resize(236, 0);
        out.extend([99, 130, 83, 99]);
        for (code, value) in &self.options {
            out.extend([*code, value.len() as u8]);
            out.extend(value);
        }
        out.push(255);
        out
    }
}

pub fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0x77, 0, last])
}

pub fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// One network, `n`, of 10.77.0.0/24 on the interface.
pub fn site(interface: &str) -> Site {
    let network = Network {
        interface: interface.into(),
        subnet: "10.77.0.0/24".parse().unwrap(),
        gateway: Some(ip(254)),
        dns: vec![ip(1), ip(2)],
        pool: "10.77.0.100-10.77.0.199".parse().unwrap(),
        fixed: None,
        unknown: Unknown::Discover,
        lease_seconds: 3600,
    };
    Site {
        name: "hall-1".into(),
        domain: Some("hall1.example".into()),
        ntp: vec![ip(3)],
        networks: BTreeMap::from([("n".to_owned(), network)]),
        ..Site::default()
    }
}

pub fn declared(name: &str, mac: MacAddr) -> DeclaredNode {
    DeclaredNode { name: name.into(), mac: Some(mac), ..DeclaredNode::default() }
}

/// An inventory that knows nobody.
pub struct Nobody;

impl Directory for Nobody {
    fn known(&self, _: Option<MacAddr>, _: Option<Uuid>) -> Option<Known> {
        None
    }
}

/// A clock that is set by hand.
#[derive(Default)]
pub struct HandClock(AtomicU64);

impl HandClock {
    pub fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        at(i64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
}

/// Leases and steps in memory; can refuse, or be held up.
#[derive(Default)]
pub struct Memory {
    pub leases: Mutex<Vec<Lease>>,
    pub steps: Mutex<Vec<Step>>,
    pub refuses: AtomicBool,
    /// While true, nothing is kept.
    pub held_up: watch::Sender<bool>,
    /// How many leases were being kept at the same time, at most.
    pub most_at_once: AtomicU64,
    at_once: AtomicU64,
}

impl Memory {
    /// `event: message [rule]`, oldest first.
    pub fn told(&self) -> Vec<String> {
        let line = |step: &Step| format!("{}: {} [{}]", step.event, step.message, step.rule.as_deref().unwrap_or("-"));
        self.steps.lock().unwrap().iter().map(line).collect()
    }
}

#[async_trait]
impl LeaseStore for Memory {
    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        Ok(self.leases.lock().unwrap().clone())
    }

    async fn keep_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.held_up.subscribe().wait_for(|held_up| !held_up).await.unwrap();
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { attempted: "keep a lease", source: "the disk is full".into() });
        }
        let mut leases = self.leases.lock().unwrap();
        leases.retain(|other| other.address != lease.address && other.mac != lease.mac);
        leases.push(lease.clone());
        Ok(())
    }
}

#[async_trait]
impl BootStore for Memory {
    async fn recent_boots(&self, _: usize) -> Result<Vec<Boot>, StoreError> {
        Ok(vec![])
    }

    async fn keep_boot(&self, _: &Boot) -> Result<(), StoreError> {
        Ok(())
    }

    fn note(&self, _: Option<&Boot>, step: Step) -> bool {
        self.steps.lock().unwrap().push(step);
        true
    }

    async fn timelines(&self, _: &[MacAddr], _: usize) -> Result<Vec<Timeline>, StoreError> {
        Ok(vec![])
    }

    async fn timeline(&self, _: BootId) -> Result<Option<Timeline>, StoreError> {
        Ok(None)
    }
}
