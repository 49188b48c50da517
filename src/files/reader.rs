//! One TOML table, asked for its keys by name.

use super::{Notes, Place};
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the keys of one table. Drop it by [`Reader::finish`], which complains of keys that nobody asked for.
pub struct Reader<'r, 't> {
    notes: &'r mut Notes,
    table: &'r DeTable<'t>,
    source: usize,
    span: Range<usize>,
    key: String,
    asked: Vec<String>,
}

impl<'r, 't> Reader<'r, 't> {
    /// Parses a file and hands its root table to `read`; what is not TOML is complained of.
    pub fn file(notes: &mut Notes, source: usize, text: &str, read: impl FnOnce(&mut Reader<'_, '_>)) {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            notes.spoil(String::new());
            notes.complain(Place { source, span }, format!("not TOML: {}", error.message()));
        }
        if errors.is_empty() {
            let mut reader = Reader { notes, table: root.get_ref(), source, span: 0..0, key: String::new(), asked: vec![] };
            read(&mut reader);
            reader.finish();
        }
    }

    /// The dotted key of this table.
    pub fn key(&self) -> &str {
        &self.key
    }

    fn path(&self, name: &str) -> String {
        match (self.key.as_str(), name) {
            (key, "") => key.to_owned(),
            ("", name) => name.to_owned(),
            (key, name) => format!("{key}.{name}"),
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.source, span }
    }

    fn value(&mut self, name: &str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.asked.push(name.to_owned());
        let (_, value) = self.table.iter().find(|(key, _)| key.get_ref() == name)?;
        let place = self.place(value.span());
        self.notes.remember(self.path(name), place);
        Some(value)
    }

    /// Complains at a key of this table, or at the table where it has no such key ("" is the table itself).
    pub fn complain(&mut self, name: &str, message: impl Display) {
        let path = self.path(name);
        let place = self.notes.place_of(&path).unwrap_or_else(|| self.place(self.span.clone()));
        self.notes.complain(place, format!("{path}: {message}"));
        self.notes.spoil(path);
    }

    fn wrong_kind(&mut self, name: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.complain(name, format!("this is {}, and {wanted} is wanted", article(value.get_ref().type_str())));
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        match value.get_ref().as_str() {
            Some(text) => Some(text.to_owned()),
            None => {
                self.wrong_kind(name, value, "a text in quotes");
                None
            }
        }
    }

    /// A text that is something; its error says how to write it.
    pub fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        text.parse().map_err(|error| self.complain(name, error)).ok()
    }

    /// A text that is something whose own error says too little.
    pub fn parsed_as<T: FromStr>(&mut self, name: &str, wanted: &str) -> Option<T> {
        let text = self.text(name)?;
        text.parse().map_err(|_| self.complain(name, format!("`{}` is not {wanted}", domain::timeline::printable(&text, 60)))).ok()
    }

    /// A list of texts that are something.
    pub fn list<T: FromStr>(&mut self, name: &str, wanted: &str) -> Vec<T> {
        let Some(value) = self.value(name) else { return vec![] };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_kind(name, value, "a list in brackets");
            return vec![];
        };
        let mut found = vec![];
        for item in items.iter() {
            match item.get_ref().as_str().and_then(|text| text.parse().ok()) {
                Some(one) => found.push(one),
                None => {
                    let place = self.place(item.span());
                    let path = self.path(name);
                    self.notes.complain(place, format!("{path}: each item must be {wanted} in quotes"));
                    self.notes.spoil(path);
                }
            }
        }
        found
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, name: &str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(name)?;
        let number = value.get_ref().as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        match number {
            Some(number) if bounds.contains(&number) => return Some(number),
            Some(number) => self.complain(name, format!("{number} is out of range: choose {} to {}", bounds.start(), bounds.end())),
            None => self.wrong_kind(name, value, "a whole number"),
        }
        None
    }

    /// One of some words.
    pub fn one_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let hint =
                nearest(&text, words.iter().map(|(word, _)| *word)).map(|word| format!("; did you mean \"{word}\"?")).unwrap_or_default();
            self.complain(name, format!("`{}` is not known: write {}{hint}", domain::timeline::printable(&text, 60), all.join(" or ")));
        }
        found
    }

    /// Some of some words.
    pub fn each_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Vec<T> {
        let all: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let named: Vec<String> = self.list(name, &all.join(" or "));
        let mut found = vec![];
        for text in named {
            match words.iter().find(|(word, _)| *word == text) {
                Some((_, value)) => found.push(*value),
                None => {
                    let hint = nearest(&text, words.iter().map(|(word, _)| *word)).map(|word| format!("; did you mean \"{word}\"?"));
                    let text = domain::timeline::printable(&text, 60);
                    self.complain(name, format!("`{text}` is not known: write {}{}", all.join(" or "), hint.unwrap_or_default()));
                }
            }
        }
        found
    }

    /// A table of texts that are something, under keys that the user chose.
    pub fn each<T: FromStr<Err: Display>>(&mut self, name: &str) -> Vec<(String, T)> {
        let mut found = vec![];
        self.table(name, |inner| {
            let keys: Vec<String> = inner.table.iter().map(|(key, _)| key.get_ref().to_string()).collect();
            for key in keys {
                found.extend(inner.parsed(&key).map(|value| (key, value)));
            }
        });
        found
    }

    /// Complains when a key that must be there is not.
    pub fn require(&mut self, name: &str, example: &str) {
        if !self.table.iter().any(|(key, _)| key.get_ref() == name) {
            let place = self.place(self.span.clone());
            let table = if self.key.is_empty() { "this file".to_owned() } else { format!("[{}]", self.key) };
            self.notes.complain(place, format!("{table} lacks `{name}`: write {name} = {example}"));
            self.notes.spoil(self.path(name));
        }
    }

    /// A table under a key.
    pub fn table<T>(&mut self, name: &str, read: impl FnOnce(&mut Reader<'_, 't>) -> T) -> Option<T> {
        let value = self.value(name)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_kind(name, value, &format!("a table, [{}],", self.path(name)));
            return None;
        };
        let key = self.path(name);
        Some(self.inner(key, table, value.span(), read))
    }

    /// Tables by a name that the user chose: `[network.provision]`.
    pub fn tables(&mut self, name: &str, mut read: impl FnMut(&str, &mut Reader<'_, 't>)) {
        let Some(value) = self.value(name) else { return };
        let Some(table) = value.get_ref().as_table() else {
            return self.wrong_kind(name, value, &format!("tables by name, such as [{}.example],", self.path(name)));
        };
        for (chosen, inner) in table {
            let key = format!("{}.{}", self.path(name), chosen.get_ref());
            let place = self.place(chosen.span());
            self.notes.remember(key.clone(), place);
            match inner.get_ref().as_table() {
                Some(table) => self.inner(key, table, chosen.span(), |reader| read(chosen.get_ref(), reader)),
                None => {
                    let place = self.place(inner.span());
                    self.notes.complain(place, format!("{key}: this must be a table: write [{key}] and its keys below"));
                    self.notes.spoil(key);
                }
            }
        }
    }

    /// Blocks: `[[node]]`. `first` is the index of the first, where several files count on.
    pub fn blocks(&mut self, name: &str, first: usize, mut read: impl FnMut(&mut Reader<'_, 't>)) {
        let Some(value) = self.value(name) else { return };
        let Some(items) = value.get_ref().as_array() else {
            return self.wrong_kind(name, value, &format!("a block, [[{name}]],"));
        };
        for (i, item) in items.iter().enumerate() {
            let key = format!("{}.{}", self.path(name), first + i);
            let place = self.place(item.span());
            self.notes.remember(key.clone(), place);
            match item.get_ref().as_table() {
                Some(table) => self.inner(key, table, item.span(), &mut read),
                None => self.wrong_kind(name, item, &format!("a block, [[{name}]],")),
            }
        }
    }

    fn inner<T>(&mut self, key: String, table: &DeTable<'t>, span: Range<usize>, read: impl FnOnce(&mut Reader<'_, 't>) -> T) -> T {
        let mut reader = Reader { notes: self.notes, table, source: self.source, span, key, asked: vec![] };
        let value = read(&mut reader);
        reader.finish();
        value
    }

    /// Complains of keys that nobody asked for.
    fn finish(self) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.asked.iter().any(|asked| asked == name) {
                continue;
            }
            let known = || self.asked.iter().map(String::as_str);
            let hint = match nearest(name, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", known().collect::<Vec<_>>().join(", ")),
            };
            let place = Place { source: self.source, span: key.span() };
            let path = if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
            self.notes.complain(place, format!("unknown key `{}`; {hint}", domain::timeline::printable(&path, 80)));
            self.notes.spoil(path);
        }
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// The word that was probably meant.
pub fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    words
        .map(|word| (strsim::damerau_levenshtein(text, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| word)
}
