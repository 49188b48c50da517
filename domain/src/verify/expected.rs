//! Hardware and firmware against what was ordered.

use super::{Hall, Kind, Severity, Telling, many, text};
use crate::document::Gap;
use crate::hardware::{DiskBrief, Firmware, Summary};
use crate::place::shown;
use crate::quantity::{Bytes, Count, Limit, Rate, Version, in_powers_of_1000, in_powers_of_1024};
use crate::site::{DeclaredNode, Expects};
use std::fmt::Display;

/// What the kernel and the firmware keep for themselves of the memory that is plugged in: less than one part in this many.
const KEPT_OF_MEMORY: u64 = 8;

/// One node's hardware beside what it is to be.
struct Beside<'h, 't> {
    hall: &'h Hall<'h>,
    i: usize,
    summary: &'h Summary,
    told: &'t mut Telling,
}

impl Hall<'_> {
    pub(super) fn check_expectations(&self, i: usize, declared: &DeclaredNode, told: &mut Telling) {
        let expects = self.layout.site().expects_of(declared);
        if expects.is_empty() {
            return;
        }
        let mut beside = Beside { hall: self, i, summary: &self.seen[i].node.summary, told };
        beside.models(&expects);
        beside.memory(&expects);
        beside.counts(&expects);
        beside.disk_sizes(&expects);
        beside.speeds(&expects, declared);
        beside.versions(&expects);
    }

    /// Why a fact is missing: the gap at it, above it or below it.
    pub(super) fn reason(&self, i: usize, path: &str) -> String {
        self.gap(i, path).map_or_else(|| "its report does not say".into(), |gap| crate::timeline::printable(&gap.reason, 200))
    }

    fn gap(&self, i: usize, path: &str) -> Option<&Gap> {
        let below = |longer: &str, shorter: &str| longer.strip_prefix(shorter).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.seen[i].gaps.iter().find(|gap| below(path, &gap.path) || below(&gap.path, path))
    }
}

impl Beside<'_, '_> {
    fn wrong(&mut self, path: &str, rest: impl Display) {
        self.told.add(Kind::Hardware, Severity::Wrong, path, rest);
    }

    fn unchecked(&mut self, path: &str, what: &str, expected: &dyn Display) {
        let reason = self.hall.reason(self.i, path);
        self.told.add(Kind::Hardware, Severity::Unchecked, path, format!("{what}, expected {expected}, cannot be checked: {reason}"));
    }

    fn models(&mut self, expects: &Expects) {
        let summary = self.summary;
        if let Some(wanted) = &expects.vendor {
            match &summary.vendor {
                None => self.unchecked("system.manufacturer", "its maker", wanted),
                Some(seen) if !made_by(seen, wanted) => {
                    self.wrong("system.manufacturer", format!("it was made by `{}`, expected `{wanted}`", text(seen)));
                }
                Some(_) => {}
            }
        }
        if let Some(wanted) = &expects.model {
            match &summary.product {
                None => self.unchecked("system.product", "its model", wanted),
                Some(seen) if !seen.trim().eq_ignore_ascii_case(wanted.trim()) => {
                    self.wrong("system.product", format!("it is a `{}`, expected `{wanted}`", text(seen)));
                }
                Some(_) => {}
            }
        }
        if let Some(wanted) = expects.boot {
            let word = |firmware| if firmware == Firmware::Bios { "BIOS" } else { "UEFI" };
            match summary.firmware {
                None => self.unchecked("firmware.kind", "how it is started", &word(wanted)),
                Some(seen) if seen != wanted => {
                    self.wrong(
                        "firmware.kind",
                        format!("it was started by {}, expected {}: change it in its firmware's settings", word(seen), word(wanted)),
                    );
                }
                Some(_) => {}
            }
        }
    }

