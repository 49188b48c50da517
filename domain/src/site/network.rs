//! A provisioning network: its addresses, and what a stranger gets there.

use super::rules::{Found, shortened};
use super::{is_label, label_rule};
use crate::address::AddressRange;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// One provisioning network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The interface of this machine that leads there.
    pub interface: String,
    /// Its addresses.
    pub subnet: Ipv4Net,
    /// The router that is handed out.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers that are handed out.
    pub dns: Vec<Ipv4Addr>,
    /// Addresses that are leased to whoever asks.
    pub pool: AddressRange,
    /// Addresses for nodes by name.
    #[serde(rename = "static")]
    pub fixed: Option<AddressRange>,
    /// What a machine gets that nobody declared.
    pub unknown: Unknown,
    /// How long a lease lasts, seconds.
    pub lease_seconds: u32,
}

/// The lease time where the site says none, seconds.
pub const DEFAULT_LEASE_SECONDS: u32 = 3600;
/// The shortest lease that may be asked for, seconds: below it renewals are a flood.
pub const SHORTEST_LEASE_SECONDS: u32 = 60;
/// The longest lease that may be asked for, seconds: thirty days.
pub const LONGEST_LEASE_SECONDS: u32 = 30 * 86_400;

/// What a machine gets that nobody declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// The discovery ramdisk, where it waits.
    #[default]
    Discover,
    /// An address, and a script that sends it to its own disk.
    LocalDisk,
    /// No answer at all.
    Ignore,
}

impl Unknown {
    /// Every value as the site spells it.
    pub const SPELLINGS: [(&str, Unknown); 3] =
        [("discover", Unknown::Discover), ("local_disk", Unknown::LocalDisk), ("ignore", Unknown::Ignore)];
}

impl Network {
    pub(super) fn check(&self, name: &str, found: &mut Found) {
        let at = |field: &str| format!("network.{name}.{field}");
        let subnet = self.subnet;
        if !is_label(name) {
            found.add(format!("network.{name}"), label_rule("a network's name", name));
        }
        if self.interface.is_empty() || self.interface.len() > 15 || self.interface.contains(|c: char| c == '/' || c.is_whitespace()) {
            found.add(
                at("interface"),
                format!("`{}` cannot be an interface: Linux allows 1 to 15 characters without slash or space", shortened(&self.interface)),
            );
        }
        if subnet.addr() != subnet.network() {
            found.add(at("subnet"), format!("{subnet} names one host: write the network, {}", subnet.trunc()));
        }
        if !(8..=30).contains(&subnet.prefix_len()) {
            found.add(
                at("subnet"),
                format!("{subnet} has a prefix of {}: a provisioning network has between 8 and 30", subnet.prefix_len()),
            );
        }
        let ranges = [("pool", Some(self.pool)), ("static", self.fixed)];
        for (field, range) in ranges {
            let Some(range) = range else { continue };
            if !(subnet.contains(&range.first()) && subnet.contains(&range.last())) {
                found.add(at(field), format!("{range} leaves the subnet {subnet}: keep both ends inside"));
                continue;
            }
            if range.contains(subnet.network()) || range.contains(subnet.broadcast()) {
                found.add(
                    at(field),
                    format!(
                        "{range} holds the network or broadcast address of {subnet}: leave out {} and {}",
                        subnet.network(),
                        subnet.broadcast()
                    ),
                );
            }
            if let Some(gateway) = self.gateway
                && range.contains(gateway)
                && field == "pool"
            {
                found.add(at(field), format!("{range} holds the gateway {gateway}: it would be leased to a node"));
            }
        }
        if let Some(fixed) = self.fixed
            && fixed.overlaps(&self.pool)
        {
            found.add(
                at("static"),
                format!("{fixed} overlaps `pool` {}: an address is either leased to anyone or kept for a node", self.pool),
            );
        }
        if let Some(gateway) = self.gateway
            && !subnet.contains(&gateway)
        {
            found.add(at("gateway"), format!("{gateway} is not in {subnet}: nodes could not reach it"));
        }
        if !(SHORTEST_LEASE_SECONDS..=LONGEST_LEASE_SECONDS).contains(&self.lease_seconds) {
            found.add(
                at("lease_seconds"),
                format!("{} is out of range: choose {SHORTEST_LEASE_SECONDS} to {LONGEST_LEASE_SECONDS} seconds", self.lease_seconds),
            );
        }
    }
}
