//! A machine that the operator announced: how it is recognised, where it stands, what it is to be.

use super::cabling::SwitchPort;
use super::profile::Expects;
use crate::mac::MacAddr;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// A machine that the operator announced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeclaredNode {
    /// Its name; one DNS label.
    pub name: String,
    /// The serial number on its sticker, as SMBIOS type 1 reports it.
    pub serial: Option<String>,
    /// Its SMBIOS UUID.
    pub uuid: Option<Uuid>,
    /// The address of one of its network cards.
    pub mac: Option<MacAddr>,
    /// The address it is always given; needs `mac`, because DHCP sees nothing else.
    pub address: Option<Ipv4Addr>,
    /// The rack it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Its lowest unit there, from 1 at the bottom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<u32>,
    /// Its profile, where that is not its rack's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Its management controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bmc: Option<DeclaredBmc>,
    /// Who it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// What it is to have, where that is not what its profile says.
    #[serde(skip_serializing_if = "Expects::is_empty")]
    pub expects: Expects,
    /// Where its interfaces are to be plugged in, where that is not what its rack's pattern says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cabling: BTreeMap<String, SwitchPort>,
}

/// How a management controller is reached. One of `url` and `address` is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeclaredBmc {
    /// `redfish://10.20.1.11`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The name under which its user and password are kept; never those themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl DeclaredBmc {
    /// From one text: an address or a URL.
    pub fn at(text: &str) -> Self {
        match text.parse() {
            Ok(address) => Self { address: Some(address), ..Self::default() },
            Err(_) => Self { url: Some(text.to_owned()), ..Self::default() },
        }
    }

    /// Its address; none where a URL has a name instead.
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.or_else(|| host_of(self.url.as_deref()?)?.parse().ok())
    }

    /// Why it cannot be reached by what is said, with the field; none when it can.
    pub(super) fn mistake(&self) -> Option<(&'static str, String)> {
        let shown = |text: &str| crate::timeline::printable(text, 60);
        match (&self.url, self.address) {
            (None, None) => Some(("", "it has neither `url` nor `address`: write one, such as url = \"redfish://10.20.1.11\"".into())),
            (Some(_), Some(_)) => Some(("address", "it has `url` and `address`: keep one of them".into())),
            (Some(url), None) if url.contains('@') => {
                Some(("url", "a URL of the site holds no user or password: the site is kept and shown. Name a `secret` instead".into()))
            }
            (Some(url), None) if host_of(url).is_none() => {
                Some(("url", format!("`{}` is neither an address nor a URL: write 10.20.1.11 or redfish://10.20.1.11", shown(url))))
            }
            _ => None,
        }
    }
}

/// The host of `scheme://host:port/path`, without brackets.
fn host_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let named =
        scheme.starts_with(|c: char| c.is_ascii_lowercase()) && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            bracketed.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').or((port.is_empty()).then_some("0"))))?
        }
        None => authority.split_once(':').map_or((authority, Some("0")), |(host, port)| (host, Some(port))),
    };
    let sound = named && !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    (sound && port?.parse::<u16>().is_ok()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_management_controller_is_an_address_or_a_url() {
        for (text, ip) in [
            ("10.20.1.11", Some("10.20.1.11")),
            ("fd00::1", Some("fd00::1")),
            ("redfish://10.20.1.11", Some("10.20.1.11")),
            ("redfish://10.20.1.11:8443/redfish/v1", Some("10.20.1.11")),
            ("https://[fd00::1]:443/", Some("fd00::1")),
            ("https://[fd00::1]", Some("fd00::1")),
            ("redfish://bmc-w1.example", None),
        ] {
            let bmc = DeclaredBmc::at(text);
            assert_eq!((bmc.ip().map(|ip| ip.to_string()).as_deref(), bmc.mistake()), (ip, None), "{text}");
        }
        for text in [
            "bmc-w1",
            "://x",
            "redfish://",
            "redfish://a:b",
            "redfish://[fd00::1",
            "redfish://root:calvin@10.0.0.1",
            "red fish://x",
            "redfish://a b",
        ] {
            assert!(DeclaredBmc::at(text).mistake().is_some(), "{text}");
        }
    }

    #[test]
    fn what_the_first_release_kept_is_still_read() {
        let text = r#"{"name":"hall-1","domain":null,"ntp":["10.20.0.1"],"networks":{"provision":{"interface":"br0","subnet":"10.20.0.0/24",
            "gateway":null,"dns":[],"pool":"10.20.0.100-10.20.0.199","static":null,"unknown":"discover","lease_seconds":3600}},
            "nodes":[{"name":"w1","serial":"VM-0001","uuid":null,"mac":null,"address":null}]}"#;
        let site: crate::site::Site = serde_json::from_str(text).expect("a site");
        let w1 = DeclaredNode { name: "w1".into(), serial: Some("VM-0001".into()), ..DeclaredNode::default() };
        assert_eq!((site.nodes, site.profiles.len(), site.racks.len(), site.switches.len()), (vec![w1], 0, 0, 0));
    }
}
