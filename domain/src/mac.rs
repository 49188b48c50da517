//! The hardware address of an Ethernet interface.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An EUI-48 address. Written in lower case with colons; read with colons, hyphens, Cisco's dots or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

/// Why a text is not a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address: give six bytes such as 52:54:00:12:34:56")]
pub struct BadMac(pub String);

impl MacAddr {
    /// The six bytes, if there are exactly six.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Whether one machine can have this address: not a group address, not all zeros.
    /// (IEEE 802, the I/G bit of the first byte.)
    pub fn is_a_machines(&self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// Whether it stays with the card: a maker burnt it in, or QEMU gave it (52:54:00), whose machines keep theirs. Other
    /// locally administered addresses are chosen by software, some at each start. (IEEE 802, the U/L bit of the first byte.)
    pub fn is_permanent(&self) -> bool {
        self.0[0] & 2 == 0 || self.0.starts_with(&[0x52, 0x54, 0])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.chars().take(40).collect());
        let well_formed = match text.len() {
            12 => true,
            14 => text.bytes().enumerate().all(|(i, b)| (b == b'.') == (i % 5 == 4)),
            17 => [b':', b'-'].iter().any(|&mark| text.bytes().enumerate().all(|(i, b)| (b == mark) == (i % 3 == 2))),
            _ => false,
        };
        if !well_formed {
            return Err(bad());
        }
        let mut bytes = [0; 6];
        let mut digits = text.bytes().filter(|b| !matches!(b, b':' | b'-' | b'.'));
        for byte in &mut bytes {
            for _ in 0..2 {
                let digit = digits.next().and_then(|d| char::from(d).to_digit(16)).ok_or_else(bad)?;
                *byte = *byte << 4 | digit as u8;
            }
        }
        Ok(Self(bytes))
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_usual_spelling_is_read() {
        let wanted = MacAddr([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
        for text in ["52:54:00:ab:cd:ef", "52-54-00-AB-CD-EF", "5254.00ab.cdef", "525400abcdef"] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in
            ["", "52:54:00:ab:cd", "52:54:00:ab:cd:eg", "52:54-00:ab:cd:ef", "5254.00ab.cde", "+2:54:00:ab:cd:ef", "é2:54:00:ab:cd:e"]
        {
            assert!(text.parse::<MacAddr>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_what_was_written_gives_the_same(bytes: [u8; 6]) {
            let mac = MacAddr(bytes);
            prop_assert_eq!(mac.to_string().parse(), Ok(mac));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<MacAddr>();
        }
    }
}
