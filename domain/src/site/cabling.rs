//! Which interface is plugged into which port of which switch: the pattern of a rack, and what counts as the same port.

use super::rack::HIGHEST_UNIT;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Why a text is no cabling; a sentence with what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCabling(String);

const PATTERN: &str = "write a pattern such as \"unit N: eno1 -> sw1/N, eno2 -> sw2/N\"";

/// A port of a switch, written `sw1/7` or `sw1/Ethernet1/7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SwitchPort {
    /// The switch, by its name in the site.
    pub switch: String,
    /// The port, as the switch calls it or shorter; see [`same_port`].
    pub port: String,
}

/// One cable: which interface of a node is to be plugged in where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cable {
    /// The interface, by one of the names that it has.
    pub nic: String,
    /// Where its cable ends.
    pub at: SwitchPort,
}

/// The pattern of a rack: rules with `;` between, each `unit N:`, `unit 7:` or `unit 1..20:` and then cables with `,`
/// between, `eno1 -> sw1/N`. A port ends in a number reckoned from the unit, `N`, `N+20`, `4N-4`, or is the same for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cabling {
    text: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    first: u32,
    last: u32,
    cables: Vec<Planned>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Planned {
    nic: String,
    switch: String,
    port: String,
    /// What is put behind `port`: times the unit, plus.
    reckoned: Option<(i64, i64)>,
}

impl FromStr for SwitchPort {
    type Err = BadCabling;

    fn from_str(text: &str) -> Result<Self, BadCabling> {
        let (switch, port) = text.trim().split_once('/').unwrap_or_default();
        let (switch, port) = (switch.trim(), port.trim());
        if switch.is_empty() || port.is_empty() || text.len() > 200 || text.contains(char::is_control) {
            return Err(BadCabling(format!("`{}` is not a port of a switch: write switch/port, such as sw1/7", shown(text.trim()))));
        }
        Ok(Self { switch: switch.to_owned(), port: port.to_owned() })
    }
}

impl fmt::Display for SwitchPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.switch, self.port)
    }
}

impl FromStr for Cabling {
    type Err = BadCabling;

    fn from_str(text: &str) -> Result<Self, BadCabling> {
        if text.len() > 4096 {
            return Err(BadCabling("this is longer than 4096 bytes: use a pattern with N for the unit".into()));
        }
        let rules: Vec<Rule> = text.split(';').filter(|rule| !rule.trim().is_empty()).map(rule).collect::<Result<_, _>>()?;
        if rules.is_empty() {
            return Err(BadCabling(format!("this is empty: {PATTERN}")));
        }
        let mut seen = HashSet::new();
        for rule in &rules {
            for (unit, cable) in (rule.first..=rule.last).flat_map(|unit| rule.cables.iter().map(move |cable| (unit, cable))) {
                if !seen.insert((unit, cable.nic.as_str())) {
                    let nic = shown(&cable.nic);
                    return Err(BadCabling(format!(
                        "`{nic}` of unit {unit} is plugged in twice: keep one cable for each interface of a unit"
                    )));
                }
            }
        }
        Ok(Self { text: text.trim().to_owned(), rules })
    }
}

fn rule(text: &str) -> Result<Rule, BadCabling> {
    let bad = |why: &str| BadCabling(format!("`{}`: {why}: {PATTERN}", shown(text.trim())));
    let (units, cables) = text.split_once(':').ok_or_else(|| bad("there is no colon after the unit"))?;
    let units = units.trim().strip_prefix("unit").ok_or_else(|| bad("a rule begins with `unit`"))?.trim();
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|unit| (1..=HIGHEST_UNIT).contains(unit));
    let range = match units.split_once("..") {
        _ if units == "N" => Some((1, HIGHEST_UNIT)),
        Some((first, last)) => number(first).zip(number(last)).filter(|(first, last)| first <= last),
        None => number(units).map(|unit| (unit, unit)),
    };
    let (first, last) = range.ok_or_else(|| bad(&format!("a unit is N, a number from 1 to {HIGHEST_UNIT}, or a range such as 1..20")))?;
    let cables: Vec<_> = cables.split(',').map(planned).collect::<Result<_, _>>()?;
    Ok(Rule { first, last, cables })
}

