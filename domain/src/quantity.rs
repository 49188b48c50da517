//! Amounts as people write them, and limits on them: `>= 16 GiB`, `2..4`, `>= 10 Gbit/s`, `>= 2.14`.
//!
//! Knows units and how to compare, not what is measured.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Why a text is not an amount: what it says, what is wanted, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuantity(String);

fn bad<T>(text: &str, wanted: &str) -> Result<T, BadQuantity> {
    Err(BadQuantity(format!("`{}` is not {wanted}", crate::timeline::printable(text, 40))))
}

/// An amount of data, bytes. Written with a unit, `16 GiB` or `1.92 TB`, in upper or lower case; a bare number counts bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A speed, Mbit/s. Written with a unit, `10 Gbit/s`, `10Gbps` or `10G`; a bare number counts Mbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub u64);

/// A version of numbers with dots between, and perhaps letters at its end: `2.14.1`, `3.4a`. What is missing counts as
/// zero, so that `2.14` is `2.14.0`.
#[derive(Debug, Clone)]
pub struct Version {
    numbers: Vec<u64>,
    letters: String,
}

const BINARY: [(&str, u64); 5] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("PiB", 1 << 50)];
const DECIMAL: [(&str, u64); 5] =
    [("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("PB", 1_000_000_000_000_000)];
/// In Mbit/s.
const RATES: [(&str, u64); 3] = [("m", 1), ("g", 1_000), ("t", 1_000_000)];
/// The most numbers that a version has.
const MOST_NUMBERS: usize = 8;

impl FromStr for Bytes {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let wanted = "an amount of data: write a number and a unit, such as 16 GiB or 1 TB";
        let (number, unit) = split_unit(text);
        let factor = BINARY.iter().chain(&DECIMAL).find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "m" | "g" | "t" | "p" => {
                let letter = unit.to_ascii_uppercase();
                return bad(text, &format!("clear: write {letter}B for powers of 1000 or {letter}iB for powers of 1024"));
            }
            _ => factor.map_or_else(|| bad(text, wanted), Ok)?,
        };
        scaled(number, factor).map_or_else(|| bad(text, wanted), |bytes| Ok(Self(bytes)))
    }
}

impl FromStr for Rate {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let wanted = "a speed: write a number and a unit, such as 10 Gbit/s";
        let (number, unit) = split_unit(text);
        let unit = unit.to_ascii_lowercase();
        let short = ["bit/s", "bits/s", "bit", "bps", "b/s", "b"].iter().find_map(|end| unit.strip_suffix(end)).unwrap_or(&unit);
        let factor = if unit.is_empty() { Some(1) } else { RATES.iter().find(|(name, _)| *name == short).map(|(_, factor)| *factor) };
        factor.and_then(|factor| scaled(number, factor)).map_or_else(|| bad(text, wanted), |rate| Ok(Self(rate)))
    }
}

impl FromStr for Count {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let digits = text.trim();
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten().map_or_else(|| bad(text, "a whole number"), |count| Ok(Self(count)))
    }
}

impl FromStr for Version {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        Self::parse(text.trim()).map_or_else(|| bad(text, "a version: write numbers with dots between, such as 2.14"), Ok)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, letters) = text.split_at(end);
        let numbers: Vec<u64> = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let fits = numbers.len() <= MOST_NUMBERS && letters.len() <= 8 && letters.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| Self { numbers, letters: letters.to_ascii_lowercase() })
    }

    /// The version in what a maker writes around it, `U46 v2.14 (05/20/2022)`: the first word that is one and has a dot, or
    /// the whole text where it is a bare number.
    pub fn found_in(text: &str) -> Option<Self> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').map(|word| word.trim_matches('.'));
        let dotted =
            words.map(|word| word.trim_start_matches(['v', 'V'])).find_map(|word| Self::parse(word).filter(|v| v.numbers.len() > 1));
        dotted.or_else(|| Self::parse(text.trim().trim_start_matches(['v', 'V'])))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let at = |version: &Self, i: usize| version.numbers.get(i).copied().unwrap_or(0);
        let longest = self.numbers.len().max(other.numbers.len());
        let differing = (0..longest).map(|i| at(self, i).cmp(&at(other, i))).find(|order| order.is_ne());
        differing.unwrap_or_else(|| self.letters.cmp(&other.letters))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// A number with what follows it, without the space between.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A decimal number times a factor, exactly or rounded down; none where it is no number or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = whole.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    let fraction =
        fraction.parse::<u128>().ok()?.checked_mul(u128::from(factor))? / 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u64::try_from(whole.checked_add(fraction)?).ok()
}

