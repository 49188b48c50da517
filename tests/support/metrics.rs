//! What `/metrics` says.

use std::collections::BTreeMap;

/// Counters by family and reason, all networks together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics(BTreeMap<(String, String), u64>);

impl Metrics {
    /// Reads OpenMetrics text: `overture_dhcp_events_total{reason="malformed",network="provision"} 3`.
    pub fn parse(text: &str) -> Self {
        let mut counts = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { panic!("not a metric: {line}") };
            let (family, labels) = name.split_once('{').unwrap_or((name, ""));
            let family = family.trim_start_matches("overture_").trim_end_matches("_total");
            let reason = labels.split_once("reason=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(reason, _)| reason);
            let value: u64 = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
            *counts.entry((family.to_owned(), reason.to_owned())).or_default() += value;
        }
        Self(counts)
    }

    /// How often: `of("dhcp_events", "malformed")`. A counter that does not exist is a mistake of the test.
    pub fn of(&self, family: &str, reason: &str) -> u64 {
        let key = (family.to_owned(), reason.to_owned());
        *self.0.get(&key).unwrap_or_else(|| panic!("there is no counter {family} {reason} among {:?}", self.0.keys()))
    }

    /// DHCP's counters.
    pub fn dhcp(&self, reason: &str) -> u64 {
        self.of("dhcp_events", reason)
    }

    /// TFTP's counters.
    pub fn tftp(&self, reason: &str) -> u64 {
        self.of("tftp_events", reason)
    }

    /// Boot HTTP's counters.
    pub fn http(&self, reason: &str) -> u64 {
        self.of("boot_http_events", reason)
    }

    /// The inventory's counters, the agents' refusals among them.
    pub fn inventory(&self, reason: &str) -> u64 {
        self.of("inventory_events", reason)
    }
}
