//! What this computer must offer before a lab can be made: everything that is missing is said at once, each with
//! its mend, before anything is made.

use crate::plan::{AccelWish, Plan};
use crate::programs;
use nix::sched::{CloneFlags, unshare};
use std::fs::OpenOptions;

/// QEMU's own memory for one machine: translated code (128 MiB at most), firmware, device models. MiB.
const OVERHEAD_MIB: u64 = 200;

/// Something that is missing, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// Not root.
    #[error("a lab makes network namespaces and needs root: run it with sudo, or as root")]
    Root,
    /// A program is not installed.
    #[error("the program `{0}` is not installed: run `make deps`")]
    Program(&'static str),
    /// The ROM that lets BIOS machines boot from the network.
    #[error("the network boot ROM for BIOS machines (package ipxe-qemu) is not installed: run `make deps`")]
    BiosRom,
    /// UEFI firmware.
    #[error("UEFI firmware for virtual machines (package ovmf) is not installed: run `make deps`, or leave out --uefi")]
    Ovmf,
    /// The kernel or a container forbids namespaces.
    #[error(
        "network namespaces are not allowed here ({0}): in a container start it privileged, or use a virtual machine or a computer of its own"
    )]
    Namespaces(String),
    /// No tap devices.
    #[error("/dev/net/tun cannot be opened ({0}): load the kernel module with `modprobe tun`, or give the container that device")]
    Tun(String),
    /// KVM was demanded and is not there.
    #[error("/dev/kvm cannot be opened ({0}): leave out --accel kvm, then the machines are emulated")]
    Kvm(String),
    /// Too little memory.
    #[error(
        "{machines} machines take about {needed_mib} MiB and {available_mib} MiB are free: ask for fewer machines, or less with --memory"
    )]
    Memory {
        /// How many machines were asked for.
        machines: u32,
        /// What they would take at most, QEMU included.
        needed_mib: u64,
        /// What the kernel says is available.
        available_mib: u64,
    },
}

/// What this computer offers, as far as a lab cares.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub root: bool,
    pub programs: Vec<&'static str>,
    pub bios_rom: bool,
    pub ovmf: bool,
    pub namespaces: Result<(), String>,
    pub tun: Result<(), String>,
    pub kvm: Result<(), String>,
    /// `None` where the kernel does not say.
    pub available_mib: Option<u64>,
}

/// Each with the package of Debian it is in: iproute2, qemu-system-x86, ethtool, util-linux, lldpd.
pub(crate) const PROGRAMS: [&str; 5] = ["ip", "qemu-system-x86_64", "ethtool", "setsid", crate::switches::PROGRAM];

impl Offer {
    /// Looks at this computer. Changes nothing: the namespace it tries ends with the thread that made it.
    pub(crate) fn found_here() -> Self {
        Self {
            root: nix::unistd::geteuid().is_root(),
            programs: PROGRAMS.into_iter().filter(|program| programs::find(program).is_some()).collect(),
            bios_rom: programs::bios_rom_is_installed(),
            ovmf: programs::ovmf_is_installed(),
            namespaces: try_namespace(),
            tun: try_open("/dev/net/tun"),
            kvm: try_open("/dev/kvm"),
            available_mib: std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available_mib(&text)),
        }
    }
}

/// Everything that `plan` needs and `offer` lacks.
pub(crate) fn missing(plan: &Plan, offer: &Offer) -> Vec<Missing> {
    let mut missing = Vec::new();
    missing.extend(PROGRAMS.into_iter().filter(|program| !offer.programs.contains(program)).map(Missing::Program));
    if plan.bios > 0 && !offer.bios_rom {
        missing.push(Missing::BiosRom);
    }
    if plan.uefi > 0 && !offer.ovmf {
        missing.push(Missing::Ovmf);
    }
    if offer.root {
        missing.extend(offer.namespaces.clone().err().map(Missing::Namespaces));
        missing.extend(offer.tun.clone().err().map(Missing::Tun));
        missing.extend(offer.kvm.clone().err().filter(|_| plan.accel == AccelWish::Kvm).map(Missing::Kvm));
    } else {
        // The others would only fail for the same reason.
        missing.insert(0, Missing::Root);
    }
    missing.extend(lacking_memory(plan, offer));
    missing
}

fn lacking_memory(plan: &Plan, offer: &Offer) -> Option<Missing> {
    let machines = plan.bios.saturating_add(plan.uefi);
    let needed_mib = u64::from(machines) * (u64::from(plan.memory_mib) + OVERHEAD_MIB);
    let available_mib = offer.available_mib.filter(|&available| available < needed_mib)?;
    Some(Missing::Memory { machines, needed_mib, available_mib })
}

fn try_namespace() -> Result<(), String> {
    std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string()))
        .join()
        .unwrap_or_else(|_| Err("the attempt panicked".into()))
}

fn try_open(device: &str) -> Result<(), String> {
    OpenOptions::new().read(true).write(true).open(device).map(drop).map_err(|e| e.to_string())
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Offer {
        Offer {
            root: true,
            programs: PROGRAMS.to_vec(),
            bios_rom: true,
            ovmf: true,
            namespaces: Ok(()),
            tun: Ok(()),
            kvm: Err("No such file or directory".into()),
            available_mib: Some(8192),
        }
    }

    #[test]
    fn a_computer_that_offers_everything_lacks_nothing() {
        assert_eq!(missing(&Plan { uefi: 1, ..Plan::default() }, &everything()), vec![]);
    }

    #[test]
    fn all_that_is_missing_is_said_at_once_and_only_what_the_plan_needs() {
        let bare = Offer {
            programs: vec!["ip", "setsid", "lldpd"],
            bios_rom: false,
            ovmf: false,
            namespaces: Err("EPERM".into()),
            tun: Err("ENOENT".into()),
            available_mib: Some(1000),
            ..everything()
        };
        let plan = Plan { bios: 3, uefi: 0, memory_mib: 512, ..Plan::default() };
        let expected = vec![
            Missing::Program("qemu-system-x86_64"),
            Missing::Program("ethtool"),
            Missing::BiosRom,
            Missing::Namespaces("EPERM".into()),
            Missing::Tun("ENOENT".into()),
            Missing::Memory { machines: 3, needed_mib: 2136, available_mib: 1000 },
        ];
        assert_eq!(missing(&plan, &bare), expected);
    }

    #[test]
    fn someone_who_is_not_root_is_told_that_and_not_its_consequences() {
        let offer = Offer { root: false, namespaces: Err("EPERM".into()), tun: Err("EACCES".into()), ..everything() };
        assert_eq!(missing(&Plan::default(), &offer), vec![Missing::Root]);
    }

    #[test]
    fn kvm_is_missed_only_by_those_who_demand_it() {
        let demanded = missing(&Plan { accel: AccelWish::Kvm, ..Plan::default() }, &everything());
        assert_eq!(demanded, vec![Missing::Kvm("No such file or directory".into())]);
    }

    #[test]
    fn available_memory_is_read_from_the_kernels_table() {
        assert_eq!(available_mib("MemTotal:  100 kB\nMemAvailable:    2048000 kB\n"), Some(2000));
        assert_eq!(available_mib("MemTotal: 100 kB\n"), None);
    }
}
