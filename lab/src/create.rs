//! Making a lab, and finding one again.

use crate::down;
use crate::folder::Folder;
use crate::kvm;
use crate::netns::{Namespace, NetnsError};
use crate::network::{Network, namespace_names};
use crate::plan::{BadPlan, LabName, Machine, Plan};
use crate::prerequisites::{self, Missing, Offer};
use crate::programs;
use crate::record::Record;
use crate::{AccelChoice, DownError, DownReport};
use domain::hardware::Firmware;
use std::fmt::Display;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Why a lab was not made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The plan makes no sense.
    #[error("this lab cannot be built:\n{}", lines(.0))]
    Plan(Vec<BadPlan>),
    /// The computer lacks something.
    #[error("this computer is not ready for a lab:\n{}", lines(.0))]
    NotReady(Vec<Missing>),
    /// A lab of that name, or what a crash left of it, is there.
    #[error("there is a lab named {0} already: run `overture lab down --name {0}` first, or give another --name")]
    Exists(LabName),
    /// Sockets of the kernel have short names.
    #[error("{} is too long for the sockets of the machines: set OVERTURE_LAB_DIR to a shorter folder", .0.display())]
    PathTooLong(PathBuf),
    /// A file could not be written.
    #[error("could not write {}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The network could not be built.
    #[error("could not build the network of the lab")]
    Network(#[source] NetnsError),
}

/// Why a lab could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there.
    #[error("there is no lab named {0}: `overture lab up --name {0}` makes one")]
    None(LabName),
    /// Its record is missing or damaged: a crash while it was made.
    #[error("{}", unreadable(.name, .source))]
    Unreadable {
        /// Its name.
        name: LabName,
        /// What is wrong with its record.
        #[source]
        source: io::Error,
    },
}

/// One mistake a line.
fn lines<T: Display>(mistakes: &[T]) -> String {
    mistakes.iter().map(|mistake| format!("  - {mistake}")).collect::<Vec<_>>().join("\n")
}

/// A lab. One that was just made is taken down again when this value is dropped before [`Lab::keep`] was called, so
/// that whatever fails on the way up leaves nothing behind.
#[derive(Debug)]
pub struct Lab {
    pub(crate) base: PathBuf,
    pub(crate) folder: Folder,
    pub(crate) record: Record,
    undo_on_drop: bool,
}

fn unreadable(name: &LabName, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::PermissionDenied => format!("the lab {name} belongs to root: run this with sudo"),
        _ => format!("the lab {name} was not completed: run `overture lab down --name {name}`"),
    }
}

impl Lab {
    /// Checks everything, then makes folder, network and disks. No process runs afterwards.
    pub fn create(plan: &Plan, base: &Path) -> Result<Self, CreateError> {
        check(plan, base)?;
        let folder = Folder::of(base, &plan.name);
        make_folder(&plan.name, base, &folder)?;
        // From here on there is something to undo, and the record's place is taken by this value.
        let undecided = AccelChoice { accel: crate::Accel::Tcg, why: String::new() };
        let mut lab = Self { base: base.to_owned(), folder, record: Record::new(plan, undecided), undo_on_drop: true };
        lab.build(plan)?;
        Ok(lab)
    }

    fn build(&mut self, plan: &Plan) -> Result<(), CreateError> {
        let machines = plan.machines();
        self.record.accel = kvm::choose(plan.accel, &self.folder.probe());
        let _ = std::fs::remove_file(self.folder.probe());
        self.record.write(&self.folder).map_err(|source| CreateError::File { path: self.folder.record(), source })?;
        Network::create(&plan.name, &machines).map_err(CreateError::Network)?;
        for path in [self.folder.service(), self.folder.nodes()] {
            make_private_folder(&path)?;
        }
        machines.iter().try_for_each(|machine| make_machines_files(&self.folder, machine))
    }

