//! What boards say when nobody filled in the field. None of it becomes a fact; the gap repeats it.

/// Texts that stand for "nothing", in lower case. Collected from what sample firmware and board makers ship.
const NOTHING: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by oem",
    "not specified",
    "not applicable",
    "not available",
    "not provided",
    "not present",
    "not defined",
    "not settable",
    "not set",
    "no asset tag",
    "no asset information",
    "no enclosure",
    "none",
    "null",
    "n/a",
    "na",
    "unknown",
    "undefined",
    "default string",
    "default",
    "default_string",
    "type1family",
    "o.e.m.",
    "oem",
    "invalid",
    "empty",
    "system manufacturer",
    "system product name",
    "system version",
    "system serial number",
    "system name",
    "chassis manufacture",
    "chassis version",
    "chassis serial number",
    "asset-1234567890",
    "asset tag",
    "base board serial number",
    "board serial number",
    "serial",
    "sku",
    "family",
    "x.x",
];

/// Whether a maker's text says nothing.
pub fn says_nothing(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    !lower.chars().any(char::is_alphanumeric) || NOTHING.contains(&lower.as_str())
}

/// Whether a serial number or asset tag says nothing: also one repeated sign (zeros, `XXXX`) and plain counting.
pub fn is_no_serial(text: &str) -> bool {
    let signs: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect();
    let one_sign = signs.windows(2).all(|pair| pair.first() == pair.last());
    let filler = one_sign && (signs.len() > 3 || matches!(signs.first(), Some('0' | 'x')));
    let counting = text.len() >= 5 && "01234567890123456789".contains(text);
    says_nothing(text) || filler || counting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_names() {
        for text in ["", "  ", "-", "To Be Filled By O.E.M.", "Default string", "Not Specified", "N/A", "System Product Name"] {
            assert!(says_nothing(text), "{text:?}");
            assert!(is_no_serial(text), "{text:?}");
        }
        for text in ["00000000", "0", "XXXXXXX", "ffffffff", "1234567890", "123456789", "0123456789", "00:00:00:00"] {
            assert!(is_no_serial(text), "{text:?}");
        }
        for text in ["VM-0001", "1", "7", "CZ12345678", "J1A2B3", "PowerEdge R650", "1.0", "12345X"] {
            assert!(!says_nothing(text) && !is_no_serial(text), "{text:?}");
        }
    }
}
