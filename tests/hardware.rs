//! A machine with what servers have, seen down to the module, the disk's health and the cable; compared with a site; changed
//! under the agent's eyes; tested. Real firmware, real drivers, a real LLDP sender. Needs root, QEMU and the ramdisk.
#![allow(missing_docs, clippy::unwrap_used)]

mod journey;

use journey::{Journey, boot_files, wait};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(240);

const SITE: &str = r#"
[site]
name = "lab"

[network.provision]
interface = "prov0"
subnet = "10.20.0.0/24"
gateway = "10.20.0.1"
dns = ["10.20.0.1"]
pool = "10.20.0.100-10.20.0.199"

[[switch]]
name = "sw1"

[[switch]]
name = "sw2"

[profile.worker]
expects = { memory = ">= 8 GiB", nics = ">= 2", disks = ">= 3" }
tests = ["memory"]

# Machine 1 is plugged into port 1 of both switches; the list of what was ordered says unit 2.
[rack.r1]
profile = "worker"
switches = ["sw1", "sw2"]
cabling = "unit N: eth0 -> sw1/N, eth1 -> sw2/N"
nodes = "r1.csv"
"#;

fn item<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    list.as_array().and_then(|items| items.iter().find(|item| item[key] == value)).unwrap_or(&Value::Null)
}

/// How long the machine took from its first sentence in user space to its first report. Other work on this computer takes
/// processors away from the machine; that time, which the kernel tells of QEMU's threads, is not the machine's.
struct FirstReport;

impl FirstReport {
    fn of(journey: &Journey) -> std::thread::JoinHandle<Duration> {
        let machine = journey.lab().status().machines.remove(0);
        let lab::ProcessState::Running { pid } = machine.process else { panic!("the machine does not run") };
        std::thread::spawn(move || {
            let says = |what: &str| {
                let log = || String::from_utf8_lossy(&std::fs::read(&machine.serial_log).unwrap_or_default()).contains(what);
                wait(what, LIMIT, log);
                (Instant::now(), waits_for_processors(pid))
            };
            let (begin, end) = (says("prepares this machine"), says("reported to"));
            let waited = end.1.iter().map(|(thread, waited)| waited.saturating_sub(begin.1.get(thread).copied().unwrap_or_default()));
            end.0.duration_since(begin.0).saturating_sub(waited.max().unwrap_or_default())
        })
    }
}

/// By thread, since its start (`/proc/PID/task/*/schedstat`, second number, nanoseconds).
fn waits_for_processors(pid: u32) -> BTreeMap<std::ffi::OsString, Duration> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let waited = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        Some((thread.file_name(), Duration::from_nanos(stat.split(' ').nth(1)?.parse().ok()?)))
    });
    waited.collect()
}

