//! Tables, sizes and times as people read them.

use comfy_table::{ContentArrangement, Table, presets};
use domain::Timestamp;
use domain::timeline::printable;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// A table without lines, columns two spaces apart, like other tools of operators.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|title| (*title).to_owned()));
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell, 120)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Writes a value as JSON.
pub fn print_json<T: Serialize>(value: &T) {
    print(&(drawn_nowhere(&serde_json::to_string_pretty(value).unwrap_or_default()) + "\n"));
}

/// JSON that means the same and cannot draw on the terminal: what `serde_json` leaves as it is, C1 controls and marks of
/// direction among it, stands within a text there and can be escaped.
fn drawn_nowhere(json: &str) -> String {
    let escaped = |c: char| {
        if c == '\n' || printable(c.encode_utf8(&mut [0; 4]), 1).starts_with(c) {
            c.to_string()
        } else {
            format!("\\u{:04x}", u32::from(c))
        }
    };
    json.chars().map(escaped).collect()
}

/// Whether colours are wanted on standard error.
pub fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Bytes in binary units: `16 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.95 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value.fract() < 0.05 || value.fract() > 0.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// How long ago a time of the API is: `12 s`, `3 min`, `5 h`, `4 d`.
pub fn ago(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return "?".into() };
    match domain::clock::seconds_between(at, now).max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A time of the API without its fraction of a second: `2026-11-23T16:41:03Z`.
pub fn moment(at: &str) -> String {
    at.parse::<Timestamp>().map_or_else(|_| at.to_owned(), |at| format!("{at:.0}"))
}

/// A value that may be missing.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (size, text) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1 << 30, "1 GiB"), (1_600_000_000, "1.5 GiB"), (u64::MAX, "16384 PiB")]
        {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn hostile_text_in_json_keeps_its_meaning() {
        let hostile = "\u{9b}2J\u{202e}\u{2028}\u{1b}\u{7f}\n\\ö😀";
        let json = drawn_nowhere(&serde_json::to_string_pretty(&[hostile]).expect("a text"));
        assert_eq!(json, "[\n  \"\\u009b2J\\u202e\\u2028\\u001b\\u007f\\n\\\\ö😀\"\n]");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).expect("JSON"), [hostile]);
    }

    #[test]
    fn hostile_text_cannot_draw_on_the_terminal() {
        let drawn = table(&["NAME"], [vec!["\u{1b}[31mred\r\nline".into()]]);
        assert_eq!(drawn, "NAME\n\\u{1b}[31mred\\u{d}\\u{a}line\n");
    }
}
