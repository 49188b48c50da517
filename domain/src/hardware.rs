//! The part of a node's facts that lists, search and decisions need, in fixed units.

use crate::mac::MacAddr;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A short description of a machine, derived from its document. Missing is missing, never zero. Texts are printable and
/// short; lists are bounded. Stored with the node and held in memory for search, so it stays small.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Who made it.
    pub vendor: Option<String>,
    /// The model.
    pub product: Option<String>,
    /// The processor's model name.
    pub cpu_model: Option<String>,
    /// Logical processors.
    pub cpu_threads: Option<u32>,
    /// Cores of all packages.
    pub cpu_cores: Option<u32>,
    /// Processor packages.
    pub cpu_sockets: Option<u32>,
    /// Installed memory that the kernel can use, bytes.
    pub memory_bytes: Option<u64>,
    /// Memory that is plugged in, bytes.
    pub memory_installed_bytes: Option<u64>,
    /// Memory modules that are plugged in.
    pub dimms: Option<u32>,
    /// Errors of memory that were corrected since the kernel started.
    pub memory_corrected_errors: Option<u64>,
    /// Errors of memory that could not be corrected since the kernel started.
    pub memory_uncorrected_errors: Option<u64>,
    /// Disks that could hold a system: not removable, with a size.
    pub disks: Option<u32>,
    /// Sum of their sizes, bytes.
    pub disk_bytes: Option<u64>,
    /// Physical network interfaces.
    pub nics: Option<u32>,
    /// How it was started.
    pub firmware: Option<Firmware>,
    /// Version of the firmware.
    pub firmware_version: Option<String>,
    /// Whether UEFI Secure Boot is on.
    pub secure_boot: Option<bool>,
    /// Version of the trusted platform module.
    pub tpm: Option<String>,
    /// Address of the management controller.
    pub bmc_address: Option<IpAddr>,
    /// Firmware of the management controller.
    pub bmc_firmware: Option<String>,
    /// Serial number of the board (SMBIOS type 2).
    pub board_serial: Option<String>,
    /// Serial number of the chassis (SMBIOS type 3).
    pub chassis_serial: Option<String>,
    /// Asset tag of the chassis.
    pub asset_tag: Option<String>,
    /// Models of its accelerators.
    pub gpus: Vec<String>,
    /// Its disks.
    pub each_disk: Vec<DiskBrief>,
    /// Its network interfaces.
    pub each_nic: Vec<NicBrief>,
}

/// A disk in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiskBrief {
    /// The kernel's name.
    pub name: String,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Size, bytes.
    pub size_bytes: Option<u64>,
    /// `nvme`, `ssd` or `hdd`.
    pub kind: Option<String>,
    /// How much of its life is used, per cent.
    pub wear_percent: Option<u32>,
    /// Whether it holds itself for sound.
    pub healthy: Option<bool>,
}

/// A network interface in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NicBrief {
    /// The kernel's name.
    pub name: String,
    /// The names that udev's policies would give it; the chosen one first.
    pub names: Vec<String>,
    /// Its permanent address.
    pub mac: Option<MacAddr>,
    /// Driver.
    pub driver: Option<String>,
    /// Whether there is a link.
    pub link: Option<bool>,
    /// Speed of the link, Mbit/s.
    pub speed_mbit: Option<u32>,
    /// Highest speed of the port, Mbit/s.
    pub most_speed_mbit: Option<u32>,
    /// The switch at the other end of its cable: LLDP system name, or chassis id where that is missing.
    pub switch: Option<String>,
    /// The port there: LLDP port id, or its description where the id is only an address.
    pub port: Option<String>,
}

/// What started the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    /// PC BIOS, or UEFI with its compatibility module.
    Bios,
    /// UEFI.
    Uefi,
}
