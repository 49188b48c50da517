//! A report's facts in short, for lists, search and decisions.
//!
//! The facts were written by a machine that nobody vouches for: texts are made printable and short, lists are cut, and a
//! number that says nothing is missing.

use domain::MacAddr;
use domain::hardware::{DiskBrief, Firmware, NicBrief, Summary};
use domain::timeline::printable;
use inventory_wire::{Disk, Facts, Gap, Neighbour, Nic};
use std::net::IpAddr;

/// The longest text that a summary shows, characters.
pub(crate) const LONGEST_SHOWN: usize = 120;
/// The most disks, network cards and accelerators that a summary names, each; counts count all.
const MOST_NAMED: usize = 128;

/// The facts in short.
pub(crate) fn summary(facts: &Facts, gaps: &[Gap]) -> Summary {
    let system = facts.system.as_ref();
    let cpu = facts.cpu.as_ref();
    let memory = facts.memory.as_ref();
    let firmware = facts.firmware.as_ref();
    let bmc = facts.bmc.as_ref();
    let chassis = facts.chassis.as_ref();
    let unknown = |what: &str| gaps.iter().any(|gap| gap.path == what);
    let disks: Vec<_> = facts.disks.iter().filter_map(holds_a_system).collect();
    let disks_known = !facts.disks.is_empty() || !unknown("disks");
    let nics_known = !facts.nics.is_empty() || !unknown("nics");
    Summary {
        vendor: system.and_then(|system| shown(&system.manufacturer)),
        product: system.and_then(|system| shown(&system.product)),
        cpu_model: cpu.and_then(|cpu| shown(&cpu.model)),
        cpu_threads: cpu.and_then(|cpu| some(cpu.threads)),
        cpu_cores: cpu.and_then(|cpu| some(cpu.cores)),
        cpu_sockets: cpu.and_then(|cpu| some(cpu.sockets)),
        memory_bytes: memory.and_then(|memory| memory.usable_bytes).filter(|bytes| *bytes > 0),
        memory_installed_bytes: memory.and_then(|memory| memory.installed_bytes).filter(|bytes| *bytes > 0),
        memory_corrected_errors: memory.and_then(|memory| memory.corrected_errors),
        memory_uncorrected_errors: memory.and_then(|memory| memory.uncorrected_errors),
        dimms: memory.and_then(|memory| some(Some(count(memory.dimms.len())))),
        disks: disks_known.then(|| count(disks.len())),
        disk_bytes: disks_known.then(|| disks.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes))),
        nics: nics_known.then(|| count(facts.nics.len())),
        firmware: match firmware.and_then(|firmware| firmware.kind.as_deref()) {
            Some("bios") => Some(Firmware::Bios),
            Some("uefi") => Some(Firmware::Uefi),
            _ => None,
        },
        firmware_version: firmware.and_then(|firmware| shown(&firmware.version)),
        secure_boot: firmware.and_then(|firmware| firmware.secure_boot),
        tpm: facts.tpm.as_ref().and_then(|tpm| shown(&tpm.version)),
        bmc_address: bmc.and_then(|bmc| bmc.address.iter().chain(&bmc.address6).find_map(|text| address(text))),
        bmc_firmware: bmc.and_then(|bmc| shown(&bmc.firmware)),
        board_serial: facts.board.as_ref().and_then(|board| shown(&board.serial)),
        chassis_serial: chassis.and_then(|chassis| shown(&chassis.serial)),
        asset_tag: chassis.and_then(|chassis| shown(&chassis.asset_tag)),
        gpus: facts.gpus.iter().filter_map(|gpu| shown(&gpu.model).or_else(|| shown(&gpu.vendor))).take(MOST_NAMED).collect(),
        each_disk: facts.disks.iter().filter(|disk| disk.removable != Some(true)).take(MOST_NAMED).map(disk).collect(),
        each_nic: facts.nics.iter().take(MOST_NAMED).map(nic).collect(),
    }
}

/// The address that a card keeps, as far as it is one a machine can have.
pub(crate) fn mac(nic: &Nic) -> Option<MacAddr> {
    let usable = |text: &Option<String>| text.as_deref()?.parse().ok().filter(MacAddr::is_a_machines);
    usable(&nic.permanent_mac).or_else(|| usable(&nic.mac))
}

