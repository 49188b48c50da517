//! What the boot script told this boot, on the kernel command line.

use std::fmt;

/// What the kernel command line says, in the words `overture.…=`.
#[derive(Clone, PartialEq, Eq)]
pub struct Boot {
    /// `overture.url`: where the service listens for agents, without a slash at the end.
    pub url: String,
    /// `overture.ca`: where the authority's certificate can be had, by plain HTTP.
    pub ca: String,
    /// `overture.pin`: SHA-256 of that certificate (DER).
    pub pin: [u8; 32],
    /// `overture.ticket`: says which boot this is. Never shown.
    pub ticket: String,
    /// `overture.boot`: the boot, a UUID.
    pub boot: String,
    /// `overture.mac`: the network card that booted, six bytes in lower case with colons.
    pub mac: Option<String>,
}

/// Why the command line does not tell what is needed. Lists every mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadCommandLine {
    /// Sentences, in the order of the fields.
    pub mistakes: Vec<String>,
}

impl fmt::Display for BadCommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel command line is not one of Overture's boot scripts: {}", self.mistakes.join("; "))
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boot").field("url", &self.url).field("boot", &self.boot).field("mac", &self.mac).finish_non_exhaustive()
    }
}

impl Boot {
    /// Reads the command line as `/proc/cmdline` shows it. Where a word stands twice, the last counts, as in the kernel.
    pub fn parse(command_line: &str) -> Result<Self, BadCommandLine> {
        let mut mistakes = Vec::new();
        let mut need = |key: &str, form: &str, fits: fn(&str) -> bool| match value_of(command_line, key) {
            None => {
                mistakes.push(format!("{key} is missing"));
                String::new()
            }
            // The value is not repeated: it could be the ticket.
            Some(value) if !fits(value) => {
                mistakes.push(format!("{key} is not {form}"));
                String::new()
            }
            Some(value) => value.to_owned(),
        };
        let url = need("overture.url", "an https:// address", |v| is_address(v, "https://"));
        let ca = need("overture.ca", "an http:// address", |v| is_address(v, "http://"));
        let pin = need("overture.pin", "64 hexadecimal digits", |v| hex_32(v).is_some());
        let ticket = need("overture.ticket", "32 hexadecimal digits", |v| v.len() == 32 && is_hex(v));
        let boot = need("overture.boot", "a UUID", is_uuid);
        let mac = value_of(command_line, "overture.mac").and_then(mac_of);
        if mac.is_none() && value_of(command_line, "overture.mac").is_some() {
            mistakes.push("overture.mac is not a MAC address".into());
        }
        match (mistakes.is_empty(), hex_32(&pin)) {
            (true, Some(pin)) => Ok(Self { url: url.trim_end_matches('/').to_owned(), ca, pin, ticket, boot, mac }),
            _ => Err(BadCommandLine { mistakes }),
        }
    }
}

/// The value of the last `key=value` on a kernel command line. `None` also for an empty value.
pub fn value_of<'a>(command_line: &'a str, key: &str) -> Option<&'a str> {
    let words = command_line.split_ascii_whitespace().take_while(|&word| word != "--");
    let values = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.last().map(|value| value.trim_matches('"')).filter(|value| !value.is_empty())
}

/// A MAC address in any of the usual spellings, as six bytes in lower case with colons.
pub fn mac_of(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let bytes = (digits.len() == 12 && is_hex(&digits)).then(|| digits.to_ascii_lowercase())?;
    let pairs: Vec<&str> = (0..6).filter_map(|i| bytes.get(2 * i..2 * i + 2)).collect();
    Some(pairs.join(":"))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hex_32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !is_hex(text) {
        return None;
    }
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().enumerate().all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn is_address(text: &str, scheme: &str) -> bool {
    text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "console=ttyS0 overture.url=https://10.20.0.1:8444/ overture.ca=http://10.20.0.1/boot/authority.pem \
        overture.pin=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff overture.ticket=0123456789abcdef0123456789abcdef \
        overture.boot=01890a5d-ac96-774b-bcce-b302099a8057 overture.mac=52-54-00-AB-00-01 quiet\n";

    #[test]
    fn a_boot_scripts_command_line_is_understood() {
        let boot = Boot::parse(GOOD).expect("a boot");
        assert_eq!(boot.url, "https://10.20.0.1:8444");
        assert_eq!(boot.ca, "http://10.20.0.1/boot/authority.pem");
        assert_eq!(boot.pin[..3], [0, 0x11, 0x22]);
        assert_eq!(boot.mac.as_deref(), Some("52:54:00:ab:00:01"));
        assert!(!format!("{boot:?}").contains("0123456789abcdef"), "the ticket is not shown");
    }

    #[test]
    fn every_mistake_is_named_and_the_ticket_is_not() {
        let line = "overture.url=http://10.20.0.1 overture.pin=00 overture.ticket=secret overture.mac=x overture.boot=";
        let text = Boot::parse(line).expect_err("mistakes").to_string();
        for part in ["url is not an https", "ca is missing", "pin is not", "ticket is not", "boot is missing", "mac is not"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("secret"));
        assert_eq!(Boot::parse("root=/dev/sda1 quiet").expect_err("foreign").mistakes.len(), 5);
    }

    #[test]
    fn the_last_word_counts_and_what_init_gets_does_not() {
        assert_eq!(value_of("a=1 a=2 -- a=3", "a"), Some("2"));
        assert_eq!(value_of("ab=1 a", "a"), None);
        assert_eq!(value_of("a=\"x\"", "a"), Some("x"));
    }

    proptest! {
        #[test]
        fn no_command_line_panics(line in ".{0,200}", value in "[^ ]{0,70}") {
            let _ = Boot::parse(&line);
            let _ = Boot::parse(&format!("overture.pin={value} overture.boot={value} overture.mac={value} overture.url=https://{value}"));
        }
    }
}
