//! Where the programs and firmware files that a lab needs are.

use std::path::{Path, PathBuf};

/// A shell that became root by `su` keeps a search path without these.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/bin"];

/// UEFI firmware, and the variables it starts with. Debian's package `ovmf`.
pub(crate) const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// See [`OVMF_CODE`].
pub(crate) const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Where QEMU looks for the network card's ROM that makes a BIOS machine boot. Debian's package `ipxe-qemu`.
const BIOS_ROMS: [&str; 2] = ["/usr/lib/ipxe/qemu/pxe-virtio.rom", "/usr/share/qemu/pxe-virtio.rom"];

/// The full path of a program, from `PATH` and the system's folders; `None` when it is not installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The same, or the bare name, so that starting it fails with a message that names it.
pub(crate) fn path_of(program: &str) -> PathBuf {
    find(program).unwrap_or_else(|| program.into())
}

/// Whether the ROM for BIOS machines is installed.
pub(crate) fn bios_rom_is_installed() -> bool {
    BIOS_ROMS.iter().any(|rom| Path::new(rom).is_file())
}

/// Whether UEFI's firmware is installed.
pub(crate) fn ovmf_is_installed() -> bool {
    [OVMF_CODE, OVMF_VARIABLES].iter().all(|file| Path::new(file).is_file())
}
