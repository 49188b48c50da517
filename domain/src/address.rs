//! Ranges of IPv4 addresses, as a site writes them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Addresses from `first` to `last`, both included; `first` is never above `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: u32,
    last: u32,
}

/// Why a text is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// Not `address-address`.
    #[error("`{0}` is not a range: write first and last address, such as 10.20.0.100-10.20.0.199")]
    Form(String),
    /// The last address is below the first.
    #[error("`{first}-{last}` runs backwards: the first address must not be above the last")]
    Backwards {
        /// As written.
        first: Ipv4Addr,
        /// As written.
        last: Ipv4Addr,
    },
}

impl AddressRange {
    /// A range of two ends, both included.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Result<Self, BadRange> {
        if first > last {
            return Err(BadRange::Backwards { first, last });
        }
        Ok(Self { first: first.into(), last: last.into() })
    }

    /// The lowest address.
    pub fn first(&self) -> Ipv4Addr {
        self.first.into()
    }

    /// The highest address.
    pub fn last(&self) -> Ipv4Addr {
        self.last.into()
    }

    /// Whether `address` lies in it.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&u32::from(address))
    }

    /// Whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// How many addresses it holds.
    pub fn size(&self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// Its addresses, lowest first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (self.first..=self.last).map(Ipv4Addr::from)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first(), self.last())
    }
}

impl FromStr for AddressRange {
    type Err = BadRange;
    fn from_str(text: &str) -> Result<Self, BadRange> {
        let form = || BadRange::Form(text.chars().take(60).collect());
        let (first, last) = text.split_once('-').ok_or_else(form)?;
        let end = |part: &str| part.trim().parse::<Ipv4Addr>().map_err(|_| form());
        Self::new(end(first)?, end(last)?)
    }
}

impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_and_written_back() {
        let range: AddressRange = "10.20.0.100-10.20.0.199".parse().expect("a range");
        assert_eq!(range.to_string(), "10.20.0.100-10.20.0.199");
        assert_eq!(range.size(), 100);
        assert!(range.contains(Ipv4Addr::new(10, 20, 0, 199)));
        assert!(!range.contains(Ipv4Addr::new(10, 20, 0, 200)));
    }

    #[test]
    fn a_backward_range_is_refused() {
        assert!(matches!("10.0.0.9-10.0.0.1".parse::<AddressRange>(), Err(BadRange::Backwards { .. })));
        assert!(matches!("10.0.0.9".parse::<AddressRange>(), Err(BadRange::Form(_))));
    }

    #[test]
    fn the_widest_range_neither_overflows_nor_hangs() {
        let all: AddressRange = "0.0.0.0-255.255.255.255".parse().expect("a range");
        assert_eq!(all.size(), 1 << 32);
        assert_eq!(all.addresses().nth(2), Some(Ipv4Addr::new(0, 0, 0, 2)));
    }
}
