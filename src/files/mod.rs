//! Reading TOML, and tables, so that every mistake is found at once and each has its place.
//!
//! What the keys mean is not known here: [`crate::settings`] and [`crate::site`] ask for them by name.

mod reader;

pub use reader::{Reader, nearest};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use domain::site::Mistake;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// A file's text and the name it goes by in messages.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path as the user knows it.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Where in which file something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Index into the sources.
    pub source: usize,
    /// Bytes.
    pub span: Range<usize>,
}

/// One mistake, with its place if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Where.
    pub place: Option<Place>,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// How many mistakes are told at once: nobody reads more, and each costs a look at the whole file.
const MOST_TOLD: usize = 100;

/// All mistakes of a set of files, the first hundred in words.
#[derive(Debug, Clone)]
pub struct Complaints {
    sources: Vec<Source>,
    list: Vec<Complaint>,
    untold: usize,
}

/// One mistake in the words of the API: file, line, column.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Located {
    /// The file, when the mistake has a place.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Complaints {
    /// Mistakes in these files.
    pub fn new(sources: Vec<Source>, mut list: Vec<Complaint>) -> Self {
        list.sort_by_key(|complaint| complaint.place.as_ref().map(|place| (place.source, place.span.start)));
        let untold = list.len().saturating_sub(MOST_TOLD);
        list.truncate(MOST_TOLD);
        if untold > 0 {
            list.push(Complaint { place: None, message: format!("and {} more; mend these first", crate::count(untold, "mistake")) });
        }
        Self { sources, list, untold }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len() + self.untold.saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// For programs.
    pub fn located(&self) -> Vec<Located> {
        self.list
            .iter()
            .map(|complaint| {
                let at = complaint.place.as_ref().map(|place| (&self.sources[place.source], place.span.start));
                let before = at.map(|(source, start)| source.text.get(..start).unwrap_or_default());
                Located {
                    file: at.map(|(source, _)| source.path.clone()),
                    line: before.map(|text| text.matches('\n').count() + 1),
                    // A byte order mark is no character that anybody sees.
                    column: before
                        .map(|text| text.rsplit('\n').next().unwrap_or_default().trim_start_matches('\u{feff}').chars().count() + 1),
                    message: complaint.message.clone(),
                }
            })
            .collect()
    }

    /// For people: each mistake under the line it stands in.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for complaint in &self.list {
            let title = Level::ERROR.primary_title(complaint.message.as_str());
            let group = match &complaint.place {
                Some(place) => {
                    let source = &self.sources[place.source];
                    let annotation = AnnotationKind::Primary.span(place.span.clone());
                    title.element(Snippet::source(source.text.as_str()).path(source.path.as_str()).annotation(annotation))
                }
                None => annotate_snippets::Group::with_title(title),
            };
            out.push_str(&renderer.render(&[group]));
            out.push_str("\n\n");
        }
        out
    }
}

impl std::fmt::Display for Complaints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Complaints {}

/// Where each key stands, and what is wrong so far.
#[derive(Debug, Default)]
pub struct Notes {
    places: HashMap<String, Place>,
    complaints: Vec<Complaint>,
    spoiled: BTreeSet<String>,
    /// Keys of blocks that are rows of a table, where the block's own key says nothing to a reader.
    rows: HashSet<String>,
}

impl Notes {
    /// A mistake at a place.
    pub fn complain(&mut self, place: Place, message: impl Into<String>) {
        self.complaints.push(Complaint { place: Some(place), message: message.into() });
    }

    /// A mistake of a set of files as a whole.
    pub fn complain_of_all(&mut self, message: impl Into<String>) {
        self.complaints.push(Complaint { place: None, message: message.into() });
    }

    /// A broken rule of the domain, at the place of its key or of the nearest key above it.
    pub fn complain_of(&mut self, mistake: Mistake) {
        let mut key = mistake.key.as_str();
        let place = loop {
            if let Some(place) = self.places.get(key) {
                break Some(place.clone());
            }
            match key.rsplit_once('.') {
                Some((above, _)) => key = above,
                None => break None,
            }
        };
        let block = mistake.key.match_indices('.').nth(1).map(|(end, _)| mistake.key.split_at(end));
        let shown = match block {
            Some((block, field)) if self.rows.contains(block) => &field[1..],
            _ => mistake.key.as_str(),
        };
        self.complaints.push(Complaint { place, message: format!("{shown}: {}", mistake.message) });
    }

    /// Where a key was found to stand.
    pub fn place_of(&self, key: &str) -> Option<Place> {
        self.places.get(key).cloned()
    }

    /// A block that is a row of a table, by its key: `node.12`.
    pub fn row(&mut self, key: String, place: Place) {
        self.remember(key.clone(), place);
        self.rows.insert(key);
    }

    /// Has a mistake already: what follows from it is not told again.
    pub fn spoil(&mut self, key: String) {
        self.spoiled.insert(key);
    }

    /// Whether a key, or one below it, has a mistake already: what it says, or lacks, is then not what was meant.
    pub fn is_spoiled(&self, key: &str) -> bool {
        let below = format!("{key}.");
        let next = self.spoiled.range(below.clone()..).next();
        self.spoiled.contains("") || self.spoiled.contains(key) || next.is_some_and(|spoiled| spoiled.starts_with(&below))
    }

    /// Where a key stands.
    pub fn remember(&mut self, key: String, place: Place) {
        self.places.entry(key).or_insert(place);
    }

    /// The mistakes found so far, if any.
    pub fn into_result<T>(self, sources: Vec<Source>, value: T) -> Result<T, Complaints> {
        if self.complaints.is_empty() { Ok(value) } else { Err(Complaints::new(sources, self.complaints)) }
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty()
    }
}
