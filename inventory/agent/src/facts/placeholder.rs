//! What boards say when nobody filled in the field. None of it becomes a fact; the gap repeats it.

/// Texts that stand for "nothing", in lower case. Collected from what sample firmware and board makers ship. The service has
/// the same list, to decide by; `domain/tests/fixtures/placeholders.txt` keeps the two alike.
const NOTHING: &[&str] = &[
    "to be filled by o.e.m.",
    "to be filled by o.e.m",
    "to be filled by oem",
    "to be filled",
    "to be set by oem",
    "filled by oem",
    "not specified",
    "not applicable",
    "not available",
    "not provided",
    "not present",
    "not defined",
    "not settable",
    "not set",
    "not supported",
    "not configured",
    "not assigned",
    "not known",
    "no serial",
    "no serial number",
    "no asset tag",
    "no asset information",
    "no enclosure",
    "none",
    "null",
    "nil",
    "(null)",
    "n/a",
    "na",
    "tbd",
    "todo",
    "unknown",
    "unspecified",
    "undefined",
    "unavailable",
    "unset",
    "default string",
    "default",
    "default_string",
    "defaultstring",
    "type1family",
    "o.e.m.",
    "oem",
    "oem_string",
    "invalid",
    "empty",
    "blank",
    "bad index",
    "<bad index>",
    "out of spec",
    "<out of spec>",
    "system manufacturer",
    "system product name",
    "system version",
    "system serial number",
    "system serial",
    "system name",
    "system sku",
    "system uuid",
    "sys serial number",
    "chassis manufacture",
    "chassis manufacturer",
    "chassis version",
    "chassis serial number",
    "chassis serial",
    "enclosure serial number",
    "asset-1234567890",
    "asset tag",
    "asset tag#",
    "base board serial number",
    "baseboard serial number",
    "board serial number",
    "motherboard serial number",
    "mb serial number",
    "mb-1234567890",
    "bsn12345678901234567",
    "ssn12345678901234567",
    "serial",
    "serial number",
    "serialnumber",
    "serial no",
    "serial_number",
    "sn",
    "s/n",
    "sku",
    "family",
    "x.x",
    "string",
];

/// Texts that stand for no serial number.
const NO_SERIAL: &[&str] = &["abcdefgh", "987654321", "9876543210", "deadbeef"];

/// Counting, in the digits that firmware writes.
const COUNTING: [&str; 2] = ["012345678901234567890123456789", "0123456789abcdef0123456789abcdef"];

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
    let lower = text.trim().to_ascii_lowercase();
    let counting = lower.len() >= 5 && COUNTING.iter().any(|row| row.contains(&lower));
    says_nothing(text) || filler || counting || NO_SERIAL.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_and_the_service_know_the_same_placeholders() {
        let texts = include_str!("../../../../domain/tests/fixtures/placeholders.txt");
        for line in texts.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, text) = line.split_at(10);
            for text in [text.to_owned(), text.to_uppercase(), text.to_lowercase()] {
                match kind.trim() {
                    "nothing" => assert!(says_nothing(&text) && is_no_serial(&text), "{line}"),
                    "no serial" => assert!(is_no_serial(&text), "{line}"),
                    "serial" => assert!(!says_nothing(&text) && !is_no_serial(&text), "{line}"),
                    _ => panic!("{line}"),
                }
            }
        }
        assert!(
            NOTHING.iter().chain(NO_SERIAL).all(|nothing| texts.lines().any(|line| line.to_lowercase().ends_with(&format!(" {nothing}"))))
        );
    }

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
