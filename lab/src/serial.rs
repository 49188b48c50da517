//! What a machine says on its serial line, read by a program: where its boot stands, and the last line worth showing.
//!
//! All of it is text from a node. Nothing of it reaches a terminal from here but as one harmless line.

use domain::timeline::printable;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a log's end is looked at, bytes.
const WINDOW: u64 = 256 * 1024;

/// The longest line that is shown, characters.
const LONGEST: usize = 160;

/// How far a boot has come, as far as the serial line shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BootPoint {
    /// Nothing was said yet.
    Silent,
    /// BIOS or UEFI.
    Firmware,
    /// iPXE.
    Ipxe,
    /// A kernel.
    Kernel,
    /// Overture's agent.
    Agent,
}

impl std::fmt::Display for BootPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Silent => "silent",
            Self::Firmware => "firmware",
            Self::Ipxe => "iPXE",
            Self::Kernel => "kernel",
            Self::Agent => "agent",
        })
    }
}

/// What begins a line, and what it shows. The last line that shows anything counts: after a reset a boot begins anew.
const SIGNS: [(&str, BootPoint); 14] = [
    ("SeaBIOS (", BootPoint::Firmware),
    ("Booting from ", BootPoint::Firmware),
    ("BdsDxe: ", BootPoint::Firmware),
    (">>Start ", BootPoint::Firmware),
    ("PXE-E", BootPoint::Firmware),
    ("NBP file", BootPoint::Firmware),
    ("iPXE initialising", BootPoint::Ipxe),
    ("iPXE 1.", BootPoint::Ipxe),
    ("iPXE 2.", BootPoint::Ipxe),
    ("Configuring (net", BootPoint::Ipxe),
    ("Filename: ", BootPoint::Ipxe),
    // Our boot scripts; the agent writes the name small.
    ("Overture: ", BootPoint::Ipxe),
    ("Linux version ", BootPoint::Kernel),
    ("overture: ", BootPoint::Agent),
];

/// What the end of a serial log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub point: BootPoint,
    pub last_line: Option<String>,
}

/// Reads the end of a log; one that does not exist is silent.
pub(crate) fn look_at(log: &Path) -> Shown {
    shown(&end_of(log).unwrap_or_default())
}

fn end_of(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn shown(bytes: &[u8]) -> Shown {
    let text = plain(&String::from_utf8_lossy(bytes));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| says_something(line)).collect();
    let point = lines.iter().rev().find_map(|line| point_of(line));
    Shown { point: point.unwrap_or(BootPoint::Silent), last_line: lines.last().map(|line| printable(line, LONGEST)) }
}

fn point_of(line: &str) -> Option<BootPoint> {
    let sign = SIGNS.iter().find(|(sign, _)| line.starts_with(sign)).map(|(_, point)| *point);
    sign.or_else(|| has_kernel_time(line).then_some(BootPoint::Kernel))
}

/// `[   12.345678] …`, as the kernel marks its lines.
fn has_kernel_time(line: &str) -> bool {
    let time = line.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(time, _)| time.trim_start());
    time.and_then(|time| time.split_once('.')).is_some_and(|(seconds, rest)| {
        rest.len() == 6 && !seconds.is_empty() && seconds.bytes().chain(rest.bytes()).all(|b| b.is_ascii_digit())
    })
}

/// Rows of dots and bars say nothing; nor does a prompt that lasts two seconds at every boot.
fn says_something(line: &str) -> bool {
    line.chars().filter(|c| c.is_alphanumeric()).count() >= 2
}

/// What the text would look like on paper: without escape sequences, with erased characters erased. Moving the
/// cursor and going back to the line's beginning both start a new line.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                // Parameters, then one letter (ECMA-48, 5.4).
                let last = characters.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c));
                if matches!(last, Some('H' | 'J' | 'f')) {
                    out.push('\n');
                }
            }
            '\u{1b}' => drop(characters.next()),
            '\u{8}' => {
                if !out.ends_with('\n') {
                    out.pop();
                }
            }
            '\r' => out.push('\n'),
            '\0' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, point: BootPoint, last_line: Option<&str>) {
        assert_eq!(shown(text.as_bytes()), Shown { point, last_line: last_line.map(str::to_owned) }, "{text:?}");
    }

    #[test]
    fn the_point_of_a_boot_is_read_from_what_was_said_last() {
        check("", BootPoint::Silent, None);
        check("\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.2)\r\n", BootPoint::Firmware, Some("SeaBIOS (version 1.16.2)"));
        check("\x1b[2J\x1b[01;01H\x1b[=3h\r\n>>Start PXE over IPv4.", BootPoint::Firmware, Some(">>Start PXE over IPv4."));
        check("\x1b[0;1miPXE 1.0.0+git\x1b[0m -- Open\r\nnet0: 10.20.0.113/24\r\n", BootPoint::Ipxe, Some("net0: 10.20.0.113/24"));
        check("[    0.000000] Linux version 6.1\r\n[   12.500000] pci\r\n", BootPoint::Kernel, Some("[   12.500000] pci"));
        check("[    0.500000] pci\r\noverture: looking at the hardware\r\n", BootPoint::Agent, Some("overture: looking at the hardware"));
    }

    #[test]
    fn after_a_reset_the_boot_begins_anew() {
        check("overture: rebooting\r\n\x1b[2JSeaBIOS (version 1)\r\n", BootPoint::Firmware, Some("SeaBIOS (version 1)"));
    }

    #[test]
    fn erased_prompts_and_rows_of_dots_are_not_worth_showing() {
        check("net0: up\r\nPress\x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08\r\n......\r\n", BootPoint::Silent, Some("net0: up"));
    }

    #[test]
    fn a_hostile_line_is_shown_harmless_and_short() {
        let Shown { last_line, .. } = shown(format!("\x1b]0;title\x07{}\u{202e}", "a".repeat(500)).as_bytes());
        let line = last_line.unwrap_or_default();
        assert!(line.chars().count() < 200 && line.chars().all(|c| !c.is_control()), "{line:?}");
        shown(&[0x1b, b'[', 0xff, 0x1b]);
    }
}