fn planned(text: &str) -> Result<Planned, BadCabling> {
    let bad = || BadCabling(format!("`{}` is not a cable: write interface -> switch/port, such as eno1 -> sw1/N", shown(text.trim())));
    let (nic, at) = text.split_once("->").ok_or_else(bad)?;
    let nic = nic.trim();
    if nic.is_empty() || nic.contains(char::is_whitespace) {
        return Err(bad());
    }
    let SwitchPort { switch, port } = at.parse()?;
    let (before, reckoned) = reckoned(&port);
    let port = before.to_owned();
    Ok(Planned { nic: nic.to_owned(), switch, port, reckoned })
}

/// A port's text without the `4N-4` at its end, and what that reckons.
fn reckoned(port: &str) -> (&str, Option<(i64, i64)>) {
    let (stem, plus) = match port.rsplit_once(['+', '-']) {
        Some((stem, number)) if stem.trim_end().ends_with('N') => match number.trim().parse::<u16>() {
            Ok(number) if port[stem.len()..].starts_with('+') => (stem.trim_end(), i64::from(number)),
            Ok(number) => (stem.trim_end(), -i64::from(number)),
            Err(_) => return (port, None),
        },
        _ => (port, 0),
    };
    let Some(stem) = stem.strip_suffix('N') else { return (port, None) };
    let before = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let times = &stem[before.len()..];
    match times {
        "" => (before, Some((1, plus))),
        _ => times.parse::<u16>().map_or((port, None), |times| (before, Some((i64::from(times), plus)))),
    }
}

impl Cabling {
    /// The cables of a unit. One whose number would be negative is left out.
    pub fn of_unit(&self, unit: u32) -> Vec<Cable> {
        let rules = self.rules.iter().filter(|rule| (rule.first..=rule.last).contains(&unit));
        rules.flat_map(|rule| &rule.cables).filter_map(|cable| cable.of(unit)).collect()
    }

