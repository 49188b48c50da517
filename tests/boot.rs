//! The first journey, with real firmware: one BIOS and one UEFI machine from power-on to the inventory, while the
//! service is killed and started again; then a reboot by order. Needs root, QEMU and the ramdisk (`make test`).
#![allow(missing_docs, clippy::unwrap_used)]

use lab::{Lab, LabName};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const BIOS: &str = "VM-0001";
const UEFI: &str = "VM-0002";

struct Journey {
    base: tempfile::TempDir,
    name: String,
}

impl Drop for Journey {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for machine in ["vm1", "vm2"] {
                let log = self.folder().join("nodes").join(machine).join("serial.log");
                eprintln!("--- {machine}\n{}", String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()));
            }
            eprintln!("--- service\n{}", std::fs::read_to_string(self.folder().join("service/log")).unwrap_or_default());
        }
        let _ = self.overture(&["lab", "down", "--name", &self.name]);
    }
}

impl Journey {
    fn new() -> Self {
        Self { base: tempfile::tempdir().unwrap(), name: format!("t{}", std::process::id() % 100_000) }
    }

    fn folder(&self) -> PathBuf {
        self.base.path().join(&self.name)
    }

    fn overture(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_overture"))
            .args(arguments)
            .env("OVERTURE_LAB_DIR", self.base.path())
            .env_remove("OVERTURE_SOCKET")
            .output()
            .unwrap()
    }

    /// What a command says, as JSON; none when it fails.
    fn ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.overture(&[arguments, &["--output", "json"]].concat());
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    fn nodes(&self) -> Vec<Value> {
        self.ask(&["nodes", "list"]).and_then(|nodes| nodes["items"].as_array().cloned()).unwrap_or_default()
    }

    fn node(&self, serial: &str) -> Option<Value> {
        self.nodes().into_iter().find(|node| node["serial"] == serial)
    }

    fn steps(&self, machine: &str) -> Vec<(String, String, String)> {
        let told = self.ask(&["explain", machine]).unwrap_or_default();
        let text = |step: &Value, field: &str| step[field].as_str().unwrap().to_owned();
        let steps = told["boots"][0]["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| (text(step, "protocol"), text(step, "event"), text(step, "message"))).collect()
    }

    fn leases(&self) -> Vec<(String, String)> {
        let leases = self.ask(&["leases"]).unwrap();
        let text = |lease: &Value, field: &str| lease[field].as_str().unwrap().to_owned();
        leases["items"].as_array().unwrap().iter().map(|lease| (text(lease, "mac"), text(lease, "address"))).collect()
    }

    fn lab(&self) -> Lab {
        Lab::open(&self.name.parse::<LabName>().unwrap(), self.base.path()).unwrap()
    }

    fn service_pid(&self) -> i32 {
        let status = self.ask(&["lab", "status", "--name", &self.name]).unwrap();
        i32::try_from(status["service"]["pid"].as_i64().unwrap()).unwrap()
    }

    /// Kills the service as a power cut would, and starts it again as it was started.
    fn kill_and_start_again(&self) {
        let service = self.folder().join("service");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.service_pid()), nix::sys::signal::Signal::SIGKILL).unwrap();
        wait("the service to be gone", Duration::from_secs(10), || {
            !matches!(self.lab().status().service, lab::ProcessState::Running { .. })
        });
        std::fs::remove_file(service.join("bound.json")).unwrap();
        let mut serve = Command::new(env!("CARGO_BIN_EXE_overture"));
        serve.arg("serve").arg("--config").arg(service.join("overture.toml")).arg("--bound").arg(service.join("bound.json"));
        self.lab().start_service(&serve).unwrap();
        wait("the service to serve again", Duration::from_secs(30), || service.join("bound.json").exists());
    }
}

fn wait(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn boot_files() -> String {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/boot");
    let folder = std::env::var_os("OVERTURE_BOOT").map_or(default, PathBuf::from);
    assert!(folder.join("ramdisk").exists(), "there is no {}: run `make ramdisk`", folder.join("ramdisk").display());
    let ramdisk = folder.join("ramdisk").metadata().unwrap().len();
    assert!(ramdisk < 20_000_000, "the lab's ramdisk has {ramdisk} bytes, and the machines of a lab have 512 MiB");
    folder.to_str().unwrap().to_owned()
}

fn count(steps: &[(String, String, String)], protocol: &str, event: &str, part: &str) -> usize {
    steps.iter().filter(|(p, e, message)| p == protocol && e == event && message.contains(part)).count()
}

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
    assert_eq!(count(&steps, "agent", "report", ""), 1, "{steps:#?}");

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
        ("agent", "report", "", 1),
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
