//! Which modules travel: enough for virtual machines, or enough for servers. Dependencies are not named here, the index adds them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::module_index::Wanted;

/// A choice of kernel modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleSet {
    /// What virtual machines have: virtio, Intel network cards, AHCI, NVMe, MegaRAID, a management controller. Small and quick to boot.
    Lab,
    /// Network cards, storage, sensors, management controllers of real servers, and all of [`ModuleSet::Lab`].
    Full,
}

const LAB: &[&str] = &[
    // Virtual machines' own devices.
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "virtio_rng",
    "virtio_console",
    // Network cards that virtual machines imitate.
    "e1000",
    "e1000e",
    "igb",
    // Disks.
    "ahci",
    "ata_piix",
    "nvme",
    "megaraid_sas",
    "sd_mod",
    "dm_mod",
    // The management controller.
    "ipmi_devintf",
    "ipmi_msghandler",
    "ipmi_si",
    // Bonds and VLANs; the network's raw sockets for DHCP and LLDP.
    "bonding",
    "8021q",
    "af_packet",
    // File systems of what is installed, and what they ask the kernel for by alias.
    "efivarfs",
    "ext4",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_iso8859_1",
    "crc32c_generic",
    "crc32c_intel",
];

const FULL_FOLDERS: &[&str] = &[
    // Network cards, the PHYs and buses behind them, and those that hypervisors offer.
    "kernel/drivers/net/ethernet/",
    "kernel/drivers/net/bonding/",
    "kernel/drivers/net/mdio/",
    "kernel/drivers/net/pcs/",
    "kernel/drivers/net/phy/",
    "kernel/drivers/net/usb/",
    "kernel/drivers/net/hyperv/",
    "kernel/drivers/net/vmxnet3/",
    "kernel/net/8021q/",
    // Storage: controllers, RAID, what sits on top of disks that already hold something.
    "kernel/drivers/ata/",
    "kernel/drivers/message/fusion/",
    "kernel/drivers/md/",
    "kernel/drivers/mmc/",
    "kernel/drivers/nvdimm/",
    "kernel/drivers/nvme/host/",
    "kernel/drivers/scsi/",
    "kernel/drivers/usb/storage/",
    // Sensors, management controllers, TPM.
    "kernel/drivers/char/hw_random/",
    "kernel/drivers/char/ipmi/",
    "kernel/drivers/char/tpm/",
    "kernel/drivers/hwmon/",
    "kernel/drivers/i2c/busses/",
    // Buses the others hang on.
    "kernel/drivers/hv/",
    "kernel/drivers/usb/host/",
    "kernel/drivers/virtio/",
    // File systems.
    "kernel/fs/ext4/",
    "kernel/fs/fat/",
    "kernel/fs/isofs/",
    "kernel/fs/nls/",
    "kernel/fs/xfs/",
];

const FULL_NAMES: &[&str] = &[
    "acpi_ipmi",
    "crc32_pclmul",
    "crct10dif_pclmul",
    "hid_generic",
    "iscsi_ibft",
    "loop",
    "mtip32xx",
    "nfit",
    "qemu_fw_cfg",
    "usbhid",
    // Intel's VMD hides NVMe disks behind a bridge of its own.
    "vmd",
    "xen_blkfront",
    "xen_netfront",
];

/// What no device announces, so the agent loads it by name.
const LAB_BY_NAME: &[&str] = &["ipmi_si", "ipmi_devintf", "sd_mod", "dm_mod", "bonding", "8021q"];
const FULL_BY_NAME: &[&str] = &["coretemp", "md_mod"];

impl ModuleSet {
    pub(crate) fn wanted(self) -> Wanted {
        match self {
            Self::Lab => Wanted { names: LAB.to_vec(), folders: Vec::new() },
            Self::Full => Wanted { names: [LAB, FULL_NAMES].concat(), folders: FULL_FOLDERS.to_vec() },
        }
    }

    /// Modules that the agent loads by name after those that devices ask for; one that does not load is no failure.
    pub(crate) fn by_name(self) -> Vec<&'static str> {
        match self {
            Self::Lab => LAB_BY_NAME.to_vec(),
            Self::Full => [LAB_BY_NAME, FULL_BY_NAME].concat(),
        }
    }
}

impl fmt::Display for ModuleSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Lab => "lab",
            Self::Full => "full",
        })
    }
}

/// The text is no module set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no module set {0:?}: choose lab or full")]
pub struct UnknownModuleSet(String);

impl FromStr for ModuleSet {
    type Err = UnknownModuleSet;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "lab" => Ok(Self::Lab),
            "full" => Ok(Self::Full),
            _ => Err(UnknownModuleSet(text.to_owned())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_full_set_wants_all_that_the_lab_wants() {
        let full = ModuleSet::Full.wanted();
        for name in ModuleSet::Lab.wanted().names {
            assert!(full.names.contains(&name), "{name}");
        }
    }

    #[test]
    fn folders_end_in_a_slash_so_that_a_neighbour_does_not_slip_in() {
        for folder in ModuleSet::Full.wanted().folders {
            assert!(folder.starts_with("kernel/") && folder.ends_with('/'), "{folder}");
        }
    }

    #[test]
    fn a_set_is_written_as_it_is_read() {
        for set in [ModuleSet::Lab, ModuleSet::Full] {
            assert_eq!(set.to_string().parse(), Ok(set));
            assert_eq!(serde_json::to_string(&set).unwrap(), format!("\"{set}\""));
        }
        assert_eq!("huge".parse::<ModuleSet>().unwrap_err().to_string(), "there is no module set \"huge\": choose lab or full");
    }
}