impl fmt::Display for Bytes {
    /// Exactly, in the unit that needs the fewest digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = BINARY.iter().rev().chain(DECIMAL.iter().rev()).chain(&[("B", 1)]);
        let exact = units.filter(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)).map(|(unit, factor)| (self.0 / factor, unit));
        let (number, unit) = exact.min_by_key(|(number, _)| *number).unwrap_or((self.0, &"B"));
        write!(f, "{number} {unit}")
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            mbit if mbit >= 1_000 && mbit % 100 == 0 => write!(f, "{} Gbit/s", tenths(u128::from(mbit / 100))),
            mbit => write!(f, "{mbit} Mbit/s"),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, number) in self.numbers.iter().enumerate() {
            write!(f, "{}{number}", if i == 0 { "" } else { "." })?;
        }
        f.write_str(&self.letters)
    }
}

/// A tenth of a number, without `.0`.
fn tenths(number: u128) -> String {
    if number.is_multiple_of(10) { (number / 10).to_string() } else { format!("{}.{}", number / 10, number % 10) }
}

/// About how much it is, as memory is sold: `15.6 GiB`.
pub fn in_powers_of_1024(bytes: u64) -> String {
    about(bytes, &BINARY)
}

/// About how much it is, as disks are sold: `1.9 TB`.
pub fn in_powers_of_1000(bytes: u64) -> String {
    about(bytes, &DECIMAL)
}

fn about(bytes: u64, units: &[(&str, u64)]) -> String {
    match units.iter().rev().find(|(_, factor)| bytes >= *factor) {
        Some((unit, factor)) => {
            let rounded = (u128::from(bytes) * 10 + u128::from(factor / 2)) / u128::from(*factor);
            format!("{} {unit}", tenths(rounded))
        }
        None => format!("{bytes} B"),
    }
}

/// What an amount has to keep to. Written `>= X`, `> X`, `<= X`, `< X`, `= X` or `X..Y`, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit<T> {
    /// `>= X`
    AtLeast(T),
    /// `> X`
    MoreThan(T),
    /// `<= X`
    AtMost(T),
    /// `< X`
    LessThan(T),
    /// `= X`
    Exactly(T),
    /// `X..Y`
    Between(T, T),
}

impl<T: PartialOrd> Limit<T> {
    /// Whether an amount keeps to it.
    pub fn holds(&self, amount: &T) -> bool {
        match self {
            Self::AtLeast(limit) => amount >= limit,
            Self::MoreThan(limit) => amount > limit,
            Self::AtMost(limit) => amount <= limit,
            Self::LessThan(limit) => amount < limit,
            Self::Exactly(limit) => amount == limit,
            Self::Between(least, most) => amount >= least && amount <= most,
        }
    }

    /// What is at least needed, if anything is.
    pub fn least(&self) -> Option<&T> {
        match self {
            Self::AtLeast(least) | Self::MoreThan(least) | Self::Exactly(least) | Self::Between(least, _) => Some(least),
            Self::AtMost(_) | Self::LessThan(_) => None,
        }
    }
}

impl<T: FromStr<Err = BadQuantity> + PartialOrd> FromStr for Limit<T> {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let marks: [(&str, fn(T) -> Self); 6] = [
            (">=", Self::AtLeast),
            ("<=", Self::AtMost),
            ("==", Self::Exactly),
            (">", Self::MoreThan),
            ("<", Self::LessThan),
            ("=", Self::Exactly),
        ];
        let trimmed = text.trim();
        if let Some((rest, limit)) = marks.iter().find_map(|(mark, limit)| trimmed.strip_prefix(mark).map(|rest| (rest, limit))) {
            return rest.parse().map(limit);
        }
        if let Some((least, most)) = trimmed.split_once("..") {
            let (least, most) = (least.parse::<T>()?, most.parse::<T>()?);
            return if least <= most { Ok(Self::Between(least, most)) } else { bad(text, "a range: write the smaller end first") };
        }
        trimmed.parse::<T>()?;
        bad(text, &format!("a limit: write `>= {trimmed}` or `= {trimmed}`"))
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
            Self::MoreThan(limit) => write!(f, "> {limit}"),
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::LessThan(limit) => write!(f, "< {limit}"),
            Self::Exactly(limit) => write!(f, "= {limit}"),
            Self::Between(least, most) => write!(f, "{least}..{most}"),
        }
    }
}

