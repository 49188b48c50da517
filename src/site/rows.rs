//! The nodes of a rack from a table, a CSV file as spreadsheets write it: `,`, `;` or tabs between the cells, quoted or
//! not, with or without a byte order mark.

use crate::files::{Notes, Place, nearest};
use domain::site::{DeclaredBmc, DeclaredNode, HIGHEST_UNIT};
use domain::timeline::printable;
use std::ops::Range;
use std::str::FromStr;

/// The columns that a table may have.
const COLUMNS: [&str; 10] = ["name", "unit", "serial", "bmc", "uuid", "mac", "address", "profile", "owner", "tags"];

/// One row, and where each of its cells stands.
struct Row {
    cells: Vec<String>,
    places: Vec<Range<usize>>,
    whole: Range<usize>,
}

/// Reads the nodes of a rack. `first` is the index of the first of them among all nodes.
pub(super) fn read(notes: &mut Notes, source: usize, text: &str, rack: &str, first: usize) -> Vec<DeclaredNode> {
    let mut rows = rows(text).into_iter().filter(|row| row.cells.iter().any(|cell| !cell.trim().is_empty()));
    let Some(header) = rows.next() else {
        notes.complain(
            Place { source, span: 0..0 },
            "this table is empty: write the line `name,unit,serial,bmc` and below it a line for each node",
        );
        return vec![];
    };
    let Some(columns) = columns(notes, source, &header) else { return vec![] };
    let mut nodes = vec![];
    for row in rows {
        let key = format!("node.{}", first + nodes.len());
        notes.row(key.clone(), Place { source, span: row.whole.clone() });
        nodes.push(Reading { notes, source, columns: &columns, width: header.cells.len(), row: &row, key }.node(rack));
    }
    nodes
}

/// Cuts a text into rows. The places are those in the text as it came.
fn rows(text: &str) -> Vec<Row> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let body = &text[mark..];
    let delimiter = delimiter(body);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(body.as_bytes());
    let mut rows = vec![];
    let mut record = csv::StringRecord::new();
    // The text is UTF-8 and rows may differ in length, so nothing is left that could fail.
    while reader.read_record(&mut record).unwrap_or(false) {
        let start = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        let start = start + body[start..].len() - body[start..].trim_start_matches(['\r', '\n']).len();
        let places: Vec<_> = cells(body, start, delimiter).into_iter().map(|span| mark + span.start..mark + span.end).collect();
        let end = places.last().map_or(mark + start, |last| last.end);
        rows.push(Row { cells: record.iter().map(str::to_owned).collect(), places, whole: mark + start..end });
    }
    rows
}

/// What stands most often in the first line, outside quotes.
fn delimiter(text: &str) -> u8 {
    let line = text.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
    let outside: String = line.split('"').step_by(2).collect();
    let count = |delimiter: u8| outside.bytes().filter(|byte| *byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Where the cells of the row at `start` stand.
fn cells(text: &str, start: usize, delimiter: u8) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = vec![];
    let (mut begin, mut at) = (start, start);
    let mut quoted = bytes.get(at) == Some(&b'"');
    at += usize::from(quoted);
    loop {
        match bytes.get(at) {
            // A doubled quote closes and opens again, which comes to the same.
            Some(b'"') if quoted || bytes.get(at.wrapping_sub(1)) == Some(&b'"') => quoted = !quoted,
            Some(byte) if !quoted && *byte == delimiter => {
                found.push(begin..at);
                begin = at + 1;
                quoted = bytes.get(begin) == Some(&b'"');
                at = begin + usize::from(quoted);
                continue;
            }
            Some(b'\r' | b'\n') if !quoted => break,
            None => break,
            Some(_) => {}
        }
        at += 1;
    }
    found.push(begin..at);
    found
}

/// Which column of the table is which, in the order of [`COLUMNS`]; none when there is no use in reading on.
fn columns(notes: &mut Notes, source: usize, header: &Row) -> Option<[Option<usize>; COLUMNS.len()]> {
    let mut found = [None; COLUMNS.len()];
    let known = COLUMNS.join(", ");
    for (i, cell) in header.cells.iter().enumerate() {
        let place = Place { source, span: header.places.get(i).cloned().unwrap_or(header.whole.clone()) };
        let name = cell.trim().to_lowercase();
        match COLUMNS.iter().position(|column| *column == name) {
            Some(column) if found[column].is_some() => {
                notes.complain(place, format!("the column `{name}` is there twice: keep one of them"))
            }
            Some(column) => found[column] = Some(i),
            None if name.is_empty() => notes.complain(place, format!("this column has no name; known here: {known}")),
            None => {
                let hint = nearest(&name, COLUMNS.into_iter())
                    .map_or_else(|| format!("known here: {known}"), |near| format!("did you mean `{near}`?"));
                notes.complain(place, format!("unknown column `{}`; {hint}", printable(&name, 60)));
            }
        }
    }
    if found[0].is_none() {
        let place = Place { source, span: header.whole.clone() };
        notes.complain(place, "the first line names the columns, and lacks `name`: write a line such as name,unit,serial,bmc");
        return None;
    }
    Some(found)
}

/// One row on its way to a node.
struct Reading<'r> {
    notes: &'r mut Notes,
    source: usize,
    columns: &'r [Option<usize>; COLUMNS.len()],
    /// How many columns the first line names.
    width: usize,
    row: &'r Row,
    key: String,
}

