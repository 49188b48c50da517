//! The names that udev would give, judged by the real one: `udevadm test-builtin net_id` (Debian's package udev, version 252)
//! looks at the same tree, in namespaces of its own in which the tree is `/sys`.

#![allow(clippy::unwrap_used)]

mod tree;

use inventory_wire::NicNames;
use std::collections::BTreeMap;
use std::process::Command;
use tree::FakeTree;

/// A name that no network interface of a test machine has. udev asks the kernel for none of it.
const NIC: &str = "ovjudge0";

/// A card as the kernel shows it.
struct Card {
    tree: FakeTree,
    device: String,
}

impl Card {
    /// `device` is the folder of its device, the last but for virtio and USB a PCI function.
    fn new(device: &str) -> Self {
        let card = Self { tree: FakeTree::new(), device: device.to_owned() };
        let mut folder = String::new();
        for part in device.split('/') {
            folder = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
            let subsystem = match part {
                part if part.matches(':').count() == 2 => "bus/pci",
                part if part.starts_with("virtio") => "bus/virtio",
                part if part.starts_with("vif-") => "bus/xen",
                part if part.contains('-') || part.starts_with("usb") => "bus/usb",
                _ => continue,
            };
            let kind = if part.contains(':') { "DEVTYPE=usb_interface\n" } else { "DEVTYPE=usb_device\n" };
            card.tree.file(&format!("{folder}/uevent"), if subsystem == "bus/usb" { kind.as_bytes() } else { b"DRIVER=x\n" });
            card.tree.link(&format!("{folder}/subsystem"), &format!("sys/{subsystem}"));
            if subsystem == "bus/pci" {
                card.tree.link(&format!("sys/bus/pci/devices/{part}"), &folder);
            }
        }
        card.tree.folder("sys/bus/pci/slots");
        card.tree.folder("sys/subsystem");
        card.tree.nic(NIC, device, "x");
        card.tree.link(&format!("{device}/net/{NIC}/subsystem"), "sys/class/net");
        let uevent = format!("INTERFACE={NIC}\nIFINDEX=7\n");
        card.own("uevent", &uevent)
            .own("ifindex", "7\n")
            .own("iflink", "7\n")
            .own("type", "1\n")
            .own("address", "3c:ec:ef:12:34:56\n")
            .own("addr_assign_type", "0\n")
    }

    /// A file of the interface.
    fn own(self, file: &str, content: &str) -> Self {
        self.tree.file(&format!("{}/net/{NIC}/{file}", self.device), content.as_bytes());
        self
    }

    /// A file of the device `up` levels above.
    fn device(self, up: usize, file: &str, content: &[u8]) -> Self {
        let folder = self.device.rsplitn(up + 1, '/').last().unwrap().to_owned();
        self.tree.file(&format!("{folder}/{file}"), content);
        self
    }

    fn slot(self, number: &str, address: &str) -> Self {
        self.tree.file(&format!("sys/bus/pci/slots/{number}/address"), format!("{address}\n").as_bytes());
        self
    }

    fn ours(&self) -> NicNames {
        self.tree.look(&[]).facts.nics[0].names.clone().unwrap()
    }

