//! The part of a node's facts that lists and decisions need, in fixed units.

use serde::{Deserialize, Serialize};

/// A short description of a machine, derived from its report. Missing is missing, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Who made it.
    pub vendor: Option<String>,
    /// The model.
    pub product: Option<String>,
    /// The processor's model name.
    pub cpu_model: Option<String>,
    /// Logical processors.
    pub cpu_threads: Option<u32>,
    /// Installed memory that the kernel can use, bytes.
    pub memory_bytes: Option<u64>,
    /// Disks that could hold a system: not removable, with a size.
    pub disks: Option<u32>,
    /// Sum of their sizes, bytes.
    pub disk_bytes: Option<u64>,
    /// Physical network interfaces.
    pub nics: Option<u32>,
    /// How it was started.
    pub firmware: Option<Firmware>,
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