impl Reading<'_> {
    fn node(mut self, rack: &str) -> DeclaredNode {
        let (cells, width) = (self.row.cells.len(), self.width);
        if self.row.cells.iter().skip(width).any(|cell| !cell.trim().is_empty()) {
            let rest = format!(
                "this row has {cells} cells, and the first line names {width} columns: put quotes around a cell that holds a comma or semicolon"
            );
            self.complain("", rest);
        }
        if self.row.cells.iter().any(|cell| cell.contains(['\r', '\n'])) {
            self.complain("", "a cell of this row goes over several lines: a quote is not closed");
        }
        let name = self.cell("name").unwrap_or_default();
        if name.is_empty() {
            self.complain("name", "this row has no name: write one in the column `name`, or remove the row");
        }
        DeclaredNode {
            name,
            serial: self.serial(),
            uuid: self.parsed("uuid", "a UUID, such as 4c4c4544-0042-3510-8058-b4c04f4e3232"),
            mac: self.parsed("mac", "a MAC address: give six bytes such as 52:54:00:12:34:56"),
            address: self.parsed("address", "an IPv4 address"),
            rack: Some(rack.to_owned()),
            unit: self.unit(),
            profile: self.cell("profile"),
            bmc: self.cell("bmc").map(|cell| DeclaredBmc::at(&cell)),
            owner: self.cell("owner"),
            tags: self
                .cell("tags")
                .iter()
                .flat_map(|cell| cell.split([' ', ',', ';', '|']))
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
            ..DeclaredNode::default()
        }
    }

    /// What a cell says; none where it is empty or there is no such column.
    fn cell(&mut self, column: &str) -> Option<String> {
        let i = self.columns[COLUMNS.iter().position(|known| *known == column)?]?;
        let text = self.row.cells.get(i)?.trim();
        let span = self.row.places.get(i).cloned().unwrap_or(self.row.whole.clone());
        self.notes.remember(format!("{}.{column}", self.key), Place { source: self.source, span });
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn serial(&mut self) -> Option<String> {
        let serial = self.cell("serial")?;
        let (digits, exponent) = serial.split_once(['E', 'e']).unwrap_or_default();
        let number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',');
        if number(digits) && exponent.strip_prefix('+').is_some_and(number) {
            let rest =
                format!("`{serial}` looks like a number that a spreadsheet shortened: make the column text, and enter the serial again");
            self.complain("serial", rest);
            return None;
        }
        Some(serial)
    }

    fn unit(&mut self) -> Option<u32> {
        let text = self.cell("unit")?;
        let unit = text.parse().ok().filter(|unit| (1..=HIGHEST_UNIT).contains(unit));
        if unit.is_none() {
            self.complain(
                "unit",
                format!("`{}` is not a unit: write a whole number from 1, at the bottom, to {HIGHEST_UNIT}", printable(&text, 60)),
            );
        }
        unit
    }

    fn parsed<T: FromStr>(&mut self, column: &str, wanted: &str) -> Option<T> {
        let text = self.cell(column)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.complain(column, format!("`{}` is not {wanted}", printable(&text, 60)));
        }
        value
    }

    /// Complains at a cell, or at the whole row.
    fn complain(&mut self, column: &str, message: impl std::fmt::Display) {
        let key = if column.is_empty() { self.key.clone() } else { format!("{}.{column}", self.key) };
        let place = self.notes.place_of(&key).unwrap_or(Place { source: self.source, span: self.row.whole.clone() });
        let said = if column.is_empty() { message.to_string() } else { format!("{column}: {message}") };
        self.notes.complain(place, said);
        self.notes.spoil(key);
    }
}
