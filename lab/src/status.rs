//! What of a lab runs, and how far its machines have come.

use crate::create::Lab;
use crate::kvm::AccelChoice;
use crate::network::namespace_names;
use crate::plan::{LabName, Machine};
use crate::record::{ROUTER, Record, SERVICE};
use crate::serial::{self, BootPoint};
use serde::Serialize;
use std::path::PathBuf;

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ProcessState {
    /// It was never started.
    NotStarted,
    /// It runs.
    Running {
        /// Its process number.
        pid: u32,
    },
    /// It was started and runs no longer: a machine that was switched off, a service that ended.
    Exited,
}

/// One machine.
#[derive(Debug, Clone, Serialize)]
pub struct VmStatus {
    /// What it is.
    #[serde(flatten)]
    pub machine: Machine,
    /// Whether its QEMU runs.
    #[serde(flatten)]
    pub process: ProcessState,
    /// How far its boot has come, by its serial line.
    pub point: BootPoint,
    /// The last line it said that is worth showing, made harmless.
    pub last_line: Option<String>,
    /// Where everything it said is kept.
    pub serial_log: PathBuf,
}

/// A lab.
#[derive(Debug, Clone, Serialize)]
pub struct LabStatus {
    /// Its name.
    pub name: LabName,
    /// What its machines run on, and why.
    pub accel: AccelChoice,
    /// The namespaces of the appliance and of the machines.
    pub namespaces: [String; 2],
    /// The appliance.
    pub service: ProcessState,
    /// What answers iPXE's question for a router.
    pub router: ProcessState,
    /// The machines.
    pub machines: Vec<VmStatus>,
}

impl Lab {
    /// Looks at processes and serial lines. Cheap enough to be asked several times a second.
    pub fn status(&self) -> LabStatus {
        // Read anew: another command may have switched a machine on since.
        let record = Record::read(&self.folder).unwrap_or_else(|_| self.record.clone());
        LabStatus {
            name: self.name().clone(),
            accel: record.accel.clone(),
            namespaces: namespace_names(self.name()),
            service: state_of(&record, SERVICE),
            router: state_of(&record, ROUTER),
            machines: self.machines().into_iter().map(|machine| self.status_of(machine, &record)).collect(),
        }
    }

    fn status_of(&self, machine: Machine, record: &Record) -> VmStatus {
        let serial_log = self.folder.serial_log(&machine.name);
        let serial::Shown { point, last_line } = serial::look_at(&serial_log);
        VmStatus { process: state_of(record, &machine.name), point, last_line, serial_log, machine }
    }
}

fn state_of(record: &Record, role: &str) -> ProcessState {
    match (record.running(role), record.processes.contains_key(role)) {
        (Some(process), _) => ProcessState::Running { pid: process.pid },
        (None, true) => ProcessState::Exited,
        (None, false) => ProcessState::NotStarted,
    }
}
