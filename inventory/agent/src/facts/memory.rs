//! Memory: what the kernel can use, what is plugged in, and which errors it has seen.

use super::Gaps;
use super::dimms::Modules;
use super::smbios::Smbios;
use crate::tree::Tree;
use inventory_wire::Memory;

const CONTROLLERS: &str = "sys/devices/system/edac/mc";

/// Looks at it.
pub fn look(tree: &Tree, smbios: Result<&Smbios<'_>, String>, gaps: &mut Gaps) -> Memory {
    let info = tree.bytes("proc/meminfo", 16 * 1024).unwrap_or_default();
    let usable = gaps.need(usable(&info), "memory.usable_bytes", "/proc/meminfo has no line MemTotal");
    let mut memory = Memory { usable_bytes: usable, ..Memory::default() };
    match smbios {
        Ok(smbios) => plugged_in(&Modules::find(smbios), &mut memory, gaps),
        Err(why) => ["installed_bytes", "slots", "most_bytes", "error_correction", "dimms"]
            .iter()
            .for_each(|field| gaps.note(format!("memory.{field}"), why.as_str())),
    }
    memory.corrected_errors = gaps.known(errors(tree, "ce_count"), "memory.corrected_errors");
    memory.uncorrected_errors = gaps.known(errors(tree, "ue_count"), "memory.uncorrected_errors");
    memory
}

fn plugged_in(modules: &Modules<'_>, memory: &mut Memory, gaps: &mut Gaps) {
    let no_module = "SMBIOS lists no memory module with a size (type 17)";
    memory.installed_bytes = gaps.need(modules.installed_bytes(), "memory.installed_bytes", no_module);
    memory.slots = gaps.need(modules.slots(), "memory.slots", "SMBIOS lists no socket for memory (type 17)");
    memory.most_bytes = gaps.need(modules.most_bytes(), "memory.most_bytes", "SMBIOS names no limit of the memory (type 16)");
    let correction = modules.error_correction().map(str::to_owned);
    memory.error_correction = gaps.need(correction, "memory.error_correction", "SMBIOS names no error correction (type 16)");
    memory.dimms = modules.dimms(gaps);
    if memory.dimms.is_empty() {
        gaps.note("memory.dimms", "SMBIOS lists no memory module (type 17)");
    }
}

/// `MemTotal:  480000 kB`, where kB means KiB.
fn usable(info: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(info);
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The sum over all memory controllers that have a driver of EDAC.
fn errors(tree: &Tree, file: &str) -> Result<u64, String> {
    let names = tree.names(CONTROLLERS);
    let counts = names.iter().filter(|name| name.starts_with("mc")).filter_map(|name| tree.number(&format!("{CONTROLLERS}/{name}/{file}")));
    counts.reduce(u64::saturating_add).ok_or_else(|| "the kernel has no EDAC driver for the memory controller".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_in_kib() {
        assert_eq!(usable(b"MemTotal:         480240 kB\nMemFree: 1 kB\n"), Some(480_240 * 1024));
        assert_eq!(usable(b"MemTotal: lots\n"), None);
        assert_eq!(usable(b"\xff\xfe"), None);
    }
}
