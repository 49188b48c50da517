//! Speaking to whoever looks at the machine: plain sentences on every console of the kernel.
//!
//! Serial lines without a partner can block a writer for ever, so consoles are opened non-blocking and a line that
//! does not get through is lost. Consoles are those that the kernel was told of: an unknown serial port may have an
//! uninterruptible power supply at its other end, which takes letters as commands.

use crate::tree::Tree;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

/// Where sentences go.
#[derive(Debug)]
pub enum Console {
    /// Standard error.
    StandardError,
    /// The kernel's consoles.
    Kernel(Vec<Mutex<File>>),
    /// Kept, for tests.
    Memory(Mutex<Vec<String>>),
}

impl Console {
    /// The consoles that the kernel writes to; standard error when there is none.
    pub fn of_the_kernel() -> Self {
        let active = Tree::live().text("sys/class/tty/console/active").unwrap_or_default();
        let names = active.split_ascii_whitespace().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric()));
        let files: Vec<_> = names.take(8).filter_map(|name| open(&format!("/dev/{name}"))).map(Mutex::new).collect();
        if files.is_empty() { Self::StandardError } else { Self::Kernel(files) }
    }

    /// Says one sentence. Control characters in it are made visible first.
    pub fn say(&self, sentence: &str) {
        let line = format!("overture: {}\n", printable(sentence, MOST_CHARACTERS));
        match self {
            Self::StandardError => {
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
            Self::Kernel(files) => {
                for file in files {
                    if let Ok(mut file) = file.lock() {
                        let _ = file.write_all(line.as_bytes());
                    }
                }
            }
            Self::Memory(lines) => {
                if let Ok(mut lines) = lines.lock() {
                    lines.push(line.trim_end().to_owned());
                }
            }
        }
    }

    /// What was said so far, for tests; empty for every other console.
    pub fn said(&self) -> Vec<String> {
        match self {
            Self::Memory(lines) => lines.lock().map(|lines| lines.clone()).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

const MOST_CHARACTERS: usize = 600;

fn open(path: &str) -> Option<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
}

/// Text that came from firmware or from the network, made fit for a terminal: control characters and marks that
/// turn the writing direction escaped, shortened to `most` characters.
pub fn printable(text: &str, most: usize) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::new();
    for c in text.chars().take(most) {
        if c.is_control() || turns(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_its_line() {
        let console = Console::Memory(Mutex::default());
        console.say("this is A\u{1b}[2J\noverture: all is well");
        assert_eq!(console.said(), ["overture: this is A\\u{1b}[2J\\u{a}overture: all is well"]);
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
