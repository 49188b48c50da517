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
/// The HTTP header by which every answer to an agent tells the service's time, RFC 3339 with milliseconds, UTC.
pub const TIME_HEADER: &str = "overture-time";
/// The HTTP header that carries the ticket.
pub const TICKET_HEADER: &str = "overture-ticket";

/// What the agent saw. `POST /report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// [`VERSION`].
    pub report: u32,
    /// The boot it belongs to, a UUID, from the kernel command line; absent in a report of an installed system, which an
    /// operator imports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// Whether it amends what the node reported last: each part of the facts that is here replaces the same part there,
    /// with the gaps below it, and all other parts stay. Without it the report stands for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub amends: bool,
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
        /// Controllers of disks: RAID cards, host bus adapters, AHCI, NVMe.
        controllers: Vec<Controller>,
        /// Graphics and compute accelerators.
        gpus: Vec<Gpu>,
        /// Everything on the PCI buses.
        pci: Vec<PciDevice>,
        /// The management controller.
        bmc: Option<Bmc>,
        /// The trusted platform module.
        tpm: Option<Tpm>,
        /// Temperatures, fans, voltages, currents and power, as the kernel measures them.
        sensors: Vec<Sensor>,
        /// How the machine's clock stands to the service's.
        clock: Option<Clock>,
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
        /// Release as two numbers: `5.22`.
        revision: Option<String>,
        /// Release of the embedded controller's firmware as two numbers; absent where there is none.
        controller_revision: Option<String>,
        /// Whether UEFI Secure Boot is on; absent on BIOS.
        secure_boot: Option<bool>,
        /// Whether UEFI is in setup mode, in which anyone may enrol keys; absent on BIOS.
        setup_mode: Option<bool>,
        /// The number of the UEFI entry that was booted: `0003`.
        boot_current: Option<String>,
        /// The numbers of the UEFI entries in the order in which they are tried.
        boot_order: Vec<String>,
        /// The UEFI boot entries, by number.
        boot_entries: Vec<BootEntry>,
    }
);

facts!(
    /// One UEFI boot entry (UEFI 2.10, 3.1.3).
    BootEntry {
        /// Its number: `0003`.
        number: Option<String>,
        /// What the firmware's menu shows.
        label: Option<String>,
        /// Whether it is tried at all.
        active: Option<bool>,
        /// The device path as text: `HD(1,GPT,…)/File(\\EFI\\debian\\shimx64.efi)`.
        path: Option<String>,
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
        /// Features, as the kernel names them, sorted.
        flags: Vec<String>,
        /// Revision of the microcode: `0x2b000590`.
        microcode: Option<String>,
        /// Highest frequency, MHz.
        max_mhz: Option<u32>,
        /// What the kernel says of known weaknesses: `spectre_v2` to `Mitigation: …`.
        vulnerabilities: Option<Map<String, Value>>,
        /// NUMA nodes.
        numa: Vec<NumaNode>,
    }
);

facts!(
    /// Processors and memory that are near each other.
    NumaNode {
        /// Its number.
        id: Option<u32>,
        /// Its logical processors as a list: `0-15,32-47`.
        cpus: Option<String>,
        /// Its memory, bytes.
        memory_bytes: Option<u64>,
        /// Distances to all nodes, by their number; 10 is here.
        distances: Vec<u32>,
    }
);

facts!(
    /// Memory.
    Memory {
        /// What the kernel can use, bytes.
        usable_bytes: Option<u64>,
        /// What is plugged in (SMBIOS type 17), bytes.
        installed_bytes: Option<u64>,
        /// Sockets for modules, filled or not.
        slots: Option<u32>,
        /// Most that can be plugged in (SMBIOS type 16), bytes.
        most_bytes: Option<u64>,
        /// Error correction of the array (SMBIOS type 16): `none`, `parity`, `single_bit_ecc`, `multi_bit_ecc`, `crc`.
        error_correction: Option<String>,
        /// Errors that were corrected since the kernel started (EDAC).
        corrected_errors: Option<u64>,
        /// Errors that could not be corrected since the kernel started (EDAC).
        uncorrected_errors: Option<u64>,
        /// The modules that are plugged in, by slot.
        dimms: Vec<Dimm>,
    }
);