fn disk(disk: &Disk) -> DiskBrief {
    let kind = match (disk.transport.as_deref(), disk.rotational) {
        (Some("nvme"), _) => Some("nvme"),
        (_, Some(true)) => Some("hdd"),
        (_, Some(false)) => Some("ssd"),
        (_, None) => None,
    };
    DiskBrief {
        name: shown(&disk.name).unwrap_or_default(),
        model: shown(&disk.model),
        serial: shown(&disk.serial),
        size_bytes: disk.size_bytes.filter(|bytes| *bytes > 0),
        kind: kind.map(str::to_owned),
        wear_percent: disk.health.as_ref().and_then(|health| health.wear_percent),
        healthy: disk.health.as_ref().and_then(|health| health.passed),
    }
}

fn nic(nic: &Nic) -> NicBrief {
    let mut names = vec![];
    if let Some(known) = &nic.names {
        for name in [&known.chosen, &known.onboard, &known.slot, &known.path, &known.mac].into_iter().filter_map(shown) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let neighbour = neighbour(&nic.neighbours);
    NicBrief {
        name: shown(&nic.name).unwrap_or_default(),
        names,
        mac: mac(nic),
        driver: shown(&nic.driver),
        link: nic.link,
        speed_mbit: some(nic.speed_mbit),
        most_speed_mbit: some(nic.most_speed_mbit),
        switch: neighbour.and_then(|neighbour| shown(&neighbour.system).or_else(|| shown(&neighbour.chassis))),
        port: neighbour.and_then(port),
    }
}

/// The switch among what was heard on a cable: a hypervisor or a phone in between speaks LLDP, too.
fn neighbour(heard: &[Neighbour]) -> Option<&Neighbour> {
    let forwards = |neighbour: &&Neighbour| neighbour.capabilities.iter().any(|can| can == "bridge" || can == "router");
    heard.iter().find(forwards).or_else(|| heard.first())
}

/// What is printed beside the port: an address there tells nobody where to plug in.
fn port(neighbour: &Neighbour) -> Option<String> {
    let (id, described) = (shown(&neighbour.port), shown(&neighbour.port_description));
    let only_an_address = neighbour.port_kind.as_deref() == Some("mac_address");
    if only_an_address { described.or(id) } else { id.or(described) }
}

/// The size of a disk that an operating system could be written to.
fn holds_a_system(disk: &Disk) -> Option<u64> {
    disk.size_bytes.filter(|bytes| *bytes > 0 && disk.removable != Some(true))
}

/// An address at which something can be reached.
fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
}

fn some(number: Option<u32>) -> Option<u32> {
    number.filter(|number| *number > 0)
}

