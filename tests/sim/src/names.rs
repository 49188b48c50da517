//! What names a machine: the address of its network card, and its SMBIOS UUID.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Goes to everybody.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// A locally administered address that is different for every `number`.
    pub fn numbered(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Self([0x52, 0x54, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Not six pairs of hexadecimal digits with colons between.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address: write it as 52:54:00:00:00:01")]
pub struct NotAMac(String);

impl FromStr for Mac {
    type Err = NotAMac;
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(|| NotAMac(text.to_owned()))?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAMac(text.to_owned()))?;
        }
        if pairs.next().is_some() { Err(NotAMac(text.to_owned())) } else { Ok(Self(bytes)) }
    }
}

/// An SMBIOS UUID; the bytes stand in the order of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// A version 4 UUID that is different for every `number`.
    pub fn numbered(number: u32) -> Self {
        let mut bytes = [0x77, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        Self(bytes)
    }

    /// As it travels in option 97 and stands in SMBIOS tables: the first three fields have their bytes reversed.
    pub fn on_the_wire(self) -> [u8; 16] {
        let mut bytes = self.0;
        bytes[0..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_read_and_written_back() {
        assert_eq!("52:54:00:77:00:0a".parse(), Ok(Mac([0x52, 0x54, 0, 0x77, 0, 10])));
        assert_eq!(Mac([0x52, 0x54, 0, 0x77, 0, 10]).to_string(), "52:54:00:77:00:0a");
        for text in ["", "52:54:00:77:00", "52:54:00:77:00:0a:0b", "5254.0077.000a", "52:54:00:77:00:xx"] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_uuid_has_a_text_and_a_wire_order() {
        let uuid = Uuid([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
        assert_eq!(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(uuid.on_the_wire()[..9], [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88]);
    }
}
