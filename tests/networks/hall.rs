//! A hall with two networks, and what is looked at there.

use crate::support::agent::{Agent, Key};
use crate::support::answer::Answer;
use crate::support::machine::machine;
use crate::support::{Appliance, CARD, Side, Wishes};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use tests_sim::{Outcome, Patience, boot};

/// The number of the machine whose card is on the second network.
pub const SECOND: u32 = 2;

/// `[network.NAME]` of 10.N.0.0/16, with further or other keys.
pub fn network(name: &str, interface: &str, n: u8, other: &str) -> String {
    let usual = [
        ("interface", format!("\"{interface}\"")),
        ("subnet", format!("\"10.{n}.0.0/16\"")),
        ("pool", format!("\"10.{n}.128.1-10.{n}.128.200\"")),
    ];
    let usual: Vec<_> = usual.iter().filter(|(key, _)| !other.contains(key)).map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[network.{name}]\n{}{other}\n", usual.concat())
}

/// A site of these networks.
pub fn site(networks: &[String]) -> String {
    format!("[site]\nname = \"hall-1\"\n\n{}", networks.concat())
}

/// The network of every appliance.
pub fn first() -> String {
    network("provision", "prov0", 77, "")
}

/// The one more.
pub fn second() -> String {
    network("second", "prov1", 88, "")
}

/// An appliance that serves both from its start.
pub fn two_networks() -> (Appliance, Side) {
    let mut appliance = Appliance::prepare(Wishes::default());
    let side = appliance.cable("prov1", 88, SECOND);
    std::fs::write(appliance.folder().join("site/site.toml"), site(&[first(), second()])).unwrap();
    appliance.resume();
    (appliance, side)
}

/// The site becomes another one.
pub fn apply(appliance: &Appliance, networks: &[String]) {
    let answer = appliance.apply(&site(networks)).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// A site that is refused because it cannot be served, for a reason that names all this.
pub fn assert_unservable(answer: &Answer, named: &[&str]) {
    assert_eq!((answer.status, answer.problem()), (409, "unservable_site".into()), "{}", answer.text());
    for named in named {
        assert!(answer.text().contains(named), "`{named}` is not in: {}", answer.text());
    }
}

/// A machine that has come as far as its report.
#[derive(Debug)]
pub struct Seen {
    /// Its address.
    pub address: Ipv4Addr,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// What its agent was told.
    pub words: BTreeMap<String, String>,
    /// Its ramdisk.
    pub ramdisk: Vec<u8>,
}

/// Boots the machine whose card is on this side, from its firmware to the report of its agent; or says how far it came.
pub fn try_boot(side: &Side, number: u32) -> Result<Seen, String> {
    side.inside(|| {
        let machine = machine(number);
        let booted = boot(CARD, &machine, Patience::default()).map_err(|error| format!("{error:?}"))?;
        let Outcome::Ramdisk { words, lease, initrds, .. } = &booted.outcome else { return Err(format!("{:?}", booted.outcome)) };
        let agent = Agent::try_new(lease.address, words, &Key::fresh()).map_err(|error| format!("{error:?}"))?;
        let answer = agent.report(&machine, 1).map_err(|error| format!("{error:?}"))?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let ramdisk = initrds.first().map(|image| image.bytes.clone()).unwrap_or_default();
        Ok(Seen { address: lease.address, server: lease.server, words: words.clone(), ramdisk })
    })
}

/// Boots a machine that must come all the way, and be given an address of 10.N.128.0/17 by 10.N.0.1.
pub fn assert_boots(side: &Side, number: u32, n: u8) -> Seen {
    let seen = try_boot(side, number).expect("a machine boots");
    assert_eq!((seen.server, seen.address.octets()[..2].to_vec()), (Ipv4Addr::new(10, n, 0, 1), vec![10, n]), "{seen:?}");
    seen
}

/// The sockets that the service receives requests on: kind, address in hexadecimal, and the kernel's number of each.
pub fn sockets(appliance: &Appliance) -> BTreeSet<(&'static str, String, String)> {
    let of = |kind: &'static str, state: &'static str| {
        let table = std::fs::read_to_string(format!("/proc/{}/net/{kind}", appliance.pid())).unwrap();
        let rows: Vec<Vec<String>> = table.lines().skip(1).map(|row| row.split_whitespace().map(str::to_owned).collect()).collect();
        rows.into_iter().filter(move |row| row[3] == state).map(move |row| (kind, row[1].clone(), row[9].clone()))
    };
    // proc(5): 07 is an unconnected UDP socket, 0A a TCP socket that listens.
    of("udp", "07").chain(of("tcp", "0A")).collect()
}

/// The leases that are held: network, address and MAC address of each.
pub fn held(appliance: &Appliance) -> BTreeSet<(String, String, String)> {
    let leases = appliance.list("/api/v1/leases");
    let text = |lease: &serde_json::Value, field: &str| lease[field].as_str().unwrap().to_owned();
    let held = leases.iter().filter(|lease| lease["state"] == "bound");
    held.map(|lease| (text(lease, "network"), text(lease, "address"), text(lease, "mac"))).collect()
}
