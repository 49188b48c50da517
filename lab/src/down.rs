//! Taking a lab down, whatever state it is in.
//!
//! What belongs to a lab is found in three ways, so that losing one loses nothing: by its record, by its namespaces
//! (any process in them), and by the folder in QEMU's command line.

use crate::create::Lab;
use crate::folder::Folder;
use crate::netns::NetnsError;
use crate::network::Network;
use crate::plan::LabName;
use crate::process::{self, ProcessId};
use crate::qemu;
use crate::record::Record;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long processes have to end by themselves: the service finishes what it is doing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What taking a lab down found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownReport {
    /// Whether there was anything at all.
    pub found: bool,
    /// Processes that were ended.
    pub ended: usize,
    /// Logs that were kept.
    pub kept: Vec<PathBuf>,
}

/// Why a lab could not be taken down whole. Trying again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// Logs could not be kept. If this was noticed beforehand, nothing was touched; otherwise the lab's folder is left.
    #[error("could not keep the logs in {}: give another folder, or leave out --logs to lose them", .folder.display())]
    Logs {
        /// Where they were to go.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Only root can.
    #[error("a lab is taken down by root: run it with sudo")]
    NotRoot,
    /// Processes that even SIGKILL did not end.
    #[error("{0} processes of the lab do not end, the kernel holds them: try again later")]
    StillRunning(usize),
    /// A namespace is still there.
    #[error("could not remove a network namespace of the lab")]
    Network(#[source] NetnsError),
    /// The folder is still there.
    #[error("could not remove {}", .path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn down(name: &LabName, base: &Path, keep_logs: Option<&Path>) -> Result<DownReport, DownError> {
    let folder = Folder::of(base, name);
    let network = Network::of(name);
    let there = folder.path().exists() || network.service.exists() || network.machines.exists();
    if there && !nix::unistd::geteuid().is_root() {
        return Err(DownError::NotRoot);
    }
    if let Some(target) = keep_logs.filter(|_| there) {
        std::fs::create_dir_all(target).map_err(|source| DownError::Logs { folder: target.to_owned(), source })?;
    }
    let processes = processes_of(&folder, &network);
    let ended = end_all(&processes)?;
    for namespace in [&network.machines, &network.service] {
        namespace.remove(PATIENCE).map_err(DownError::Network)?;
    }
    let kept = match keep_logs.filter(|_| there) {
        Some(target) => copy_logs(&folder, target).map_err(|source| DownError::Logs { folder: target.to_owned(), source })?,
        None => Vec::new(),
    };
    remove_folder(&folder)?;
    Ok(DownReport { found: there || ended > 0, ended, kept })
}

/// Every process of the lab, none of them twice.
fn processes_of(folder: &Folder, network: &Network) -> Vec<ProcessId> {
    let recorded = Record::read(folder).map(|record| record.current_processes()).unwrap_or_default();
    let mut all: Vec<_> = recorded.into_iter().filter(ProcessId::is_running).collect();
    for namespace in [&network.machines, &network.service] {
        if namespace.exists() {
            all.extend(namespace.processes());
        }
    }
    // Each QEMU names its files; the slash keeps the lab `a` from ending the machines of `ab`.
    let inside = format!("{}/", folder.path().display());
    all.extend(process::found_by_command_line(qemu::PROGRAM, &inside.replace(',', ",,")));
    all.sort();
    all.dedup();
    all.retain(|process| process.pid != std::process::id());
    all
}

fn end_all(processes: &[ProcessId]) -> Result<usize, DownError> {
    let left = process::end(processes, PATIENCE);
    if left.is_empty() { Ok(processes.len()) } else { Err(DownError::StillRunning(left.len())) }
}

/// Copies what there is; a file that is missing was never written.
fn copy_logs(folder: &Folder, target: &Path) -> io::Result<Vec<PathBuf>> {
    let mut wanted = vec![
        (folder.record(), "lab.json".to_owned()),
        (folder.service_log(), "service.log".into()),
        (folder.router_log(), "router.log".into()),
    ];
    for log in Lab::switch_logs(folder) {
        let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        wanted.push((log, name));
    }
    for entry in std::fs::read_dir(folder.nodes()).into_iter().flatten() {
        let machine = entry?.file_name().to_string_lossy().into_owned();
        wanted.push((folder.serial_log(&machine), format!("{machine}.serial.log")));
        wanted.push((folder.qemu_log(&machine), format!("{machine}.qemu.log")));
    }
    let mut kept = Vec::new();
    for (from, name) in wanted {
        let to = target.join(name);
        match std::fs::copy(from, &to) {
            Ok(_) => kept.push(to),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    kept.sort();
    Ok(kept)
}

fn remove_folder(folder: &Folder) -> Result<(), DownError> {
    match std::fs::remove_dir_all(folder.path()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(DownError::Folder { path: folder.path().to_owned(), source: e }),
        _ => Ok(()),
    }
}