facts!(
    /// One memory module (SMBIOS type 17).
    Dimm {
        /// Where it is plugged in, as the board prints it: `DIMM_A1`.
        slot: Option<String>,
        /// Its bank: `P0_Node0_Channel0_Dimm0`.
        bank: Option<String>,
        /// Size, bytes.
        size_bytes: Option<u64>,
        /// `ddr4`, `ddr5`, `logical_non_volatile`.
        kind: Option<String>,
        /// `dimm`, `sodimm`.
        form: Option<String>,
        /// Highest speed, megatransfers a second.
        speed_mts: Option<u32>,
        /// Speed it runs at, megatransfers a second.
        configured_mts: Option<u32>,
        /// Ranks.
        ranks: Option<u32>,
        /// Whether it has more bits than it stores, for error correction.
        ecc: Option<bool>,
        /// Maker.
        manufacturer: Option<String>,
        /// Serial number.
        serial: Option<String>,
        /// The maker's part number.
        part_number: Option<String>,
        /// Asset tag.
        asset_tag: Option<String>,
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
        /// Physical sector, bytes.
        physical_sector_bytes: Option<u32>,
        /// Firmware revision.
        firmware: Option<String>,
        /// PCI address of its controller.
        pci: Option<String>,
        /// Whether it can only be read.
        read_only: Option<bool>,
        /// Health, as the disk judges itself.
        health: Option<Health>,
        /// `gpt`, `mbr`, or `none` where the disk was read and has none.
        partition_table: Option<String>,
        /// Its partitions, by number.
        partitions: Vec<Partition>,
        /// What is written on the whole disk beside partitions: a filesystem, a member of a RAID.
        signatures: Vec<Signature>,
        /// What the kernel has built on it: `md0`, `dm-0`.
        holders: Vec<String>,
    }
);

facts!(
    /// What a disk says of its health (ATA SMART; NVMe log page 02h; SCSI log pages 2Fh, 11h, 0Dh).
    Health {
        /// Whether it holds itself for sound.
        passed: Option<bool>,
        /// How much of its life is used, per cent; may exceed 100.
        wear_percent: Option<u32>,
        /// Spare blocks left, per cent.
        spare_percent: Option<u32>,
        /// Sectors that were replaced (ATA attribute 5; SCSI grown defects).
        reallocated_sectors: Option<u64>,
        /// Sectors that wait for replacement (ATA attribute 197).
        pending_sectors: Option<u64>,
        /// Errors of the medium that could not be corrected.
        media_errors: Option<u64>,
        /// Warnings, in words: `spare below threshold`, `read only`.
        warnings: Vec<String>,
        /// The result of its last self-test: `passed`, `failed: read`, `never run`.
        self_test: Option<String>,
        /// Hours under power.
        power_on_hours: Option<u64>,
        /// Times it was switched on.
        power_cycles: Option<u64>,
        /// Temperature, degrees Celsius.
        temperature_celsius: Option<i32>,
        /// Bytes read from it in its life.
        read_bytes: Option<u64>,
        /// Bytes written to it in its life.
        written_bytes: Option<u64>,
    }
);

facts!(
    /// One partition.
    Partition {
        /// The kernel's name: `sda1`.
        name: Option<String>,
        /// Its number.
        number: Option<u32>,
        /// First byte.
        start_bytes: Option<u64>,
        /// Size, bytes.
        size_bytes: Option<u64>,
        /// GPT type as a UUID, or MBR type as `0x83`.
        kind: Option<String>,
        /// GPT name.
        label: Option<String>,
        /// GPT unique id, or MBR's disk signature and number.
        uuid: Option<String>,
        /// What is written on it.
        signatures: Vec<Signature>,
        /// What the kernel has built on it: `md0`, `dm-0`.
        holders: Vec<String>,
    }
);

facts!(
    /// What is written at the places by which a filesystem, a volume or a RAID is recognised.
    Signature {
        /// As util-linux names it: `ext4`, `xfs`, `vfat`, `LVM2_member`, `linux_raid_member`, `crypto_LUKS`, `ceph_bluestore`, `zfs_member`.
        kind: Option<String>,
        /// `filesystem`, `raid`, `crypto`, `other`.
        usage: Option<String>,
        /// Its UUID as it writes it.
        uuid: Option<String>,
        /// Its label.
        label: Option<String>,
        /// What it belongs to where that has a name: the array, the volume group.
        member_of: Option<String>,
        /// Where it stands, bytes from the start.
        offset_bytes: Option<u64>,
    }
);

facts!(
    /// A controller of disks.
    Controller {
        /// PCI address.
        pci: Option<String>,
        /// `raid`, `sas`, `sata`, `nvme`, `scsi`, `ide`.
        kind: Option<String>,
        /// Who made it.
        vendor: Option<String>,
        /// The model.
        model: Option<String>,
        /// Driver.
        driver: Option<String>,
        /// Firmware revision, where the driver tells it.
        firmware: Option<String>,
    }
);

