//! What the agent says of a machine, as functions of values.

use inventory_wire::{Accepted, Facts, Neighbour, Nic};

/// Who the machine is: `this is VM-0001, QEMU Standard PC (i440FX + PIIX, 1996)`.
pub fn introduction(facts: &Facts) -> String {
    let system = facts.system.clone().unwrap_or_default();
    let serial = system.serial.unwrap_or_else(|| "a machine without a serial number".into());
    let model = match (system.manufacturer, system.product) {
        (Some(maker), Some(product)) if product.starts_with(&maker) => product,
        (Some(maker), Some(product)) => format!("{maker} {product}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => "of unknown make".into(),
    };
    format!("this is {serial}, {model}")
}

/// What it has: `1 processor with 4 cores, 64 GiB memory, 2 disks, 1 network card`.
pub fn counts(facts: &Facts) -> String {
    let cpu = facts.cpu.clone().unwrap_or_default();
    let processors = match (cpu.sockets, cpu.cores) {
        (Some(sockets), Some(cores)) => format!("{} with {}", counted(sockets as usize, "processor"), counted(cores as usize, "core")),
        _ => "an unknown number of processors".into(),
    };
    let memory = facts.memory.clone().unwrap_or_default();
    let memory =
        memory.installed_bytes.or(memory.usable_bytes).map_or("an unknown amount of memory".into(), |b| format!("{} memory", gib(b)));
    format!("{processors}, {memory}, {}, {}", counted(facts.disks.len(), "disk"), counted(facts.nics.len(), "network card"))
}

/// The service's answer to a report.
pub fn accepted(url: &str, accepted: &Accepted) -> String {
    let name = accepted.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("reported to {url}, I am node {}{name}", accepted.node)
}

/// Who is at the other ends of the cables: `eth0 is plugged into sw1, port 14; nobody speaks on eth1`.
pub fn neighbours(facts: &Facts) -> String {
    let one = |nic: &Nic| {
        let name = nic.name.as_deref().unwrap_or("a card without a name");
        let ends: Vec<String> = nic.neighbours.iter().map(end).collect();
        if ends.is_empty() { format!("nobody speaks LLDP on {name}") } else { format!("{name} is plugged into {}", ends.join(" and ")) }
    };
    facts.nics.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn end(neighbour: &Neighbour) -> String {
    let switch = neighbour.system.as_ref().or(neighbour.chassis.as_ref());
    let port = neighbour.port.as_deref().unwrap_or("unknown");
    format!("{}, port {port}", switch.map_or("something without a name", String::as_str))
}

/// An error and what caused it, the cause not repeated where the error already says it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

fn gib(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10 + (1 << 29)) >> 30;
    if tenths % 10 == 0 { format!("{} GiB", tenths / 10) } else { format!("{}.{} GiB", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory_wire::{Cpu, Disk, Memory, System};

    fn text(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn a_machine_introduces_itself() {
        let system = System {
            serial: text("VM-0001"),
            manufacturer: text("QEMU"),
            product: text("Standard PC (i440FX + PIIX, 1996)"),
            ..System::default()
        };
        let facts = |system| Facts { system: Some(system), ..Facts::default() };
        assert_eq!(introduction(&facts(system.clone())), "this is VM-0001, QEMU Standard PC (i440FX + PIIX, 1996)");
        let same = System { manufacturer: text("Intel"), product: text("Intel NUC"), ..system };
        assert_eq!(introduction(&facts(same)), "this is VM-0001, Intel NUC");
        assert_eq!(introduction(&Facts::default()), "this is a machine without a serial number, of unknown make");
    }

    #[test]
    fn what_it_has_is_counted() {
        let facts = Facts {
            cpu: Some(Cpu { sockets: Some(1), cores: Some(1), ..Cpu::default() }),
            memory: Some(Memory { installed_bytes: Some(512 << 20), ..Memory::default() }),
            disks: vec![Disk::default()],
            nics: vec![Nic::default(), Nic::default()],
            ..Facts::default()
        };
        assert_eq!(counts(&facts), "1 processor with 1 core, 0.5 GiB memory, 1 disk, 2 network cards");
        assert_eq!(counts(&Facts::default()), "an unknown number of processors, an unknown amount of memory, no disk, no network card");
        assert_eq!(gib(64 << 30), "64 GiB");
        assert_eq!(gib(u64::MAX), "17179869184 GiB");
    }

    #[test]
    fn neighbours_are_named_as_on_the_label_of_the_cable() {
        let neighbour = Neighbour { system: text("sw1"), chassis: text("52:54:00:00:00:01"), port: text("14"), ..Neighbour::default() };
        let nameless = Neighbour { system: None, ..neighbour.clone() };
        let nic = |name, neighbours| Nic { name: text(name), neighbours, ..Nic::default() };
        let facts = Facts { nics: vec![nic("eth0", vec![neighbour, nameless]), nic("eth1", vec![])], ..Facts::default() };
        let expected = "eth0 is plugged into sw1, port 14 and 52:54:00:00:00:01, port 14; nobody speaks LLDP on eth1";
        assert_eq!(neighbours(&facts), expected);
    }

    #[test]
    fn the_answer_names_the_node() {
        let node = Accepted { node: "0189".into(), name: text("w1") };
        assert_eq!(accepted("https://10.20.0.1:8444", &node), "reported to https://10.20.0.1:8444, I am node 0189 (w1)");
        assert_eq!(accepted("https://[::1]", &Accepted { name: None, ..node }), "reported to https://[::1], I am node 0189");
    }
}
