//! Network interfaces that are hardware: those of `/sys/class/net` with a device behind them.

use super::Gaps;
use crate::netlink::Link;
use crate::tree::Tree;
use inventory_wire::Nic;

/// ARPHRD_ETHER, the only kind whose address is a MAC.
const ETHERNET: u64 = 1;
/// NET_ADDR_PERM: the address in use is the one in the hardware.
const PERMANENT: u64 = 0;

/// Looks at them, in the order of their names.
pub fn look(tree: &Tree, links: &[Link], gaps: &mut Gaps) -> Vec<Nic> {
    if !tree.exists("sys/class/net") {
        gaps.note("nics", "there is no /sys/class/net");
    }
    let hardware = |name: &String| tree.exists(&format!("sys/class/net/{name}/device"));
    tree.names("sys/class/net").iter().filter(|name| hardware(name)).map(|name| nic(tree, links, name, gaps)).collect()
}

fn nic(tree: &Tree, links: &[Link], name: &str, gaps: &mut Gaps) -> Nic {
    let at = |file: &str| format!("sys/class/net/{name}/{file}");
    let path = |field: &str| format!("nics.{name}.{field}");
    let ethernet = tree.number(&at("type")).is_none_or(|kind| kind == ETHERNET);
    let link = links.iter().find(|link| link.name == name);
    let mac = if ethernet { mac(tree, name) } else { Err("it is no Ethernet interface".into()) };
    let permanent = if ethernet { permanent_mac(tree, name, link, mac.as_deref().ok()) } else { mac.clone() };
    let carrier = tree.flag(&at("carrier")).ok_or_else(|| "the interface is not up, so its link is not known".to_owned());
    let speed = match carrier {
        Ok(true) => tree.text(&at("speed")).and_then(|text| text.parse().ok()).filter(|speed| (1..u32::MAX).contains(speed)),
        _ => None,
    };
    let no_speed = if carrier == Ok(true) { "the driver does not say" } else { "there is no link" };
    let driver = tree.link_name(&at("device/driver"));
    let pci = tree.real_parts(&at("device")).into_iter().rev().find(|part| is_pci_address(part));
    Nic {
        name: Some(name.to_owned()),
        mac: gaps.known(mac, &path("mac")),
        permanent_mac: gaps.known(permanent, &path("permanent_mac")),
        driver: gaps.need(driver, &path("driver"), "no driver is bound to its device"),
        pci: gaps.need(pci, &path("pci"), "it is not on a PCI bus"),
        link: gaps.known(carrier, &path("link")),
        speed_mbit: gaps.need(speed, &path("speed_mbit"), no_speed),
        ..Nic::default()
    }
}

fn mac(tree: &Tree, name: &str) -> Result<String, String> {
    let text = tree.text(&format!("sys/class/net/{name}/address"));
    let usable = |mac: &String| mac != "00:00:00:00:00:00";
    text.as_deref().and_then(crate::boot::mac_of).filter(usable).ok_or_else(|| "the interface has no MAC address".into())
}

/// What netlink says; else the address in use, where the kernel says that it is the permanent one.
fn permanent_mac(tree: &Tree, name: &str, link: Option<&Link>, in_use: Option<&str>) -> Result<String, String> {
    if let Some(mac) = link.and_then(|link| link.permanent_mac) {
        return Ok(crate::netlink::mac_text(mac));
    }
    let unchanged = tree.number(&format!("sys/class/net/{name}/addr_assign_type")) == Some(PERMANENT);
    match in_use {
        Some(mac) if unchanged => Ok(mac.to_owned()),
        _ => Err("the driver does not say".into()),
    }
}

/// `0000:00:03.0`.
fn is_pci_address(part: &str) -> bool {
    let lengths: Vec<usize> = part.split([':', '.']).map(str::len).collect();
    matches!(lengths[..], [4 | 5, 2, 2, 1]) && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_recognised() {
        assert!(is_pci_address("0000:00:03.0") && is_pci_address("10000:e1:00.1"));
        assert!(!is_pci_address("pci0000:00") && !is_pci_address("virtio1") && !is_pci_address("0000:00:03:0x"));
    }
}
