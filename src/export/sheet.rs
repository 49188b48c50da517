//! A CSV table (RFC 4180) that a spreadsheet opens without harm.

use std::io::{self, Write};

/// A table on its way out.
pub(super) struct Sheet<W: Write>(csv::Writer<W>);

impl<W: Write> Sheet<W> {
    pub(super) fn new(out: W, columns: &[&str]) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(out);
        writer.write_record(columns).map_err(io::Error::from)?;
        Ok(Self(writer))
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) -> io::Result<()> {
        self.0.write_record(cells.map(harmless)).map_err(io::Error::from)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A cell that no spreadsheet takes for a formula: text from a node may begin like one.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

/// What is known, as text.
pub(super) fn shown(value: &Option<impl ToString>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Several in one cell.
pub(super) fn join(values: impl IntoIterator<Item = impl ToString>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
