//! What a lab consists of, decided before anything is made: the same plan always names the same machines with the
//! same addresses and serial numbers, so that a site file can be written for it in advance.

use domain::MacAddr;
use domain::hardware::Firmware;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// As many machines as one lab may have. The addresses of the lab's network would allow more; a computer rarely does.
pub const MOST_MACHINES: u32 = 99;

/// Below this a BIOS machine stays at iPXE's banner.
const LEAST_MEMORY_MIB: u32 = 96;

/// A lab's name: 1 to 16 of `a`–`z`, `0`–`9` and `-`, beginning with a letter or digit. It becomes part of the names
/// of namespaces and folders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

/// Why a text cannot name a lab.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a lab cannot be called {0:?}: give 1 to 16 of a-z, 0-9 and -, beginning with a letter or digit")]
pub struct BadName(pub String);

impl LabName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LabName {
    fn default() -> Self {
        Self("lab".into())
    }
}

impl FromStr for LabName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=16).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadName(text.chars().take(40).collect()))
        }
    }
}

impl TryFrom<String> for LabName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The size of a disk in bytes, read from `512M`, `4G`, `4GiB`, `1T` (powers of 1024) or plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSize(pub u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: write it as 512M, 4G or 1T")]
pub struct BadSize(pub String);

impl FromStr for DiskSize {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let bad = || BadSize(text.chars().take(40).collect());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            "T" | "TiB" => 40,
            _ => return Err(bad()),
        };
        number.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).map(Self).ok_or_else(bad)
    }
}

/// What the processors of the machines run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accel {
    /// QEMU's translator: works everywhere.
    Tcg,
    /// The processor's own support, through `/dev/kvm`.
    Kvm,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        })
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccelWish {
    /// KVM where it really works, else TCG.
    #[default]
    Auto,
    /// TCG.
    Tcg,
    /// KVM, without trying it first.
    Kvm,
}

impl FromStr for AccelWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "tcg" => Ok(Self::Tcg),
            "kvm" => Ok(Self::Kvm),
            _ => Err("give auto, tcg or kvm".into()),
        }
    }
}

/// A lab as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: LabName,
    /// Machines that start by BIOS. They are numbered first.
    pub bios: u32,
    /// Machines that start by UEFI.
    pub uefi: u32,
    /// Memory of each machine, MiB.
    pub memory_mib: u32,
    /// Size of each machine's one disk, bytes. A sparse file: space is taken as it is written.
    pub disk_bytes: u64,
    /// What the processors run on.
    pub accel: AccelWish,
    /// Whether the machines have what servers have: see [`Machine::server`].
    #[serde(default)]
    pub server: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { name: LabName::default(), bios: 3, uefi: 0, memory_mib: 512, disk_bytes: 4 << 30, accel: AccelWish::Auto, server: false }
    }
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// No machine at all.
    #[error("a lab needs at least one machine: give --nodes 1 or more")]
    NoMachine,
    /// More than [`MOST_MACHINES`].
    #[error("{0} machines are too many: a lab has at most {MOST_MACHINES}")]
    TooMany(u64),
    /// Too little memory to boot.
    #[error("{0} MiB are too little to boot from the network: give --memory {LEAST_MEMORY_MIB} or more")]
    TooLittleMemory(u32),
    /// A disk that no firmware would take.
    #[error("a disk of {0} bytes is no use: give --disk 1M or more, in whole sectors of 512 bytes")]
    BadDisk(u64),
}

/// One virtual machine with everything that identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name in the lab: `vm1`, `vm2`, …
    pub name: String,
    /// Its number, from 1.
    pub number: u32,
    /// How it starts.
    pub firmware: Firmware,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Size of its disk, bytes.
    pub disk_bytes: u64,
    /// The addresses of its network interfaces: `52:54:00:aa:NN:01`, NN the number, and `…:02`.
    pub macs: Vec<MacAddr>,
    /// Whether it has what servers have: a second network interface, an NVMe and a SATA disk beside the first, four memory
    /// modules, a management controller.
    pub server: bool,
    /// SMBIOS system serial number: `VM-0001`.
    pub serial: String,
    /// SMBIOS system UUID.
    pub uuid: String,
    /// Serial number of its disk: `OVLAB-0001-A` (virtio allows 20 characters).
    pub disk_serial: String,
}

impl Machine {
    fn new(number: u32, firmware: Firmware, plan: &Plan) -> Self {
        Self {
            name: format!("vm{number}"),
            number,
            firmware,
            memory_mib: plan.memory_mib,
            disk_bytes: plan.disk_bytes,
            macs: (1..=if plan.server { 2 } else { 1 }).map(|port| MacAddr([0x52, 0x54, 0, 0xaa, number as u8, port])).collect(),
            server: plan.server,
            serial: format!("VM-{number:04}"),
            // A well-formed version 4 UUID whose last group is the number.
            uuid: format!("6f766c61-622d-4000-8000-{number:012x}"),
            disk_serial: format!("OVLAB-{number:04}-A"),
        }
    }

