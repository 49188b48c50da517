//! Memory: what the kernel can use, and what is plugged in.

use super::Gaps;
use super::smbios::{MEMORY_ARRAY, MEMORY_DEVICE, Smbios, Structure};
use crate::tree::Tree;
use inventory_wire::Memory;

const MIB: u64 = 1 << 20;

/// Looks at it.
pub fn look(tree: &Tree, smbios: Result<&Smbios<'_>, String>, gaps: &mut Gaps) -> Memory {
    let info = tree.bytes("proc/meminfo", 16 * 1024).unwrap_or_default();
    let usable = gaps.need(usable(&info), "memory.usable_bytes", "/proc/meminfo has no line MemTotal");
    let installed =
        smbios.and_then(|smbios| installed(smbios).ok_or_else(|| "SMBIOS lists no memory module with a size (type 17)".to_owned()));
    Memory { usable_bytes: usable, installed_bytes: gaps.known(installed, "memory.installed_bytes"), ..Memory::default() }
}

/// `MemTotal:  480000 kB`, where kB means KiB.
fn usable(info: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(info);
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The sum of the modules of system memory. Modules of other arrays (firmware flash, video memory) do not count.
fn installed(smbios: &Smbios<'_>) -> Option<u64> {
    const SYSTEM_MEMORY: u8 = 3;
    let others: Vec<u16> =
        smbios.all(MEMORY_ARRAY).filter(|array| array.byte(5).is_some_and(|of| of != SYSTEM_MEMORY)).map(|array| array.handle).collect();
    let modules = smbios.all(MEMORY_DEVICE).filter(|module| !module.word(4).is_some_and(|array| others.contains(&array)));
    let total = modules.filter_map(module_size).try_fold(0u64, u64::checked_add)?;
    (total > 0).then_some(total)
}

/// Size of one module, bytes (DSP0134, 7.18): 0 is an empty socket, 0xFFFF unknown, 0x7FFF refers to a wider field;
/// the top bit chooses KiB over MiB.
fn module_size(module: &Structure<'_>) -> Option<u64> {
    match module.word(0x0c)? {
        0 | 0xffff => None,
        0x7fff => Some(u64::from(module.double_word(0x1c)? & 0x7fff_ffff) * MIB),
        size if size & 0x8000 != 0 => Some(u64::from(size & 0x7fff) * 1024),
        size => Some(u64::from(size) * MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(handle: u8, purpose: u8) -> Vec<u8> {
        vec![MEMORY_ARRAY, 6, handle, 0, 3, purpose, 0, 0]
    }

    fn module(array: u8, size: u16, extended: u32) -> Vec<u8> {
        let mut bytes = vec![MEMORY_DEVICE, 0x20, 9, 9, array, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(size.to_le_bytes());
        bytes.resize(0x1c, 0);
        bytes.extend(extended.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    #[test]
    fn modules_of_system_memory_are_added_up() {
        let tables = [
            array(1, 3),
            array(2, 5),
            module(1, 512, 0),
            module(1, 0, 0),
            module(1, 0xffff, 0),
            module(1, 0x7fff, 65536),
            module(1, 0x8000 | 2048, 0),
            module(2, 16, 0),
        ]
        .concat();
        assert_eq!(installed(&Smbios::parse(b"", &tables)), Some((512 + 65536 + 2) * MIB));
        assert_eq!(installed(&Smbios::parse(b"", &module(1, 0, 0))), None);
    }

    #[test]
    fn the_kernels_count_is_in_kib() {
        assert_eq!(usable(b"MemTotal:         480240 kB\nMemFree: 1 kB\n"), Some(480_240 * 1024));
        assert_eq!(usable(b"MemTotal: lots\n"), None);
        assert_eq!(usable(b"\xff\xfe"), None);
    }
}
