//! A hall of machines that do not exist, as their agents would report them: seven models, serial numbers, parts and cables
//! of their own, the odd fault. The same number is always the same machine.

use serde_json::{Value, json};
use uuid::Uuid;

/// What all machines of a model have in common.
struct Model {
    vendor: &'static str,
    product: &'static str,
    firmware: &'static [&'static str],
    cpu: &'static str,
    /// Packages, and cores of each.
    cpus: (u64, u64),
    /// Modules, and GiB of each.
    dimms: (u64, u64),
    dimm_parts: &'static [&'static str],
    /// Disks: how many, of which kind.
    disks: &'static [(u64, &'static Disk)],
    /// Ports: driver, name, Mbit/s.
    ports: &'static [(&'static str, &'static str, u64)],
    gpus: u64,
}

struct Disk {
    model: &'static str,
    bytes: u64,
    transport: &'static str,
    rotational: bool,
}

const NVME: Disk = Disk { model: "SAMSUNG MZQL23T8HCLS-00A07", bytes: 3_840_755_982_336, transport: "nvme", rotational: false };
const BOOT: Disk = Disk { model: "Micron_7450_MTFDKBA480TFR", bytes: 480_103_981_056, transport: "nvme", rotational: false };
const SSD: Disk = Disk { model: "INTEL SSDSC2KB960G8", bytes: 960_197_124_096, transport: "sata", rotational: false };
const HDD: Disk = Disk { model: "ST16000NM002G", bytes: 16_000_900_661_248, transport: "sas", rotational: true };

const MODELS: [Model; 7] = [
    Model {
        vendor: "Dell Inc.",
        product: "PowerEdge R650",
        firmware: &["1.10.2", "1.12.1", "1.13.2"],
        cpu: "Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz",
        cpus: (2, 32),
        dimms: (16, 32),
        dimm_parts: &["M393A4K40EB3-CWE", "HMA84GR7DJR4N-XN"],
        disks: &[(1, &BOOT), (4, &NVME)],
        ports: &[("bnxt_en", "eno1np0", 25_000), ("bnxt_en", "eno2np1", 25_000), ("tg3", "eno8303", 1000), ("tg3", "eno8403", 1000)],
        gpus: 0,
    },
    Model {
        vendor: "Dell Inc.",
        product: "PowerEdge R740xd",
        firmware: &["2.15.1", "2.19.1"],
        cpu: "Intel(R) Xeon(R) Silver 4214 CPU @ 2.20GHz",
        cpus: (2, 12),
        dimms: (12, 16),
        dimm_parts: &["M393A2K43CB2-CVF"],
        disks: &[(2, &SSD), (12, &HDD)],
        ports: &[("i40e", "eno1", 10_000), ("i40e", "eno2", 10_000), ("igb", "eno3", 1000), ("igb", "eno4", 1000)],
        gpus: 0,
    },
    Model {
        vendor: "HPE",
        product: "ProLiant DL380 Gen10 Plus",
        firmware: &["U46 v1.68", "U46 v1.72"],
        cpu: "Intel(R) Xeon(R) Gold 5318Y CPU @ 2.10GHz",
        cpus: (2, 24),
        dimms: (16, 32),
        dimm_parts: &["P06033-B21", "P07646-B21"],
        disks: &[(2, &SSD), (6, &NVME)],
        ports: &[("mlx5_core", "ens1f0np0", 100_000), ("mlx5_core", "ens1f1np1", 100_000), ("igb", "eno1", 1000)],
        gpus: 0,
    },
    Model {
        vendor: "Supermicro",
        product: "SYS-1029U-TRT",
        firmware: &["3.4", "3.5", "3.8a"],
        cpu: "Intel(R) Xeon(R) Platinum 8260 CPU @ 2.40GHz",
        cpus: (2, 24),
        dimms: (12, 32),
        dimm_parts: &["M393A4K40CB2-CVF", "36ASF4G72PZ-2G9E2"],
        disks: &[(1, &SSD), (3, &NVME)],
        ports: &[("ixgbe", "eno1", 10_000), ("ixgbe", "eno2", 10_000)],
        gpus: 0,
    },
    Model {
        vendor: "Supermicro",
        product: "AS -2024US-TRT",
        firmware: &["2.3", "2.5"],
        cpu: "AMD EPYC 7713 64-Core Processor",
        cpus: (2, 64),
        dimms: (16, 64),
        dimm_parts: &["M393A8G40AB2-CWE"],
        disks: &[(1, &BOOT), (8, &NVME)],
        ports: &[("ice", "ens4f0", 25_000), ("ice", "ens4f1", 25_000), ("ixgbe", "eno1", 10_000)],
        gpus: 4,
    },
    Model {
        vendor: "Lenovo",
        product: "ThinkSystem SR630 V2",
        firmware: &["AFE126K-2.10", "AFE130I-3.10"],
        cpu: "Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz",
        cpus: (2, 28),
        dimms: (8, 32),
        dimm_parts: &["HMA84GR7DJR4N-XN"],
        disks: &[(2, &SSD), (2, &NVME)],
        ports: &[("bnxt_en", "ens2f0np0", 10_000), ("bnxt_en", "ens2f1np1", 10_000)],
        gpus: 0,
    },
    Model {
        vendor: "GIGABYTE",
        product: "R282-Z93-00",
        firmware: &["M21", "M23"],
        cpu: "AMD EPYC 7443P 24-Core Processor",
        cpus: (1, 24),
        dimms: (8, 32),
        dimm_parts: &["MTA36ASF4G72PZ-3G2E1"],
        disks: &[(2, &SSD), (8, &HDD)],
        ports: &[("igb", "enp65s0f0", 1000), ("igb", "enp65s0f1", 1000), ("mlx5_core", "enp129s0f0np0", 25_000)],
        gpus: 0,
    },
];

