//! What a lab remembers between commands: `lab.json`. Losing it costs convenience, never tidiness: taking a lab down
//! works without it.

use crate::folder::Folder;
use crate::kvm::AccelChoice;
use crate::plan::Plan;
use crate::process::{self, ProcessId};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The name under which the service's process is recorded; machines are recorded by their names.
pub(crate) const SERVICE: &str = "service";
/// The router advertiser's.
pub(crate) const ROUTER: &str = "router";

/// The content of `lab.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The version of this form.
    pub lab: u32,
    /// What was asked for.
    pub plan: Plan,
    /// What the machines run on.
    pub accel: AccelChoice,
    /// The boot of the computer to which the process numbers belong.
    pub boot: String,
    /// Started processes by role. One that ended stays, so that it is told from one that was never started.
    pub processes: BTreeMap<String, ProcessId>,
}

impl Record {
    pub fn new(plan: &Plan, accel: AccelChoice) -> Self {
        Self { lab: 1, plan: plan.clone(), accel, boot: process::boot_of_this_computer(), processes: BTreeMap::new() }
    }

    /// The processes that may still run: none if the computer was restarted since.
    pub fn current_processes(&self) -> Vec<ProcessId> {
        if self.boot == process::boot_of_this_computer() { self.processes.values().copied().collect() } else { Vec::new() }
    }

    /// The process of a role, if it still runs.
    pub fn running(&self, role: &str) -> Option<ProcessId> {
        let process = self.processes.get(role).filter(|_| self.boot == process::boot_of_this_computer())?;
        process.is_running().then_some(*process)
    }

    /// Reads it; half-written or foreign content is an error.
    pub fn read(folder: &Folder) -> io::Result<Self> {
        let record: Self = serde_json::from_slice(&std::fs::read(folder.record())?)?;
        if record.lab == 1 { Ok(record) } else { Err(io::Error::other(format!("it has form {}, this program knows form 1", record.lab))) }
    }

    /// Writes it whole or not at all.
    pub fn write(&self, folder: &Folder) -> io::Result<()> {
        let draft = folder.path().join("lab.json.new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_data()?;
        std::fs::rename(draft, folder.record())
    }

    /// Notes a process under its role. Commands that start machines at the same time wait for each other.
    pub fn note(folder: &Folder, role: &str, process: ProcessId) -> io::Result<Self> {
        let _turn = exclusive(folder.path())?;
        let mut record = Self::read(folder)?;
        record.processes.insert(role.to_owned(), process);
        record.write(folder)?;
        Ok(record)
    }
}

fn exclusive(folder: &Path) -> io::Result<Flock<File>> {
    Flock::lock(File::open(folder)?, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plan::Accel;

    fn lab() -> (tempfile::TempDir, Folder, Record) {
        let base = tempfile::tempdir().unwrap();
        let plan = Plan::default();
        let folder = Folder::of(base.path(), &plan.name);
        std::fs::create_dir(folder.path()).unwrap();
        let record = Record::new(&plan, AccelChoice { accel: Accel::Tcg, why: "it was asked for".into() });
        record.write(&folder).unwrap();
        (base, folder, record)
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let (_base, folder, _) = lab();
        let own = ProcessId::of(std::process::id()).unwrap();
        Record::note(&folder, SERVICE, own).unwrap();
        Record::note(&folder, "vm1", ProcessId { started: own.started + 1, ..own }).unwrap();
        let record = Record::read(&folder).unwrap();
        assert_eq!(record.running(SERVICE), Some(own));
        assert_eq!(record.running("vm1"), None, "its number belongs to another process now");
    }

    #[test]
    fn after_a_restart_of_the_computer_no_number_means_anything() {
        let (_base, folder, mut record) = lab();
        record.processes.insert(SERVICE.into(), ProcessId::of(std::process::id()).unwrap());
        record.boot = "an earlier one".into();
        record.write(&folder).unwrap();
        let record = Record::read(&folder).unwrap();
        assert_eq!((record.running(SERVICE), record.current_processes()), (None, vec![]));
    }

    #[test]
    fn a_half_written_record_is_an_error_not_a_guess() {
        let (_base, folder, _) = lab();
        let whole = std::fs::read(folder.record()).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(folder.record(), &whole[..length]).unwrap();
            assert!(Record::read(&folder).is_err(), "{length} bytes");
        }
    }
}
