//! A laboratory on one computer: virtual machines, the cables between them, and the place where the appliance
//! runs, all inside two network namespaces of their own.
//!
//! ```text
//!   ov-NAME-svc                         ov-NAME-net
//!   ┌───────────────────────┐           ┌───────────────────────────────┐
//!   │ the appliance         │   veth    │ br0 ── vm1-0 (tap) ── QEMU vm1│
//!   │ prov0  10.20.0.1/24 ──┼───────────┼─ uplink                       │
//!   │ router advertiser     │           │  └──── vm2-0 (tap) ── QEMU vm2│
//!   └───────────────────────┘           └───────────────────────────────┘
//! ```
//!
//! No route leads out of either namespace and no interface of the host is touched, so DHCP may be spoken here
//! beside a network that has a DHCP server already. Everything a lab owns can be found without its records (the
//! namespaces by name, the processes by the namespace they are in, the files by folder), so [`Lab::down`] also
//! cleans up after a crash.
//!
//! This crate knows machines, namespaces and processes. It does not know what the appliance is: its command line is
//! handed in. Everything here blocks; it needs Linux and root.

use std::path::PathBuf;

mod cables;
mod console;
mod create;
mod down;
mod folder;
mod kvm;
pub mod netns;
mod network;
mod plan;
mod power;
mod prerequisites;
mod process;
mod programs;
mod qemu;
mod qmp;
mod record;
mod router;
mod serial;
mod start;
mod status;
mod switches;

pub use cables::CableError;
pub use console::{ConsoleError, Ended};
pub use create::{CreateError, Lab, OpenError};
pub use down::{DownError, DownReport};
pub use folder::Folder;
pub use kvm::{AccelChoice, Probe, ProbeOutcome};
pub use network::{APPLIANCE, APPLIANCE_INTERFACE, PREFIX_LENGTH, namespace_names};
pub use plan::{Accel, AccelWish, BadName, BadPlan, BadSize, DiskSize, LabName, MOST_MACHINES, Machine, Plan};
pub use power::{Power, PowerError};
pub use prerequisites::Missing;
pub use qmp::QmpError;
pub use router::{RouterError, run_router_advertiser};
pub use serial::BootPoint;
pub use start::StartError;
pub use status::{LabStatus, ProcessState, VmStatus};

/// Where labs keep their state unless `OVERTURE_LAB_DIR` says otherwise.
pub const DEFAULT_BASE: &str = "/var/lib/overture/lab";

/// The folder that holds one folder a lab: `OVERTURE_LAB_DIR`, or [`DEFAULT_BASE`].
pub fn base_folder() -> PathBuf {
    std::env::var_os("OVERTURE_LAB_DIR").filter(|dir| !dir.is_empty()).map_or_else(|| PathBuf::from(DEFAULT_BASE), PathBuf::from)
}
