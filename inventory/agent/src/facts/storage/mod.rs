//! Disks and their controllers: what `/sys` shows at once, and what the disks tell when they are asked, which takes time.
//!
//! ```text
//! disk, partitions, controllers   read /sys
//! probes                          threads that ask the disks, and keep what they answered
//!   ask ─► tools                  runs blkid, wipefs, smartctl, bounded
//!     contents, membership        what is written on a disk
//!     health                      how a disk does
//! ```
//!
//! A fact that is still being asked for is a gap that says so; it is there at a later look.

mod ask;
mod contents;
mod controllers;
mod disk;
mod health;
mod membership;
mod partitions;
mod probes;
#[cfg(test)]
mod tests;
mod tools;

pub use controllers::look as look_at_controllers;
pub use probes::Probes;
pub(super) use tools::{Limits, Tool};

use super::Gaps;
use crate::tree::Tree;
use ask::{Contents, HealthSeen};
use disk::Place;
use inventory_wire::Disk;

const STILL_READING: &str = "it is still being read";
const A_COPY: &str = "these are files of a machine, the disk itself cannot be asked";

/// Looks at the disks, in the order of their names.
pub fn look(tree: &Tree, probes: &Probes, gaps: &mut Gaps) -> Vec<Disk> {
    if !tree.exists("sys/block") {
        gaps.note("disks", "there is no /sys/block");
    }
    let seen = tree.names("sys/block").into_iter().filter_map(|name| {
        let place = Place::find(tree, &name)?;
        let mut own = Gaps::default();
        let disk = place.disk(&mut own);
        let subject = place.subject(&disk);
        Some((disk, own, subject))
    });
    let seen: Vec<_> = seen.collect();
    let subjects: Vec<_> = seen.iter().map(|(_, _, subject)| subject.clone()).collect();
    let asked = probes.look(&subjects);
    let known = |at: usize| match &asked {
        Some(known) => known.get(at).cloned().map(|(contents, health)| (contents.ok_or(STILL_READING), health.ok_or(STILL_READING))),
        None => None,
    };
    let mut disks = Vec::new();
    for (at, (mut disk, own, subject)) in seen.into_iter().enumerate() {
        gaps.0.extend(own.0);
        let (contents, health) = known(at).unwrap_or((Err(A_COPY), Err(A_COPY)));
        let path = format!("disks.{}", subject.name);
        add_contents(&mut disk, flat(contents), &path, gaps);
        add_health(&mut disk, flat(health), &path, gaps);
        disks.push(disk);
    }
    disks
}

fn flat<T>(answer: Result<Result<T, String>, &str>) -> Result<T, String> {
    answer.map_err(str::to_owned).and_then(|answer| answer)
}

fn add_contents(disk: &mut Disk, contents: Result<Contents, String>, path: &str, gaps: &mut Gaps) {
    let mut contents = match contents {
        Ok(contents) => contents,
        Err(reason) => {
            gaps.note(format!("{path}.partition_table"), reason.clone());
            return gaps.note(format!("{path}.signatures"), reason);
        }
    };
    partitions::describe(&mut disk.partitions, &mut contents);
    let unread = contents.missing.iter().any(|(field, _)| *field == "partition_table");
    let none = (!unread).then(|| "none".to_owned());
    contents.missing.into_iter().for_each(|(field, reason)| gaps.note(format!("{path}.{field}"), reason));
    disk.partition_table = contents.table.or(none);
    disk.signatures = disk.name.as_ref().and_then(|name| contents.signatures.remove(name)).unwrap_or_default();
}

fn add_health(disk: &mut Disk, seen: Result<HealthSeen, String>, path: &str, gaps: &mut Gaps) {
    let seen = match seen {
        Ok(seen) => seen,
        Err(reason) => return gaps.note(format!("{path}.health"), reason),
    };
    // The kernel shows four letters of a SCSI disk's firmware.
    let longer = |firmware: &String| disk.firmware.as_ref().is_none_or(|known| firmware.starts_with(known));
    if let Some(firmware) = seen.firmware.filter(longer) {
        gaps.0.retain(|gap| gap.path != format!("{path}.firmware"));
        disk.firmware = Some(firmware);
    }
    let missing = health::missing(&seen.health);
    if !missing.is_empty() {
        gaps.note(format!("{path}.health"), format!("the disk does not tell {}", missing.join(", ")));
    }
    disk.health = Some(seen.health);
}