    fn memory(&mut self, expects: &Expects) {
        let Some(limit) = &expects.memory else { return };
        let path = "memory.installed_bytes";
        let modules = self.summary.dimms.map(|dimms| format!(" in {}", many(dimms as usize, "module"))).unwrap_or_default();
        let mend = |bytes| {
            if limit.least().is_some_and(|least| bytes < least.0) { ": look for a module that is missing, loose or dead" } else { "" }
        };
        match (self.summary.memory_installed_bytes, self.summary.memory_bytes) {
            (Some(bytes), _) if limit.holds(&Bytes(bytes)) => {}
            (Some(bytes), _) => {
                let rest = format!("it has {} of memory{modules}, expected {limit}{}", in_powers_of_1024(bytes), mend(bytes));
                self.wrong(path, rest);
            }
            // Only a lower bound is known: what is plugged in is a little more.
            (None, Some(usable)) if limit.holds(&Bytes(usable)) || limit.holds(&Bytes(usable + usable / KEPT_OF_MEMORY)) => {}
            (None, Some(usable)) if limit.least().is_some_and(|least| usable + usable / KEPT_OF_MEMORY >= least.0 && usable < least.0) => {
                self.unchecked(path, &format!("its memory, of which {} can be used", in_powers_of_1024(usable)), limit);
            }
            (None, Some(usable)) => {
                let rest = format!("it has {} of memory that can be used, expected {limit}{}", in_powers_of_1024(usable), mend(usable));
                self.wrong("memory.usable_bytes", rest);
            }
            (None, None) => self.unchecked(path, "its memory", limit),
        }
    }

    fn counts(&mut self, expects: &Expects) {
        let summary = self.summary;
        let disks = names(summary.each_disk.iter().map(|disk| disk.name.as_str()));
        let nics = names(summary.each_nic.iter().map(shown));
        let gpus = names(summary.gpus.iter().map(String::as_str));
        // An empty list is also what is left of a report that could not look.
        let gpus_known = !summary.gpus.is_empty() || self.hall.gap(self.i, "gpus").is_none();
        let gpu_count = gpus_known.then(|| u32::try_from(summary.gpus.len()).unwrap_or(u32::MAX));
        for (limit, seen, path, what, list) in [
            (&expects.dimms, summary.dimms, "memory.dimms", "memory module", ""),
            (&expects.sockets, summary.cpu_sockets, "cpu.sockets", "processor", ""),
            (&expects.cores, summary.cpu_cores, "cpu.cores", "core", ""),
            (&expects.cpus, summary.cpu_threads, "cpu.threads", "logical processor", ""),
            (&expects.disks, summary.disks, "disks", "disk", disks.as_str()),
            (&expects.nics, summary.nics, "nics", "network interface", nics.as_str()),
            (&expects.gpus, gpu_count, "gpus", "accelerator", gpus.as_str()),
        ] {
            let Some(limit) = limit else { continue };
            match seen {
                None => self.unchecked(path, &format!("the number of its {what}s"), limit),
                Some(seen) if !limit.holds(&Count(seen.into())) => {
                    let few = limit.least().is_some_and(|least| u64::from(seen) < least.0);
                    let mend = if few { ": look for one that is missing, loose, dead or switched off" } else { "" };
                    self.wrong(path, format!("it has {}{list}, expected {limit}{mend}", many(seen as usize, what)));
                }
                Some(_) => {}
            }
        }
    }

    fn disk_sizes(&mut self, expects: &Expects) {
        let Some(limit) = &expects.disk else { return };
        let sized: Vec<&DiskBrief> = self.summary.each_disk.iter().filter(|disk| disk.size_bytes.is_some_and(|bytes| bytes > 0)).collect();
        let holds = |disk: &&&DiskBrief| limit.holds(&Bytes(disk.size_bytes.unwrap_or(0)));
        let good = sized.iter().filter(holds).count();
        if sized.is_empty() && self.summary.disks != Some(0) {
            return self.unchecked("disks", "the size of its disks", limit);
        }
        // Beyond those that could hold a system there are media that can be taken out: a stick, a virtual CD.
        if self.summary.disks.is_some_and(|disks| good >= disks as usize) {
            return;
        }
        for disk in sized.iter().filter(|disk| !holds(disk)) {
            let size = in_powers_of_1000(disk.size_bytes.unwrap_or(0));
            let path = format!("disks.{}", text(&disk.name));
            self.wrong(&path, format!("{} has {size}, expected {limit}", disk_in_words(disk)));
        }
    }

