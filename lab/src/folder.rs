//! Where each file of a lab lies.

use crate::plan::LabName;
use std::path::{Path, PathBuf};

/// The folder of one lab, and the paths in it, all absolute. Knows names only: nothing here touches a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of the lab `name` under `base`.
    pub fn of(base: &Path, name: &LabName) -> Self {
        // Absolute, because QEMU and the service run in another working directory.
        Self(std::path::absolute(base).unwrap_or_else(|_| base.to_owned()).join(name.as_str()))
    }

    /// The folder itself. Mode 0700: serial lines and the service's state are nobody else's business.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Plan and processes of the lab.
    pub fn record(&self) -> PathBuf {
        self.0.join("lab.json")
    }

    /// What the router advertiser said.
    pub fn router_log(&self) -> PathBuf {
        self.0.join("router.log")
    }

    /// Scratch file of the KVM probe.
    pub(crate) fn probe(&self) -> PathBuf {
        self.0.join("probe.img")
    }

    /// The service's own files: settings, site, state. Written by whoever starts the service.
    pub fn service(&self) -> PathBuf {
        self.0.join("service")
    }

    /// What the service said.
    pub fn service_log(&self) -> PathBuf {
        self.service().join("log")
    }

    /// The folder that holds one folder for each machine.
    pub fn nodes(&self) -> PathBuf {
        self.0.join("nodes")
    }

    /// The folder of one machine.
    pub fn node(&self, machine: &str) -> PathBuf {
        self.nodes().join(machine)
    }

    /// Everything the machine ever wrote to its serial line, raw.
    pub fn serial_log(&self, machine: &str) -> PathBuf {
        self.node(machine).join("serial.log")
    }

    /// What QEMU itself said: empty unless it had something to complain about.
    pub fn qemu_log(&self, machine: &str) -> PathBuf {
        self.node(machine).join("qemu.log")
    }

    /// The socket at the other end of the serial line. Takes one client at a time.
    pub fn console_socket(&self, machine: &str) -> PathBuf {
        self.node(machine).join("console.sock")
    }

    /// QEMU's control socket. Takes one client at a time.
    pub fn qmp_socket(&self, machine: &str) -> PathBuf {
        self.node(machine).join("qmp.sock")
    }

    /// The machine's disk, raw and sparse.
    pub fn disk(&self, machine: &str) -> PathBuf {
        self.node(machine).join("disk0.raw")
    }

    /// A further disk of a machine that has what servers have.
    pub fn further_disk(&self, machine: &str, number: u8) -> PathBuf {
        self.node(machine).join(format!("disk{number}.raw"))
    }

    /// UEFI's variables. Only machines that start by UEFI have them.
    pub fn uefi_variables(&self, machine: &str) -> PathBuf {
        self.node(machine).join("vars.fd")
    }
}
