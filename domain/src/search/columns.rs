//! What is shown of nodes: columns, for people and for machines.

use super::facts;
use super::fields::{Field, Kind};
use super::fits::Document;
use super::mistake::Mistake;
use super::order::{unknown, words};
use super::query::Path;
use super::record::{Case, Record, Value};
use crate::clock::Timestamp;
use crate::quantity::{Rate, in_powers_of_1000, in_powers_of_1024};
use crate::timeline::printable;
use serde_json::Value as Json;
use std::fmt;
use std::str::FromStr;

/// The most columns of a list.
const MOST_COLUMNS: usize = 32;
/// The most values of a list that people are shown.
const MOST_SHOWN: usize = 4;
/// The longest text that people are shown, characters.
const LONGEST: usize = 60;
/// The most values of facts in one cell.
const MOST_FACTS: usize = 256;
/// The most bytes of facts in one cell; a node chooses how long they are.
const MOST_OF_CELL: usize = 4096;

/// Which columns a list has, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(pub Vec<Column>);

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// A field of the node.
    Field(Field),
    /// Values of its document; reads it.
    Facts(Path),
}

/// What stands in one column of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// For people: short, with units; empty where nothing is known.
    pub text: String,
    /// For machines: bytes, Mbit/s and per cent as integers, times as RFC 3339, a list for fields that can have several
    /// values, `null` where nothing is known. Facts are cut at 4 KiB, with `…` at the end.
    pub json: Json,
}

impl Default for Columns {
    /// What a person wants to see first.
    fn default() -> Self {
        let fields = [
            Field::Name,
            Field::Stage,
            Field::Vendor,
            Field::Product,
            Field::Serial,
            Field::CpuThreads,
            Field::Memory,
            Field::DiskSize,
            Field::Seen,
        ];
        Self(fields.map(Column::Field).into())
    }
}

impl FromStr for Columns {
    type Err = Mistake;

    /// Reads `name,disks.size,facts.cpu.microcode`.
    fn from_str(text: &str) -> Result<Self, Mistake> {
        let mut columns = Vec::new();
        for (at, word) in words(text, super::MOST_BYTES)? {
            let place = at..at + word.len();
            let column = match word.split_once('.') {
                Some((first, path)) if first.eq_ignore_ascii_case("facts") && !path.split('.').any(str::is_empty) => {
                    Column::Facts(Path(path.split('.').map(str::to_owned).collect()))
                }
                _ => Column::Field(Field::named(word).ok_or_else(|| unknown(text, place.clone(), word))?),
            };
            if columns.len() >= MOST_COLUMNS {
                return Err(Mistake::new(text, place, format!("at most {MOST_COLUMNS} columns are shown")));
            }
            if columns.contains(&column) {
                return Err(Mistake::new(text, place, "this column is there already: name it once"));
            }
            columns.push(column);
        }
        match columns[..] {
            [] => Err(Mistake::new(text, 0..0, "expected the names of fields with commas between: `name,disks.size`")),
            _ => Ok(Self(columns)),
        }
    }
}

impl Columns {
    /// Whether one of them shows facts that only documents hold.
    pub fn need_documents(&self) -> bool {
        self.0.iter().any(|column| matches!(column, Column::Facts(_)))
    }

    /// What stands in each of them.
    pub fn cells(&self, record: &impl Record, document: Document<'_>, now: Timestamp) -> Vec<Cell> {
        self.0.iter().map(|column| column.cell(record, document, now)).collect()
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, column) in self.0.iter().enumerate() {
            write!(f, "{}{}", if n > 0 { "," } else { "" }, column.name())?;
        }
        Ok(())
    }
}

impl Column {
    /// Its name as one types it.
    pub fn name(&self) -> String {
        match self {
            Self::Field(field) => field.described().name.to_owned(),
            Self::Facts(path) => format!("facts.{path}"),
        }
    }

