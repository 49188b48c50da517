//! Parts that fail or wear out, as they judge themselves.

use super::expected::disk_in_words;
use super::{Kind, Severity, Telling, many, text};
use crate::hardware::Summary;

/// From how much of its life on a disk is told, per cent.
const WORN_PERCENT: u32 = 90;

pub(super) fn check(summary: &Summary, told: &mut Telling) {
    for disk in &summary.each_disk {
        let path = format!("disks.{}.health", text(&disk.name));
        if disk.healthy == Some(false) {
            told.add(Kind::Health, Severity::Wrong, path, format!("{} says that it fails: replace it", disk_in_words(disk)));
        } else if let Some(wear) = disk.wear_percent.filter(|wear| *wear >= WORN_PERCENT) {
            let rest = format!("{} has used {wear} % of its life: plan its replacement", disk_in_words(disk));
            told.add(Kind::Health, Severity::Notice, path, rest);
        }
    }
    let errors = |count: Option<u64>| count.filter(|count| *count > 0).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    if let Some(count) = errors(summary.memory_uncorrected_errors) {
        let what = many(count, "memory error");
        let rest = format!(
            "{what} could not be corrected since its kernel started: test it with `overture nodes test {} --memory` and replace the module",
            told.name
        );
        told.add(Kind::Health, Severity::Wrong, "memory.uncorrected_errors", rest);
    }
    if let Some(count) = errors(summary.memory_corrected_errors) {
        let what = many(count, "memory error");
        let verb = if count == 1 { "was" } else { "were" };
        let rest = format!("{what} {verb} corrected since its kernel started: watch whether they grow");
        told.add(Kind::Health, Severity::Notice, "memory.corrected_errors", rest);
    }
}