#[test]
fn a_server_is_seen_verified_watched_and_tested() {
    let journey = Journey::new();
    let site = journey.base.path().join("site");
    std::fs::create_dir_all(&site).unwrap();
    std::fs::write(site.join("site.toml"), SITE).unwrap();
    std::fs::write(site.join("r1.csv"), "name,unit,serial,bmc\nw1,2,VM-0001,10.20.1.11\n").unwrap();
    let arguments = ["lab", "up", "--name", &journey.name, "--nodes", "1", "--server", "--accel", "tcg"];
    let files = boot_files();
    let site = site.to_str().unwrap();
    let up = journey.overture(&[&arguments[..], &["--boot-files", &files, "--site", site, "--no-wait"]].concat());
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));

    let first_report = FirstReport::of(&journey);
    wait("the machine to report", LIMIT, || journey.node("VM-0001").is_some());
    let show = || journey.ask(&["nodes", "show", "w1"]).unwrap();
    // What takes longer to find out amends the first report.
    let complete = |node: &Value| {
        let facts = &node["facts"];
        let heard = |nic: &str| item(&facts["nics"], "name", nic)["neighbours"].as_array().is_some_and(|all| !all.is_empty());
        let healthy = |transport: &str| item(&facts["disks"], "transport", transport)["health"]["passed"].is_boolean();
        heard("eth0") && heard("eth1") && healthy("nvme") && healthy("sata") && facts["bmc"].is_object()
    };
    wait("LLDP, SMART and the BMC", LIMIT, || complete(&show()));
    let node = show();
    let facts = &node["facts"];

    // The first report does not wait for any of that.
    let first = journey.ask(&["nodes", "show", "w1", "--at", "1"]).unwrap();
    assert!(first["facts"]["agent"]["user_space_seconds"].is_u64(), "{}", first["facts"]["agent"]);
    let took = first_report.join().unwrap();
    assert!(
        took <= Duration::from_secs(3),
        "the first report came {took:?} after the start of user space, waits for a processor not counted"
    );

    // Board, modules, firmware: as QEMU was told.
    assert_eq!(facts["board"]["serial"], "BRD-0001");
    assert_eq!((&facts["chassis"]["serial"], &facts["chassis"]["asset_tag"]), (&json!("CHS-0001"), &json!("LAB-0001")));
    assert_eq!((&facts["firmware"]["vendor"], &facts["firmware"]["version"]), (&json!("Overture"), &json!("1.4.2")));
    let dimm = &facts["memory"]["dimms"][0];
    assert_eq!(
        (&dimm["part_number"], &dimm["speed_mts"], dimm["size_bytes"].as_u64()),
        (&json!("OV-DDR4-3200"), &json!(3200), Some(512 << 20)),
        "{dimm}"
    );
    // Three disks behind three drivers.
    for (transport, serial) in [("virtio", "OVLAB-0001-A"), ("nvme", "OVLAB-0001-B"), ("sata", "OVLAB-0001-C")] {
        assert_eq!(item(&facts["disks"], "transport", transport)["serial"], serial, "{}", facts["disks"]);
    }
    assert_eq!(item(&facts["disks"], "transport", "nvme")["health"]["wear_percent"], 0);
    assert!(item(&facts["disks"], "transport", "sata")["wwn"].as_str().is_some_and(|wwn| wwn.contains("5000c500")), "{}", facts["disks"]);
    // Cables, by LLDP of a real sender.
    for (nic, switch) in [("eth0", "sw1"), ("eth1", "sw2")] {
        let cable = &item(&facts["nics"], "name", nic)["neighbours"][0];
        assert_eq!(
            (&cable["system"], &cable["port"], &cable["port_description"]),
            (&json!(switch), &json!("Ethernet1"), &json!("vm1")),
            "{cable}"
        );
    }
    // The controller, the buses, the machine's clock.
    assert_eq!(facts["bmc"]["ipmi"], "2.0", "{}", facts["bmc"]);
    assert!(facts["pci"].as_array().unwrap().iter().any(|one| one["class"] == "010802" && one["vendor"].is_string()), "{}", facts["pci"]);
    assert!(facts["clock"]["ahead_ms"].is_i64(), "{}", facts["clock"]);
    assert!(facts["nics"][0]["names"]["chosen"].is_string(), "{}", facts["nics"]);

    // Found by what it has, as people type it.
    for (filter, found) in [
        ("disks[kind = nvme and size > 4GB] and nics.switch = sw2 and stage = discovered", 1),
        ("memory.dimms = 1 and board.serial = BRD-0001", 1),
        ("facts.memory.dimms.part_number ~ ddr4", 1),
        ("rack = r1 and unit = 2", 1),
        ("disks.size > 1TB", 0),
    ] {
        let list = journey.ask(&["nodes", "list", filter]).unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{filter}");
    }

    // Against the site: another port, too little memory, a test that is demanded.
    let verified = journey.overture(&["nodes", "verify"]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert_eq!(verified.status.code(), Some(1), "{told}");
    for part in ["w1: eth0 is plugged into sw1/1, expected sw1/2", "memory", "demands a passed memory test"] {
        assert!(told.contains(part), "{part}: {told}");
    }

    // Every disk is read, every processor computes, no part fails; then the profile has nothing to demand.
    let tested = journey.overture(&["nodes", "test", "w1", "--all", "--for", "5s", "--wait"]);
    let said = String::from_utf8_lossy(&tested.stdout).into_owned();
    assert!(tested.status.success(), "{said}{}", String::from_utf8_lossy(&tested.stderr));
    for part in ["memory", "cpu", "nvme0n1", "eth0"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let told = String::from_utf8(journey.overture(&["nodes", "verify", "w1"]).stdout).unwrap();
    assert!(!told.contains("demands"), "{told}");

    // A cable is pulled, at both ends: told within seconds, and remembered.
    let before = show()["reports"].as_u64().unwrap();
    assert!(journey.overture(&["lab", "cable", "--name", &journey.name, "vm1", "2", "pull"]).status.success());
    wait("the pulled cable to be reported", LIMIT, || item(&show()["facts"]["nics"], "name", "eth1")["link"] == json!(false));
    let changed = String::from_utf8(journey.overture(&["nodes", "diff", "w1", "--from", &before.to_string()]).stdout).unwrap();
    assert!(changed.contains("eth1") && changed.contains("link"), "{changed}");
    let history = journey.ask(&["nodes", "history", "w1"]).unwrap();
    let reports = history["items"].as_array().unwrap();
    assert!(reports.iter().any(|report| report["amends"] == true) && reports.iter().any(|report| report["changed"] == true), "{history}");
    let then = journey.ask(&["nodes", "show", "w1", "--at", &before.to_string()]).unwrap();
    assert_eq!(item(&then["facts"]["nics"], "name", "eth1")["link"], true, "what was is still told");
}