    /// The switches that it names, each once.
    pub fn switches(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.rules.iter().flat_map(|rule| &rule.cables).map(|cable| cable.switch.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Planned {
    fn of(&self, unit: u32) -> Option<Cable> {
        let port = match self.reckoned {
            None => self.port.clone(),
            Some((times, plus)) => format!("{}{}", self.port, u64::try_from(times * i64::from(unit) + plus).ok()?),
        };
        Some(Cable { nic: self.nic.clone(), at: SwitchPort { switch: self.switch.clone(), port } })
    }
}

impl fmt::Display for Cabling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! text_form {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = BadCabling;
            fn try_from(text: String) -> Result<Self, BadCabling> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
text_form!(SwitchPort);
text_form!(Cabling);

/// Whether a port of the site is the one that a switch reports by LLDP, port id or description:
///
/// - a bare number is the last number there: `14` is `Ethernet1/14`, `swp14` and `GigabitEthernet1/0/14`;
/// - otherwise the numbers agree, and the words before them agree or one of them begins with the other, case aside:
///   `Eth1/14` and `1/14` are `Ethernet1/14`, `Te1/0/14` is `TenGigabitEthernet1/0/14`.
pub fn same_port(wanted: &str, reported: &str) -> bool {
    if wanted.bytes().all(|b| b.is_ascii_digit()) {
        return last_number(wanted).is_some() && last_number(wanted) == last_number(reported);
    }
    let (word, numbers) = word_and_numbers(wanted);
    let (other, others) = word_and_numbers(reported);
    let abbreviated = !numbers.is_empty() && (word.starts_with(&other) || other.starts_with(&word));
    numbers == others && (word == other || abbreviated)
}

/// The last number of a port's name. Two ports that are the same have the same.
pub fn last_number(port: &str) -> Option<u64> {
    let end = port.trim_end_matches(|c: char| !c.is_ascii_digit());
    let start = end.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    end[start..].parse().ok()
}

/// The letters that a port's name begins with, and the rest, without space, in lower case.
fn word_and_numbers(port: &str) -> (String, String) {
    let plain: String = port.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    let end = plain.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(plain.len());
    let (word, rest) = plain.split_at(end);
    (word.to_owned(), rest.trim_start_matches(|c: char| !c.is_alphanumeric()).to_owned())
}

fn shown(text: &str) -> String {
    crate::timeline::printable(text, 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plugged(pattern: &str, unit: u32) -> String {
        let cables = pattern.parse::<Cabling>().unwrap().of_unit(unit);
        cables.iter().map(|cable| format!("{} {}", cable.nic, cable.at)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_pattern_tells_the_ports_of_each_unit() {
        for (pattern, unit, expected) in [
            ("unit N: eno1 -> sw1/N, eno2 -> sw2/N", 12, "eno1 sw1/12, eno2 sw2/12"),
            ("unit N: eno1->sw1/N+20", 12, "eno1 sw1/32"),
            ("unit N: eno1 -> sw1/N - 2", 12, "eno1 sw1/10"),
            ("unit N: eno1 -> sw1/N-20", 12, ""),
            ("unit N: eno1 -> sw1/Ethernet1/N, eno2 -> sw2/eth1/1/N", 3, "eno1 sw1/Ethernet1/3, eno2 sw2/eth1/1/3"),
            ("unit N: eno1 -> sw1/swpN", 3, "eno1 sw1/swp3"),
            ("unit N: eno1 -> sw1/2N-1, eno2 -> sw1/2N", 3, "eno1 sw1/5, eno2 sw1/6"),
            ("unit N: eno1 -> sw1/Ethernet4N-4", 2, "eno1 sw1/Ethernet4"),
            ("unit N: eno1 -> sw1/ge-0/0/N", 2, "eno1 sw1/ge-0/0/2"),
            ("unit N: eno1 -> sw1/mgmt-1", 2, "eno1 sw1/mgmt-1"),
            ("unit 1..20: eno1 -> sw1/N; unit 21..40: eno1 -> sw3/N-20;", 21, "eno1 sw3/1"),
            ("unit 1..20: eno1 -> sw1/N; unit 21..40: eno1 -> sw3/N-20;", 41, ""),
            ("unit N: eno1 -> sw1/N; unit 7: eno3 -> sw9/48", 7, "eno1 sw1/7, eno3 sw9/48"),
        ] {
            assert_eq!(plugged(pattern, unit), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_with_what_to_write() {
        for (pattern, told) in [
            ("", "this is empty: write a pattern such as \"unit N: eno1 -> sw1/N, eno2 -> sw2/N\""),
            (
                "eno1 -> sw1/N",
                "`eno1 -> sw1/N`: there is no colon after the unit: write a pattern such as \"unit N: eno1 -> sw1/N, eno2 -> sw2/N\"",
            ),
            (
                "unit 61: eno1 -> sw1/1",
                "`unit 61: eno1 -> sw1/1`: a unit is N, a number from 1 to 60, or a range such as 1..20: write a pattern such as \"unit N: eno1 -> sw1/N, eno2 -> sw2/N\"",
            ),
            ("unit N: eno1 sw1/N", "`eno1 sw1/N` is not a cable: write interface -> switch/port, such as eno1 -> sw1/N"),
            ("unit N: eno1 -> sw1", "`sw1` is not a port of a switch: write switch/port, such as sw1/7"),
            (
                "unit N: eno1 -> sw1/N; unit 7: eno1 -> sw1/48",
                "`eno1` of unit 7 is plugged in twice: keep one cable for each interface of a unit",
            ),
        ] {
            assert_eq!(pattern.parse::<Cabling>().unwrap_err().to_string(), told, "{pattern}");
        }
    }

    #[test]
    fn a_port_is_known_by_each_of_its_names() {
        for (wanted, reported, same) in [
            ("14", "Ethernet1/14", true),
            ("14", "swp14", true),
            ("14", "GigabitEthernet1/0/14", true),
            ("14", "14", true),
            ("014", "14", true),
            ("14", "Ethernet14/1", false),
            ("14", "Ethernet1/4", false),
            ("14", "uplink", false),
            ("Ethernet1/14", "Ethernet1/14", true),
            ("ethernet 1/14", "Ethernet1/14", true),
            ("Eth1/14", "Ethernet1/14", true),
            ("Te1/0/14", "TenGigabitEthernet1/0/14", true),
            ("1/14", "Ethernet1/14", true),
            ("0/0/14", "ge-0/0/14", true),
            ("Gi1/0/14", "TenGigabitEthernet1/0/14", false),
            ("Ethernet1/14", "Ethernet2/14", false),
            ("up", "uplink", false),
            ("uplink", "Uplink", true),
            ("", "", false),
        ] {
            assert_eq!(same_port(wanted, reported), same, "{wanted} {reported}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_the_same_port_has_the_same_number(a in ".*", b in "[A-Za-z]{0,4}[0-9/ -]{0,6}", c in "[A-Za-z]{0,4}[0-9/ -]{0,6}") {
            let _ = (a.parse::<Cabling>(), format!("unit N: x -> {a}").parse::<Cabling>(), a.parse::<SwitchPort>(), same_port(&a, &b));
            if same_port(&b, &c) {
                prop_assert_eq!(last_number(&b), last_number(&c));
            }
        }
    }
}