    /// The tap that one of its interfaces, counted from 0, is plugged into, inside the `-net` namespace.
    pub fn tap(&self, port: usize) -> String {
        format!("{}-{port}", self.name)
    }

    /// The address of its first network interface, the one it boots from.
    pub fn mac(&self) -> MacAddr {
        self.macs.first().copied().unwrap_or(MacAddr([0; 6]))
    }

    /// The serial number of one of its disks, counted from 0: `OVLAB-0001-A`, `-B`…
    pub fn serial_of_disk(&self, disk: u8) -> String {
        format!("OVLAB-{:04}-{}", self.number, char::from(b'A' + disk))
    }
}

impl Plan {
    /// Every mistake of the plan at once; none when it can be built.
    pub fn mistakes(&self) -> Vec<BadPlan> {
        let machines = u64::from(self.bios) + u64::from(self.uefi);
        let mut mistakes = Vec::new();
        if machines == 0 {
            mistakes.push(BadPlan::NoMachine);
        }
        if machines > u64::from(MOST_MACHINES) {
            mistakes.push(BadPlan::TooMany(machines));
        }
        if self.memory_mib < LEAST_MEMORY_MIB {
            mistakes.push(BadPlan::TooLittleMemory(self.memory_mib));
        }
        if self.disk_bytes < 1 << 20 || !self.disk_bytes.is_multiple_of(512) {
            mistakes.push(BadPlan::BadDisk(self.disk_bytes));
        }
        mistakes
    }

    /// The machines, BIOS first. At most [`MOST_MACHINES`].
    pub fn machines(&self) -> Vec<Machine> {
        let firmware = |number| if number <= self.bios { Firmware::Bios } else { Firmware::Uefi };
        let last = self.bios.saturating_add(self.uefi).min(MOST_MACHINES);
        (1..=last).map(|number| Machine::new(number, firmware(number), self)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn machines_are_numbered_bios_first_and_no_two_share_an_identity() {
        let machines = Plan { bios: 60, uefi: 39, ..Plan::default() }.machines();
        assert_eq!(machines.len(), 99);
        assert_eq!((machines[59].firmware, machines[60].firmware), (Firmware::Bios, Firmware::Uefi));
        assert_eq!((machines[0].name.as_str(), machines[0].serial.as_str()), ("vm1", "VM-0001"));
        assert_eq!((machines[0].mac().to_string().as_str(), machines[0].disk_serial.as_str()), ("52:54:00:aa:01:01", "OVLAB-0001-A"));
        for identity in [|m: &Machine| m.mac().to_string(), |m: &Machine| m.serial.clone(), |m: &Machine| m.uuid.clone()] {
            assert_eq!(machines.iter().map(identity).collect::<BTreeSet<_>>().len(), 99);
        }
        assert!(machines.iter().all(|m| m.tap(0).len() < 16 && m.disk_serial.len() <= 20), "the kernel and virtio cut longer names");
    }

    #[test]
    fn every_mistake_of_a_plan_is_named_at_once() {
        let plan = Plan { bios: 0, uefi: 0, memory_mib: 32, disk_bytes: 1000, ..Plan::default() };
        assert_eq!(plan.mistakes(), vec![BadPlan::NoMachine, BadPlan::TooLittleMemory(32), BadPlan::BadDisk(1000)]);
        assert_eq!(Plan { bios: u32::MAX, uefi: 1, ..Plan::default() }.mistakes(), vec![BadPlan::TooMany(1 << 32)]);
        assert_eq!(Plan::default().mistakes(), vec![]);
    }

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for text in ["", ".", "..", "a/b", "-a", "A", "a b", "seventeen-letters", "a\n"] {
            assert!(text.parse::<LabName>().is_err(), "{text:?}");
        }
        assert_eq!("hall-1".parse::<LabName>().unwrap().as_str(), "hall-1");
        assert!(serde_json::from_str::<LabName>("\"../x\"").is_err(), "a record on disk is no way around it");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("512M", 512 << 20), ("4G", 4 << 30), ("4GiB", 4 << 30), ("1T", 1 << 40), ("4096", 4096)] {
            assert_eq!(text.parse(), Ok(DiskSize(bytes)), "{text}");
        }
        for text in ["", "G", "4 G", "-1G", "4g", "99999999999T"] {
            assert!(text.parse::<DiskSize>().is_err(), "{text:?}");
        }
    }
}
