//! The trusted platform module, as the kernel's driver tells it; it is not opened.

use super::Gaps;
use crate::tree::{Tree, text_of};
use inventory_wire::Tpm;

const TPM: &str = "sys/class/tpm/tpm0";
/// Tables by which ACPI names a TPM: of 2.0, and of 1.2.
const TABLES: [&str; 2] = ["sys/firmware/acpi/tables/TPM2", "sys/firmware/acpi/tables/TCPA"];

/// Looks at it.
pub fn look(tree: &Tree, gaps: &mut Gaps) -> Option<Tpm> {
    if !tree.exists(TPM) {
        let named = TABLES.iter().any(|table| tree.exists(table));
        let why = if named { "the firmware names a TPM, but no driver of the kernel shows it" } else { "the kernel shows no TPM" };
        gaps.note("tpm", why);
        return None;
    }
    let caps = tree.bytes(&format!("{TPM}/device/caps"), 4096).unwrap_or_default();
    let version = match tree.text(&format!("{TPM}/tpm_version_major")).as_deref() {
        Some("2") => Some("2.0".to_owned()),
        Some("1") => Some("1.2".to_owned()),
        _ => value(&caps, "TCG version:"),
    };
    let not_told = "the kernel does not tell it of a TPM 2.0";
    Some(Tpm {
        version: gaps.need(version, "tpm.version", "the kernel does not say"),
        manufacturer: gaps.need(value(&caps, "Manufacturer:").map(maker), "tpm.manufacturer", not_told),
        firmware: gaps.need(value(&caps, "Firmware version:"), "tpm.firmware", not_told),
        ..Tpm::default()
    })
}

fn value(caps: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(caps);
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    text_of(value.as_bytes())
}

/// Makers are four letters in a number: `0x49465800` is IFX.
fn maker(number: String) -> String {
    let letters = number.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()).map(u32::to_be_bytes);
    let named = letters.filter(|letters| letters.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, 0 | b' ')));
    named.and_then(|letters| text_of(&letters)).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_are_named_by_their_letters() {
        assert_eq!(maker("0x49465800".into()), "IFX");
        assert_eq!(maker("0x494e5443".into()), "INTC");
        assert_eq!(maker("0x01020304".into()), "0x01020304");
        assert_eq!(maker("odd".into()), "odd");
    }
}
