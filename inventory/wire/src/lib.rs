//! The report as it travels from the agent to the service, and what the service answers.
//!
//! Both sides use these structs and nothing else of each other. Fields that this version does not know are kept in
//! `other`, so that a newer agent loses nothing at an older service, nor an older report at a newer one. A fact that
//! could not be found out is absent and has a [`Gap`] with its reason; it is never a zero or an empty text.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the document, its field `report`.
pub const VERSION: u32 = 1;
/// The largest report that the service reads, bytes.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The HTTP header that carries the ticket.
pub const TICKET_HEADER: &str = "overture-ticket";

/// What the agent saw. `POST /report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub report: u32,
    /// The boot it belongs to, a UUID, from the kernel command line.
    pub boot: String,
    /// What was found.
    pub facts: Facts,
    /// What was not, and why.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Something that could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Where in the facts: `system.serial`, `disks.sda.wwn`.
    pub path: String,
    /// Why, a sentence.
    pub reason: String,
}

macro_rules! facts {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(default, skip_serializing_if = "is_missing")] pub $field: $type,)*
            /// Unknown fields.
            #[serde(flatten)]
            pub other: Map<String, Value>,
        }
    };
}

trait Missing {
    fn missing(&self) -> bool;
}
impl<T> Missing for Option<T> {
    fn missing(&self) -> bool {
        self.is_none()
    }
}
impl<T> Missing for Vec<T> {
    fn missing(&self) -> bool {
        self.is_empty()
    }
}
fn is_missing(value: &impl Missing) -> bool {
    value.missing()
}

facts!(
    /// Everything that is known of a machine.
    Facts {
        /// SMBIOS type 1.
        system: Option<System>,
        /// SMBIOS type 2, the first.
        board: Option<Board>,
        /// SMBIOS type 3, the first.
        chassis: Option<Board>,
        /// SMBIOS type 0, and how the machine was started.
        firmware: Option<Firmware>,
        /// The processors together.
        cpu: Option<Cpu>,
        /// The memory together.
        memory: Option<Memory>,
        /// Block devices that are disks; partitions, loops and RAM disks are not.
        disks: Vec<Disk>,
        /// Network interfaces that are hardware.
        nics: Vec<Nic>,
        /// The kernel that looked.
        kernel: Option<Kernel>,
        /// The agent that looked.
        agent: Option<Agent>,
    }
);

facts!(
    /// What the maker says of the whole machine (SMBIOS type 1).
    System {
        /// Manufacturer.
        manufacturer: Option<String>,
        /// Product name.
        product: Option<String>,
        /// Version.
        version: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// UUID, as text, in the byte order of SMBIOS 2.6.
        uuid: Option<String>,
        /// Stock keeping unit.
        sku: Option<String>,
        /// Family.
        family: Option<String>,
    }
);

facts!(
    /// A board or chassis (SMBIOS types 2 and 3).
    Board {
        /// Manufacturer.
        manufacturer: Option<String>,
        /// Product name; absent for a chassis.
        product: Option<String>,
        /// Version.
        version: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// Asset tag.
        asset_tag: Option<String>,
    }
);

facts!(
    /// The firmware.
    Firmware {
        /// `bios` or `uefi`: how the running kernel was started.
        kind: Option<String>,
        /// Vendor.
        vendor: Option<String>,
        /// Version.
        version: Option<String>,
        /// Release date as the vendor writes it.
        date: Option<String>,
        /// Whether UEFI Secure Boot is on; absent on BIOS.
        secure_boot: Option<bool>,
    }
);

facts!(
    /// The processors of a machine, which are alike.
    Cpu {
        /// Model name.
        model: Option<String>,
        /// Vendor as CPUID says: `GenuineIntel`.
        vendor: Option<String>,
        /// `x86_64`.
        architecture: Option<String>,
        /// Packages.
        sockets: Option<u32>,
        /// Cores of all packages.
        cores: Option<u32>,
        /// Logical processors of all packages.
        threads: Option<u32>,
    }
);

facts!(
    /// Memory.
    Memory {
        /// What the kernel can use, bytes.
        usable_bytes: Option<u64>,
        /// What is plugged in (SMBIOS type 17), bytes.
        installed_bytes: Option<u64>,
    }
);

facts!(
    /// One disk.
    Disk {
        /// The kernel's name: `sda`.
        name: Option<String>,
        /// Model.
        model: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// World wide name: `naa.5000c500a1b2c3d4`, `eui.…`, `nvme.…`.
        wwn: Option<String>,
        /// Size, bytes.
        size_bytes: Option<u64>,
        /// Logical sector, bytes.
        sector_bytes: Option<u32>,
        /// Whether it turns.
        rotational: Option<bool>,
        /// Whether the medium can be taken out.
        removable: Option<bool>,
        /// `nvme`, `sata`, `sas`, `usb`, `virtio`, `scsi`, `ata`, `mmc`.
        transport: Option<String>,
    }
);

facts!(
    /// One network interface.
    Nic {
        /// The kernel's name.
        name: Option<String>,
        /// The address in use.
        mac: Option<String>,
        /// The address in its hardware.
        permanent_mac: Option<String>,
        /// Driver.
        driver: Option<String>,
        /// PCI address: `0000:00:03.0`.
        pci: Option<String>,
        /// Whether a cable with a partner is plugged in.
        link: Option<bool>,
        /// Speed of the link, Mbit/s.
        speed_mbit: Option<u32>,
    }
);

facts!(
    /// The kernel that looked.
    Kernel {
        /// Release: `6.1.0-56-amd64`.
        release: Option<String>,
    }
);

facts!(
    /// The agent that looked.
    Agent {
        /// Version.
        version: Option<String>,
        /// Seconds from the start of the kernel to this report.
        uptime_seconds: Option<u64>,
    }
);

/// The answer to a report, sent when it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The node's id, a UUID.
    pub node: String,
    /// The operator's name for it.
    pub name: Option<String>,
}

/// What the agent is to do. `GET /orders?wait=SECONDS` answers as soon as there is more to say than `wait`, and at the
/// latest after that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// What to do.
    pub order: Order,
    /// Which order this is, a UUID, to be sent back in [`Progress`]; absent with `wait`.
    pub id: Option<String>,
}

/// What the agent can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Stay and ask again.
    Wait,
    /// Restart.
    Reboot,
    /// Switch off.
    PowerOff,
    /// Restart; the boot script then goes to the local disk.
    LocalDisk,
}

/// How far an order has come. `POST /progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The order, a UUID.
    pub order: String,
    /// `taken`: the agent is about to do it.
    pub state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_agent_says_survives_an_older_service() {
        let text = r#"{"report":1,"boot":"b","facts":{"system":{"serial":"A","colour":"red"},"moons":[1]},"later":true}"#;
        let report: Report = serde_json::from_str(text).expect("a report");
        assert_eq!(report.facts.system.as_ref().and_then(|s| s.serial.as_deref()), Some("A"));
        let back: Value = serde_json::to_value(&report).expect("json");
        assert_eq!(back["facts"]["system"]["colour"], "red");
        assert_eq!(back["facts"]["moons"][0], 1);
        assert_eq!(back["later"], true);
    }
}
