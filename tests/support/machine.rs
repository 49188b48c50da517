//! Simulated machines as tests use them. All of this runs on the machines' side: see [`super::Appliance::inside`].

use super::agent::{Agent, Key};
use super::{Appliance, CARD, PATIENCE, SERVER, STRANGER, WHOLE, at, eventually};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;
use tests_sim::dhcp::{ARCH_BIOS, Client, ExchangeError, Lease, Machine, Speaker, Timing};
use tests_sim::http::{self, HttpError, Response, Url};
use tests_sim::{Mac, Outcome, Patience, boot};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A BIOS machine; MAC, UUID and serial follow from its number.
pub fn machine(number: u32) -> Machine {
    Machine::numbered(number, ARCH_BIOS)
}

/// A client that bears with a busy service.
pub fn client() -> Client {
    Client::bind(CARD).expect("the machines' interface")
}

/// A client that soon takes silence for an answer.
pub fn hasty_client() -> Client {
    client().with_timing(Timing { first: Duration::from_millis(300), tries: 1 })
}

/// Whether nobody answered.
pub fn is_silence<T>(answer: &Result<T, ExchangeError>) -> bool {
    matches!(answer, Err(ExchangeError::Silence { .. }))
}

/// Whether the server refused.
pub fn is_refusal<T>(answer: &Result<T, ExchangeError>) -> bool {
    matches!(answer, Err(ExchangeError::Nak { .. }))
}

/// Reads boot HTTP from an address.
pub fn web(from: Ipv4Addr) -> http::Client {
    http::Client { source: from, patience: PATIENCE, ..http::Client::default() }
}

/// Gets a path of boot HTTP from an address.
pub fn get(from: Ipv4Addr, target: &str) -> Response {
    try_get(from, target).expect("boot HTTP answers")
}

/// Gets a path of boot HTTP from an address; the service may be gone.
pub fn try_get(from: Ipv4Addr, target: &str) -> Result<Response, HttpError> {
    web(from).get(&Url::new(at(80), target).expect("a path"))
}

/// The script of a machine, asked for from an address.
pub fn script(mac: Mac, from: Ipv4Addr) -> String {
    let response = get(from, &script_path(mac));
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

fn script_path(mac: Mac) -> String {
    format!("/ipxe?mac={mac}&arch=i386&platform=pcbios")
}

/// The words `overture.NAME=VALUE` that a script would give the agent; none when it starts no ramdisk.
pub fn words(script: &str) -> BTreeMap<String, String> {
    let kernel = script.lines().find(|line| line.starts_with("kernel ")).unwrap_or_default();
    let words = kernel.split(' ').filter_map(|word| word.strip_prefix("overture.")?.split_once('='));
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A machine that has come as far as its ramdisk, and its agent, which has not reported.
#[derive(Debug)]
pub struct Running {
    /// The machine.
    pub machine: Machine,
    /// Its lease.
    pub lease: Lease,
    /// What its agent was told.
    pub words: BTreeMap<String, String>,
    /// Its agent, with a key of its own.
    pub agent: Agent,
}

/// Switches a machine on: a new boot, DHCP for firmware and iPXE, its script. Its agent has that boot's ticket and `key`.
pub fn power_on_with(number: u32, key: &Key) -> Running {
    try_power_on(&mut client(), number, key).expect("a machine comes as far as its ramdisk")
}

/// Switches a machine on; its agent has a fresh key.
pub fn power_on(number: u32) -> Running {
    power_on_with(number, &Key::fresh())
}

/// Switches a machine on, of which anything may fail while the service is gone.
pub fn try_power_on(client: &mut Client, number: u32, key: &Key) -> Result<Running, BoxError> {
    let machine = machine(number);
    client.lease(&machine)?;
    let lease = client.lease(&machine.running(Speaker::Ipxe))?;
    let script = try_get(lease.address, &script_path(machine.mac))?;
    let words = words(&script.text());
    if !words.contains_key("ticket") {
        return Err(format!("the machine was given no ticket, status {}:\n{}", script.status, script.text()).into());
    }
    let agent = Agent::try_new(lease.address, &words, key)?;
    assert_eq!(agent.service, at(8444));
    Ok(Running { machine, lease, words, agent })
}

/// The MAC address that the kernel has learnt for the appliance.
pub fn server_mac() -> Mac {
    let _ = UdpSocket::bind((STRANGER, 0)).expect("a socket").send_to(b"", (SERVER, 9));
    let find = || {
        let table = Command::new("ip").args(["neighbour", "show", &SERVER.to_string()]).output().expect("`ip` starts: run `make deps`");
        let table = String::from_utf8_lossy(&table.stdout).into_owned();
        table.split_once("lladdr ").and_then(|(_, rest)| rest.split(' ').next()?.trim().parse().ok())
    };
    let mut found = find();
    eventually("the appliance's MAC address is known", || {
        found = find();
        found.is_some()
    });
    found.expect("it was found")
}

impl Appliance {
    /// Boots the machine of the interface, from its firmware on to the report of its agent, as if nothing had happened:
    /// what every hostile act has to leave possible.
    pub fn assert_good_node_is_served(&mut self) {
        self.assert_alive();
        self.inside(|| {
            let machine = machine(WHOLE);
            let booted = boot(CARD, &machine, Patience::default()).expect("a good machine boots");
            let Outcome::Ramdisk { words, .. } = &booted.outcome else {
                panic!("it did not come as far as the ramdisk: {:?}", booted.outcome)
            };
            let agent = Agent::new(booted.address.address(), words, &Key::fresh());
            let answer = agent.report(&machine, 1).expect("its report is answered");
            assert_eq!(answer.status, 200, "{}", answer.text());
        });
        self.assert_alive();
    }

    /// Fails unless every counter named has grown since.
    pub fn assert_counted(&self, before: &super::Metrics, family: &str, reasons: &[&str]) {
        let now = self.metrics();
        for reason in reasons {
            assert!(now.of(family, reason) > before.of(family, reason), "nothing was counted as {family} {reason}");
        }
    }
}