impl<T: fmt::Display> Serialize for Limit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: FromStr<Err = BadQuantity> + PartialOrd> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn data_is_read_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512 B", 512),
            ("16 GiB", 16 << 30),
            ("16gib", 16 << 30),
            ("1TB", 1_000_000_000_000),
            ("1.92 TB", 1_920_000_000_000),
            ("1.5 KiB", 1_536),
            ("960GB", 960_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "GiB", "16 Gib/s", "-1 GB", "1e3 GB", "1..2 GB", "1,5 TB", "99999999999999999999 PiB", "1.", ".5 GB", "16 GiBs"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!(
            "16G".parse::<Bytes>().unwrap_err().to_string(),
            "`16G` is not clear: write GB for powers of 1000 or GiB for powers of 1024"
        );
    }

    #[test]
    fn speeds_are_read_as_people_write_them() {
        for (text, mbit) in [
            ("1000", 1_000),
            ("10 Gbit/s", 10_000),
            ("10Gbps", 10_000),
            ("25G", 25_000),
            ("2.5 gb/s", 2_500),
            ("100 Mbit", 100),
            ("1 Tbit/s", 1_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate(mbit)), "{text}");
        }
        for text in ["", "fast", "10 Gbyte/s", "10 kbit/s", "ten G"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_as_they_were_meant() {
        for text in ["16 GiB", "1 TB", "960 GB", "1536 MiB", "0 B", "1 B", "1920 GB", "513 B"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        for (rate, text) in
            [(100, "100 Mbit/s"), (1_000, "1 Gbit/s"), (2_500, "2.5 Gbit/s"), (100_000, "100 Gbit/s"), (1_050, "1050 Mbit/s")]
        {
            assert_eq!(Rate(rate).to_string(), text);
        }
        assert_eq!(in_powers_of_1024(16_750_000_000), "15.6 GiB");
        assert_eq!(in_powers_of_1000(1_920_383_410_176), "1.9 TB");
        assert_eq!(in_powers_of_1000(1_000_204_886_016), "1 TB");
        assert_eq!(in_powers_of_1000(999), "999 B");
        assert_eq!(in_powers_of_1024(u64::MAX), "16384 PiB");
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        for (less, more) in
            [("2.9", "2.14"), ("2.14", "2.14.1"), ("1.30", "2"), ("3.4", "3.4a"), ("3.4a", "3.4b"), ("6.10.30.00", "6.10.80.00")]
        {
            assert!(version(less) < version(more), "{less} {more}");
        }
        assert_eq!(version("2.14"), version("2.14.0.0"));
        for text in ["", "v2", "2.", ".2", "2..3", "2.x.3", "99999999999999999999999", "1.2-3", "1.1.1.1.1.1.1.1.1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_version_is_found_in_what_makers_write() {
        for (text, found) in [
            ("2.14.1", Some("2.14.1")),
            ("U46 v2.14 (05/20/2022)", Some("2.14")),
            ("rel-1.16.2-0-gea1b7a073390-prebuilt.qemu.org", Some("1.16.2")),
            ("CFE115N-1.30", Some("1.30")),
            ("1.16.2-debian-1.16.2-1", Some("1.16.2")),
            ("V1.30", Some("1.30")),
            ("42", Some("42")),
            ("3.4a", Some("3.4a")),
            ("edk2-stable", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(Version::found_in(text).map(|version| version.to_string()).as_deref(), found, "{text}");
        }
    }

    #[test]
    fn limits_hold_at_their_ends() {
        for (limit, holds, breaks) in [
            (">= 2", &[2, 3][..], &[0, 1][..]),
            ("> 2", &[3], &[2]),
            ("<=2", &[2, 0], &[3]),
            ("< 2", &[1], &[2]),
            ("= 2", &[2], &[1, 3]),
            ("== 2", &[2], &[1, 3]),
            ("2..4", &[2, 3, 4], &[1, 5]),
        ] {
            let read: Limit<Count> = limit.parse().unwrap();
            assert!(holds.iter().all(|&n| read.holds(&Count(n))) && breaks.iter().all(|&n| !read.holds(&Count(n))), "{limit}");
            assert_eq!(read.to_string().parse(), Ok(read), "{limit}");
        }
        assert_eq!("16 GiB".parse::<Limit<Bytes>>().unwrap_err().to_string(), "`16 GiB` is not a limit: write `>= 16 GiB` or `= 16 GiB`");
        assert_eq!("4..2".parse::<Limit<Count>>().unwrap_err().to_string(), "`4..2` is not a range: write the smaller end first");
        assert_eq!("2.10..2.14".parse::<Limit<Version>>().map(|limit| limit.to_string()), Ok("2.10..2.14".into()));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".*") {
            let _ = (text.parse::<Limit<Bytes>>(), text.parse::<Limit<Rate>>(), text.parse::<Limit<Version>>(), Version::found_in(&text));
        }

        #[test]
        fn reading_what_was_written_gives_the_same(bytes: u64, mbit in 0..10_000_000u64) {
            prop_assert_eq!(Bytes(bytes).to_string().parse(), Ok(Bytes(bytes)));
            prop_assert_eq!(Rate(mbit).to_string().parse(), Ok(Rate(mbit)));
        }
    }
}
