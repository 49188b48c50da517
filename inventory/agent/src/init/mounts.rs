//! The filesystems that Linux programmes expect.

use super::modules;
use crate::tree::Tree;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use std::ffi::CStr;

struct Mount {
    what: &'static str,
    at: &'static str,
    flags: MountFlags,
    data: Option<&'static CStr>,
}

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const MOUNTS: [Mount; 6] = [
    Mount { what: "proc", at: "/proc", flags: QUIET, data: None },
    Mount { what: "sysfs", at: "/sys", flags: QUIET, data: None },
    Mount { what: "devtmpfs", at: "/dev", flags: MountFlags::NOSUID, data: Some(c"mode=0755") },
    Mount { what: "devpts", at: "/dev/pts", flags: MountFlags::NOSUID.union(MountFlags::NOEXEC), data: Some(c"mode=0620,ptmxmode=0666") },
    Mount { what: "tmpfs", at: "/run", flags: QUIET, data: Some(c"mode=0755,size=10%") },
    Mount { what: "tmpfs", at: "/tmp", flags: MountFlags::NOSUID.union(MountFlags::NODEV), data: Some(c"mode=1777,size=50%") },
];

/// Mounts everything; sentences about what failed.
pub fn mount_all() -> Vec<String> {
    let mut failures: Vec<String> = MOUNTS.iter().filter_map(|wanted| wanted.mount().err()).collect();
    if let Err(error) = std::fs::create_dir_all("/run/overture") {
        failures.push(format!("could not make /run/overture: {error}"));
    }
    failures
}

/// The UEFI variables, read-only: Secure Boot's state is one of them, and a machine is easily broken by writing others.
pub fn mount_uefi_variables(tree: &Tree) {
    if tree.exists("sys/firmware/efi/efivars") {
        let _ = modules::modprobe(&["efivarfs".into()]).and_then(|mut modprobe| modprobe.wait());
        let flags = QUIET.union(MountFlags::RDONLY);
        // Kernels can be built without; the fact then is a gap.
        let _ = Mount { what: "efivarfs", at: "/sys/firmware/efi/efivars", flags, data: None }.mount();
    }
}

impl Mount {
    fn mount(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("could not mount {} on {}: {error}", self.what, self.at);
        // Exists in a built ramdisk; what a mount point on sysfs lacks cannot be made.
        let _ = std::fs::create_dir_all(self.at);
        match mount(self.what, self.at, self.what, self.flags, self.data) {
            Ok(()) | Err(Errno::BUSY) => Ok(()),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}
