//! The texts that many nodes have: vendors, models, names of ports. Each stands once in a segment.
//!
//! They are searched once for a whole segment instead of once for each node, and what a condition compares stays in the
//! processor's nearest memory.

use super::row::Span;
use std::borrow::Cow;
use std::collections::HashMap;

/// The most entries; a span has 16 bits for one. Texts beyond are left out of search. That takes more than sixty texts
/// that nobody else has on each node of a segment, in fields that no two nodes should differ in.
const MOST: usize = u16::MAX as usize;

/// The common texts of a segment.
#[derive(Debug, Default)]
pub(super) struct Common {
    entries: Vec<Entry>,
    numbers: HashMap<Box<str>, u16>,
}

#[derive(Debug)]
struct Entry {
    lower: Box<str>,
    /// As written, where that is another.
    written: Option<Box<str>>,
}

impl Common {
    /// The place of a text, which is entered if it is new.
    pub(super) fn enter(&mut self, text: &str) -> Span {
        if let Some(number) = self.numbers.get(text) {
            return Span::common(*number);
        }
        let Some(number) = u16::try_from(self.entries.len()).ok().filter(|_| self.entries.len() < MOST) else { return Span::MISSING };
        let lower = text.to_ascii_lowercase().into_boxed_str();
        let written = (*lower != *text).then(|| text.into());
        self.entries.push(Entry { lower, written });
        self.numbers.insert(text.into(), number);
        Span::common(number)
    }

    pub(super) fn lower(&self, number: u16) -> &str {
        self.entries.get(usize::from(number)).map_or("", |entry| &entry.lower)
    }

    pub(super) fn written(&self, number: u16) -> Cow<'_, str> {
        let entry = self.entries.get(usize::from(number));
        Cow::Borrowed(entry.map_or("", |entry| entry.written.as_deref().unwrap_or(&entry.lower)))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// For each entry whether it passes; none where none does.
    pub(super) fn passing(&self, test: impl Fn(&str) -> bool) -> Option<Vec<bool>> {
        let passes: Vec<_> = self.entries.iter().map(|entry| test(&entry.lower)).collect();
        passes.contains(&true).then_some(passes)
    }

    /// The same for the texts as they were written.
    pub(super) fn passing_as_written(&self, test: impl Fn(&str) -> bool) -> Option<Vec<bool>> {
        let passes: Vec<_> = self.entries.iter().map(|entry| test(entry.written.as_deref().unwrap_or(&entry.lower))).collect();
        passes.contains(&true).then_some(passes)
    }

    pub(super) fn bytes(&self) -> usize {
        let texts: usize = self.entries.iter().map(|entry| entry.lower.len() + entry.written.as_ref().map_or(0, |text| text.len())).sum();
        let keys: usize = self.numbers.keys().map(|text| text.len()).sum();
        texts + keys + self.entries.capacity() * size_of::<Entry>() + self.numbers.capacity() * (size_of::<(Box<str>, u16)>() + 1)
    }
}
