//! The names that udev would give a network interface: systemd's net_id by its naming scheme v252, as Debian 12 has it.
//! Source: `systemd.net-naming-scheme(7)` and `systemd.link(5)`; the tests ask the real `udevadm` for its opinion.
//!
//! ```text
//! eno1         onboard: firmware's index           enp59s0f1      path: bus 59, slot 0, function 1
//! ens3f0       slot: hotplug slot 3, function 0    enP2p1s0       path in PCI domain 2
//! ens3f0np1    … and the card's name of the port   enp59s0f0v4    virtual function 4 of enp59s0f0
//! ens3d1       … or the card's number of it        enp0s20u1u2i1  USB behind PCI: ports 1, 2, interface 1
//! ```
//!
//! Left out: names by device tree, ACPI platform, CCW and BCMA, which no x86 server has.

use super::pci::is_address;
use crate::tree::Tree;
use inventory_wire::NicNames;

const ETHERNET: u64 = 1;
const INFINIBAND: u64 = 32;
const SLIP: u64 = 256;
/// Larger indexes are rubbish of the firmware.
const LARGEST_INDEX: u64 = u16::MAX as u64;
/// IFNAMSIZ without its NUL: longer ones are properties of the device, and never become its name.
const LONGEST_NAME: usize = 15;
/// NET_NAME_PREDICTABLE: the driver chose the name by a rule of its own.
const PREDICTABLE: u64 = 2;
/// Dell's network card over USB to its management controller, of systemd's hardware database.
const IDRAC: &str = "v413CpA102";

/// The names of an interface, or why it gets none.
pub fn look(tree: &Tree, name: &str) -> Result<NicNames, String> {
    let place = Place::find(tree, name)?;
    let mut names = place.names();
    names.mac = place.by_mac();
    names.chosen = place.chosen(&names);
    Ok(names)
}

struct Place<'t> {
    tree: &'t Tree,
    name: String,
    prefix: &'static str,
    /// From the root to its device; the last is the device itself.
    path: Vec<String>,
}

/// One PCI function.
struct Function {
    /// Its folder.
    folder: String,
    domain: u64,
    bus: u64,
    slot: u64,
    function: u64,
}

impl<'t> Place<'t> {
    fn find(tree: &'t Tree, name: &str) -> Result<Self, String> {
        let at = |file: &str| format!("sys/class/net/{name}/{file}");
        // An interface on top of another, such as a VLAN, is linked to that one.
        let (own, below) = (tree.number(&at("ifindex")), tree.number(&at("iflink")));
        if own.is_some() && below.is_some() && own != below {
            return Err("it stands on another interface".into());
        }
        let wireless = tree.text(&at("uevent")).unwrap_or_default();
        let prefix = match tree.number(&at("type")) {
            _ if wireless.contains("DEVTYPE=wlan") => "wl",
            _ if wireless.contains("DEVTYPE=wwan") => "ww",
            Some(ETHERNET) => "en",
            Some(INFINIBAND) => "ib",
            Some(SLIP) => "sl",
            _ => return Err("udev names only Ethernet, InfiniBand and SLIP".into()),
        };
        Ok(Self { tree, name: name.to_owned(), prefix, path: tree.real_parts(&at("device")) })
    }

    fn own(&self, file: &str) -> Option<String> {
        self.tree.text(&format!("sys/class/net/{}/{file}", self.name))
    }

    /// By the address, where that is the one in the hardware.
    fn by_mac(&self) -> Option<String> {
        let permanent = self.own("addr_assign_type")? == "0";
        let mac = self.own("address").as_deref().and_then(crate::boot::mac_of)?;
        (permanent && self.prefix != "ib").then(|| format!("{}x{}", self.prefix, mac.replace(':', "")))
    }