facts!(
    /// A graphics or compute accelerator.
    Gpu {
        /// PCI address.
        pci: Option<String>,
        /// Who made it.
        vendor: Option<String>,
        /// The model.
        model: Option<String>,
        /// Driver.
        driver: Option<String>,
        /// Its own memory, bytes: the largest prefetchable region.
        memory_bytes: Option<u64>,
    }
);

facts!(
    /// One function of a PCI device.
    PciDevice {
        /// PCI address: `0000:3b:00.0`.
        address: Option<String>,
        /// Class code, six hexadecimal digits: `020000`.
        class: Option<String>,
        /// The class in words: `Ethernet controller`.
        class_name: Option<String>,
        /// Vendor, four hexadecimal digits.
        vendor_id: Option<String>,
        /// Device, four hexadecimal digits.
        device_id: Option<String>,
        /// Subsystem's vendor and device: `15d9:0920`.
        subsystem: Option<String>,
        /// Revision, two hexadecimal digits.
        revision: Option<String>,
        /// The vendor's name.
        vendor: Option<String>,
        /// The device's name.
        device: Option<String>,
        /// Driver.
        driver: Option<String>,
        /// NUMA node.
        numa_node: Option<u32>,
        /// Speed of its link: `16.0 GT/s PCIe`.
        link_speed: Option<String>,
        /// Lanes of its link.
        link_width: Option<u32>,
        /// Highest speed of its link.
        most_link_speed: Option<String>,
        /// Most lanes of its link.
        most_link_width: Option<u32>,
        /// What is printed beside its slot (SMBIOS type 9 or 41): `PCIe Slot 3`.
        slot: Option<String>,
    }
);

facts!(
    /// The management controller, as the local IPMI device tells it.
    Bmc {
        /// IPv4 address of its LAN channel.
        address: Option<String>,
        /// Netmask.
        netmask: Option<String>,
        /// Gateway.
        gateway: Option<String>,
        /// `static`, `dhcp`, `bios`, `other`.
        address_source: Option<String>,
        /// IPv6 addresses.
        address6: Vec<String>,
        /// VLAN, where it tags.
        vlan: Option<u16>,
        /// MAC address of its LAN channel.
        mac: Option<String>,
        /// Firmware: `2.86`.
        firmware: Option<String>,
        /// Version of IPMI: `2.0`.
        ipmi: Option<String>,
        /// The maker's number (IANA enterprise).
        manufacturer_id: Option<u32>,
        /// The product's number.
        product_id: Option<u32>,
        /// Its own UUID.
        uuid: Option<String>,
    }
);

facts!(
    /// The trusted platform module.
    Tpm {
        /// `1.2` or `2.0`.
        version: Option<String>,
        /// Maker, where the kernel tells it.
        manufacturer: Option<String>,
        /// Firmware version, where the kernel tells it.
        firmware: Option<String>,
    }
);

facts!(
    /// One sensor of the kernel's hardware monitoring.
    Sensor {
        /// Chip and label: `coretemp-0/Package id 0`.
        name: Option<String>,
        /// `temperature`, `fan`, `voltage`, `current`, `power`.
        kind: Option<String>,
        /// Thousandths of a degree Celsius, volt or ampere; millionths of a watt; revolutions a minute.
        value: Option<i64>,
        /// Where it becomes critical, in the same unit.
        critical: Option<i64>,
        /// Whether it says that it is out of its limits.
        alarm: Option<bool>,
    }
);

facts!(
    /// How the machine's clock stands to the service's.
    Clock {
        /// How far the machine's clock was ahead when the agent first asked, milliseconds; negative when it was behind.
        ahead_ms: Option<i64>,
        /// How exactly that is known, milliseconds: half of what the question took.
        within_ms: Option<u64>,
        /// Whether the machine has a hardware clock.
        hardware_clock: Option<bool>,
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
        /// Highest speed that the port supports, Mbit/s.
        most_speed_mbit: Option<u32>,
        /// Whether the link carries in both directions at once.
        full_duplex: Option<bool>,
        /// Largest packet, bytes.
        mtu: Option<u32>,
        /// Version of the driver, where it is not the kernel's.
        driver_version: Option<String>,
        /// Firmware of the card.
        firmware: Option<String>,
        /// The card's number of this port, from 0, or its name: `p0`.
        port: Option<String>,
        /// Bus it is attached by: `pci`, `usb`, `virtio`, `platform`.
        bus: Option<String>,
        /// Who made the card.
        vendor: Option<String>,
        /// The card's model.
        model: Option<String>,
        /// NUMA node.
        numa_node: Option<u32>,
        /// Virtual functions that it can have; absent where it can have none.
        sriov_most: Option<u32>,
        /// Virtual functions that it has now.
        sriov_now: Option<u32>,
        /// Names that udev's policies would give it.
        names: Option<NicNames>,
        /// The ports at the other end of its cable, by LLDP.
        neighbours: Vec<Neighbour>,
    }
);

