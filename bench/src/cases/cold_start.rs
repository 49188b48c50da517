//! From starting the process to the first DHCP OFFER in a machine's hands.

use super::Case;
use crate::contestants::{Contestant, Programs};
use crate::hall::{CLIENT_INTERFACE, Hall};
use crate::report::{Goal, Sample};
use crate::running::Running;
use anyhow::Context;
use std::time::{Duration, Instant};
use tests_sim::dhcp::{ARCH_BIOS, Client, Kind, Machine, Reply, fresh_xid};

/// A machine that asks every millisecond until it is answered.
pub struct ColdStart;

/// Starts in one turn: one is soon measured, and varies.
const STARTS: u32 = 3;
/// Between two DISCOVERs.
const INTERVAL: Duration = Duration::from_millis(1);

impl Case for ColdStart {
    fn name(&self) -> &'static str {
        "cold_start"
    }

    fn about(&self) -> &'static str {
        "time from exec of the server, with an empty store, to the first DHCP OFFER"
    }

    fn contestants(&self) -> &'static [&'static str] {
        &["overture", "dnsmasq"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![Goal { contestant: "overture", measure: "first OFFER", below: 50.0, unit: "ms" }]
    }

    fn round(&self, programs: &Programs, contestant: &dyn Contestant, _: u32) -> anyhow::Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for _ in 0..STARTS {
            let hall = Hall::open()?;
            let mut machine = Asking::new(&hall)?;
            let running = Running::start(contestant, programs, &hall, None)?;
            let answered = running.await_answer("a DHCPDISCOVER", || machine.ask())?;
            samples.push(Sample::new("first OFFER", "ms", (answered - running.started()).as_secs_f64() * 1e3));
        }
        Ok(samples)
    }
}

/// A machine that has been switched on and asks for an address.
pub struct Asking {
    client: Client,
    discover: Vec<u8>,
    machine: Machine,
    xid: u32,
}

impl Asking {
    /// On the machines' side of a hall.
    pub fn new(hall: &Hall) -> anyhow::Result<Self> {
        let client = hall.on_client(|| Client::bind(CLIENT_INTERFACE).context("could not open the simulated network card"))?;
        let (machine, xid) = (Machine::numbered(1, ARCH_BIOS), fresh_xid());
        Ok(Self { client, discover: machine.discover(xid, 0).emit(), machine, xid })
    }

    /// Asks once; when the OFFER came, if it came in time. A malformed one is an error.
    pub fn ask(&mut self) -> anyhow::Result<Option<Instant>> {
        self.client.send_bytes(self.machine.mac, std::net::Ipv4Addr::UNSPECIFIED, &self.discover)?;
        let deadline = Instant::now() + INTERVAL;
        while let Some(heard) = self.client.hear(deadline)? {
            let now = Instant::now();
            if heard.bytes.get(4..8) == Some(&self.xid.to_be_bytes()) {
                let reply = Reply::parse(&heard.bytes).context("the server's first answer is not well-formed")?;
                return Ok((reply.kind == Kind::Offer).then_some(now));
            }
        }
        Ok(None)
    }
}