    /// What udev says of it. In a user namespace root is not needed.
    fn judged(&self) -> NicNames {
        let sys = self.tree.root().join("sys");
        let script = format!("mount --bind {} /sys && exec udevadm test-builtin net_id /sys/class/net/{NIC}", sys.display());
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "--net", "sh", "-c", &script])
            .envs([("SYSTEMD_DEVICE_VERIFY_SYSFS", "0"), ("NET_NAMING_SCHEME", "v252"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        let properties: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        assert_eq!(properties.get("ID_NET_NAMING_SCHEME"), Some(&"v252"), "install the package udev (make deps); it said: {text}{said}");
        let name = |kind: &str| properties.get(format!("ID_NET_NAME_{kind}").as_str()).map(|name| (*name).to_owned());
        NicNames { onboard: name("ONBOARD"), slot: name("SLOT"), path: name("PATH"), mac: name("MAC"), ..NicNames::default() }
    }

    /// Ours is the judge's, and is `expected`: onboard, slot, path, chosen.
    fn check(&self, expected: [Option<&str>; 4]) {
        let ours = self.ours();
        assert_eq!(NicNames { chosen: None, ..ours.clone() }, self.judged());
        let [onboard, slot, path, chosen] = expected.map(|name| name.map(str::to_owned));
        assert_eq!((ours.onboard, ours.slot, ours.path, ours.chosen), (onboard, slot, path, chosen));
    }
}

/// Configuration space of a card with several functions.
const SEVERAL: [u8; 64] = {
    let mut bytes = [0; 64];
    bytes[14] = 0x80;
    bytes
};
const PLAIN: &str = "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0";

#[test]
fn the_firmwares_index_goes_first() {
    let card = || Card::new(PLAIN);
    card().device(0, "acpi_index", b"3\n").device(0, "index", b"1\n").check([Some("eno3"), None, Some("enp59s0"), Some("eno3")]);
    card().device(0, "index", b"1\n").own("dev_port", "1\n").check([Some("eno1d1"), None, Some("enp59s0d1"), Some("eno1d1")]);
    card().device(0, "index", b"0\n").own("phys_port_name", "p1\n").check([Some("eno0np1"), None, Some("enp59s0np1"), Some("eno0np1")]);
    card().device(0, "index", b"16777215\n").check([None, None, Some("enp59s0"), Some("enp59s0")]);
    // Rubbish in ACPI hides SMBIOS.
    card().device(0, "acpi_index", b"65536\n").device(0, "index", b"1\n").check([None, None, Some("enp59s0"), Some("enp59s0")]);
    card().device(0, "acpi_index", b"rubbish\n").check([None, None, Some("enp59s0"), Some("enp59s0")]);
}

#[test]
fn functions_and_domains_are_part_of_the_path() {
    let at = |address: &str| Card::new(&format!("sys/devices/pci0000:00/{address}"));
    at("0000:00:1f.6").check([None, None, Some("enp0s31f6"), Some("enp0s31f6")]);
    at("0000:02:00.0").device(0, "config", &SEVERAL).check([None, None, Some("enp2s0f0"), Some("enp2s0f0")]);
    at("0002:01:00.0").check([None, None, Some("enP2p1s0"), Some("enP2p1s0")]);
    at("10000:01:00.0").check([None, None, Some("enP65536p1s0"), Some("enP65536p1s0")]);
    at("0000:02:02.3").device(0, "ari_enabled", b"1\n").check([None, None, Some("enp2s2f19"), Some("enp2s2f19")]);
    at("0000:02:00.1").own("phys_port_name", "p1_with_a_long_name\n").check([None, None, Some("enp2s0f1np1_with_a_long_name"), None]);
}

#[test]
fn hotplug_slots_give_names_but_not_to_what_is_behind_their_bridge() {
    let card = || Card::new(PLAIN);
    card().slot("4", "0000:3b:00").check([None, Some("ens4"), Some("enp59s0"), Some("ens4")]);
    card().slot("4", "0000:3a:00").check([None, Some("ens4"), Some("enp59s0"), Some("ens4")]);
    let bridge = b"pci:v00008086d00002030sv00001028sd00000000bc06sc04i00\n";
    card().slot("4", "0000:3a:00").device(1, "modalias", bridge).check([None, None, Some("enp59s0"), Some("enp59s0")]);
    card().slot("4", "0000:3a:00").device(1, "modalias", bridge).device(0, "config", &SEVERAL).check([
        None,
        Some("ens4f0"),
        Some("enp59s0f0"),
        Some("ens4f0"),
    ]);
    card().slot("0", "0000:3b:00").slot("Slot-7", "0000:3b:00").check([None, None, Some("enp59s0"), Some("enp59s0")]);
    Card::new("sys/devices/pci0001:00/0001:03:00.1").slot("2", "0001:03:00").own("dev_port", "2\n").check([
        None,
        Some("enP1s2f1d2"),
        Some("enP1p3s0f1d2"),
        Some("enP1s2f1d2"),
    ]);
}

#[test]
fn virtio_is_seen_through() {
    Card::new("sys/devices/pci0000:00/0000:00:03.0/virtio0").slot("3", "0000:00:03").check([
        None,
        Some("ens3"),
        Some("enp0s3"),
        Some("ens3"),
    ]);
}

#[test]
fn virtual_functions_are_named_after_their_physical_one() {
    let card = Card::new("sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:02.1");
    let physical = "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1";
    card.tree.file(&format!("{physical}/uevent"), b"DRIVER=x\n");
    card.tree.file(&format!("{physical}/acpi_index"), b"2\n");
    card.tree.link(&format!("{physical}/subsystem"), "sys/bus/pci");
    card.tree.link(&format!("{}/physfn", card.device), physical);
    card.tree.link(&format!("{physical}/virtfn0"), "sys/devices/pci0000:3a");
    card.tree.link(&format!("{physical}/virtfn12"), &card.device.clone());
    card.slot("4", "0000:3b:00").check([Some("eno2v12"), Some("ens4f1v12"), Some("enp59s0f1v12"), Some("eno2v12")]);
}

#[test]
fn usb_cards_are_named_by_their_ports() {
    let at = |place: &str| Card::new(&format!("sys/devices/pci0000:00/0000:00:14.0/usb1/{place}"));
    at("1-2/1-2:1.0").check([None, None, Some("enp0s20u2"), Some("enp0s20u2")]);
    at("1-2/1-2.4/1-2.4:2.1").check([None, None, Some("enp0s20u2u4c2i1"), Some("enp0s20u2u4c2i1")]);
    at("1-2/1-2:1.0").slot("5", "0000:00:14").check([None, Some("ens5u2"), Some("enp0s20u2"), Some("ens5u2")]);
    // Firmware's index is the controller's, not the card's.
    at("1-2/1-2:1.0").device(3, "index", b"1\n").check([None, None, Some("enp0s20u2"), Some("enp0s20u2")]);
    // systemd's database of hardware knows Dell's card to its management controller; test-builtin does not ask it.
    let idrac = at("1-2/1-2:1.0").device(0, "modalias", b"usb:v413CpA102d0000dc02\n");
    assert_eq!(idrac.ours().chosen.as_deref(), Some("idrac"));
}

#[test]
fn xen_and_infiniband_have_names_of_their_own() {
    Card::new("sys/devices/vif-0").check([None, Some("enX0"), None, Some("enX0")]);
    Card::new(PLAIN).own("type", "32\n").own("dev_id", "0x1\n").own("address", "00:00:10:49\n").check([
        None,
        None,
        Some("ibp59s0"),
        Some("ibp59s0"),
    ]);
    let wireless = format!("INTERFACE={NIC}\nIFINDEX=7\nDEVTYPE=wlan\n");
    Card::new(PLAIN).own("uevent", &wireless).check([None, None, Some("wlp59s0"), Some("wlp59s0")]);
}

#[test]
fn addresses_that_are_not_in_the_hardware_make_no_name() {
    assert_eq!(Card::new(PLAIN).ours().mac.as_deref(), Some("enx3cecef123456"));
    let card = Card::new(PLAIN).own("addr_assign_type", "3\n");
    card.check([None, None, Some("enp59s0"), Some("enp59s0")]);
    assert_eq!(card.ours().mac, None);
}

#[test]
fn a_name_that_its_driver_chose_by_rule_is_kept() {
    let card = Card::new(PLAIN).own("name_assign_type", "2\n");
    assert_eq!(card.ours().chosen.as_deref(), Some(NIC));
}

#[test]
fn what_stands_on_another_interface_gets_no_name() {
    let card = Card::new(PLAIN).own("iflink", "3\n");
    assert!(card.tree.look(&[]).facts.nics[0].names.is_none());
}
