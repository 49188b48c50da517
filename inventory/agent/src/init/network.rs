//! All cards are switched on, so that their links are known and their neighbours heard; the one that booted is given an
//! address by udhcpc, which stays to renew it.

use super::supervise::Supervisor;
use super::{BUSYBOX, UDHCPC_SCRIPT};
use crate::console::Console;
use crate::netlink::{self, Link};
use crate::tree::Tree;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a link may take before udhcpc is started without it. It repeats its question, but not at once.
const LONGEST_LINK_WAIT: Duration = Duration::from_secs(3);

/// What is known and was done so far.
pub struct Network<'t> {
    tree: &'t Tree,
    console: &'t Console,
    mac: Option<String>,
    /// Numbers of the cards that were switched on here.
    on: BTreeSet<u32>,
    /// The card, once it is there and switched on, and since when.
    waiting: Option<(String, Instant)>,
    asking: Option<String>,
    told: Told,
}

/// What has been said already.
#[derive(Default)]
struct Told {
    address: Option<String>,
    rounds: u32,
}

impl<'t> Network<'t> {
    /// `mac` is the address of the card that booted; without it the first card with a link is taken.
    pub fn new(tree: &'t Tree, console: &'t Console, mac: Option<String>) -> Self {
        Self { tree, console, mac, on: BTreeSet::new(), waiting: None, asking: None, told: Told::default() }
    }

    /// Whether udhcpc was started.
    pub fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Switches cards on that have appeared, and starts udhcpc when the right one has its link.
    pub fn look(&mut self, supervisor: &mut Supervisor<'_>) {
        let links = match netlink::links() {
            Ok(links) => links.into_iter().filter(|link| self.is_hardware(link)).collect::<Vec<_>>(),
            Err(_) => return,
        };
        for link in &links {
            // One that cannot be switched on shows no link, which its facts say.
            if (!link.up || !self.on.contains(&link.index)) && netlink::switch_on(link).is_ok() {
                self.on.insert(link.index);
            }
        }
        if self.is_asking() {
            return;
        }
        let Some(chosen) = choose(&links, self.mac.as_deref()) else { return };
        let since = match &self.waiting {
            Some((name, since)) if *name == chosen.name => *since,
            _ => {
                self.waiting = Some((chosen.name.clone(), Instant::now()));
                Instant::now()
            }
        };
        if chosen.carrier == Some(true) || since.elapsed() >= LONGEST_LINK_WAIT {
            self.ask(chosen, supervisor);
        }
    }

    fn is_hardware(&self, link: &Link) -> bool {
        self.tree.exists(&format!("sys/class/net/{}/device", link.name))
    }

    fn ask(&mut self, link: &Link, supervisor: &mut Supervisor<'_>) {
        let mac = link.mac.map(netlink::mac_text).unwrap_or_default();
        self.console.say(&format!("asking for an address on {} ({mac})", link.name));
        let name = link.name.clone();
        supervisor.add("the DHCP client", move || {
            let mut udhcpc = Command::new(BUSYBOX);
            udhcpc.args(["udhcpc", "-f", "-t", "5", "-T", "2", "-A", "5", "-s", UDHCPC_SCRIPT, "-i", &name]);
            udhcpc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            udhcpc
        });
        self.asking = Some(link.name.clone());
    }

    /// Says how it stands, when that has changed or takes long. `elapsed` since the start.
    pub fn tell(&mut self, elapsed: Duration) {
        let address = self.asking.as_ref().and_then(|name| self.tree.text(&format!("run/overture/address.{name}")));
        if let (Some(name), Some(new)) = (&self.asking, &address)
            && self.told.address != address
        {
            self.console.say(&format!("{name} has the address {new}"));
        }
        self.told.address = address.or(self.told.address.take());
        let round = u32::try_from(elapsed.as_secs() / 15).unwrap_or(u32::MAX);
        if self.told.address.is_some() || round <= self.told.rounds {
            return;
        }
        self.told.rounds = round;
        self.console.say(&match (&self.asking, &self.mac) {
            (Some(name), _) => format!("no DHCP server has answered on {name} yet; is the cable in the right network?"),
            (None, Some(mac)) => format!("no network card with the address {mac} has appeared; its driver may be missing in this ramdisk"),
            (None, None) => "no network card with a link has appeared; is a cable plugged in?".into(),
        });
    }
}

/// The card with the address; without an address, the first one with a link.
fn choose<'l>(links: &'l [Link], mac: Option<&str>) -> Option<&'l Link> {
    match mac {
        Some(mac) => links.iter().find(|link| link.has_mac(mac)),
        None => links.iter().find(|link| link.carrier == Some(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_that_booted_is_chosen_and_else_the_first_with_a_link() {
        let link = |index: u8, carrier| Link {
            index: index.into(),
            name: format!("eth{index}"),
            mac: Some([2, 0, 0, 0, 0, index]),
            permanent_mac: None,
            up: true,
            carrier: Some(carrier),
        };
        let links = [link(0, false), link(1, true)];
        assert_eq!(choose(&links, Some("02:00:00:00:00:00")), links.first());
        assert_eq!(choose(&links, Some("02:00:00:00:00:09")), None);
        assert_eq!(choose(&links, None), links.last());
    }
}