fn shown(text: &Option<String>) -> Option<String> {
    let text = text.as_deref()?.trim();
    if text.len() <= LONGEST_SHOWN && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    Some(printable(text, LONGEST_SHOWN))
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// A machine in half a line, for people.
pub(crate) fn in_words(summary: &Summary) -> String {
    let name = [&summary.vendor, &summary.product].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    let many = |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let parts = [
        (!name.is_empty()).then_some(name),
        summary.cpu_threads.map(|threads| many(threads, "CPU thread")),
        summary.memory_bytes.map(|bytes| format!("{} of memory", size(bytes))),
        summary.disks.map(|disks| many(disks, "disk")),
        summary.nics.map(|nics| many(nics, "network card")),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if text.is_empty() { "nothing that a summary could show".into() } else { text }
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes / MIB {
        mib if mib < 4096 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib / 1024),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(facts: Value) -> Summary {
        summary(&serde_json::from_value(facts).unwrap(), &[])
    }

    #[test]
    fn a_server_is_summed_up_whole() {
        let report: Value = serde_json::from_str(include_str!("fixtures/server.json")).unwrap();
        let found = of(report["facts"].clone());
        let disk = |n: u32| DiskBrief {
            name: format!("nvme{n}n1"),
            model: Some("ELM PM9A3 3.84TB".into()),
            serial: Some(format!("S6EVNX0T{n:06}")),
            size_bytes: Some(3_840_755_982_336),
            kind: Some("nvme".into()),
            wear_percent: Some(n),
            healthy: Some(true),
        };
        let nic = |n: u32| NicBrief {
            name: format!("eth{n}"),
            names: vec![format!("ens3f{n}np{n}"), format!("enp65s0f{n}np{n}"), format!("enx3cecef10000{}", n + 1)],
            mac: format!("3c:ec:ef:10:00:0{}", n + 1).parse().ok(),
            driver: Some("ice".into()),
            link: Some(true),
            speed_mbit: Some(25_000),
            most_speed_mbit: Some(25_000),
            switch: Some(format!("sw{}", n + 1)),
            port: Some("Ethernet12".into()),
        };
        let expected = Summary {
            vendor: Some("Oak Systems".into()),
            product: Some("R7240".into()),
            cpu_model: Some("AMD EPYC 9354 32-Core Processor".into()),
            cpu_threads: Some(128),
            cpu_cores: Some(64),
            cpu_sockets: Some(2),
            memory_bytes: Some(540_665_667_584),
            memory_installed_bytes: Some(549_755_813_888),
            memory_corrected_errors: Some(0),
            memory_uncorrected_errors: Some(0),
            dimms: Some(8),
            disks: Some(4),
            disk_bytes: Some(4 * 3_840_755_982_336),
            nics: Some(2),
            firmware: Some(Firmware::Uefi),
            firmware_version: Some("2.19.1".into()),
            secure_boot: Some(true),
            tpm: Some("2.0".into()),
            bmc_address: "10.20.1.11".parse().ok(),
            bmc_firmware: Some("2.86".into()),
            board_serial: Some(".OAK7240-0001.CN0042.".into()),
            chassis_serial: Some("OAK7240-0001".into()),
            asset_tag: Some("R1-U12".into()),
            gpus: vec!["F40 48 GB".into()],
            each_disk: (0..4).map(disk).collect(),
            each_nic: (0..2).map(nic).collect(),
        };
        assert_eq!(found, expected);
        assert_eq!(in_words(&found), "Oak Systems R7240, 128 CPU threads, 503 GiB of memory, 4 disks, 2 network cards");
    }

    #[test]
    fn what_counts_as_a_disk_could_hold_a_system() {
        let disks = json!([
            { "name": "sda", "size_bytes": 1000, "rotational": true },
            { "name": "sdb", "size_bytes": 500, "removable": true },
            { "name": "sdc", "size_bytes": 0 },
            { "name": "sdd", "rotational": false },
        ]);
        let found = of(json!({ "disks": disks }));
        assert_eq!((found.disks, found.disk_bytes), (Some(1), Some(1000)));
        let named: Vec<_> = found.each_disk.iter().map(|disk| (disk.name.as_str(), disk.size_bytes, disk.kind.as_deref())).collect();
        assert_eq!(named, [("sda", Some(1000), Some("hdd")), ("sdc", None, None), ("sdd", None, Some("ssd"))]);
    }

    #[test]
    fn the_switch_at_the_other_end_is_named_as_a_person_finds_it() {
        let at = |neighbours: Value| {
            let nic = of(json!({ "nics": [{ "name": "eth0", "neighbours": neighbours }] })).each_nic.remove(0);
            (nic.switch.unwrap_or_default(), nic.port.unwrap_or_default())
        };
        let cases = [
            (json!([]), ("", "")),
            (json!([{ "system": "sw1", "port": "Ethernet4", "port_description": "to w1" }]), ("sw1", "Ethernet4")),
            (json!([{ "chassis": "c4:ca:2b:00:00:01", "port": "7" }]), ("c4:ca:2b:00:00:01", "7")),
            (
                json!([{ "system": "sw1", "port_kind": "mac_address", "port": "c4:ca:2b:00:00:02", "port_description": "gi1/0/4" }]),
                ("sw1", "gi1/0/4"),
            ),
            (
                json!([{ "system": "phone", "capabilities": ["telephone"] }, { "system": "sw1", "port": "4", "capabilities": ["bridge"] }]),
                ("sw1", "4"),
            ),
            (json!([{ "system": "a\u{1b}[2J", "port": " 4 " }]), ("a\\u{1b}[2J", "4")),
        ];
        for (neighbours, (switch, port)) in cases {
            assert_eq!(at(neighbours.clone()), (switch.to_owned(), port.to_owned()), "{neighbours}");
        }
    }

    #[test]
    fn what_is_named_is_bounded_and_what_is_counted_is_not() {
        let found = of(
            json!({ "disks": vec![json!({ "size_bytes": 1 }); 300], "nics": vec![json!({}); 300], "gpus": vec![json!({ "model": "x" }); 300] }),
        );
        assert_eq!((found.disks, found.nics), (Some(300), Some(300)));
        assert_eq!((found.each_disk.len(), found.each_nic.len(), found.gpus.len()), (MOST_NAMED, MOST_NAMED, MOST_NAMED));
    }
}