    fn names(&self) -> NicNames {
        let mut names = NicNames::default();
        let named = |rest: Option<String>| rest.map(|rest| format!("{}{rest}", self.prefix));
        if let Some(number) = self.xen() {
            names.slot = named(Some(format!("X{number}")));
            return names;
        }
        let Some((function, rest)) = self.function() else { return names };
        // What virtual functions inherit, they tell apart by their number.
        let (function, virtual_number) = match self.physical(&function) {
            Some((physical, number)) => (physical, format!("v{number}")),
            None => (function, String::new()),
        };
        let (slot, path) = (self.slot(&function), self.path_name(&function));
        let with = |name: Option<String>, end: &str| name.map(|name| format!("{name}{virtual_number}{end}"));
        if rest.is_empty() {
            names.onboard = named(with(self.onboard(&function), ""));
            (names.slot, names.path) = (named(with(slot, "")), named(with(path, "")));
        } else if let Some(usb) = rest.iter().rev().find_map(|part| usb_ports(part)) {
            (names.slot, names.path) = (named(with(slot, &usb)), named(with(path, &usb)));
        }
        names
    }

    /// A driver of Xen's guests: `/sys/devices/vif-0`.
    fn xen(&self) -> Option<u32> {
        let number = self.path.last()?.strip_prefix("vif-")?;
        let plain = number == "0" || !number.starts_with(['0', '+']);
        number.parse().ok().filter(|_| plain && self.path.len() == 3)
    }

    /// The PCI function that it hangs on, and the devices between, without those of virtio.
    fn function(&self) -> Option<(Function, Vec<&str>)> {
        let at = self.path.iter().rposition(|part| is_address(part))?;
        let between = self.path.get(at + 1..)?.iter().map(String::as_str).filter(|part| !part.starts_with("virtio"));
        Some((Function::parse(self.path.get(..=at)?)?, between.collect()))
    }

    /// The physical function of a virtual one, and its number there.
    fn physical(&self, function: &Function) -> Option<(Function, u32)> {
        let own = self.tree.real_parts(&function.folder);
        let physical = self.tree.real_parts(&format!("{}/physfn", function.folder));
        let folder = physical.join("/");
        let numbers = self.tree.names(&folder).into_iter().filter_map(|name| name.strip_prefix("virtfn")?.parse::<u32>().ok());
        let number = numbers.into_iter().find(|number| self.tree.real_parts(&format!("{folder}/virtfn{number}")) == own)?;
        Some((Function::parse(&physical)?, number))
    }

    /// Index by ACPI, else by SMBIOS type 41, as the kernel copies it.
    fn onboard(&self, function: &Function) -> Option<String> {
        let of = |file: &str| self.tree.text(&format!("{}/{file}", function.folder));
        let index: u64 = of("acpi_index").or_else(|| of("index"))?.parse().ok()?;
        (index <= LARGEST_INDEX).then(|| format!("o{index}{}", self.port()))
    }

    fn path_name(&self, function: &Function) -> Option<String> {
        Some(format!("{}p{}s{}{}{}", function.domain_text(), function.bus, function.slot, self.function_text(function), self.port()))
    }

    /// By the number of the hotplug slot that it, or what it hangs on, is plugged into.
    fn slot(&self, function: &Function) -> Option<String> {
        const SLOTS: &str = "sys/bus/pci/slots";
        let slots: Vec<(u32, String)> = self
            .tree
            .names(SLOTS)
            .into_iter()
            .filter_map(|name| {
                let number = name.parse().ok().filter(|number| *number > 0)?;
                Some((number, self.tree.text(&format!("{SLOTS}/{name}/address"))?))
            })
            .collect();
        let parts: Vec<&str> = function.folder.split('/').collect();
        let devices = (1..=parts.len()).rev().filter(|depth| is_address(parts[depth - 1]));
        let (number, depth) = devices.into_iter().find_map(|depth| {
            let (number, _) = slots.iter().find(|(_, address)| parts[depth - 1].starts_with(address.as_str()))?;
            Some((*number, depth))
        })?;
        // Several cards behind the bridge in a slot would all claim its number; only the functions of one card can share it.
        if self.is_bridge(&parts[..depth].join("/")) && !self.has_several_functions(function) {
            return None;
        }
        Some(format!("{}s{number}{}{}", function.domain_text(), self.function_text(function), self.port()))
    }