const FLAGS: &str = "aes apic avx avx2 bmi1 bmi2 cmov cx16 cx8 de erms f16c fma fpu fsgsbase fsrm fxsr ht invpcid lm mca mce mmx movbe msr mtrr nx pae pat pclmulqdq pge popcnt pse rdrand rdseed rdtscp sep sha_ni smap smep sse sse2 sse4_1 sse4_2 ssse3 syscall tsc umip vme xsave xsaveopt";

/// Machines in a rack, each in a unit of its own.
const RACK: u64 = 40;

/// A number that is well mixed, and the same for the same machine and purpose.
fn mixed(machine: u64, purpose: u64) -> u64 {
    // SplitMix64's finaliser.
    let mut z = machine.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(purpose.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn model(machine: u64) -> &'static Model {
    // A rack holds machines of one model.
    &MODELS[(mixed(machine / RACK, 1) % MODELS.len() as u64) as usize]
}

/// Its serial number.
pub fn serial(machine: u64) -> String {
    format!("{:07X}", 0x100_0000 + machine)
}

/// The address of one of its ports.
pub fn mac(machine: u64, port: u64) -> [u8; 6] {
    let [.., a, b, c, _] = (machine << 8).to_be_bytes();
    [0x3c, 0xec, a, b, c, port as u8]
}

/// The address as text.
pub fn mac_text(machine: u64, port: u64) -> String {
    mac(machine, port).map(|byte| format!("{byte:02x}")).join(":")
}

/// Its report. `round` counts its reports: what passes by itself is another each time, the hardware is the same.
pub fn report(machine: u64, boot: &str, round: u64) -> Vec<u8> {
    let model = model(machine);
    let disks = disks(machine, model, round);
    let gaps: Vec<_> = disks
        .iter()
        .filter(|disk| disk["wwn"].is_null())
        .map(|disk| {
            json!({
        "path": format!("disks.{}.wwn", disk["name"].as_str().unwrap_or_default()), "reason": "the disk gives no world wide name" })
        })
        .collect();
    let (sockets, cores) = model.cpus;
    let facts = json!({
        "system": { "manufacturer": model.vendor, "product": model.product, "serial": serial(machine), "uuid": uuid(machine), "sku": "SKU=NotProvided" },
        "board": { "manufacturer": model.vendor, "product": "0PJ7YJ", "version": "A04", "serial": format!("CNIVC00{:X}", mixed(machine, 2) >> 40) },
        "chassis": { "manufacturer": model.vendor, "serial": serial(machine) },
        "firmware": { "kind": "uefi", "vendor": model.vendor, "version": model.firmware[(mixed(machine, 3) % model.firmware.len() as u64) as usize],
            "date": "05/12/2023", "secure_boot": machine.is_multiple_of(5), "boot_current": "0003", "boot_order": ["0003", "0004"],
            "boot_entries": [{ "number": "0003", "label": "PXE Device 1: Integrated NIC 1 Port 1", "active": true },
                { "number": "0004", "label": "debian", "active": true, "path": "HD(1,GPT)/File(\\EFI\\debian\\shimx64.efi)" }] },
        "cpu": { "model": model.cpu, "vendor": if model.cpu.starts_with("AMD") { "AuthenticAMD" } else { "GenuineIntel" }, "architecture": "x86_64",
            "sockets": sockets, "cores": sockets * cores, "threads": sockets * cores * 2, "microcode": "0xd0003b9",
            "flags": FLAGS.split(' ').collect::<Vec<_>>(),
            "numa": (0..sockets).map(|node| json!({ "id": node, "cpus": format!("{}-{}", node * cores, (node + 1) * cores - 1),
                "memory_bytes": model.dimms.0 * (model.dimms.1 << 30) / sockets })).collect::<Vec<_>>() },
        "memory": memory(machine, model),
        "disks": disks,
        "nics": nics(machine, model),
        "gpus": (0..model.gpus).map(|gpu| json!({ "pci": format!("0000:{:02x}:00.0", 0x41 + gpu * 0x20), "vendor": "NVIDIA Corporation",
            "model": "GA100 [A100 PCIe 80GB]", "memory_bytes": 85_899_345_920u64 })).collect::<Vec<_>>(),
        "bmc": { "address": format!("10.1.{}.{}", machine / 250 % 250, machine % 250 + 1), "mac": mac_text(machine, 0xb0), "firmware": "6.10.30", "ipmi": "2.0" },
        "tpm": { "version": "2.0" },
        "sensors": (0..6).map(|n| json!({ "name": format!("coretemp-{}/Core {n}", n % sockets), "kind": "temperature",
            "value": 38_000 + (mixed(machine + round, n) % 20) as i64 * 1000, "critical": 99_000 })).collect::<Vec<_>>(),
        "clock": { "ahead_ms": (mixed(machine, round) % 900) as i64 - 450, "within_ms": 3, "hardware_clock": true },
        "kernel": { "release": "6.1.0-41-amd64" },
        "agent": { "version": "0.1.0", "uptime_seconds": 9 + round * 1800, "place": "ramdisk", "can": ["test"] },
    });
    let report = json!({ "report": 1, "boot": boot, "facts": facts, "gaps": gaps });
    serde_json::to_vec(&report).unwrap_or_default()
}

/// Its SMBIOS UUID.
fn uuid(machine: u64) -> String {
    Uuid::from_u64_pair(mixed(machine, 4), mixed(machine, 5)).to_string()
}

fn memory(machine: u64, model: &Model) -> Value {
    let (count, gib) = model.dimms;
    // One machine in fifty has lost a module.
    let plugged = if mixed(machine, 6).is_multiple_of(50) { count - 1 } else { count };
    let part = model.dimm_parts[(mixed(machine, 7) % model.dimm_parts.len() as u64) as usize];
    let dimm = |slot: u64| {
        json!({ "slot": format!("{}{}", if slot < count / 2 { 'A' } else { 'B' }, slot % (count / 2).max(1) + 1), "size_bytes": gib << 30, "kind": "ddr4",
            "speed_mts": 3200, "ecc": true, "manufacturer": "Samsung", "serial": format!("{:08X}", mixed(machine, 100 + slot) as u32), "part_number": part })
    };
    json!({ "usable_bytes": plugged * (gib << 30) / 100 * 98, "installed_bytes": plugged * (gib << 30), "slots": count * 2,
        "error_correction": "multi_bit_ecc", "dimms": (0..plugged).map(dimm).collect::<Vec<_>>() })
}

fn disks(machine: u64, model: &Model, round: u64) -> Vec<Value> {
    let all = model.disks.iter().flat_map(|(count, disk)| (0..*count).map(move |_| *disk));
    let one = |(number, disk): (usize, &Disk)| {
        let number = number as u64;
        let nvme = disk.transport == "nvme";
        let name = if nvme { format!("nvme{number}n1") } else { format!("sd{}", char::from(b'a' + number as u8)) };
        let wear = if disk.rotational { Value::Null } else { json!(mixed(machine, 200 + number) % 100) };
        let mut fact = json!({ "name": name, "model": disk.model, "serial": format!("S{:011X}", mixed(machine, 300 + number) >> 20),
            "wwn": format!("{}.{:016x}", if nvme { "eui" } else { "naa" }, mixed(machine, 400 + number)), "size_bytes": disk.bytes, "sector_bytes": 512,
            "rotational": disk.rotational, "removable": false, "transport": disk.transport, "firmware": "GDC5602Q",
            "health": { "passed": !mixed(machine, 500 + number).is_multiple_of(400), "wear_percent": wear, "media_errors": 0,
                "power_on_hours": 10_000 + mixed(machine, 600) % 20_000 + round, "temperature_celsius": 28 + (mixed(machine, round) % 9) as i64 } });
        // A missing fact is absent, not null.
        if let Some(health) = fact["health"].as_object_mut() {
            health.retain(|_, value| !value.is_null());
        }
        fact
    };
    all.enumerate().map(one).collect()
}

fn nics(machine: u64, model: &Model) -> Vec<Value> {
    let unit = machine % RACK + 1;
    let rack = machine / RACK;
    let one = |(number, (driver, name, speed)): (usize, &(&str, &str, u64))| {
        let number = number as u64;
        let mut nic = json!({ "name": format!("eth{number}"), "mac": mac_text(machine, number), "permanent_mac": mac_text(machine, number), "driver": driver,
            "pci": format!("0000:{:02x}:00.{number}", 0x31), "firmware": "227.0.131.0", "most_speed_mbit": speed, "mtu": 1500,
            "names": { "onboard": name, "chosen": name }, "link": number < 2 });
        if number < 2 {
            nic["speed_mbit"] = json!(speed);
            nic["neighbours"] = json!([{ "chassis_kind": "mac_address", "chassis": mac_text(900_000 + rack, number), "port_kind": "interface_name",
                "port": format!("Ethernet{unit}"), "system": format!("r{rack}-sw{}", number + 1), "vlan": 20, "aggregation_capable": true }]);
        }
        nic
    };
    model.ports.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_about_eight_kilobytes_and_each_machine_is_another() {
        let sizes: Vec<_> = (0..2000).map(|machine| report(machine, "b", 0).len()).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((7_000..10_000).contains(&mean), "{mean}");
        assert_eq!(report(7, "b", 0), report(7, "b", 0));
        let serials: std::collections::BTreeSet<_> = (0..100_000).map(serial).collect();
        assert_eq!(serials.len(), 100_000);
    }
}
