//! Who is at the other end of each cable, as it says itself by LLDP (IEEE 802.1AB).
//!
//! ```text
//! frame ─► listen (one socket, all interfaces) ─► frame (bytes to words) ─► Neighbourhood (who holds, until when)
//!                                                                              └─► the `nics` of what is reported
//! installed: lldpd is asked, where it runs; nothing is changed on the machine
//! ```
//!
//! Overture only listens: a machine in the ramdisk does not announce itself. It does not know what should be at the other
//! end.

mod frame;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod frame_tests;
pub mod installed;
mod listen;
mod organisation;

pub use frame::{BadFrame, Said, parse};
pub use listen::{Heard, ListenError, listen};

use inventory_wire::{Facts, Gap, Neighbour, Nic};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Switches send every 30 s; who has not been heard for twice as long, and some, does not send.
pub const SILENCE: Duration = Duration::from_secs(65);
/// More on one port means a hub, a switch that forwards LLDP, or somebody who plays.
const MOST_NEIGHBOURS: usize = 16;
const MOST_PORTS: usize = 1024;

/// What was heard so far and still holds.
#[derive(Debug)]
pub struct Neighbourhood {
    deaf: Option<String>,
    ports: BTreeMap<String, Port>,
}

#[derive(Debug)]
struct Port {
    /// Since when there is a link to listen on.
    linked: Option<Instant>,
    heard: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    neighbour: Neighbour,
    until: Instant,
}

impl Neighbourhood {
    /// Listening, and nothing heard yet.
    pub fn silent() -> Self {
        Self { deaf: None, ports: BTreeMap::new() }
    }

    /// Not listening; the reason is a sentence for the gaps.
    pub fn deaf(reason: String) -> Self {
        Self { deaf: Some(reason), ports: BTreeMap::new() }
    }

    /// A neighbour has spoken on an interface.
    pub fn hear(&mut self, interface: &str, said: Said, now: Instant) {
        if self.ports.len() >= MOST_PORTS && !self.ports.contains_key(interface) {
            return;
        }
        let port = self.ports.entry(interface.to_owned()).or_insert(Port { linked: Some(now), heard: Vec::new() });
        port.forget_expired(now);
        port.heard.retain(|held| !same_port(&held.neighbour, &said.neighbour));
        if !said.time_to_live.is_zero() && port.heard.len() < MOST_NEIGHBOURS {
            port.heard.push(Held { neighbour: said.neighbour, until: now + said.time_to_live });
            // Several take turns in speaking; their order says nothing.
            port.heard.sort_by(|a, b| (&a.neighbour.chassis, &a.neighbour.port).cmp(&(&b.neighbour.chassis, &b.neighbour.port)));
        }
    }

    /// Writes what holds `now` into the network cards of a report, and a gap where nothing does.
    pub fn write_into(&mut self, facts: &mut Facts, gaps: &mut Vec<Gap>, now: Instant) {
        for nic in &mut facts.nics {
            let Some(name) = nic.name.clone() else { continue };
            let path = format!("nics.{name}.neighbours");
            gaps.retain(|gap| gap.path != path);
            nic.neighbours = self.of(&name, nic.link == Some(true), now);
            if nic.neighbours.is_empty() {
                gaps.push(Gap { path, reason: self.gap(&name, nic, now) });
            }
        }
    }

    /// When something ends by time alone: a neighbour's time to live, or the patience with a silent port.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let held = self.ports.values().flat_map(|port| port.heard.iter().map(|held| held.until));
        let silent = self.ports.values().filter(|port| port.heard.is_empty()).filter_map(|port| Some(port.linked? + SILENCE));
        held.chain(silent).filter(|at| *at > now).min()
    }

    fn of(&mut self, interface: &str, linked: bool, now: Instant) -> Vec<Neighbour> {
        let port = self.ports.entry(interface.to_owned()).or_insert(Port { linked: None, heard: Vec::new() });
        if linked {
            port.linked.get_or_insert(now);
        } else {
            // Whoever was there is not at the end of this cable any more.
            (port.linked, port.heard) = (None, Vec::new());
        }
        port.forget_expired(now);
        port.heard.iter().map(|held| held.neighbour.clone()).collect()
    }

    /// Sentences without a count of seconds: they are part of what two reports are compared by.
    fn gap(&self, interface: &str, nic: &Nic, now: Instant) -> String {
        if let Some(reason) = &self.deaf {
            return reason.clone();
        }
        match nic.link {
            Some(false) => return "there is no link".into(),
            None => return "the interface is not up, so nothing can be heard on it".into(),
            Some(true) => {}
        }
        let since = self.ports.get(interface).and_then(|port| port.linked).unwrap_or(now);
        if now.saturating_duration_since(since) < SILENCE {
            return "no LLDP frame yet: switches send one every 30 s, and the first report does not wait for it".into();
        }
        let silent = format!("no LLDP frame in {} s: LLDP is off on that port, or it is not a switch", SILENCE.as_secs());
        match nic.driver.as_deref().and_then(swallower) {
            Some(flag) => {
                format!("{silent}; or the card's own firmware takes the frames away: `ethtool --set-priv-flags {interface} {flag}`")
            }
            None => silent,
        }
    }
}

impl Port {
    fn forget_expired(&mut self, now: Instant) {
        self.heard.retain(|held| held.until > now);
    }
}