facts!(
    /// The names of systemd's net_id, as its version in Debian 12 (naming scheme v252) would make them.
    NicNames {
        /// By the firmware's index of onboard devices: `eno1`.
        onboard: Option<String>,
        /// By the slot: `ens3f0`.
        slot: Option<String>,
        /// By the place on the bus: `enp59s0f0`.
        path: Option<String>,
        /// By the address: `enx3cecef123456`.
        mac: Option<String>,
        /// The one that the default policy (keep kernel database onboard slot path) chooses.
        chosen: Option<String>,
    }
);

facts!(
    /// What a neighbour says of itself in LLDP (IEEE 802.1AB).
    Neighbour {
        /// What kind its chassis id is: `mac_address`, `local`, `interface_name`, `network_address`, `component`.
        chassis_kind: Option<String>,
        /// Chassis id.
        chassis: Option<String>,
        /// What kind its port id is: `interface_name`, `mac_address`, `local`, `interface_alias`.
        port_kind: Option<String>,
        /// Port id.
        port: Option<String>,
        /// Port description.
        port_description: Option<String>,
        /// System name.
        system: Option<String>,
        /// System description.
        system_description: Option<String>,
        /// Management addresses.
        management: Vec<String>,
        /// What it is: `bridge`, `router`, `station_only`…, those enabled.
        capabilities: Vec<String>,
        /// VLAN of untagged packets (802.1 port VLAN id).
        vlan: Option<u16>,
        /// VLANs by number with their names (802.1).
        vlans: Vec<Vlan>,
        /// Whether the port can be aggregated (802.1 or 802.3 link aggregation).
        aggregation_capable: Option<bool>,
        /// Whether it is aggregated now.
        aggregated: Option<bool>,
        /// The number of the aggregate.
        aggregate: Option<u32>,
        /// Largest frame (802.3), bytes.
        most_frame_bytes: Option<u32>,
    }
);

facts!(
    /// A VLAN that a neighbour names.
    Vlan {
        /// Its number.
        id: Option<u16>,
        /// Its name.
        name: Option<String>,
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
        /// Seconds from the start of user space to this report.
        user_space_seconds: Option<u64>,
        /// Where it runs: `ramdisk` or `installed`.
        place: Option<String>,
        /// What it can be ordered to do beyond restarting: `test`.
        can: Vec<String>,
    }
);

/// The facts that pass by themselves, by their paths; `*` stands for each item of a list. Two reports that differ in nothing
/// else describe the same hardware.
pub const READINGS: &[&str] = &[
    "agent.uptime_seconds",
    "agent.user_space_seconds",
    "clock.ahead_ms",
    "clock.within_ms",
    "memory.corrected_errors",
    "sensors.*.value",
    "disks.*.health.power_on_hours",
    "disks.*.health.temperature_celsius",
    "disks.*.health.read_bytes",
    "disks.*.health.written_bytes",
];

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
    /// What to test, with the order `test` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestPlan>,
}

/// What a burn-in tests, and for how long. Nothing of it writes to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestPlan {
    /// Write and read patterns in what memory is free.
    #[serde(default)]
    pub memory: bool,
    /// Compute known results on every processor.
    #[serde(default)]
    pub cpu: bool,
    /// Read from every disk, and have it judge itself.
    #[serde(default)]
    pub disks: bool,
    /// Fetch from the service over every port with a link, and watch the error counters.
    #[serde(default)]
    pub network: bool,
    /// The longest that each of them may take, seconds.
    pub seconds: u32,
}

/// What one test found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// `memory`, `cpu`, `disks` or `network`.
    pub kind: String,
    /// The part that was tested: `DIMM_A1`, `cpu3`, `nvme0n1`, `eth1`; absent for the machine as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// `passed`, `failed`, or `skipped`, which is neither.
    pub outcome: String,
    /// What was done and seen, a sentence with numbers: `read 4.0 GiB in 20 s, 205 MB/s, no error`.
    pub detail: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
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
    /// Test the hardware and send the results. Given only to agents that say they can.
    Test,
}

/// How far an order has come. `POST /progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The order, a UUID.
    pub order: String,
    /// `taken`: the agent is about to do it. For a test also `running`, with the results so far, and `done`, with all.
    pub state: String,
    /// What was tested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<TestResult>,
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