    /// Its head, for people; printable.
    pub fn title(&self) -> String {
        match self {
            Self::Field(field) => field.described().title.to_owned(),
            Self::Facts(path) => printable(&path.to_string().to_uppercase(), LONGEST),
        }
    }

    /// What stands in it. Without a document a column of facts is empty.
    pub fn cell(&self, record: &impl Record, document: Document<'_>, now: Timestamp) -> Cell {
        match (self, document) {
            (Self::Field(field), _) => field_cell(*field, record, now),
            (Self::Facts(_), Document::Unread) => Cell { text: String::new(), json: Json::Null },
            (Self::Facts(path), Document::Facts(facts)) => {
                let mut values = cut(facts::values(facts, path, MOST_FACTS));
                let text = listed(values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
                let json = match values.len() {
                    0 => Json::Null,
                    1 => values.swap_remove(0),
                    _ => Json::Array(values),
                };
                Cell { text, json }
            }
        }
    }
}

/// The first values that fit into a cell, the last of them cut, with a mark where something is missing.
fn cut(values: Vec<Json>) -> Vec<Json> {
    let mut left = MOST_OF_CELL;
    let mut kept = Vec::new();
    for value in values {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if text.len() > left {
            let end = (0..=left).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            kept.push(Json::String(format!("{}…", &text[..end])));
            break;
        }
        left -= text.len();
        kept.push(value);
    }
    kept
}

fn field_cell(field: Field, record: &impl Record, now: Timestamp) -> Cell {
    let described = field.described();
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    record.any(field, None, Case::AsWritten, |value| {
        texts.push(for_people(described.kind, &value, now));
        values.push(for_machines(&value));
        false
    });
    let json = if described.many { Json::Array(values) } else { values.pop().unwrap_or_default() };
    Cell { text: listed(texts.into_iter()), json }
}

/// Values in a row: equal ones counted, the first few only.
fn listed(values: impl Iterator<Item = String>) -> String {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for value in values {
        match counted.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counted.push((value, 1)),
        }
    }
    let more = counted.len().saturating_sub(MOST_SHOWN);
    let shown = counted.into_iter().take(MOST_SHOWN).map(|(value, count)| {
        let value = printable(&value, LONGEST);
        if count > 1 { format!("{count} × {value}") } else { value }
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(", {more} more"));
    }
    text
}

fn for_people(kind: Kind, value: &Value<'_>, now: Timestamp) -> String {
    match (kind, value) {
        (Kind::Bytes, Value::Number(n)) => in_powers_of_1000(*n),
        (Kind::Memory, Value::Number(n)) => in_powers_of_1024(*n),
        (Kind::Speed, Value::Number(n)) => Rate(*n).to_string(),
        (Kind::Percent, Value::Number(n)) => format!("{n} %"),
        (_, Value::Number(n)) => n.to_string(),
        (_, Value::Text(text)) => text.clone().into_owned(),
        (_, Value::Word(word)) => (*word).to_owned(),
        (_, Value::Flag(flag)) => (if *flag { "yes" } else { "no" }).to_owned(),
        (_, Value::Time(at)) => ago(*at, now),
        (_, Value::Mac(mac)) => mac.to_string(),
        (_, Value::Address(address)) => address.to_string(),
        (_, Value::Id(id)) => id.hyphenated().to_string(),
    }
}

fn for_machines(value: &Value<'_>) -> Json {
    match value {
        Value::Text(text) => text.as_ref().into(),
        Value::Word(word) => (*word).into(),
        Value::Number(n) => (*n).into(),
        Value::Flag(flag) => (*flag).into(),
        Value::Time(at) => at.to_string().into(),
        Value::Mac(mac) => mac.to_string().into(),
        Value::Address(address) => address.to_string().into(),
        Value::Id(id) => id.hyphenated().to_string().into(),
    }
}

/// How long ago something was, roughly.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        i64::MIN..0 => at.to_string(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
