//! A lab of virtual machines with real firmware, and the commands that a person would type.
#![allow(dead_code)]

use lab::{Lab, LabName};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A lab that is taken down whatever happens, and tells what its machines said when a test fails.
pub struct Journey {
    pub base: tempfile::TempDir,
    pub name: String,
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
    pub fn new() -> Self {
        Self { base: tempfile::tempdir().unwrap(), name: format!("t{}", std::process::id() % 100_000) }
    }

    pub fn folder(&self) -> PathBuf {
        self.base.path().join(&self.name)
    }

    pub fn overture(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_overture"))
            .args(arguments)
            .env("OVERTURE_LAB_DIR", self.base.path())
            .env_remove("OVERTURE_SOCKET")
            .output()
            .unwrap()
    }

    /// What a command says, as JSON; none when it fails.
    pub fn ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.overture(&[arguments, &["--output", "json"]].concat());
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    pub fn nodes(&self) -> Vec<Value> {
        self.ask(&["nodes", "list"]).and_then(|nodes| nodes["items"].as_array().cloned()).unwrap_or_default()
    }

    pub fn node(&self, serial: &str) -> Option<Value> {
        self.nodes().into_iter().find(|node| node["serial"] == serial)
    }

    pub fn steps(&self, machine: &str) -> Vec<(String, String, String)> {
        let told = self.ask(&["explain", machine]).unwrap_or_default();
        let text = |step: &Value, field: &str| step[field].as_str().unwrap().to_owned();
        let steps = told["boots"][0]["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| (text(step, "protocol"), text(step, "event"), text(step, "message"))).collect()
    }

    pub fn leases(&self) -> Vec<(String, String)> {
        let leases = self.ask(&["leases"]).unwrap();
        let text = |lease: &Value, field: &str| lease[field].as_str().unwrap().to_owned();
        leases["items"].as_array().unwrap().iter().map(|lease| (text(lease, "mac"), text(lease, "address"))).collect()
    }

    pub fn lab(&self) -> Lab {
        Lab::open(&self.name.parse::<LabName>().unwrap(), self.base.path()).unwrap()
    }

    pub fn service_pid(&self) -> i32 {
        let status = self.ask(&["lab", "status", "--name", &self.name]).unwrap();
        i32::try_from(status["service"]["pid"].as_i64().unwrap()).unwrap()
    }

    /// Kills the service as a power cut would, and starts it again as it was started.
    pub fn kill_and_start_again(&self) {
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

pub fn wait(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn boot_files() -> String {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/boot");
    let folder = std::env::var_os("OVERTURE_BOOT").map_or(default, PathBuf::from);
    assert!(folder.join("ramdisk").exists(), "there is no {}: run `make ramdisk`", folder.join("ramdisk").display());
    let ramdisk = folder.join("ramdisk").metadata().unwrap().len();
    assert!(ramdisk < 20_000_000, "the lab's ramdisk has {ramdisk} bytes, and the machines of a lab have 512 MiB");
    folder.to_str().unwrap().to_owned()
}

pub fn count(steps: &[(String, String, String)], protocol: &str, event: &str, part: &str) -> usize {
    steps.iter().filter(|(p, e, message)| p == protocol && e == event && message.contains(part)).count()
}
