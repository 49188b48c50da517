//! The first journey, with real firmware: one BIOS and one UEFI machine from power-on to the inventory, while the
//! service is killed and started again; then a reboot by order. Needs root, QEMU and the ramdisk (`make test`).
#![allow(missing_docs, clippy::unwrap_used)]

mod journey;

use journey::{Journey, boot_files, count, wait};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const BIOS: &str = "VM-0001";
const UEFI: &str = "VM-0002";

#[test]
fn machines_are_switched_on_and_stand_in_the_inventory_although_the_service_is_killed() {
    let journey = Journey::new();
    let up = journey.overture(&[
        "lab",
        "up",
        "--name",
        &journey.name,
        "--nodes",
        "1",
        "--uefi",
        "1",
        "--accel",
        "tcg",
        "--boot-files",
        &boot_files(),
        "--no-wait",
    ]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let (bios_mac, uefi_mac) = ("52:54:00:aa:01:01", "52:54:00:aa:02:01");
    let limit = Duration::from_secs(240);

    // In the middle: the BIOS machine has its ticket and its ramdisk, the UEFI machine is somewhere between.
    wait("the BIOS machine to load its ramdisk", limit, || count(&journey.steps(bios_mac), "http", "file", "ramdisk") == 1);
    let leases = journey.leases();
    assert!(leases.iter().any(|(mac, _)| mac == bios_mac));
    journey.kill_and_start_again();
    assert!(leases.iter().all(|lease| journey.leases().contains(lease)), "a lease was forgotten");

    wait("both machines to report", limit, || journey.node(BIOS).is_some() && journey.node(UEFI).is_some());
    let (bios, uefi) = (journey.node(BIOS).unwrap(), journey.node(UEFI).unwrap());
    for (node, firmware, mac, disk) in [(&bios, "bios", bios_mac, "OVLAB-0001-A"), (&uefi, "uefi", uefi_mac, "OVLAB-0002-A")] {
        assert_eq!(node["firmware"], firmware);
        assert_eq!(node["macs"], serde_json::json!([mac]));
        assert_eq!((node["disks"].as_u64(), node["disk_bytes"].as_u64()), (Some(1), Some(4 << 30)));
        assert!(node["memory_bytes"].as_u64().unwrap() > 300 << 20, "{node}");
        let detail = journey.ask(&["nodes", "show", node["id"].as_str().unwrap()]).unwrap();
        let (nic, found) = (&detail["facts"]["nics"][0], &detail["facts"]["disks"][0]);
        assert_eq!(
            (nic["driver"].as_str(), nic["permanent_mac"].as_str(), nic["link"].as_bool()),
            (Some("virtio_net"), Some(mac), Some(true))
        );
        assert_eq!(
            (found["serial"].as_str(), found["transport"].as_str(), found["size_bytes"].as_u64()),
            (Some(disk), Some("virtio"), Some(4 << 30))
        );
        // A virtual disk's kernel flag says nothing true, and it has no WWN: gaps with a reason, not invented facts.
        for path in ["disks.vda.rotational", "disks.vda.wwn"] {
            let gap = detail["gaps"].as_array().unwrap().iter().find(|gap| gap["path"] == path);
            assert!(gap.is_some_and(|gap| gap["reason"].as_str().is_some_and(|reason| reason.len() > 10)), "{path}: {}", detail["gaps"]);
        }
        assert_eq!(detail["facts"]["system"]["uuid"], node["uuid"]);
        assert!(detail["facts"]["cpu"]["model"].is_string() && detail["facts"]["kernel"]["release"].is_string());
    }

    // What was said before the kill is still explained, and a boot has one exchange for iPXE and no loop.
    let steps = journey.steps(BIOS);
    assert_eq!(count(&steps, "dhcp", "discover", "as iPXE"), 1, "{steps:#?}");
    assert_eq!(count(&steps, "dhcp", "discover", "as PXE firmware"), 0, "{steps:#?}");
    assert_eq!(count(&steps, "http", "file", "loaded ramdisk"), 1, "{steps:#?}");
    // One at once, one when all have answered; the neighbours amend them. Each counts, none repeats for ever.
    let reports = count(&steps, "agent", "report", "");
    assert!((1..=4).contains(&reports), "{steps:#?}");

    // The service is killed once more; nothing that was answered is forgotten, and the agents come back by themselves.
    journey.kill_and_start_again();
    assert_eq!(journey.node(BIOS).unwrap()["id"], bios["id"]);
    assert_eq!(journey.node(UEFI).unwrap()["facts"], uefi["facts"]);
    for (reference, name) in [(BIOS, "w1"), (UEFI, "w2")] {
        assert!(journey.overture(&["nodes", "name", reference, name]).status.success());
        assert!(journey.overture(&["nodes", "order", name, "reboot"]).status.success());
    }
    let second = |serial: &str, before: &Value| {
        journey.node(serial).is_some_and(|node| node["boot"] != before["boot"] && node["reports"].as_u64() > before["reports"].as_u64())
    };
    wait("both machines to restart and report", limit, || second(BIOS, &bios) && second(UEFI, &uefi));
    for (serial, name, before) in [(BIOS, "w1", &bios), (UEFI, "w2", &uefi)] {
        let node = journey.node(serial).unwrap();
        assert_eq!(
            (&node["id"], &node["address"], node["name"].as_str()),
            (&before["id"], &before["address"], Some(name)),
            "the same node, address and name"
        );
        assert!(node["order"]["taken"].is_string(), "{node}");
    }
    assert_eq!(journey.nodes().len(), 2);

    // A whole boot without a disturbance: one DHCP exchange for firmware, one for iPXE, one for the ramdisk.
    let steps = journey.steps("w2");
    for (protocol, event, part, times) in [
        ("dhcp", "discover", "as PXE firmware", 1),
        ("dhcp", "discover", "as iPXE", 1),
        ("dhcp", "discover", "as a running system", 1),
        ("dhcp", "ack", "", 3),
        ("dhcp", "nak", "", 0),
        ("tftp", "file", "snponly.efi", 1),
        ("http", "ticket", "", 1),
        ("http", "file", "vmlinuz", 1),
        ("http", "file", "loaded ramdisk", 1),
    ] {
        assert_eq!(count(&steps, protocol, event, part), times, "{protocol} {event} {part}: {steps:#?}");
    }

    // On its serial line the agent says in sentences what it does, and never its ticket.
    let said = String::from_utf8_lossy(&std::fs::read(journey.folder().join("nodes/vm1/serial.log")).unwrap()).into_owned();
    for sentence in [
        "overture: looking at the hardware",
        "overture: this is VM-0001",
        "overture: reported to https://10.20.0.1:8444",
        "overture: waiting for orders",
    ] {
        assert!(said.contains(sentence), "{sentence}");
    }
    assert!(!said.contains("overture.ticket="), "the ticket stands on the serial line");

    // The other orders: one switches itself off, one is sent to its disk until that is taken back.
    assert!(journey.overture(&["nodes", "order", "w2", "power-off"]).status.success());
    assert!(journey.overture(&["nodes", "order", "w1", "local-disk"]).status.success());
    let state = |number: usize| journey.ask(&["lab", "status", "--name", &journey.name]).unwrap()["machines"][number]["state"].clone();
    wait("the UEFI machine to switch off", limit, || state(1) == "exited");
    let to_disk = || {
        journey
            .steps("w1")
            .iter()
            .any(|(protocol, event, message)| protocol == "http" && event == "script" && message.contains("serial VM-0001"))
    };
    let no_ramdisk = || count(&journey.steps("w1"), "http", "file", "loaded ramdisk") == 0;
    wait("the BIOS machine to be sent to its disk", limit, || to_disk() && no_ramdisk());
    let explained = String::from_utf8(journey.overture(&["explain", "w1"]).stdout).unwrap();
    assert!(explained.contains("the operator ordered this node to its local disk"), "{explained}");
    let before = journey.node(BIOS).unwrap();
    assert!(journey.overture(&["nodes", "order", "w1", "wait"]).status.success());
    assert!(journey.overture(&["lab", "power", "--name", &journey.name, "vm1", "reset"]).status.success());
    wait("the BIOS machine to be back in the ramdisk", limit, || second(BIOS, &before));

    let down = journey.overture(&["lab", "down", "--name", &journey.name]);
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(!journey.folder().exists());
    let namespaces = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&namespaces.stdout).contains(&format!("ov-{}-", journey.name)));
}