    /// The card's name of the port, else its number where that is not the first.
    fn port(&self) -> String {
        if let Some(name) = self.own("phys_port_name") {
            return format!("n{name}");
        }
        let number = |file: &str| self.own(file).and_then(|text| unsigned(&text)).unwrap_or(0);
        let mut port = number("dev_port");
        if port == 0 && self.prefix == "ib" {
            port = number("dev_id");
        }
        if port > 0 { format!("d{port}") } else { String::new() }
    }

    fn function_text(&self, function: &Function) -> String {
        // With alternative routing ids a card is one slot with up to 256 functions.
        let ari = self.tree.flag(&format!("{}/ari_enabled", function.folder)) == Some(true);
        let number = function.function + if ari { function.slot * 8 } else { 0 };
        if number > 0 || self.has_several_functions(function) { format!("f{number}") } else { String::new() }
    }

    /// Bit 7 of the header type in the configuration space.
    fn has_several_functions(&self, function: &Function) -> bool {
        let header = self.tree.bytes(&format!("{}/config", function.folder), 64).unwrap_or_default();
        header.get(14).is_some_and(|kind| kind & 0x80 != 0)
    }

    /// Subclass 04 of the class for bridges and others alike, as udev reads it.
    fn is_bridge(&self, folder: &str) -> bool {
        let alias = self.tree.text(&format!("{folder}/modalias")).unwrap_or_default();
        alias.starts_with("pci:") && alias.rsplit_once('s').is_some_and(|(_, subclass)| subclass.starts_with("c04"))
    }

    /// The policy `keep kernel database onboard slot path`, of a machine that has just started: nothing to keep.
    fn chosen(&self, names: &NicNames) -> Option<String> {
        if self.own("name_assign_type").as_deref().and_then(unsigned) == Some(PREDICTABLE) {
            return Some(self.name.clone());
        }
        let usb = self.tree.text(&format!("{}/modalias", self.path.join("/"))).unwrap_or_default();
        let database = usb.strip_prefix("usb:").is_some_and(|device| device.starts_with(IDRAC)).then(|| "idrac".to_owned());
        let offered = [database, names.onboard.clone(), names.slot.clone(), names.path.clone()];
        offered.into_iter().flatten().find(|name| name.len() <= LONGEST_NAME)
    }
}

impl Function {
    /// The last of `path`: `0000:3b:00.1`.
    fn parse(path: &[String]) -> Option<Self> {
        let (place, function) = path.last().filter(|part| is_address(part))?.rsplit_once('.')?;
        let mut numbers = place.split(':').map_while(|hex| u64::from_str_radix(hex, 16).ok());
        let (domain, bus, slot) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(Self { folder: path.join("/"), domain, bus, slot, function: function.parse().ok()? })
    }

    fn domain_text(&self) -> String {
        if self.domain > 0 { format!("P{}", self.domain) } else { String::new() }
    }
}

/// `u1u2i1` of the interface `3-1.2:1.1`: ports, configuration where it is not 1, interface where it is not 0.
fn usb_ports(part: &str) -> Option<String> {
    let (_, place) = part.split_once('-')?;
    let (ports, rest) = place.split_once(':')?;
    let (configuration, interface) = rest.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !ports.split('.').all(digits) || !digits(configuration) || !digits(interface) {
        return None;
    }
    let mut name = format!("u{}", ports.replace('.', "u"));
    if configuration != "1" {
        name.push_str(&format!("c{configuration}"));
    }
    if interface != "0" {
        name.push_str(&format!("i{interface}"));
    }
    Some(name)
}

/// A number as the kernel writes it.
fn unsigned(text: &str) -> Option<u64> {
    text.parse().ok()
}
