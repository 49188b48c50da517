//! Which file a machine is told to load: the programme that it can start, and that leads on.

use super::speaker::{Architecture, Speaker};

/// Which architecture counts when a client lists several (RFC 4578, 2.1): the first that there is a boot file for, or
/// the first.
pub fn architecture(speaker: Speaker, listed: &[Architecture]) -> Option<Architecture> {
    let bootable = |arch: &&Architecture| boot_file(speaker, Some(**arch)).0 != BootFile::Nothing;
    listed.iter().find(bootable).or(listed.first()).copied()
}

/// What a machine is told to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootFile {
    /// A file by TFTP, by name.
    Tftp(&'static str),
    /// A path of the boot HTTP server.
    Http(&'static str),
    /// An address, and nothing to load.
    Nothing,
}

/// The programme that firmware of BIOS machines loads.
pub const IPXE_BIOS: &str = "undionly.kpxe";
/// The programme that x86-64 UEFI firmware loads.
pub const IPXE_UEFI: &str = "snponly.efi";
/// The first script that iPXE loads.
pub const FIRST_SCRIPT: &str = "/boot.ipxe";

/// Chooses the boot file, with the reason.
pub fn boot_file(speaker: Speaker, architecture: Option<Architecture>) -> (BootFile, String) {
    let because = |text: &str| text.to_owned();
    match (speaker, architecture) {
        (Speaker::Ipxe, _) => {
            (BootFile::Http(FIRST_SCRIPT), because("iPXE gets the script, never another boot programme: that would loop"))
        }
        (Speaker::System, _) => (BootFile::Nothing, because("a running system needs an address and no boot file")),
        (Speaker::Pxe, None | Some(Architecture::BIOS)) => {
            (BootFile::Tftp(IPXE_BIOS), because("BIOS firmware loads iPXE over its own network driver (UNDI)"))
        }
        (Speaker::Pxe, Some(arch)) if arch.is_uefi_x86_64() => {
            (BootFile::Tftp(IPXE_UEFI), format!("firmware of architecture {arch} loads iPXE over its own network driver (SNP)"))
        }
        (Speaker::HttpBoot, Some(arch)) if arch.is_uefi_x86_64() => {
            (BootFile::Http("/boot/snponly.efi"), format!("firmware of architecture {arch} loads iPXE by HTTP"))
        }
        (_, Some(arch)) => (BootFile::Nothing, format!("there is no boot programme for architecture {arch}")),
        (_, None) => (BootFile::Nothing, because("the firmware does not say its architecture (option 93)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_speaker_gets_the_file_it_can_start() {
        let cases = [
            (Speaker::Pxe, Some(0), BootFile::Tftp(IPXE_BIOS)),
            (Speaker::Pxe, None, BootFile::Tftp(IPXE_BIOS)),
            (Speaker::Pxe, Some(7), BootFile::Tftp(IPXE_UEFI)),
            (Speaker::Pxe, Some(9), BootFile::Tftp(IPXE_UEFI)),
            (Speaker::Pxe, Some(11), BootFile::Nothing),
            (Speaker::HttpBoot, Some(16), BootFile::Http("/boot/snponly.efi")),
            (Speaker::HttpBoot, None, BootFile::Nothing),
            (Speaker::Ipxe, Some(0), BootFile::Http(FIRST_SCRIPT)),
            (Speaker::Ipxe, Some(7), BootFile::Http(FIRST_SCRIPT)),
            (Speaker::System, None, BootFile::Nothing),
        ];
        for (speaker, arch, expected) in cases {
            assert_eq!(boot_file(speaker, arch.map(Architecture)).0, expected, "{speaker:?} {arch:?}");
        }
    }

    #[test]
    fn of_several_architectures_the_one_that_can_be_served_counts() {
        let listed = |codes: &[u16]| codes.iter().map(|&code| Architecture(code)).collect::<Vec<_>>();
        let cases: [(Speaker, &[u16], Option<u16>); 5] = [
            (Speaker::Pxe, &[], None),
            (Speaker::Pxe, &[11], Some(11)),
            (Speaker::Pxe, &[6, 7], Some(7)),
            (Speaker::HttpBoot, &[15, 16], Some(16)),
            (Speaker::System, &[7, 0], Some(7)),
        ];
        for (speaker, codes, expected) in cases {
            assert_eq!(architecture(speaker, &listed(codes)), expected.map(Architecture), "{speaker:?} {codes:?}");
        }
    }
}
