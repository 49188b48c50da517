//! Labs that are really made: root, namespaces and QEMU are needed. Each test has a lab or namespaces of its own and
//! removes them also when it fails.

#![allow(clippy::unwrap_used)]

use domain::hardware::Firmware;
use lab::{
    AccelWish, BootPoint, ConsoleError, CreateError, Lab, LabName, Plan, Power, PowerError, ProcessState, StartError, namespace_names,
};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A place for one lab, tidied up whatever happens.
struct Place {
    base: tempfile::TempDir,
    name: LabName,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { base: tempfile::tempdir().unwrap(), name: name.parse().unwrap() }
    }

    fn plan(&self, bios: u32, uefi: u32) -> Plan {
        Plan { name: self.name.clone(), bios, uefi, memory_mib: 128, accel: AccelWish::Tcg, ..Plan::default() }
    }

    fn create(&self, bios: u32, uefi: u32) -> Lab {
        Lab::create(&self.plan(bios, uefi), self.base.path()).unwrap_or_else(|e| panic!("{}", chain(&e)))
    }

    fn folder(&self) -> PathBuf {
        self.base.path().join(self.name.as_str())
    }

    fn down(&self) -> lab::DownReport {
        Lab::down(&self.name, self.base.path(), None).unwrap_or_else(|e| panic!("{}", chain(&e)))
    }

    fn assert_nothing_is_left(&self) {
        for name in namespace_names(&self.name) {
            assert!(!Path::new("/run/netns").join(&name).exists(), "the namespace {name} is left");
        }
        assert!(!self.folder().exists(), "the folder is left");
        let folder = self.folder().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
        let left: Vec<_> =
            processes.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(&folder)).collect();
        assert!(left.is_empty(), "processes are left: {left:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Lab::down(&self.name, self.base.path(), None);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 90 s in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A program that names the lab's folder in its command line and stays.
fn stand_in_for_the_service(lab: &Lab) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "echo started $GREETING; ip -brief address show prov0; exec sleep 600"]).env("GREETING", "hello");
    command.arg(lab.folder().path());
    command
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_machine_is_switched_on_seen_on_its_serial_line_and_taken_down_without_a_trace() {
    let place = Place::new();
    let mut lab = place.create(1, 0);
    let service = lab.start_service(&stand_in_for_the_service(&lab)).unwrap();
    let nodes = lab.start_nodes().unwrap();
    lab.keep();
    let lab_again = Lab::open(&place.name, place.base.path()).unwrap();
    assert_eq!(lab_again.plan(), lab.plan());

    wait_until("iPXE speaks", || lab_again.status().machines[0].point == BootPoint::Ipxe);
    let status = lab_again.status();
    assert_eq!((status.service, status.router), (ProcessState::Running { pid: service }, ProcessState::NotStarted));
    assert_eq!(status.machines[0].process, ProcessState::Running { pid: nodes[0] });
    assert_eq!((status.machines[0].machine.firmware, status.machines[0].machine.serial.as_str()), (Firmware::Bios, "VM-0001"));
    let said = std::fs::read_to_string(lab.folder().service_log()).unwrap();
    assert!(said.contains("started hello") && said.contains("10.20.0.1/24"), "the service runs in its namespace: {said:?}");

    let logs = tempfile::tempdir().unwrap();
    let report = Lab::down(&place.name, place.base.path(), Some(logs.path())).unwrap();
    assert_eq!((report.found, report.ended), (true, 2));
    assert!(!is_running(service) && !is_running(nodes[0]));
    place.assert_nothing_is_left();
    let serial = std::fs::read(logs.path().join("vm1.serial.log")).unwrap();
    assert!(String::from_utf8_lossy(&serial).contains("SeaBIOS"), "the serial line was kept");
    assert!(!place.down().found, "taking down what is not there is no mistake");
}

#[test]
fn power_and_reset_do_what_the_buttons_of_a_machine_do() {
    let place = Place::new();
    let mut lab = place.create(1, 0);
    let first = lab.start_nodes().unwrap()[0];
    assert!(matches!(lab.start_nodes(), Err(StartError::Running(_))));
    let banners = |lab: &Lab| {
        let log = std::fs::read(lab.folder().serial_log("vm1")).unwrap_or_default();
        String::from_utf8_lossy(&log).matches("SeaBIOS").count()
    };
    wait_until("the BIOS speaks", || banners(&lab) == 1);
    lab.power("vm1", Power::Reset).unwrap();
    wait_until("it speaks again", || banners(&lab) == 2);
    assert_eq!(lab.status().machines[0].process, ProcessState::Running { pid: first });

    lab.power("vm1", Power::Off).unwrap();
    assert_eq!(lab.status().machines[0].process, ProcessState::Exited);
    lab.power("vm1", Power::Off).unwrap();
    lab.power("vm1", Power::On).unwrap();
    wait_until("it speaks a third time, and the log was kept", || banners(&lab) == 3);
    assert!(matches!(lab.power("vm7", Power::On), Err(PowerError::NoSuchMachine { .. })));
}

