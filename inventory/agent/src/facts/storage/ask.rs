//! Asks one disk, by Debian's tools: `blkid` for the partition table, `wipefs` for what is written on it, `smartctl` for
//! its health. None of them writes, none wakes a sleeping disk.

use super::contents::{self, Place};
use super::health;
use super::membership;
use super::probes::{Asker, Subject};
use super::tools::{Limits, Tool, ToolError};
use crate::sentences::chain;
use inventory_wire::{Health, Signature};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Duration;

pub use contents::Details;

const BLKID: Tool = Tool { name: "blkid", package: "util-linux" };
const WIPEFS: Tool = Tool { name: "wipefs", package: "util-linux" };
const SMARTCTL: Tool = Tool { name: "smartctl", package: "smartmontools" };

/// A disk that repairs itself answers after some ten seconds; a dead one never.
const LIMITS: Limits = Limits { time: Duration::from_secs(30), bytes: 1 << 20 };
/// The most partitions of one disk that are asked about: the kernel itself shows at most 256.
const MOST_PARTITIONS: usize = 256;
/// From each end of a disk, bytes: the farthest signatures, those of ZFS, lie within half a mebibyte.
const END: usize = 1 << 20;

/// Disks by the beginnings of their names that smartctl cannot ask.
const WITHOUT_HEALTH: [(&str, &str); 4] =
    [("vd", "a virtio disk"), ("xvd", "a Xen disk"), ("mmcblk", "a memory card"), ("pmem", "persistent memory")];

/// What is written on a disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// The kind of its partition table.
    pub table: Option<String>,
    /// What the table says of its partitions, by their numbers.
    pub partitions: BTreeMap<u32, Details>,
    /// Signatures, by the name of the disk or partition.
    pub signatures: BTreeMap<String, Vec<Signature>>,
    /// What could not be read, and why.
    pub missing: Vec<(&'static str, String)>,
}

/// What a disk says of its health.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HealthSeen {
    /// That.
    pub health: Health,
    /// Its firmware, whole where the kernel cuts it.
    pub firmware: Option<String>,
}

/// The real tools.
pub struct Tools;

impl Asker for Tools {
    fn contents(&self, disk: &Subject) -> Result<Contents, String> {
        let path = device(&disk.name);
        let opened = open(&path)?;
        let mut names = vec![disk.name.clone()];
        names.extend(disk.partitions.iter().take(MOST_PARTITIONS).map(|(name, _)| name.clone()));
        let devices: Vec<String> = names.iter().map(|name| device(name)).collect();
        let mut found = Contents::default();
        match table(&devices) {
            Ok((table, partitions)) => (found.table, found.partitions) = (table, partitions),
            Err(reason) => found.missing.push(("partition_table", reason)),
        }
        match signatures(&devices) {
            Ok(signatures) => found.signatures = signatures,
            Err(reason) => found.missing.push(("signatures", reason)),
        }
        let nothing = |found: &Contents| found.missing.is_empty() && found.table.is_none() && found.signatures.is_empty();
        if nothing(&found)
            && let Err(reason) = read_ends(&opened)
        {
            found.missing = ["partition_table", "signatures"].map(|field| (field, reason.clone())).to_vec();
        }
        for (name, signatures) in &mut found.signatures {
            signatures.iter_mut().for_each(|signature| name_the_group(&device(name), signature));
        }
        Ok(found)
    }

    fn health(&self, disk: &Subject) -> Result<HealthSeen, String> {
        if let Some((_, kind)) = WITHOUT_HEALTH.iter().find(|(name, _)| disk.name.starts_with(name)) {
            return Err(format!("{kind} knows nothing of its health"));
        }
        if !rustix::process::geteuid().is_root() {
            return Err("only root may ask a disk for its health".into());
        }
        // 3 for a sleeping disk, as its manual page advises: nothing else ends with it.
        let arguments = ["-n", "standby,3", "--json=c", "-a", "-l", "ssd", "-l", "devstat", &device(&disk.name)];
        let said = SMARTCTL.run(&arguments, LIMITS).map_err(|error| told(&error))?;
        health::parse(&said.output, said.code)
    }
}

fn device(name: &str) -> String {
    // The kernel writes a `/` of a device's name as `!`.
    format!("/dev/{}", name.replace('!', "/"))
}

fn open(path: &str) -> Result<File, String> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let opened = File::options().read(true).custom_flags(flags.bits() as i32).open(path);
    opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!("only root may read {path}"),
        _ => format!("{path} cannot be opened: {error}"),
    })
}

/// The tools take a place that cannot be read for an empty one. Reads where tables and signatures are: both ends.
fn read_ends(disk: &File) -> Result<(), String> {
    let mut buffer = vec![0; END];
    let mut begin = disk;
    let size = begin.seek(SeekFrom::End(0)).map_err(unreadable)?;
    for at in [0, size.saturating_sub(END as u64)] {
        let length = usize::try_from(size - at).map_or(END, |left| left.min(END));
        disk.read_exact_at(&mut buffer[..length], at).map_err(unreadable)?;
    }
    Ok(())
}

fn unreadable(error: std::io::Error) -> String {
    format!("the disk cannot be read where they are written: {error}")
}

/// One call for the disk and its partitions. Filesystems are not looked for: where two are found, it says nothing at all.
fn table(devices: &[String]) -> Result<(Option<String>, BTreeMap<u32, Details>), String> {
    let mut arguments = vec!["-p", "-u", "nofilesystem,raid,crypto,other", "-o", "udev"];
    arguments.extend(devices.iter().map(String::as_str));
    let said = BLKID.run(&arguments, LIMITS).map_err(|error| told(&error))?;
    match said.code {
        // 2: nothing found, as on an empty disk; 8: more than one table.
        Some(0 | 2) => Ok(contents::tables(&said.output)),
        Some(8) => Err("the disk has more than one partition table".into()),
        code => Err(complained("blkid", code, &said.complaint)),
    }
}

fn signatures(devices: &[String]) -> Result<BTreeMap<String, Vec<Signature>>, String> {
    let mut arguments = vec!["--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,USAGE,UUID,LABEL"];
    arguments.extend(devices.iter().map(String::as_str));
    let said = WIPEFS.run(&arguments, LIMITS).map_err(|error| told(&error))?;
    match said.code {
        Some(0) => contents::signatures(&said.output),
        code => Err(complained("wipefs", code, &said.complaint)),
    }
}

fn name_the_group(path: &str, signature: &mut Signature) {
    if signature.member_of.is_none()
        && let Some(kind) = signature.kind.as_deref()
        && let Some(place) = Place::of(kind)
        && let Ok(disk) = open(path)
    {
        signature.member_of = membership::read(place, &disk);
    }
}

fn told(error: &ToolError) -> String {
    chain(error)
}

fn complained(tool: &str, code: Option<i32>, complaint: &str) -> String {
    let how = code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with {code}"));
    let first = complaint.lines().next().and_then(|line| crate::tree::text_of(line.as_bytes()));
    first.map_or_else(|| format!("{tool} {how}"), |said| format!("{tool} {how}: {said}"))
}
