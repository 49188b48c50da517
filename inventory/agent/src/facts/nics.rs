//! Network interfaces that are hardware: those of `/sys/class/net` with a device behind them.

use super::{Answers, Gaps, pci, udev_names};
use crate::netlink::Link;
use crate::tree::Tree;
use inventory_wire::{Nic, NicNames, PciDevice};

/// ARPHRD_ETHER, the only kind whose address is a MAC.
const ETHERNET: u64 = 1;
/// NET_ADDR_PERM: the address in use is the one in the hardware.
const PERMANENT: u64 = 0;

/// Looks at them, in the order of their names. `devices` are those of the PCI buses.
pub fn look(tree: &Tree, answers: &Answers, devices: &[PciDevice], gaps: &mut Gaps) -> Vec<Nic> {
    if !tree.exists("sys/class/net") {
        gaps.note("nics", "there is no /sys/class/net");
    }
    let hardware = |name: &String| tree.exists(&format!("sys/class/net/{name}/device"));
    let names = tree.names("sys/class/net");
    names.iter().filter(|name| hardware(name)).map(|name| Card { tree, answers, name }.nic(devices, gaps)).collect()
}

/// One interface's corner of `/sys`.
struct Card<'t> {
    tree: &'t Tree,
    answers: &'t Answers,
    name: &'t str,
}