    /// Finds the lab `name`.
    pub fn open(name: &LabName, base: &Path) -> Result<Self, OpenError> {
        let folder = Folder::of(base, name);
        if !folder.path().is_dir() {
            return Err(OpenError::None(name.clone()));
        }
        let record = Record::read(&folder).map_err(|source| OpenError::Unreadable { name: name.clone(), source })?;
        Ok(Self { base: base.to_owned(), folder, record, undo_on_drop: false })
    }

    /// The names of all labs under `base`, complete or not.
    pub fn list(base: &Path) -> Vec<LabName> {
        let entries = std::fs::read_dir(base).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<LabName> = entries.filter(|e| e.path().is_dir()).filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        names.sort();
        names
    }

    /// The lab is complete: it stays when this value is dropped.
    pub fn keep(&mut self) {
        self.undo_on_drop = false;
    }

    /// Its name.
    pub fn name(&self) -> &LabName {
        &self.record.plan.name
    }

    /// What was asked for.
    pub fn plan(&self) -> &Plan {
        &self.record.plan
    }

    /// What its machines run on, and why.
    pub fn accel(&self) -> &AccelChoice {
        &self.record.accel
    }

    /// Its machines.
    pub fn machines(&self) -> Vec<Machine> {
        self.record.plan.machines()
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The namespace in which the appliance runs. A command that talks to its listeners must be in there too.
    pub fn service_namespace(&self) -> Namespace {
        Network::of(self.name()).service
    }

    /// Takes the lab `name` down: ends its processes within a limit, removes its namespaces, then its folder.
    /// `keep_logs` is a folder into which serial lines and logs are copied first. Works for a lab that was not
    /// completed, was left by a crash or is not there at all.
    pub fn down(name: &LabName, base: &Path, keep_logs: Option<&Path>) -> Result<DownReport, DownError> {
        down::down(name, base, keep_logs)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.undo_on_drop {
            let _ = down::down(self.name(), &self.base, None); // the failure that led here is the one worth telling
        }
    }
}

fn check(plan: &Plan, base: &Path) -> Result<(), CreateError> {
    let mistakes = plan.mistakes();
    if !mistakes.is_empty() {
        return Err(CreateError::Plan(mistakes));
    }
    let missing = prerequisites::missing(plan, &Offer::found_here());
    if !missing.is_empty() {
        return Err(CreateError::NotReady(missing));
    }
    if namespace_names(&plan.name).iter().any(|name| Namespace::named(name).exists()) {
        return Err(CreateError::Exists(plan.name.clone()));
    }
    // sun_path holds 108 bytes with its final zero (unix(7)).
    let longest = Folder::of(base, &plan.name).console_socket("vm99");
    if longest.as_os_str().len() > 107 { Err(CreateError::PathTooLong(base.to_owned())) } else { Ok(()) }
}

/// Making the folder is what decides between two commands that make the same lab at once.
fn make_folder(name: &LabName, base: &Path, folder: &Folder) -> Result<(), CreateError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CreateError::File { path, source }
    };
    std::fs::create_dir_all(base).map_err(failed(base))?;
    match DirBuilder::new().mode(0o700).create(folder.path()) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(CreateError::Exists(name.clone())),
        other => other.map_err(failed(folder.path())),
    }
}

fn make_private_folder(path: &Path) -> Result<(), CreateError> {
    DirBuilder::new().mode(0o700).create(path).map_err(|source| CreateError::File { path: path.to_owned(), source })
}

fn make_machines_files(folder: &Folder, machine: &Machine) -> Result<(), CreateError> {
    make_private_folder(&folder.node(&machine.name))?;
    let further = [1, 2].map(|number| folder.further_disk(&machine.name, number));
    let disks = std::iter::once(folder.disk(&machine.name)).chain(further.into_iter().filter(|_| machine.server));
    for disk in disks {
        let sparse = File::create_new(&disk).and_then(|file| file.set_len(machine.disk_bytes));
        sparse.map_err(|source| CreateError::File { path: disk, source })?;
    }
    if machine.firmware == Firmware::Uefi {
        let path = folder.uefi_variables(&machine.name);
        std::fs::copy(programs::OVMF_VARIABLES, &path).map_err(|source| CreateError::File { path, source })?;
    }
    Ok(())
}
