//! Why did this machine get that? One line for each thing it asked, what it was answered and by which rule.

use crate::boot::Boot;
use crate::clock::Timestamp;
use crate::ids::BootId;
use serde::{Deserialize, Serialize};

/// The protocol a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// DHCP.
    Dhcp,
    /// TFTP.
    Tftp,
    /// Boot HTTP.
    Http,
    /// The agents' HTTPS.
    Agent,
}

/// One step of a boot, kept so that it can be explained afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The boot it belongs to.
    pub boot: BootId,
    /// When it was answered.
    pub at: Timestamp,
    /// How it was asked.
    pub protocol: Protocol,
    /// A short word for programs:
    ///
    /// - DHCP: `discover`, `offer`, `request`, `ack`, `nak`, `release`, `decline`, and `silence` where it got no answer;
    /// - TFTP and boot HTTP: `file` it loaded one, `size` it asked how large one is, `aborted` it stopped half-way;
    /// - boot HTTP: `script` it asked for one, `ticket` it was given its ticket;
    /// - agents: `report`, `order` it was given or took one;
    /// - all but DHCP: `refused`;
    /// - the store: `limit`, in place of the last step that is kept of a boot, says that more happened.
    pub event: String,
    /// What happened, a sentence for people.
    pub message: String,
    /// By which rule it was answered so.
    pub rule: Option<String>,
}

/// A boot with its steps, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The boot.
    pub boot: Boot,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// Text from the network, made fit for a line that people read: control characters escaped, shortened.
pub fn printable(text: &str, most: usize) -> String {
    let mut out: String = text
        .chars()
        .take(most)
        .flat_map(|c| {
            if c.is_control() || c == '\u{2028}' || c == '\u{2029}' || is_direction_mark(c) {
                c.escape_unicode().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_harmless_line() {
        assert_eq!(printable("a\u{1b}[2J\nb", 40), "a\\u{1b}[2J\\u{a}b");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