#[test]
fn a_console_is_for_one_visitor_and_for_machines_that_run() {
    let place = Place::new();
    let mut lab = place.create(1, 0);
    assert!(matches!(lab.console("vm1"), Err(ConsoleError::Off { .. })));
    lab.start_nodes().unwrap();
    let mut visitor = UnixStream::connect(lab.folder().console_socket("vm1")).unwrap();
    visitor.read_exact(&mut [0; 1]).unwrap();
    assert!(matches!(lab.console("vm1"), Err(ConsoleError::Busy { .. })));
    let unknown = lab.console("vm\u{1b}9").unwrap_err();
    assert_eq!(unknown.to_string(), "the lab has no machine `vm\\u{1b}9`: its machines are vm1");
}

#[test]
fn a_lab_that_was_not_kept_leaves_nothing() {
    let place = Place::new();
    let mut lab = place.create(1, 0);
    let service = lab.start_service(&stand_in_for_the_service(&lab)).unwrap();
    let node = lab.start_nodes().unwrap()[0];
    drop(lab);
    assert!(!is_running(service) && !is_running(node));
    place.assert_nothing_is_left();
}

#[test]
fn a_crash_is_cleaned_up_without_a_record() {
    for damage in ["missing", "half"] {
        let place = Place::new();
        let mut lab = place.create(1, 0);
        let service = lab.start_service(&stand_in_for_the_service(&lab)).unwrap();
        let node = lab.start_nodes().unwrap()[0];
        std::mem::forget(lab); // as a SIGKILL would
        let record = place.folder().join("lab.json");
        let whole = std::fs::read(&record).unwrap();
        std::fs::remove_file(&record).unwrap();
        if damage == "half" {
            std::fs::write(&record, &whole[..whole.len() / 2]).unwrap();
        }
        let opened = Lab::open(&place.name, place.base.path()).unwrap_err();
        assert!(opened.to_string().contains("overture lab down"), "{opened}");
        assert!(matches!(Lab::create(&place.plan(1, 0), place.base.path()), Err(CreateError::Exists(_))));
        assert_eq!(place.down().ended, 2);
        assert!(!is_running(service) && !is_running(node));
        place.assert_nothing_is_left();
    }
}

#[test]
fn machines_that_outlived_their_namespaces_and_their_record_are_found_by_their_folder() {
    let place = Place::new();
    let mut lab = place.create(1, 0);
    let node = lab.start_nodes().unwrap()[0];
    std::mem::forget(lab);
    std::fs::remove_file(place.folder().join("lab.json")).unwrap();
    for name in namespace_names(&place.name) {
        assert!(Command::new("ip").args(["netns", "delete", &name]).status().unwrap().success());
    }
    assert_eq!(place.down().ended, 1);
    assert!(!is_running(node));
    place.assert_nothing_is_left();
}

#[test]
fn what_a_crash_leaves_before_there_is_a_folder_is_found_by_its_namespaces() {
    let place = Place::new();
    let [service, _] = namespace_names(&place.name);
    assert!(Command::new("ip").args(["netns", "add", &service]).status().unwrap().success());
    assert!(matches!(Lab::create(&place.plan(1, 0), place.base.path()), Err(CreateError::Exists(_))));
    assert!(place.down().found);
    place.assert_nothing_is_left();
}

#[test]
fn two_labs_stand_beside_each_other_and_one_goes_alone() {
    let (one, two) = (Place::new(), Place::new());
    let mut first = one.create(1, 0);
    let mut second = Lab::create(&two.plan(1, 0), one.base.path()).unwrap();
    first.keep();
    let node = second.start_nodes().unwrap()[0];
    let mut names = vec![one.name.clone(), two.name.clone()];
    names.sort();
    assert_eq!(Lab::list(one.base.path()), names);
    one.down();
    one.assert_nothing_is_left();
    assert!(is_running(node), "the other lab goes on");
    drop(second);
    assert!(!is_running(node));
}

#[test]
fn a_machine_that_cannot_start_says_why() {
    let place = Place::new();
    let mut lab = place.create(1, 0);
    std::fs::remove_file(lab.folder().disk("vm1")).unwrap();
    let error = lab.start_nodes().unwrap_err();
    assert!(matches!(&error, StartError::Ended { said, .. } if said.contains("disk0.raw")), "{error}");
}

#[test]
fn a_plan_that_cannot_be_is_refused_before_anything_is_made() {
    let place = Place::new();
    let plan = Plan { memory_mib: 1 << 30, ..place.plan(2, 0) };
    let error = Lab::create(&plan, place.base.path()).unwrap_err();
    assert!(matches!(&error, CreateError::NotReady(_)) && error.to_string().contains("--memory"), "{error}");
    place.assert_nothing_is_left();
}
