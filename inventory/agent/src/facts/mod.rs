//! Looking at the hardware: from what the kernel shows to facts, and to gaps where it shows nothing.
//!
//! Reads only. Each part reads its own corner of the [`Tree`]; none of them knows what the facts are used for.

mod answers;
mod bmc;
mod boot_entries;
mod device_path;
mod dimms;
mod drivers;
mod gpus;
mod memory;
mod nics;
mod numa;
mod pci;
mod placeholder;
mod processor;
mod sensors;
mod settled;
mod smbios;
mod storage;
mod system;
mod tpm;
mod udev_names;

pub use answers::{Answers, DRIVERS_LOADED, Place, Sources, USER_SPACE_BEGAN};
pub use drivers::DriverInfo;
pub use storage::Probes;

use crate::netlink::Link;
use crate::tree::Tree;
use inventory_wire::{Agent, Clock, Controller, Facts, Gap, Kernel, PciDevice};
use system::{RawTables, SystemTables};

/// What was found, and what was not.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The facts.
    pub facts: Facts,
    /// The gaps, in the order of the facts.
    pub gaps: Vec<Gap>,
}

impl Findings {
    /// Whether both describe the same hardware: what passes by itself, such as the uptime, does not count.
    pub fn same_hardware(&self, other: &Self) -> bool {
        self.gaps == other.gaps && settled::facts(&self.facts) == settled::facts(&other.facts)
    }
}

/// Looks at a copy of a machine's files, which cannot be asked anything.
pub fn look(tree: &Tree, links: &[Link]) -> Findings {
    look_and_ask(tree, &Answers { links: links.to_vec(), ..Answers::none() }, &Probes::none())
}

/// Looks at the machine. `answers` are what the kernel and the devices say beyond their files; `probes` ask the disks.
pub fn look_and_ask(tree: &Tree, answers: &Answers, probes: &Probes) -> Findings {
    let mut gaps = Gaps::default();
    let raw = RawTables::read(tree);
    let tables = SystemTables::parse(tree, &raw);
    let pci = pci::look(tree, tables.smbios(), answers.in_haste, &mut gaps);
    let no_name = if answers.in_haste { pci::NOT_READ_YET } else { "the list of PCI names does not have it" };
    note_what_is_still_loaded(tree, answers, &mut gaps);
    let facts = Facts {
        system: tables.system(&mut gaps),
        board: tables.board(&mut gaps),
        chassis: tables.chassis(&mut gaps),
        firmware: Some(tables.firmware(&mut gaps)),
        cpu: Some(processor::look(tree, &mut gaps)),
        memory: Some(memory::look(tree, tables.smbios(), &mut gaps)),
        disks: storage::look(tree, probes, &mut gaps),
        nics: nics::look(tree, answers, &pci, &mut gaps),
        controllers: named(storage::look_at_controllers(tree, &mut gaps), &pci, no_name, &mut gaps),
        gpus: gpus::look(tree, &pci, no_name, &mut gaps),
        pci,
        bmc: bmc::look(tree, tables.smbios(), &answers.bmc, &mut gaps),
        tpm: tpm::look(tree, &mut gaps),
        sensors: sensors::look(tree, &mut gaps),
        clock: Some(Clock { hardware_clock: Some(tree.exists("sys/class/rtc/rtc0")), ..Clock::default() }),
        kernel: Some(kernel(tree, &mut gaps)),
        agent: Some(agent(tree, answers, &mut gaps)),
        ..Facts::default()
    };
    Findings { facts, gaps: gaps.0 }
}

/// In the ramdisk, what has no driver yet is not there yet.
fn note_what_is_still_loaded(tree: &Tree, answers: &Answers, gaps: &mut Gaps) {
    if answers.place == Some(Place::Ramdisk) && !tree.exists(DRIVERS_LOADED) {
        ["disks", "nics"].iter().for_each(|part| gaps.note(*part, "drivers are still being loaded, there may be more of them"));
    }
}

/// Controllers are PCI functions, whose names the list of PCI names has.
fn named(mut controllers: Vec<Controller>, devices: &[PciDevice], no_name: &str, gaps: &mut Gaps) -> Vec<Controller> {
    for controller in &mut controllers {
        let address = controller.pci.clone().unwrap_or_default();
        let device = pci::at(devices, &address);
        controller.vendor = gaps.need(device.and_then(|device| device.vendor.clone()), &format!("controllers.{address}.vendor"), no_name);
        controller.model = gaps.need(device.and_then(|device| device.device.clone()), &format!("controllers.{address}.model"), no_name);
    }
    controllers
}

fn kernel(tree: &Tree, gaps: &mut Gaps) -> Kernel {
    let release = tree.text("proc/sys/kernel/osrelease");
    Kernel { release: gaps.need(release, "kernel.release", "/proc/sys/kernel/osrelease cannot be read"), ..Kernel::default() }
}

/// Seconds since the start of the kernel, and since the start of user space where that is known.
fn uptimes(tree: &Tree, user_space_began: Option<f64>) -> (Option<u64>, Option<u64>) {
    let uptime = tree.text("proc/uptime").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    // Fractions are cut; a number that is no time at all becomes 0.
    let seconds = |time: f64| time as u64;
    (uptime.map(seconds), uptime.zip(user_space_began).map(|(now, began)| seconds(now - began)))
}

fn agent(tree: &Tree, answers: &Answers, gaps: &mut Gaps) -> Agent {
    let (uptime, user_space) = uptimes(tree, answers.user_space_began);
    let place = answers.place.map(|place| match place {
        Place::Ramdisk => "ramdisk".to_owned(),
        Place::Installed => "installed".to_owned(),
    });
    Agent {
        version: Some(env!("CARGO_PKG_VERSION").into()),
        uptime_seconds: gaps.need(uptime, "agent.uptime_seconds", "/proc/uptime cannot be read"),
        user_space_seconds: gaps.need(user_space, "agent.user_space_seconds", "only the ramdisk tells when its user space began"),
        place: gaps.need(place, "agent.place", "nobody told where this is"),
        ..Agent::default()
    }
}

/// Gaps as they are found.
#[derive(Debug, Default)]
struct Gaps(Vec<Gap>);

impl Gaps {
    fn note(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Gap { path: path.into(), reason: reason.into() });
    }

    /// Hands a fact on; its absence becomes a gap.
    fn need<T>(&mut self, fact: Option<T>, path: &str, reason: &str) -> Option<T> {
        if fact.is_none() {
            self.note(path, reason);
        }
        fact
    }

    /// The same where the reason came with the failure.
    fn known<T>(&mut self, fact: Result<T, String>, path: &str) -> Option<T> {
        fact.map_err(|reason| self.note(path, reason)).ok()
    }
}

/// The sentence of an error and of everything that caused it.
fn whole(error: &dyn std::error::Error) -> String {
    crate::sentences::chain(error)
}
