//! Who is speaking DHCP: firmware, iPXE or a system, told by its options.

use crate::mac::MacAddr;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// The programme that sends a DHCP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// A PXE client in a boot ROM or UEFI (option 60 `PXEClient`).
    Pxe,
    /// UEFI HTTP boot (option 60 `HTTPClient`).
    HttpBoot,
    /// iPXE, wherever it was loaded from.
    Ipxe,
    /// An operating system or a ramdisk.
    System,
}

/// Client architecture, option 93 (RFC 4578; IANA "Processor Architecture Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(pub u16);

impl Architecture {
    /// PC BIOS.
    pub const BIOS: Self = Self(0);

    /// Whether it starts x86-64 UEFI programmes (7 is what firmware sends, 9 what RFC 4578 meant; 16 by HTTP).
    pub fn is_uefi_x86_64(self) -> bool {
        matches!(self.0, 7 | 9 | 16)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "BIOS",
            6 => "IA32 UEFI",
            7 | 9 => "x86-64 UEFI",
            10 => "ARM 32 UEFI",
            11 => "ARM64 UEFI",
            15 => "IA32 UEFI by HTTP",
            16 => "x86-64 UEFI by HTTP",
            18 => "ARM 32 UEFI by HTTP",
            19 => "ARM64 UEFI by HTTP",
            _ => "unknown",
        };
        write!(f, "{name} ({})", self.0)
    }
}

/// What a DHCP packet says of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// chaddr.
    pub mac: MacAddr,
    /// Transaction id.
    pub xid: u32,
    /// Which programme it is.
    pub speaker: Speaker,
    /// Option 93, when sent.
    pub architecture: Option<Architecture>,
    /// Option 97, when sent; in the byte order of SMBIOS text.
    pub uuid: Option<Uuid>,
}

/// Tells who speaks from the options that say so, with the reason.
///
/// `user_class` is option 77 as it came: iPXE writes the bare text, RFC 3004 wants length-prefixed instances; both
/// are read. `ipxe_options` is whether option 175 came. Either alone makes it iPXE: a user class can be overridden
/// by a script, and option 175 is still there (dnsmasq's and Kea's usual rules miss that, and loop).
pub fn speaker(user_class: Option<&[u8]>, vendor_class: Option<&[u8]>, ipxe_options: bool) -> (Speaker, &'static str) {
    let says_ipxe = |bytes: &[u8]| bytes == b"iPXE" || bytes == b"\x04iPXE" || bytes.windows(5).any(|w| w == b"\x04iPXE");
    if user_class.is_some_and(says_ipxe) {
        return (Speaker::Ipxe, "its user class (option 77) is iPXE");
    }
    if ipxe_options {
        return (Speaker::Ipxe, "it sends iPXE's encapsulated options (option 175)");
    }
    match vendor_class {
        Some(class) if class.starts_with(b"PXEClient") => (Speaker::Pxe, "its vendor class (option 60) is PXEClient"),
        Some(class) if class.starts_with(b"HTTPClient") => (Speaker::HttpBoot, "its vendor class (option 60) is HTTPClient"),
        _ => (Speaker::System, "neither firmware nor iPXE is named in its options"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speaker_is_told_by_any_sign_of_ipxe() {
        let pxe = Some(b"PXEClient:Arch:00000:UNDI:002001".as_slice());
        let cases: [(Option<&[u8]>, Option<&[u8]>, bool, Speaker); 7] = [
            (None, pxe, false, Speaker::Pxe),
            (None, Some(b"HTTPClient:Arch:00016:UNDI:003001"), false, Speaker::HttpBoot),
            (Some(b"iPXE"), pxe, false, Speaker::Ipxe),
            (Some(b"\x04iPXE"), pxe, true, Speaker::Ipxe),
            (Some(b"plain"), pxe, true, Speaker::Ipxe),
            (Some(b"plain"), pxe, false, Speaker::Pxe),
            (None, Some(b"d-i"), false, Speaker::System),
        ];
        for (user_class, vendor_class, options, expected) in cases {
            assert_eq!(speaker(user_class, vendor_class, options).0, expected, "{user_class:?} {vendor_class:?} {options}");
        }
    }
}
