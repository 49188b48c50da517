//! Starting what runs in a lab: the appliance, the router advertiser, the machines.

use crate::create::Lab;
use crate::netns::Namespace;
use crate::network::Network;
use crate::plan::Machine;
use crate::process::{self, ProcessId};
use crate::programs;
use crate::qemu;
use crate::qmp::{Qmp, QmpError};
use crate::record::{ROUTER, Record, SERVICE};
use domain::timeline::printable;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long QEMU may take until it answers.
const LIMIT: Duration = Duration::from_secs(30);

/// Why something did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It runs already.
    #[error("{0} runs already")]
    Running(String),
    /// It could not be started at all.
    #[error("could not start {what}; {} may say more", .log.display())]
    Spawn {
        /// What.
        what: String,
        /// Where its output goes.
        log: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended at once.
    #[error("{what} ended at once: {said}")]
    Ended {
        /// What.
        what: String,
        /// The last line it wrote.
        said: String,
    },
    /// QEMU runs and cannot be talked to.
    #[error("{what} runs and does not answer")]
    Mute {
        /// What.
        what: String,
        /// How.
        #[source]
        source: QmpError,
    },
    /// It runs, and that could not be noted.
    #[error("could not note in lab.json that {what} runs")]
    NotNoted {
        /// What.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Lab {
    /// Starts the appliance: `command` (program, arguments, environment and working folder of it; the rest is
    /// ignored) inside the service's namespace, apart from the terminal, its output at the end of `service/log`.
    /// Answers with its process number.
    pub fn start_service(&mut self, command: &Command) -> Result<u32, StartError> {
        let log = self.folder.service_log();
        self.start_beside_the_appliance(SERVICE, command, &log)
    }

    /// Starts `command` beside the appliance; it is to call [`crate::run_router_advertiser`] with the interface's
    /// name, [`crate::APPLIANCE_INTERFACE`]. Without it iPXE waits some ten seconds at each boot for a router.
    pub fn start_router_advertiser(&mut self, command: &Command) -> Result<u32, StartError> {
        let log = self.folder.router_log();
        self.start_beside_the_appliance(ROUTER, command, &log)
    }

    fn start_beside_the_appliance(&mut self, role: &str, command: &Command, log: &Path) -> Result<u32, StartError> {
        let namespace = Network::of(self.name()).service;
        self.start_in(&namespace, role, command, log)
    }

    pub(crate) fn start_in(&mut self, namespace: &Namespace, role: &str, command: &Command, log: &Path) -> Result<u32, StartError> {
        if self.record.running(role).is_some() {
            return Err(StartError::Running(role.to_owned()));
        }
        let started = process::start_detached(namespace, command, log);
        let process = started.map_err(|source| StartError::Spawn { what: role.to_owned(), log: log.to_owned(), source })?;
        self.note(role, process)?;
        Ok(process.pid)
    }

    /// Switches all machines on and waits until each QEMU answers (not until the machine has booted).
    pub fn start_nodes(&mut self) -> Result<Vec<u32>, StartError> {
        let machines = self.machines();
        let processes = machines.iter().map(|machine| self.launch(machine)).collect::<Result<Vec<_>, _>>()?;
        for (machine, process) in machines.iter().zip(&processes) {
            self.wait_for_qemu(machine, *process)?;
        }
        Ok(processes.into_iter().map(|process| process.pid).collect())
    }

    /// Switches one machine on.
    pub(crate) fn start_machine(&mut self, machine: &Machine) -> Result<u32, StartError> {
        let process = self.launch(machine)?;
        self.wait_for_qemu(machine, process)?;
        Ok(process.pid)
    }

    fn launch(&mut self, machine: &Machine) -> Result<ProcessId, StartError> {
        if self.record.running(&machine.name).is_some() {
            return Err(StartError::Running(machine.name.clone()));
        }
        let log = self.folder.qemu_log(&machine.name);
        let mut command = Command::new(programs::path_of(qemu::PROGRAM));
        command.args(qemu::arguments(machine, self.record.accel.accel, &self.folder));
        let started = process::start_detached(&Network::of(self.name()).machines, &command, &log);
        let process = started.map_err(|source| StartError::Spawn { what: machine.name.clone(), log, source })?;
        self.note(&machine.name, process)?;
        Ok(process)
    }

    fn wait_for_qemu(&self, machine: &Machine, process: ProcessId) -> Result<(), StartError> {
        let socket = self.folder.qmp_socket(&machine.name);
        let deadline = Instant::now() + LIMIT;
        loop {
            let attempt = Qmp::connect(&socket);
            if !process.is_running() {
                let said = last_line(&self.folder.qemu_log(&machine.name));
                return Err(StartError::Ended { what: format!("QEMU for {}", machine.name), said });
            }
            match attempt {
                Ok(_) => return Ok(()),
                Err(QmpError::Unreachable(_)) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                Err(source) => return Err(StartError::Mute { what: format!("QEMU for {}", machine.name), source }),
            }
        }
    }

    fn note(&mut self, role: &str, process: ProcessId) -> Result<(), StartError> {
        let noted = Record::note(&self.folder, role, process);
        self.record = noted.map_err(|source| StartError::NotNoted { what: role.to_owned(), source })?;
        Ok(())
    }
}

/// The last line of a log, fit for a message.
fn last_line(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).map_or_else(|| "it said nothing".into(), |line| printable(line, 300))
}
