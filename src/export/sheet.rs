//! A CSV table (RFC 4180) that a spreadsheet opens without harm.

use std::io::{self, Write};

/// A table on its way out.
pub(super) struct Sheet<W: Write>(csv::Writer<W>);

impl<W: Write> Sheet<W> {
    pub(super) fn new(out: W, columns: &[&str]) -> io::Result<Self> {
        let mut writer =
            csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).quote_style(csv::QuoteStyle::Always).from_writer(out);
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

/// A cell that no spreadsheet takes for a formula: text from a node may begin like one, or hold one behind what another
/// country's spreadsheet, or one that was told so, takes for the end of a cell.
fn harmless(cell: String) -> String {
    let mut safe = String::with_capacity(cell.len() + 1);
    let mut begins = true;
    for character in cell.chars() {
        if begins && ['=', '+', '-', '@', '\t', '\r'].contains(&character) {
            safe.push('\'');
        }
        safe.push(character);
        // Blanks and quotation marks between the end of a cell and a formula do not help.
        begins = [';', '\t', '\r', '\n'].contains(&character) || (begins && [' ', '"'].contains(&character));
    }
    safe
}

/// What is known, as text.
pub(super) fn shown(value: &Option<impl ToString>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Several in one cell.
pub(super) fn join(values: impl IntoIterator<Item = impl ToString>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_cell_is_a_formula() {
        let cases = [
            ("plain - text", "plain - text"),
            ("=1", "'=1"),
            ("a;=1", "a;'=1"),
            ("a; \"@SUM(1)", "a; \"'@SUM(1)"),
            ("a\t-1", "a\t'-1"),
            ("\t+1", "'\t'+1"),
            ("a\n=1", "a\n'=1"),
        ];
        for (cell, safe) in cases {
            assert_eq!(harmless(cell.to_owned()), safe);
        }
        let mut out = vec![];
        let mut sheet = Sheet::new(&mut out, &["a", "b"]).expect("begun");
        sheet.row(["x;=1".to_owned(), "".to_owned()]).expect("written");
        sheet.finish().expect("written");
        assert_eq!(String::from_utf8_lossy(&out), "\"a\",\"b\"\n\"x;'=1\",\"\"\n");
    }
}
