//! A server as it would report itself: two modules, two disks, two ports with neighbours.

use crate::support::machine::machine;
use serde_json::{Value, json};
use tests_sim::dhcp::Machine;

const GIB: u64 = 1 << 30;

/// The facts of a server by a number, both ports plugged into the ports of that number.
pub fn facts(number: u32) -> Value {
    facts_of(&machine(number), number, number)
}

/// The facts of a server whose ports are plugged into these ports of sw1 and sw2.
pub fn facts_of(machine: &Machine, port1: u32, port2: u32) -> Value {
    let serial = &machine.serial;
    let mac = machine.mac.to_string();
    let second = format!("06{}", &mac[2..]);
    let dimm = |slot: &str, end: &str| {
        json!({"slot": slot, "size_bytes": 32 * GIB, "kind": "DDR4", "ecc": true, "configured_mts": 3200,
               "manufacturer": "Oak Memory", "part_number": "OM-32G-3200", "serial": format!("D{}{end}", &serial[4..])})
    };
    let disk = |name: &str, end: &str| {
        json!({"name": name, "serial": format!("N{}{end}", &serial[4..]), "model": "Oak NVMe 2", "size_bytes": 1_920_383_410_176u64,
               "transport": "nvme", "rotational": false, "firmware": "1.4",
               "health": {"passed": true, "wear_percent": 3, "temperature_celsius": 31, "power_on_hours": 1200}})
    };
    json!({
        "system": {"manufacturer": "Oak Systems", "product": "R7240", "serial": serial, "uuid": machine.uuid.to_string()},
        "firmware": {"kind": "uefi", "version": "U46 v2.14 (05/20/2022)", "secure_boot": false},
        "cpu": {"model": "Oak 6330", "sockets": 2, "cores": 56, "threads": 112, "microcode": "0xd0003a5"},
        "memory": {"usable_bytes": 63 * GIB, "installed_bytes": 64 * GIB, "slots": 16, "error_correction": "multi-bit",
                   "dimms": [dimm("A1", "A"), dimm("B1", "B")]},
        "disks": [disk("nvme0n1", "X"), disk("nvme1n1", "Y")],
        "nics": [nic("eth0", "eno1", &mac, "sw1", port1), nic("eth1", "eno2", &second, "sw2", port2)],
        "bmc": {"address": format!("10.20.1.{}", &serial[8..].trim_start_matches('0')), "firmware": "2.86"},
        "agent": {"version": "test", "uptime_seconds": 40, "can": ["test"]},
    })
}

fn nic(name: &str, chosen: &str, mac: &str, switch: &str, port: u32) -> Value {
    let neighbour = json!({"chassis_kind": "local", "chassis": switch, "system": switch, "port_kind": "interface_name",
                           "port": format!("Ethernet1/{port}"), "vlan": 20});
    json!({"name": name, "permanent_mac": mac, "driver": "mlx5_core", "firmware": "22.31.1014", "link": true, "speed_mbit": 25_000,
           "most_speed_mbit": 25_000, "names": {"onboard": chosen, "chosen": chosen}, "neighbours": [neighbour]})
}

/// A report of facts: of a boot, or of an installed system.
pub fn report(boot: Option<&str>, facts: Value) -> Value {
    let gaps = json!([{"path": "tpm", "reason": "the kernel does not show a TPM"}]);
    match boot {
        Some(boot) => json!({"report": 1, "boot": boot, "facts": facts, "gaps": gaps}),
        None => json!({"report": 1, "facts": facts, "gaps": gaps}),
    }
}