impl Card<'_> {
    fn nic(&self, devices: &[PciDevice], gaps: &mut Gaps) -> Nic {
        let (tree, name) = (self.tree, self.name);
        let path = |field: &str| format!("nics.{name}.{field}");
        let ethernet = self.number("type").is_none_or(|kind| kind == ETHERNET);
        let link = self.answers.links.iter().find(|link| link.name == name);
        let mac = if ethernet { mac(tree, name) } else { Err("it is no Ethernet interface".into()) };
        let permanent = if ethernet { permanent_mac(tree, name, link, mac.as_deref().ok()) } else { mac.clone() };
        let carrier = self.flag("carrier").ok_or_else(|| "the interface is not up, so its link is not known".to_owned());
        let no_link = if carrier == Ok(true) { "the driver does not say" } else { "there is no link" };
        let (speed, duplex) = if carrier == Ok(true) { (self.speed(), self.full_duplex()) } else { (None, None) };
        let driver = tree.link_name(&self.at("device/driver"));
        let address = tree.real_parts(&self.at("device")).into_iter().rev().find(|part| pci::is_address(part));
        let device = address.as_deref().and_then(|address| pci::at(devices, address));
        let bus = tree.link_name(&self.at("device/subsystem"));
        let (vendor, model) = self.maker(bus.as_deref(), device);
        let unread = self.answers.in_haste && bus.as_deref() != Some("usb");
        let no_name = if unread { pci::NOT_READ_YET } else { "its bus does not name it" };
        Nic {
            name: Some(name.to_owned()),
            mac: gaps.known(mac, &path("mac")),
            permanent_mac: gaps.known(permanent, &path("permanent_mac")),
            driver: gaps.need(driver, &path("driver"), "no driver is bound to its device"),
            driver_version: gaps.need(self.driver_version(), &path("driver_version"), "it is the kernel's, or the driver does not say"),
            firmware: gaps.known(self.firmware(address.as_deref()), &path("firmware")),
            pci: gaps.need(address, &path("pci"), "it is not on a PCI bus"),
            bus: gaps.need(bus, &path("bus"), "the kernel does not say"),
            vendor: gaps.need(vendor, &path("vendor"), no_name),
            model: gaps.need(model, &path("model"), no_name),
            port: gaps.need(self.port(), &path("port"), "the driver does not say"),
            link: gaps.known(carrier, &path("link")),
            speed_mbit: gaps.need(speed, &path("speed_mbit"), no_link),
            most_speed_mbit: gaps.known(self.most_speed(), &path("most_speed_mbit")),
            full_duplex: gaps.need(duplex, &path("full_duplex"), no_link),
            mtu: gaps.need(self.short("mtu"), &path("mtu"), "the kernel does not say"),
            numa_node: gaps.need(device.and_then(|device| device.numa_node), &path("numa_node"), "the firmware does not say"),
            // Not every card can share itself: no gap then.
            sriov_most: self.short("device/sriov_totalvfs").filter(|most| *most > 0),
            sriov_now: self.short("device/sriov_numvfs"),
            names: self.names(gaps),
            ..Nic::default()
        }
    }

    fn at(&self, file: &str) -> String {
        format!("sys/class/net/{}/{file}", self.name)
    }

    fn text(&self, file: &str) -> Option<String> {
        self.tree.text(&self.at(file))
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.tree.number(&self.at(file))
    }

    fn short(&self, file: &str) -> Option<u32> {
        self.number(file).and_then(|number| u32::try_from(number).ok())
    }

    fn flag(&self, file: &str) -> Option<bool> {
        self.tree.flag(&self.at(file))
    }

    /// -1 and its unsigned form mean unknown.
    fn speed(&self) -> Option<u32> {
        self.short("speed").filter(|speed| (1..u32::MAX).contains(speed))
    }

    fn full_duplex(&self) -> Option<bool> {
        match self.text("duplex")?.as_str() {
            "full" => Some(true),
            "half" => Some(false),
            _ => None,
        }
    }

    fn most_speed(&self) -> Result<u32, String> {
        match self.answers.speeds.as_ref() {
            Ok(speeds) => speeds.get(self.name).copied().ok_or_else(|| "the driver names no link modes".into()),
            Err(why) => Err(why.clone()),
        }
    }

    /// By devlink, which few drivers have; by the kernel's file of InfiniBand and RoCE cards; else as `ethtool` asks the driver.
    fn firmware(&self, address: Option<&str>) -> Result<String, String> {
        let by_devlink = || self.answers.firmware.as_ref().ok()?.get(address?).cloned();
        let cards = self.at("device/infiniband");
        let by_file = || self.text(&format!("device/infiniband/{}/fw_ver", self.tree.names(&cards).first()?));
        if let Some(version) = by_devlink().or_else(by_file) {
            return Ok(version);
        }
        match self.answers.drivers.get(self.name) {
            Some(Ok(driver)) => driver.firmware.clone().ok_or_else(|| "the driver does not say".into()),
            Some(Err(why)) => Err(why.clone()),
            None => Err(self.answers.firmware.as_ref().err().cloned().unwrap_or_else(|| "the driver does not say".into())),
        }
    }

    /// Drivers from outside the kernel have a version of their own; the others say the kernel's.
    fn driver_version(&self) -> Option<String> {
        let kernel = self.tree.text("proc/sys/kernel/osrelease");
        let told = || self.answers.drivers.get(self.name)?.as_ref().ok()?.version.clone();
        self.text("device/driver/module/version").or_else(told).filter(|version| Some(version) != kernel.as_ref())
    }

    fn port(&self) -> Option<String> {
        self.text("phys_port_name").or_else(|| self.number("dev_port").map(|number| number.to_string()))
    }

    /// A USB device names itself; others are named by the PCI device that they are, or hang on.
    fn maker(&self, bus: Option<&str>, device: Option<&PciDevice>) -> (Option<String>, Option<String>) {
        if bus == Some("usb") {
            return (self.text("device/../manufacturer"), self.text("device/../product"));
        }
        device.map_or((None, None), |device| (device.vendor.clone(), device.device.clone()))
    }

    fn names(&self, gaps: &mut Gaps) -> Option<NicNames> {
        let path = |field: &str| format!("nics.{}.names{field}", self.name);
        let names = gaps.known(udev_names::look(self.tree, self.name), &path(""))?;
        for (field, name, why) in [
            (".onboard", &names.onboard, "the firmware gives it no index"),
            (".slot", &names.slot, "it is in no hotplug slot of its own"),
            (".path", &names.path, "its place on the buses makes no name"),
            (".mac", &names.mac, "its address is not the one in the hardware"),
            (".chosen", &names.chosen, "no policy names it: it keeps the kernel's name"),
        ] {
            if name.is_none() {
                gaps.note(path(field), why);
            }
        }
        Some(names)
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
