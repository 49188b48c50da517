//! NetBox's bulk import, version 4.2 and later: devices, then their interfaces, then the MAC addresses of those.
//!
//! The columns are those of its import forms. Sites, racks, roles, manufacturers, device types, tenants and tags that a
//! line names must be in NetBox already.

use super::record::Record;
use super::sheet::{Sheet, shown};
use domain::hardware::NicBrief;
use domain::node::Node;
use domain::place::Layout;
use std::io::{self, Write};

/// What NetBox wants to know and the inventory does not.
#[derive(Debug, Clone)]
pub struct Options {
    /// The device role of all nodes.
    pub role: String,
    /// NetBox's name of the site; the site's own, where it is not said.
    pub site: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { role: "Server".into(), site: None }
    }
}

/// Devices. A maker or model that is not known is `Unknown`.
///
/// # Errors
/// When `out` could not be written to.
pub fn devices<'n>(layout: &Layout, nodes: impl IntoIterator<Item = &'n Node>, options: &Options, out: impl Write) -> io::Result<()> {
    let columns = [
        "name",
        "role",
        "manufacturer",
        "device_type",
        "serial",
        "asset_tag",
        "status",
        "site",
        "rack",
        "position",
        "face",
        "tenant",
        "tags",
        "comments",
    ];
    let mut sheet = Sheet::new(out, &columns)?;
    let site = options.site.clone().unwrap_or_else(|| layout.site().name.clone());
    for node in nodes {
        let record = Record::of(layout, node);
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "Unknown".into());
        sheet.row([
            record.label(node),
            options.role.clone(),
            known(&node.summary.vendor),
            known(&node.summary.product),
            shown(&record.serial),
            shown(&node.summary.asset_tag),
            "staged".into(),
            site.clone(),
            shown(&record.rack),
            shown(&record.unit),
            // NetBox wants to know on which side of the rack something at a position is mounted.
            record.unit.map(|_| "front".into()).unwrap_or_default(),
            shown(&record.owner),
            record.tags.iter().map(|tag| slug(tag)).filter(|tag| !tag.is_empty()).collect::<Vec<_>>().join(","),
            shown(&record.note),
        ])?;
    }
    sheet.finish()
}

/// The interfaces of the devices.
///
/// # Errors
/// When `out` could not be written to.
pub fn interfaces<'n>(layout: &Layout, nodes: impl IntoIterator<Item = &'n Node>, out: impl Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out, &["device", "name", "type", "enabled", "speed", "description"])?;
    for node in nodes {
        let device = Record::of(layout, node).label(node);
        for nic in &node.summary.each_nic {
            let rate = nic.most_speed_mbit.or(nic.speed_mbit).filter(|mbit| *mbit > 0);
            let heard: Vec<&str> = nic.switch.iter().chain(&nic.port).map(String::as_str).collect();
            sheet.row([
                device.clone(),
                name(nic),
                kind(rate).into(),
                "true".into(),
                shown(&rate.map(|mbit| u64::from(mbit) * 1000)),
                heard.join(" "),
            ])?;
        }
    }
    sheet.finish()
}

/// The MAC addresses of the interfaces.
///
/// # Errors
/// When `out` could not be written to.
pub fn mac_addresses<'n>(layout: &Layout, nodes: impl IntoIterator<Item = &'n Node>, out: impl Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out, &["mac_address", "device", "interface", "is_primary"])?;
    for node in nodes {
        let device = Record::of(layout, node).label(node);
        for (nic, mac) in node.summary.each_nic.iter().filter_map(|nic| Some((nic, nic.mac?))) {
            sheet.row([mac.to_string().to_uppercase(), device.clone(), name(nic), "true".into()])?;
        }
    }
    sheet.finish()
}

fn name(nic: &NicBrief) -> String {
    nic.names.first().unwrap_or(&nic.name).clone()
}

/// NetBox's word for a port, where its speed leaves only one that is common; `other` where copper and fibre both are.
fn kind(most_mbit: Option<u32>) -> &'static str {
    match most_mbit {
        Some(2_500) => "2.5gbase-t",
        Some(5_000) => "5gbase-t",
        Some(25_000) => "25gbase-x-sfp28",
        Some(40_000) => "40gbase-x-qsfpp",
        Some(100_000) => "100gbase-x-qsfp28",
        _ => "other",
    }
}

/// NetBox names tags by lower-case letters, digits, hyphens and underscores.
fn slug(tag: &str) -> String {
    let plain: String = tag.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    plain.trim_matches('-').to_owned()
}
