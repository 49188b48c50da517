//! The rules that a site must keep, over all of its parts. What concerns one part alone stands with it.

mod nodes;

use super::{Mistake, Rack, Site, is_label, label_rule};
use std::collections::HashMap;

/// The broken rules so far.
#[derive(Default)]
pub(super) struct Found(Vec<Mistake>);

impl Found {
    pub(super) fn add(&mut self, key: impl Into<String>, message: String) {
        self.0.push(Mistake { key: key.into(), message });
    }
}

impl Site {
    /// Every rule that is broken, in the order of the keys; empty when the site is sound.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut found = Found::default();
        if !is_label(&self.name) {
            found.add("site.name", label_rule("site.name", &self.name));
        }
        if let Some(domain) = &self.domain
            && !(domain.len() <= 253 && domain.split('.').all(is_label))
        {
            found.add(
                "site.domain",
                format!(
                    "`{domain}` is not a domain name: write labels of letters, digits and hyphens with dots between, such as hall1.example"
                ),
            );
        }
        for (name, network) in &self.networks {
            network.check(name, &mut found);
        }
        self.check_overlaps(&mut found);
        self.check_switches(&mut found);
        self.check_racks(&mut found);
        nodes::check(self, &mut found);
        found.0
    }

    fn check_overlaps(&self, found: &mut Found) {
        let named: Vec<_> = self.networks.iter().collect();
        for (i, (name, network)) in named.iter().enumerate() {
            for (other_name, other) in &named[..i] {
                if network.subnet.contains(&other.subnet) || other.subnet.contains(&network.subnet) {
                    found.add(
                        format!("network.{name}.subnet"),
                        format!(
                            "{} overlaps {} of network `{other_name}`: give each network addresses of its own",
                            network.subnet, other.subnet
                        ),
                    );
                }
                if network.interface == other.interface {
                    found.add(
                        format!("network.{name}.interface"),
                        format!("`{}` already serves network `{other_name}`: one interface serves one network", network.interface),
                    );
                }
            }
        }
    }

    fn check_switches(&self, found: &mut Found) {
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut spoken: HashMap<String, &str> = HashMap::new();
        for (i, switch) in self.switches.iter().enumerate() {
            let at = |field: &str| format!("switch.{i}.{field}");
            let name = switch.name.as_str();
            if !is_label(name) {
                found.add(at("name"), label_rule("a switch's name", name));
            }
            if *names.entry(name).or_insert(i) != i {
                found.add(at("name"), format!("`{}` is declared twice: rename one of them", shortened(name)));
                continue;
            }
            let lldp = switch.lldp.as_deref().unwrap_or(name).to_ascii_lowercase();
            if let Some(other) = spoken.insert(lldp, name) {
                let key = at(if switch.lldp.is_some() { "lldp" } else { "name" });
                found.add(key, format!("switch `{other}` calls itself the same in LLDP: the two could not be told apart"));
            }
            let Some(pair) = &switch.pair else { continue };
            match self.switches.iter().find(|other| other.name == *pair) {
                None => found.add(at("pair"), self.no_such_switch(pair)),
                Some(other) if other.name == switch.name => {
                    found.add(at("pair"), format!("`{}` cannot be a pair with itself: name the other switch", shortened(name)));
                }
                Some(other) if other.pair.as_ref().is_some_and(|pair| *pair != switch.name) => {
                    let its = shortened(other.pair.as_deref().unwrap_or_default());
                    found.add(at("pair"), format!("`{pair}` is the pair of `{its}` already: a pair has two switches"));
                }
                Some(_) => {}
            }
        }
    }

    fn check_racks(&self, found: &mut Found) {
        for name in self.profiles.keys().filter(|name| !is_label(name)) {
            found.add(format!("profile.{name}"), label_rule("a profile's name", name));
        }
        for (name, rack) in &self.racks {
            if !is_label(name) {
                found.add(format!("rack.{name}"), label_rule("a rack's name", name));
            }
            self.check_rack(name, rack, found);
        }
    }

    fn check_rack(&self, name: &str, rack: &Rack, found: &mut Found) {
        let at = |field: &str| format!("rack.{name}.{field}");
        if let Some(profile) = rack.profile.as_ref().filter(|profile| !self.profiles.contains_key(*profile)) {
            found.add(at("profile"), dangling("profile", profile, self.profiles.keys()));
        }
        for switch in rack.switches.iter().filter(|switch| !self.has_switch(switch)) {
            found.add(at("switches"), self.no_such_switch(switch));
        }
        for switch in rack.cabling.iter().flat_map(|cabling| cabling.switches()) {
            if !self.has_switch(switch) {
                found.add(at("cabling"), self.no_such_switch(switch));
            } else if !rack.switches.is_empty() && rack.switches.iter().all(|other| other != switch) {
                found.add(at("cabling"), format!("`{switch}` is not among the `switches` of this rack: add it there, or mend the pattern"));
            }
        }
    }

    pub(super) fn has_switch(&self, name: &str) -> bool {
        self.switches.iter().any(|switch| switch.name == name)
    }

    pub(super) fn no_such_switch(&self, name: &str) -> String {
        dangling("switch", name, self.switches.iter().map(|switch| &switch.name))
    }
}

/// The sentence for a name that leads nowhere.
pub(super) fn dangling<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    const MOST: usize = 8;
    let mut names: Vec<String> = known.take(MOST + 1).map(|name| shortened(name)).collect();
    if names.len() > MOST {
        names[MOST] = "…".into();
    }
    let declare = match what {
        "switch" => "[[switch]]".to_owned(),
        _ => format!("[{what}.{}]", shortened(name)),
    };
    let known = if names.is_empty() { format!("no {what} is declared") } else { format!("known: {}", names.join(", ")) };
    format!("there is no {what} `{}`; {known}. Mend the name, or declare it with {declare}", shortened(name))
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_default).collect()
}
