//! What is wrong with a query, a sort order or a list of columns, and where.

use crate::timeline::printable;
use std::fmt;
use std::ops::Range;

/// How much of a long text is shown on each side of a mistake, characters.
const AROUND: usize = 60;

/// A mistake in something that a person typed. Written out it has three lines: what is wrong, the text, and marks below
/// the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    text: String,
    at: Range<usize>,
    message: String,
}

impl std::error::Error for Mistake {}

impl Mistake {
    /// A mistake in `text` at some of its bytes; `message` is one line and says how to mend it.
    pub(super) fn new(text: &str, at: Range<usize>, message: impl Into<String>) -> Self {
        let inside = |byte: usize| (0..=byte.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let start = inside(at.start);
        Self { text: text.to_owned(), at: start..inside(at.end).max(start), message: message.into() }
    }

    /// What is wrong and what to write instead, one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The character at which it begins, from 1.
    pub fn column(&self) -> usize {
        self.text[..self.at.start].chars().count() + 1
    }

    /// The text and the marks below it; two lines without an end of line after the second.
    pub fn pointed_out(&self) -> String {
        let before: Vec<char> = self.text[..self.at.start].chars().collect();
        let cut = before.len().saturating_sub(AROUND);
        let (dots, shown): (&str, String) = (if cut > 0 { "…" } else { "" }, before[cut..].iter().collect());
        let rest: String = self.text[self.at.start..].chars().take(AROUND * 2).collect();
        let more = if rest.len() < self.text.len() - self.at.start { "…" } else { "" };
        // Each sign is one column wide, also those that would otherwise be written as an escape.
        let plain = |text: &str| -> String {
            text.chars().map(|c| if printable(c.encode_utf8(&mut [0; 4]), 1).chars().count() == 1 { c } else { ' ' }).collect()
        };
        let indent = " ".repeat(dots.chars().count() + shown.chars().count());
        let marks = "^".repeat(self.text[self.at.clone()].chars().count().clamp(1, AROUND * 2));
        format!("  {dots}{}{}{more}\n  {indent}{marks}", plain(&shown), plain(&rest))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.message, self.pointed_out())
    }
}

/// A word of the query in a message: short, and harmless to a terminal.
pub(super) fn shown(word: &str) -> String {
    printable(word, 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marks_stand_below_the_place() {
        let mistake = Mistake::new("a über = 1", 2..7, "no such field");
        assert_eq!(mistake.to_string(), "no such field\n  a über = 1\n    ^^^^");
        assert_eq!(mistake.column(), 3);
    }

    #[test]
    fn a_long_text_is_shown_around_the_place_and_nothing_in_it_harms_a_terminal() {
        let text = format!("{}\u{1b}[2J{}", "a".repeat(100), "b".repeat(300));
        let mistake = Mistake::new(&text, 100..101, "control character");
        let shown = mistake.pointed_out();
        assert!(!shown.contains('\u{1b}') && shown.lines().count() == 2, "{shown:?}");
        let (above, below) = shown.split_once('\n').expect("two lines");
        assert_eq!(below.find('^'), Some(2 + 1 + AROUND));
        assert!(above.starts_with("  …a") && above.ends_with("b…"));
    }

    #[test]
    fn a_place_outside_of_the_text_is_its_end() {
        assert_eq!(Mistake::new("é", 1..9, "x").to_string(), "x\n  é\n  ^");
        assert_eq!(Mistake::new("", 0..0, "x").to_string(), "x\n  \n  ^");
    }
}