/// Intel's cards can run an LLDP agent of their own; the flag of the driver that ends it.
fn swallower(driver: &str) -> Option<&'static str> {
    match driver {
        "i40e" => Some("disable-fw-lldp on"),
        "ice" => Some("fw-lldp-agent off"),
        _ => None,
    }
}

/// A remote port is known by its chassis and its port (802.1AB, MSAP).
fn same_port(a: &Neighbour, b: &Neighbour) -> bool {
    (&a.chassis_kind, &a.chassis, &a.port_kind, &a.port) == (&b.chassis_kind, &b.chassis, &b.port_kind, &b.port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn nic(name: &str, link: Option<bool>) -> Nic {
        Nic { name: Some(name.into()), link, ..Nic::default() }
    }

    fn said(chassis: &str, port: &str, seconds: u64) -> Said {
        let neighbour = Neighbour { chassis: Some(chassis.into()), port: Some(port.into()), ..Neighbour::default() };
        Said { time_to_live: Duration::from_secs(seconds), neighbour }
    }

    /// What is reported of the card: the ports at the other end, or the reason of the gap.
    fn seen(hood: &mut Neighbourhood, nic: Nic, now: Instant) -> Result<Vec<String>, String> {
        let (mut facts, mut gaps) = (Facts { nics: vec![nic], ..Facts::default() }, vec![]);
        hood.write_into(&mut facts, &mut gaps, now);
        hood.write_into(&mut facts, &mut gaps, now);
        assert!(gaps.len() <= 1, "one gap, however often it is written: {gaps:?}");
        match gaps.pop() {
            Some(gap) => Err(gap.reason),
            None => Ok(facts.nics.remove(0).neighbours.into_iter().filter_map(|neighbour| neighbour.port).collect()),
        }
    }

    #[test]
    fn a_neighbour_holds_as_long_as_it_says_and_goes_with_a_goodbye() {
        let (mut hood, begin) = (Neighbourhood::silent(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        let up = || nic("eth0", Some(true));
        assert!(seen(&mut hood, up(), begin).unwrap_err().starts_with("no LLDP frame yet"));
        assert_eq!(hood.next_change(begin), Some(begin + SILENCE));
        hood.hear("eth0", said("sw2", "14", 120), after(5));
        hood.hear("eth0", said("sw1", "13", 20), after(6));
        assert_eq!(seen(&mut hood, up(), after(7)).unwrap(), ["13", "14"], "in the order of their names");
        assert_eq!(hood.next_change(after(7)), Some(after(26)));
        assert_eq!(seen(&mut hood, up(), after(26)).unwrap(), ["14"]);
        hood.hear("eth0", said("sw2", "14", 120), after(30));
        assert_eq!(hood.next_change(after(30)), Some(after(150)), "it was heard again");
        hood.hear("eth0", said("sw2", "14", 0), after(31));
        assert!(seen(&mut hood, up(), after(31)).is_err());
    }

    #[test]
    fn silence_is_explained() {
        let (mut hood, begin) = (Neighbourhood::silent(), Instant::now());
        let late = begin + SILENCE;
        let card = |driver: &str| Nic { driver: Some(driver.into()), ..nic("eth0", Some(true)) };
        assert_eq!(seen(&mut hood, nic("eth0", Some(false)), begin).unwrap_err(), "there is no link");
        assert!(seen(&mut hood, nic("eth0", None), begin).unwrap_err().contains("not up"));
        seen(&mut hood, card("igb"), begin).unwrap_err();
        let igb = seen(&mut hood, card("igb"), late).unwrap_err();
        assert_eq!(igb, "no LLDP frame in 65 s: LLDP is off on that port, or it is not a switch");
        assert!(seen(&mut hood, card("i40e"), late).unwrap_err().ends_with("`ethtool --set-priv-flags eth0 disable-fw-lldp on`"));
        assert!(seen(&mut hood, card("ice"), late).unwrap_err().ends_with("fw-lldp-agent off`"));
        let mut deaf = Neighbourhood::deaf("could not listen".into());
        assert_eq!(seen(&mut deaf, card("igb"), late).unwrap_err(), "could not listen");
    }

    #[test]
    fn a_pulled_cable_ends_it_at_once_and_a_new_one_is_given_time() {
        let (mut hood, begin) = (Neighbourhood::silent(), Instant::now());
        hood.hear("eth0", said("sw1", "1", 3600), begin);
        let later = begin + Duration::from_secs(100);
        assert_eq!(seen(&mut hood, nic("eth0", Some(false)), later).unwrap_err(), "there is no link");
        assert!(seen(&mut hood, nic("eth0", Some(true)), later).unwrap_err().starts_with("no LLDP frame yet"));
        assert_eq!(hood.next_change(later), Some(later + SILENCE));
    }

    #[test]
    fn a_flood_of_neighbours_is_bounded() {
        let (mut hood, now) = (Neighbourhood::silent(), Instant::now());
        (0..1000).for_each(|i| hood.hear("eth0", said("sw1", &i.to_string(), 9), now));
        assert_eq!(seen(&mut hood, nic("eth0", Some(true)), now).unwrap().len(), MOST_NEIGHBOURS);
        (0..5000).for_each(|i| hood.hear(&format!("x{i}"), said("sw1", "1", 9), now));
        assert!(hood.ports.len() <= MOST_PORTS);
    }
}
