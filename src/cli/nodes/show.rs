//! One node: what it is, its parts and cables, and what could not be found out.

use super::path;
use crate::api::views::NodeDetail;
use crate::cli::client::{Client, segment};
use crate::cli::output::{ago, bytes, moment, or_dash, print, print_json};
use crate::cli::{Failure, Format, Output};
use crate::count;
use domain::Timestamp;
use domain::timeline::printable;
use serde_json::Value;

pub async fn run(client: &Client, node: &str, at: Option<&str>, format: Format) -> Result<(), Failure> {
    let query = at.map(segment).transpose()?.map(|at| format!("?at={at}")).unwrap_or_default();
    let node: NodeDetail = client.get(&(path(node)? + &query)).await?;
    match format.output {
        Output::Json => print_json(&node),
        Output::Table => print(&detail(&node, Timestamp::now())),
    }
    Ok(())
}

/// Lines of a title and what belongs to it.
struct Lines(Vec<(&'static str, String)>);

impl Lines {
    fn add(&mut self, title: &'static str, value: impl Into<String>) {
        self.0.push((title, value.into()));
    }

    /// What is known of some parts; nothing when none of them is.
    fn add_known(&mut self, title: &'static str, parts: impl IntoIterator<Item = Option<String>>) {
        let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            self.add(title, parts.join("  "));
        }
    }

    fn text(self) -> String {
        self.0.into_iter().map(|(title, value)| format!("{title:<11} {}\n", printable(&value, 300))).collect()
    }
}

fn text(value: &Value, field: &str) -> Option<String> {
    match &value[field] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn size(value: &Value, field: &str) -> Option<String> {
    value[field].as_u64().map(bytes)
}

fn after(word: &str, value: Option<String>) -> Option<String> {
    value.map(|value| format!("{word} {value}"))
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

/// A machine in half a line.
pub fn in_short(detail: &NodeDetail) -> String {
    let facts = &detail.facts;
    let parts = [
        text(&facts["system"], "manufacturer"),
        text(&facts["system"], "product"),
        facts["cpu"]["threads"].as_u64().map(|threads| count(usize::try_from(threads).unwrap_or(usize::MAX), "thread")),
        size(&facts["memory"], "usable_bytes"),
        Some(count(items(facts, "disks").count(), "disk")),
        Some(count(items(facts, "nics").count(), "network card")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn detail(detail: &NodeDetail, now: Timestamp) -> String {
    let (node, facts) = (&detail.node, &detail.facts);
    let mut lines = Lines(vec![]);
    lines.add("name", or_dash(node.name.as_ref()));
    lines.add("id", node.id.clone());
    lines.add("stage", node.stage.clone());
    if let Some(place) = &node.place {
        let unit = place.unit.map_or(String::new(), |unit| format!(", unit {unit}"));
        lines.add("place", format!("rack {}{unit} ({})", place.rack, place.from));
    }
    lines.add_known("owner", [node.owner.clone()]);
    lines.add_known("tags", [Some(node.tags.join(" "))]);
    lines.add_known("note", [node.note.clone()]);
    let machine: Vec<_> = [node.vendor.clone(), node.product.clone()].into_iter().flatten().collect();
    lines.add("machine", if machine.is_empty() { "-".into() } else { machine.join(" ") });
    lines.add("serial", or_dash(node.serial.as_ref()));
    lines.add("uuid", or_dash(node.uuid.as_ref()));
    for (title, part) in [("board", "board"), ("chassis", "chassis")] {
        let part = &facts[part];
        lines.add_known(
            title,
            [
                text(part, "manufacturer"),
                text(part, "product"),
                text(part, "version"),
                after("serial", text(part, "serial")),
                after("asset", text(part, "asset_tag")),
            ],
        );
    }
    lines.add("address", or_dash(node.address.as_ref()));
    firmware(&mut lines, detail);
    processor(&mut lines, detail);
    memory(&mut lines, detail);
    items(facts, "controllers").for_each(|one| {
        lines.add_known(
            "controller",
            [
                text(one, "pci"),
                text(one, "kind"),
                text(one, "vendor"),
                text(one, "model"),
                text(one, "driver"),
                after("firmware", text(one, "firmware")),
            ],
        );
    });
    items(facts, "disks").for_each(|one| disk(&mut lines, one));
    items(facts, "nics").for_each(|one| nic(&mut lines, one));
    items(facts, "gpus").for_each(|one| {
        lines.add_known("gpu", [text(one, "pci"), text(one, "vendor"), text(one, "model"), size(one, "memory_bytes"), text(one, "driver")]);
    });
    let pci = items(facts, "pci").count();
    if pci > 0 {
        lines.add("pci", format!("{} (--output json lists them)", count(pci, "function")));
    }
    let bmc = &facts["bmc"];
    lines.add_known(
        "bmc",
        [
            text(bmc, "address"),
            text(bmc, "address_source"),
            text(bmc, "mac"),
            after("firmware", text(bmc, "firmware")),
            after("IPMI", text(bmc, "ipmi")),
        ],
    );
    lines.add_known("tpm", [after("version", text(&facts["tpm"], "version")), text(&facts["tpm"], "manufacturer")]);
    sensors(&mut lines, facts);
    if let Some(ahead) = facts["clock"]["ahead_ms"].as_i64() {
        let word = if ahead < 0 { "behind" } else { "ahead" };
        lines.add(
            "clock",
            format!("{:.1} s {word}, to within {} ms", ahead.unsigned_abs() as f64 / 1000.0, or_dash(text(&facts["clock"], "within_ms"))),
        );
    }
    seen(&mut lines, detail, now);
    for gap in &detail.gaps {
        lines.add("gap", format!("{}: {}", gap.path, gap.reason));
    }
    lines.text()
}

fn firmware(lines: &mut Lines, detail: &NodeDetail) {
    let firmware = &detail.facts["firmware"];
    let secure = match firmware["secure_boot"].as_bool() {
        Some(true) => Some("Secure Boot on".to_owned()),
        Some(false) => Some("Secure Boot off".to_owned()),
        None => None,
    };
    lines.add_known(
        "firmware",
        [
            text(firmware, "kind").or(detail.node.firmware.clone()),
            text(firmware, "vendor"),
            text(firmware, "version"),
            text(firmware, "date"),
            secure,
        ],
    );
    let current = text(firmware, "boot_current");
    for entry in items(firmware, "boot_entries") {
        let number = text(entry, "number");
        let mark = if number.is_some() && number == current { Some("(booted)".to_owned()) } else { None };
        let off = (entry["active"].as_bool() == Some(false)).then(|| "(off)".to_owned());
        lines.add_known("boot entry", [number, text(entry, "label"), text(entry, "path"), mark, off]);
    }
}

fn processor(lines: &mut Lines, detail: &NodeDetail) {
    let (node, cpu) = (&detail.node, &detail.facts["cpu"]);
    let many = |number: Option<u32>, what: &str| number.map(|number| count(usize::try_from(number).unwrap_or(usize::MAX), what));
    lines.add_known(
        "processor",
        [
            node.cpu_model.clone(),
            many(node.cpu_sockets, "socket"),
            many(node.cpu_cores, "core"),
            many(node.cpu_threads, "thread"),
            after("microcode", text(cpu, "microcode")),
        ],
    );
    let numa: Vec<_> = items(cpu, "numa").collect();
    if numa.len() > 1 {
        numa.iter().for_each(|one| {
            lines.add_known("numa node", [text(one, "id"), after("threads", text(one, "cpus")), size(one, "memory_bytes")])
        });
    }
}

fn memory(lines: &mut Lines, detail: &NodeDetail) {
    let memory = &detail.facts["memory"];
    let slots = (memory["slots"].as_u64(), items(memory, "dimms").count());
    let filled = slots.0.map(|slots_there| format!("{} of {slots_there} slots filled", slots.1));
    let errors =
        |field: &str, word: &str| memory[field].as_u64().filter(|errors| *errors > 0).map(|errors| format!("{errors} {word} errors"));
    let parts: Vec<_> = [
        detail.node.memory_bytes.map(|size| format!("{} usable", bytes(size))),
        size(memory, "installed_bytes").map(|size| format!("{size} plugged in")),
        filled,
        text(memory, "error_correction"),
        errors("corrected_errors", "corrected"),
        errors("uncorrected_errors", "UNCORRECTED"),
    ]
    .into_iter()
    .flatten()
    .collect();
    lines.add("memory", if parts.is_empty() { "-".into() } else { parts.join(", ") });
    for dimm in items(memory, "dimms") {
        let speed = text(dimm, "configured_mts").or(text(dimm, "speed_mts")).map(|speed| format!("{speed} MT/s"));
        let ecc = (dimm["ecc"].as_bool() == Some(true)).then(|| "ECC".to_owned());
        lines.add_known(
            "dimm",
            [
                text(dimm, "slot"),
                size(dimm, "size_bytes"),
                text(dimm, "kind"),
                speed,
                ecc,
                text(dimm, "manufacturer"),
                text(dimm, "part_number"),
                after("serial", text(dimm, "serial")),
            ],
        );
    }
}

fn disk(lines: &mut Lines, disk: &Value) {
    let kind = match (text(disk, "transport").as_deref(), disk["rotational"].as_bool()) {
        (Some("nvme"), _) => Some("nvme".to_owned()),
        (transport, Some(true)) => Some(format!("{} hdd", transport.unwrap_or(""))),
        (transport, Some(false)) => Some(format!("{} ssd", transport.unwrap_or(""))),
        (transport, None) => transport.map(str::to_owned),
    };
    lines.add_known(
        "disk",
        [
            text(disk, "name"),
            size(disk, "size_bytes"),
            kind,
            text(disk, "model"),
            after("serial", text(disk, "serial")),
            after("wwn", text(disk, "wwn")),
            after("firmware", text(disk, "firmware")),
        ],
    );
    let health = &disk["health"];
    let verdict = match health["passed"].as_bool() {
        Some(true) => Some("sound".to_owned()),
        Some(false) => Some("FAILING".to_owned()),
        None => None,
    };
    let warnings: Vec<_> = items(health, "warnings").filter_map(Value::as_str).collect();
    let nonzero = |field: &str, words: &str| health[field].as_u64().filter(|many| *many > 0).map(|many| format!("{many} {words}"));
    lines.add_known(
        "  health",
        [
            verdict,
            text(health, "wear_percent").map(|wear| format!("{wear} % worn")),
            text(health, "spare_percent").map(|spare| format!("{spare} % spare")),
            nonzero("reallocated_sectors", "sectors reallocated"),
            nonzero("pending_sectors", "sectors pending"),
            nonzero("media_errors", "media errors"),
            text(health, "power_on_hours").map(|hours| format!("{hours} h on")),
            text(health, "temperature_celsius").map(|degrees| format!("{degrees} °C")),
            after("self-test", text(health, "self_test")),
            Some(warnings.join(", ")),
        ],
    );
    items(disk, "signatures").for_each(|one| signature(lines, "  holds", None, one));
    for partition in items(disk, "partitions") {
        lines.add_known("  partition", [text(partition, "name"), size(partition, "size_bytes"), text(partition, "label")]);
        items(partition, "signatures").for_each(|one| signature(lines, "    holds", None, one));
    }
}

fn signature(lines: &mut Lines, title: &'static str, before: Option<String>, signature: &Value) {
    lines.add_known(
        title,
        [before, text(signature, "kind"), text(signature, "label"), text(signature, "uuid"), after("of", text(signature, "member_of"))],
    );
}

fn nic(lines: &mut Lines, nic: &Value) {
    let link = match (nic["link"].as_bool(), nic["speed_mbit"].as_u64()) {
        (Some(true), Some(speed)) => format!("link {speed} Mbit/s"),
        (Some(true), None) => "link".into(),
        (Some(false), _) => "no link".into(),
        (None, _) => "link unknown".into(),
    };
    let chosen = text(&nic["names"], "chosen").filter(|name| Some(name.as_str()) != nic["name"].as_str());
    let functions = nic["sriov_most"].as_u64().map(|most| format!("SR-IOV {} of {most}", nic["sriov_now"].as_u64().unwrap_or(0)));
    lines.add_known(
        "nic",
        [
            text(nic, "name"),
            after("udev", chosen),
            text(nic, "permanent_mac").or(text(nic, "mac")),
            Some(link),
            text(nic, "most_speed_mbit").filter(|_| nic["most_speed_mbit"] != nic["speed_mbit"]).map(|most| format!("of {most} Mbit/s")),
            text(nic, "driver"),
            after("firmware", text(nic, "firmware")),
            text(nic, "pci"),
            text(nic, "model"),
            functions,
        ],
    );
    for neighbour in items(nic, "neighbours") {
        let vlan = text(neighbour, "vlan").map(|vlan| format!("VLAN {vlan}"));
        let aggregated = (neighbour["aggregated"].as_bool() == Some(true)).then(|| "aggregated".to_owned());
        lines.add_known(
            "  cable to",
            [
                text(neighbour, "system").or(text(neighbour, "chassis")),
                text(neighbour, "port").map(|port| format!("port {port}")),
                text(neighbour, "port_description"),
                vlan,
                aggregated,
            ],
        );
    }
}

fn sensors(lines: &mut Lines, facts: &Value) {
    let all: Vec<_> = items(facts, "sensors").collect();
    let alarms: Vec<_> = all.iter().filter(|one| one["alarm"].as_bool() == Some(true)).filter_map(|one| text(one, "name")).collect();
    let hottest = all.iter().filter(|one| one["kind"] == "temperature").filter_map(|one| one["value"].as_i64()).max();
    if !all.is_empty() {
        lines.add_known(
            "sensors",
            [
                Some(count(all.len(), "sensor")),
                hottest.map(|value| format!("hottest {} °C", value / 1000)),
                (!alarms.is_empty()).then(|| format!("ALARM: {}", alarms.join(", "))),
            ],
        );
    }
}

fn seen(lines: &mut Lines, detail: &NodeDetail, now: Timestamp) {
    let node = &detail.node;
    let reports = count(usize::try_from(node.reports).unwrap_or(usize::MAX), "report");
    lines.add("seen", format!("first {} ago, last {} ago, {reports}", ago(&node.first_seen, now), ago(&node.last_seen, now)));
    match (&detail.report, &detail.reported) {
        (Some(number), Some(at)) => lines.add("shown", format!("as of report {number}, {}", moment(at))),
        _ => lines.add("shown", "no report is kept of that time"),
    }
    if let Some(order) = &node.order {
        let name = serde_json::to_value(order.order).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let taken = if order.taken.is_some() { "taken" } else { "waits for the agent" };
        lines.add("order", format!("{name}, given {} ago, {taken}", ago(&order.given, now)));
    }
    lines.add("agent key", or_dash(detail.key.as_ref()));
}
