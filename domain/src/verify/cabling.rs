//! Where each cable is plugged in, against where it should be.

use super::{Hall, Kind, Severity, Telling, text};
use crate::hardware::NicBrief;
use crate::place::shown;
use crate::site::{Cable, SwitchPort, last_number, same_port};

/// The interface that people call so: by the name that udev would choose, by the kernel's, by any other that it may have.
pub(super) fn find(nics: &[NicBrief], name: &str) -> Option<usize> {
    let by = |is: &dyn Fn(&NicBrief) -> bool| nics.iter().position(is);
    by(&|nic| nic.names.first().is_some_and(|chosen| chosen == name))
        .or_else(|| by(&|nic| nic.name == name))
        .or_else(|| by(&|nic| nic.names.iter().any(|other| other == name)))
}

/// A cable that should be somewhere, and the interface that it leaves from.
struct Wanted<'h> {
    cable: Cable,
    n: usize,
    nic: &'h NicBrief,
}

impl Hall<'_> {
    pub(super) fn check_cables(&self, i: usize, told: &mut Telling) {
        let nics = &self.seen[i].node.summary.each_nic;
        let cables = self.declaration(i).map(|declared| self.layout.site().cables_of(declared)).unwrap_or_default();
        let mut wanted = vec![];
        for cable in cables {
            match find(nics, &cable.nic) {
                Some(n) => wanted.push(Wanted { nic: &nics[n], n, cable }),
                None => self.no_such_nic(i, &cable, told),
            }
        }
        let mut swapped = vec![];
        for (a, one) in wanted.iter().enumerate() {
            for (b, other) in wanted.iter().enumerate().skip(a + 1) {
                let crossed = self.ends_at(one.nic, &other.cable.at) && self.ends_at(other.nic, &one.cable.at);
                if crossed && !self.ends_at(one.nic, &one.cable.at) {
                    swapped.extend([a, b]);
                    let (first, second) = (text(&one.cable.nic), text(&other.cable.nic));
                    let (at, other_at) = (&other.cable.at, &one.cable.at);
                    let rest = format!(
                        "{first} and {second} are swapped: {first} is plugged into {at} and {second} into {other_at}; exchange the two cables"
                    );
                    told.add(Kind::Cabling, Severity::Wrong, path(one.nic), rest);
                }
            }
        }
        for (_, wanted) in wanted.iter().enumerate().filter(|(a, _)| !swapped.contains(a)) {
            self.check_cable(i, wanted, told);
        }
        let free: Vec<_> = (0..nics.len()).filter(|n| wanted.iter().all(|wanted| wanted.n != *n)).collect();
        self.check_pairs(nics, &free, told);
    }

    fn no_such_nic(&self, i: usize, cable: &Cable, told: &mut Telling) {
        let nics = &self.seen[i].node.summary.each_nic;
        let (nic, at) = (text(&cable.nic), &cable.at);
        if nics.is_empty() {
            let reason = self.reason(i, "nics");
            let rest = format!("whether {nic} is plugged into {at} cannot be checked: {reason}");
            return told.add(Kind::Cabling, Severity::Unchecked, "nics", rest);
        }
        let names = nics.iter().take(8).map(|nic| text(shown(nic))).collect::<Vec<_>>().join(", ");
        let rest = format!(
            "it has no interface {nic}, which is to be plugged into {at}; it has {names}: look for a card in another slot, or mend the name"
        );
        told.add(Kind::Cabling, Severity::Wrong, "nics", rest);
    }

    fn check_cable(&self, i: usize, wanted: &Wanted<'_>, told: &mut Telling) {
        let (nic, at) = (wanted.nic, &wanted.cable.at);
        let (name, path) = (text(&wanted.cable.nic), path(nic));
        if self.ends_at(nic, at) {
            return;
        }
        let holders = self.holders(i, wanted);
        let Some(told_switch) = &nic.switch else {
            if nic.link == Some(false) {
                let rest = format!("{name} has no link, expected {at}{holders}: plug it in, or look for a dead cable, transceiver or port");
                return told.add(Kind::Cabling, Severity::Wrong, path, rest);
            }
            let rest = format!("{name} has heard no switch yet, so whether it is plugged into {at} cannot be checked{holders}");
            return told.add(Kind::Cabling, Severity::Unchecked, path, rest);
        };
        let switch = self.layout.switch(told_switch).map(|s| &self.layout.site().switches[s].name);
        if nic.port.is_none() && switch == Some(&at.switch) {
            let rest =
                format!("{name} is plugged into {}, which does not say in words into which port, so {at} cannot be checked", at.switch);
            return told.add(Kind::Cabling, Severity::Unchecked, path, rest);
        }
        let seen = match (switch, &nic.port) {
            (Some(switch), port) => {
                format!("{switch}{}", port.as_ref().map(|port| format!("/{}", short(port, &at.port))).unwrap_or_default())
            }
            (None, port) => {
                let port = port.as_ref().map(|port| format!("/{}", text(port))).unwrap_or_default();
                format!("`{}{port}`, a switch that the site does not know", text(told_switch))
            }
        };
        told.add(Kind::Cabling, Severity::Wrong, path, format!("{name} is plugged into {seen}, expected {at}{holders}"));
    }

    /// `; w3 reports sw2/14`: who is plugged in where this one should be.
    fn holders(&self, i: usize, wanted: &Wanted<'_>) -> String {
        let at = &wanted.cable.at;
        let switch = self.layout.switch_named(&at.switch);
        let plugged = switch.and_then(|switch| self.plugged.get(&(switch, last_number(&at.port))));
        let others = plugged.into_iter().flatten().filter(|(j, n)| {
            let nic = &self.seen[*j].node.summary.each_nic[*n];
            (*j, *n) != (i, wanted.n) && nic.port.as_ref().is_some_and(|port| same_port(&at.port, port))
        });
        let mut out = String::new();
        for (j, n) in others.take(3) {
            let label = if *j == i { shown(&self.seen[i].node.summary.each_nic[*n]).to_owned() } else { self.label(*j) };
            out.push_str(&format!("; {} reports {at}", text(&label)));
            let cables = self.declaration(*j).map(|declared| self.layout.site().cables_of(declared)).unwrap_or_default();
            let its = cables.iter().find(|cable| find(&self.seen[*j].node.summary.each_nic, &cable.nic) == Some(*n));
            if let Some(its) = its.filter(|its| self.ends_at(wanted.nic, &its.at)) {
                out.push_str(&format!(" and is expected at {}: exchange the two cables", its.at));
            }
        }
        out
    }

    /// Cables that nothing is said of, all on one switch of a pair.
    fn check_pairs(&self, nics: &[NicBrief], free: &[usize], told: &mut Telling) {
        let site = self.layout.site();
        let switch = |n: &usize| nics[*n].switch.as_deref().and_then(|told| self.layout.switch(told));
        let mut here: Vec<usize> = free.iter().filter_map(switch).collect();
        here.sort_unstable();
        here.dedup();
        for s in &here {
            let on_it: Vec<_> = free.iter().filter(|n| switch(n) == Some(*s)).map(|n| text(shown(&nics[*n]))).collect();
            let Some(peer) = self.layout.pair_of(*s) else { continue };
            let anywhere = (0..nics.len()).any(|n| switch(&n) == Some(peer));
            if on_it.len() > 1 && !anywhere {
                let (name, peer, nics) = (&site.switches[*s].name, &site.switches[peer].name, on_it.join(" and "));
                let rest = format!(
                    "{nics} all end on {name}, whose pair is {peer}: plug one of them into {peer}, or the node hangs on one switch"
                );
                told.add(Kind::Cabling, Severity::Notice, "nics", rest);
            }
        }
    }

    fn ends_at(&self, nic: &NicBrief, at: &SwitchPort) -> bool {
        let switch = nic.switch.as_deref().and_then(|told| self.layout.switch(told)).map(|s| self.layout.site().switches[s].name.as_str());
        switch == Some(at.switch.as_str()) && nic.port.as_ref().is_some_and(|port| same_port(&at.port, port))
    }
}

fn path(nic: &NicBrief) -> String {
    format!("nics.{}.neighbours", text(&nic.name))
}

/// A reported port beside a wanted one: only its last number, where the wanted one is a number and nothing is lost by that.
fn short(reported: &str, wanted: &str) -> String {
    let number = |text: &str| text.parse::<u64>().ok();
    let mut numbers = reported.split(|c: char| !c.is_ascii_digit()).filter_map(number);
    match (number(wanted), last_number(reported)) {
        (Some(wanted), Some(last)) if numbers.all(|seen| seen != wanted) => last.to_string(),
        _ => text(reported),
    }
}