    fn speeds(&mut self, expects: &Expects, declared: &DeclaredNode) {
        let Some(limit) = &expects.nic_speed else { return };
        let cables = self.hall.layout.site().cables_of(declared);
        let nics = &self.summary.each_nic;
        let wanted: Vec<_> = if cables.is_empty() {
            nics.iter().filter(|nic| nic.link == Some(true)).map(|nic| (shown(nic), nic)).collect()
        } else {
            cables.iter().filter_map(|cable| Some((cable.nic.as_str(), &nics[super::cabling::find(nics, &cable.nic)?]))).collect()
        };
        if wanted.is_empty() {
            return self.unchecked("nics", "the speed of its network interfaces", limit);
        }
        for (name, nic) in wanted {
            let (name, path) = (text(name), format!("nics.{}", text(&nic.name)));
            let rate = |mbit: Option<u32>| mbit.filter(|mbit| *mbit > 0).map(|mbit| Rate(mbit.into()));
            match (rate(nic.most_speed_mbit), rate(nic.speed_mbit)) {
                (Some(most), Some(now)) if limit.holds(&most) && !limit.holds(&now) => {
                    self.wrong(&path, format!("{name} runs at {now} though it can reach {most}, expected {limit}: look at its cable, its transceiver and the switch's port"));
                }
                (Some(most), _) if limit.holds(&most) => {}
                (Some(most), _) => {
                    self.wrong(&path, format!("{name} reaches {most} at most, expected {limit}: look for another card or port"))
                }
                (None, Some(now)) if !limit.holds(&now) => {
                    self.wrong(&path, format!("{name} runs at {now}, expected {limit}: look at its card, its cable and the switch's port"));
                }
                (None, Some(_)) => {}
                (None, None) => self.unchecked(&path, &format!("the speed of {name}"), limit),
            }
        }
    }

    fn versions(&mut self, expects: &Expects) {
        let summary = self.summary;
        for (limit, seen, path, what) in [
            (&expects.firmware, &summary.firmware_version, "firmware.version", "its firmware"),
            (&expects.bmc_firmware, &summary.bmc_firmware, "bmc.firmware", "the firmware of its management controller"),
            (&expects.tpm, &summary.tpm, "tpm.version", "its trusted platform module"),
        ] {
            let Some(limit) = limit else { continue };
            match seen.as_deref().map(|seen| (seen, Version::found_in(seen))) {
                None => self.unchecked(path, &format!("the version of {what}"), limit),
                Some((seen, None)) => {
                    let rest = format!("the version of {what} is `{}`, which has no number to compare with {limit}", text(seen));
                    self.told.add(Kind::Hardware, Severity::Unchecked, path, rest);
                }
                Some((seen, Some(version))) if !limit.holds(&version) => {
                    let mend = if path != "tpm.version" && is_older(limit, &version) { ": update it" } else { "" };
                    self.wrong(path, format!("{what} has version {}, expected {limit}{mend}", text(seen)));
                }
                Some(_) => {}
            }
        }
    }
}

fn is_older(limit: &Limit<Version>, version: &Version) -> bool {
    limit.least().is_some_and(|least| version <= least)
}

/// `Dell Inc.` is made by `dell`.
fn made_by(seen: &str, wanted: &str) -> bool {
    let (seen, wanted) = (seen.trim().to_lowercase(), wanted.trim().to_lowercase());
    seen.strip_prefix(&wanted).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.take(8).map(text).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

/// `disk nvme0n1 (Samsung PM9A3, serial S1)`
pub(super) fn disk_in_words(disk: &DiskBrief) -> String {
    let serial = disk.serial.as_ref().map(|serial| format!("serial {serial}"));
    let known: Vec<String> = disk.model.iter().cloned().chain(serial).map(|known| text(&known)).collect();
    let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
    format!("disk {}{known}", text(&disk.name))
}
