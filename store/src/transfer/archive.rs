//! A backup as a file.
//!
//! ```text
//! "OVERTURE-BACKUP\n"                         16 bytes
//! length of the header, big-endian             4 bytes
//! header: JSON                                 format, schema, when, by which version, which site, tables and columns
//! Zstandard stream of:
//!   length of a portion, big-endian            4 bytes
//!   portion: postcard of (table, rows)         …
//!   0                                          4 bytes
//!   trailer: JSON                              rows by table
//! SHA-256 of all that                         32 bytes
//! ```
//!
//! Nothing of it is believed before all of it was read and the digest is right.

use super::{Row, Value};
use crate::schema::{KNOWN, Kind, TABLES};
use domain::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"OVERTURE-BACKUP\n";
/// The only format so far.
const FORMAT: u32 = 1;
const LEVEL: i32 = 3;
const DIGEST: u64 = 32;
/// The longest header or trailer, bytes.
const MOST_HEADER: u32 = 1 << 20;
/// The longest portion, bytes: one row may be a large document.
const MOST_PORTION: u32 = 64 << 20;
/// A portion of several rows that is longer is written as two.
const LONG_PORTION: usize = 8 << 20;
/// The most rows of a portion that is read. A row without values takes few bytes there, and many in memory.
const MOST_ROWS: usize = 10_000;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub format: u32,
    /// The version of the schema.
    pub schema: u32,
    /// The moment of the store that it holds.
    pub made: Timestamp,
    /// The version of Overture that made it.
    pub by: String,
    /// The site's name, if there was one.
    pub site: Option<String>,
    /// The tables and their columns, in order.
    pub tables: Vec<(String, Vec<String>)>,
}

impl Header {
    /// For a backup of now.
    pub fn new(made: Timestamp, by: &str, site: Option<String>) -> Self {
        Self { format: FORMAT, schema: KNOWN, made, by: by.to_owned(), site, tables: tables() }
    }
}

fn tables() -> Vec<(String, Vec<String>)> {
    TABLES.iter().map(|table| (table.name.to_owned(), table.columns.iter().map(|(name, _)| (*name).to_owned()).collect())).collect()
}

/// What a whole backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// What it says of itself.
    pub header: Header,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
    /// How long the file is, bytes.
    pub bytes: u64,
}

impl Contents {
    /// How many rows there are in all.
    pub fn total(&self) -> u64 {
        self.rows.values().sum()
    }
}

/// Why a file is not used as a backup.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or written.
    #[error("the backup {} could not be read", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a backup of Overture: name a file that `overture db backup` has written", .0.display())]
    Foreign(PathBuf),
    /// Its end is missing.
    #[error("the backup {} is cut off: copy it again from where it came, or use another", .0.display())]
    Truncated(PathBuf),
    /// It is not what was written.
    #[error("the backup {} was altered or damaged ({why}): copy it again from where it came, or use another", .path.display())]
    Altered {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// It is in a format or of a schema that this version does not know.
    #[error("the backup {} has {what} {found}, and this version reads {known}: restore it with Overture {by}", .path.display())]
    OtherVersion {
        /// Which.
        path: PathBuf,
        /// Format or schema.
        what: &'static str,
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
        /// The version that made it.
        by: String,
    },
    /// It could not be made.
    #[error("the backup could not be packed")]
    Pack(#[source] io::Error),
}

/// Makes an archive, piece by piece.
pub(super) struct Packer {
    stream: zstd::stream::write::Encoder<'static, Vec<u8>>,
    /// What was taken already, and what precedes the stream.
    hash: Sha256,
    head: Vec<u8>,
    rows: BTreeMap<String, u64>,
}

impl Packer {
    pub(super) fn new(header: &Header) -> Result<Self, ArchiveError> {
        let json = serde_json::to_vec(header).map_err(|error| ArchiveError::Pack(error.into()))?;
        let mut head = MAGIC.to_vec();
        head.extend((json.len() as u32).to_be_bytes());
        head.extend(json);
        let stream = zstd::stream::write::Encoder::new(vec![], LEVEL).map_err(ArchiveError::Pack)?;
        let rows = TABLES.iter().map(|table| (table.name.to_owned(), 0)).collect();
        Ok(Self { stream, hash: Sha256::new(), head, rows })
    }

    /// Adds rows of a table.
    pub(super) fn rows(&mut self, table: usize, rows: &[Row]) -> Result<(), ArchiveError> {
        let packed = postcard::to_stdvec(&(table, rows)).map_err(|error| ArchiveError::Pack(io::Error::other(error)))?;
        if packed.len() > LONG_PORTION && rows.len() > 1 {
            let (first, second) = rows.split_at(rows.len() / 2);
            return self.rows(table, first).and_then(|()| self.rows(table, second));
        }
        let length = u32::try_from(packed.len()).ok().filter(|&length| length <= MOST_PORTION);
        let length = length.ok_or_else(|| ArchiveError::Pack(io::Error::other("a row is larger than a backup can hold")))?;
        self.stream.write_all(&length.to_be_bytes()).and_then(|()| self.stream.write_all(&packed)).map_err(ArchiveError::Pack)?;
        if let Some(counted) = TABLES.get(table).and_then(|table| self.rows.get_mut(table.name)) {
            *counted += rows.len() as u64;
        }
        Ok(())
    }

    /// What is ready to be written.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut piece = std::mem::take(&mut self.head);
        piece.append(self.stream.get_mut());
        self.hash.update(&piece);
        piece
    }

    /// The last piece.
    pub(super) fn end(mut self) -> Result<Vec<u8>, ArchiveError> {
        let trailer = serde_json::to_vec(&self.rows).map_err(|error| ArchiveError::Pack(error.into()))?;
        self.stream.write_all(&0_u32.to_be_bytes()).and_then(|()| self.stream.write_all(&trailer)).map_err(ArchiveError::Pack)?;
        let mut piece = std::mem::take(&mut self.head);
        piece.extend(self.stream.finish().map_err(ArchiveError::Pack)?);
        self.hash.update(&piece);
        piece.extend(self.hash.finalize());
        Ok(piece)
    }
}

/// Hashes what is read of it.
struct Hashing<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Reads an archive from its beginning.
pub(super) struct Unpacker {
    path: PathBuf,
    pub(super) header: Header,
    length: u64,
    stream: zstd::stream::read::Decoder<'static, BufReader<Hashing<io::Take<File>>>>,
    rows: BTreeMap<String, u64>,
}

impl Unpacker {
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let unreadable = |source| ArchiveError::Unreadable { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut magic = vec![];
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(unreadable)?;
        if magic != MAGIC {
            let cut = !magic.is_empty() && MAGIC.starts_with(&magic);
            return Err(if cut { ArchiveError::Truncated(path.to_owned()) } else { ArchiveError::Foreign(path.to_owned()) });
        }
        let truncated = || ArchiveError::Truncated(path.to_owned());
        let from = file.take(length.saturating_sub(DIGEST + MAGIC.len() as u64));
        let mut from = Hashing { from, hash: Sha256::new_with_prefix(MAGIC) };
        let mut size = [0; 4];
        from.read_exact(&mut size).map_err(|_| truncated())?;
        let size = u32::from_be_bytes(size);
        if size > MOST_HEADER {
            return Err(altered(path, "its header is too long"));
        }
        let mut json = vec![0; size as usize];
        from.read_exact(&mut json).map_err(|_| truncated())?;
        let header = known(path, &json)?;
        let stream = zstd::stream::read::Decoder::new(from).map_err(|_| truncated())?.single_frame();
        let rows = TABLES.iter().map(|table| (table.name.to_owned(), 0)).collect();
        Ok(Self { path: path.to_owned(), header, length, stream, rows })
    }

    /// The next rows, with the number of their table; none after the last, when everything was found as it was written.
    pub(super) fn next(&mut self) -> Result<Option<(usize, Vec<Row>)>, ArchiveError> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).map_err(|error| self.broken(&error))?;
        let size = u32::from_be_bytes(size);
        if size == 0 {
            return self.end().map(|()| None);
        }
        if size > MOST_PORTION {
            return Err(altered(&self.path, "a portion is too long"));
        }
        let mut packed = vec![];
        let read = (&mut self.stream).take(u64::from(size)).read_to_end(&mut packed).map_err(|error| self.broken(&error))?;
        if read as u64 != u64::from(size) {
            return Err(self.broken(&io::ErrorKind::UnexpectedEof.into()));
        }
        let (number, rows) = unpacked(&packed).map_err(|why| altered(&self.path, &why))?;
        let Some(table) = TABLES.get(number) else { return Err(altered(&self.path, "it has a table that is not known")) };
        *self.rows.entry(table.name.to_owned()).or_default() += rows.len() as u64;
        Ok(Some((number, rows)))
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let mut trailer = vec![];
        (&mut self.stream).take(u64::from(MOST_HEADER)).read_to_end(&mut trailer).map_err(|error| self.broken(&error))?;
        let said: BTreeMap<String, u64> = serde_json::from_slice(&trailer).map_err(|_| altered(&self.path, "its end cannot be read"))?;
        let hashing = self.stream.get_mut();
        // All of the file but the digest belongs to the stream.
        let more = io::copy(hashing, &mut io::sink()).map_err(|source| ArchiveError::Unreadable { path: self.path.clone(), source })?;
        let hashing = self.stream.get_mut().get_mut();
        let found = hashing.hash.clone().finalize();
        let file = hashing.from.get_mut();
        let mut digest = vec![];
        let read = file.seek(SeekFrom::Start(self.length.saturating_sub(DIGEST))).and_then(|_| file.read_to_end(&mut digest));
        read.map_err(|source| ArchiveError::Unreadable { path: self.path.clone(), source })?;
        if more > 0 || digest != found.as_slice() {
            return Err(altered(&self.path, "its digest is not that of what it holds"));
        }
        if said != self.rows {
            return Err(altered(&self.path, "it does not hold the rows that it says"));
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> ArchiveError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return ArchiveError::Truncated(self.path.clone());
        }
        altered(&self.path, &error.to_string())
    }

    /// Reads it to its end: what it holds.
    pub(super) fn verified(mut self) -> Result<Contents, ArchiveError> {
        while self.next()?.is_some() {}
        Ok(self.contents())
    }

    /// What it held, when there is nothing more.
    pub(super) fn contents(self) -> Contents {
        Contents { header: self.header, rows: self.rows, bytes: self.length }
    }
}

/// Reads a whole backup and tells what it holds, or why it cannot be used.
pub fn verify(path: &Path) -> Result<Contents, ArchiveError> {
    Unpacker::open(path)?.verified()
}

fn altered(path: &Path, why: &str) -> ArchiveError {
    ArchiveError::Altered { path: path.to_owned(), why: why.to_owned() }
}

/// The header, if this version reads such.
fn known(path: &Path, json: &[u8]) -> Result<Header, ArchiveError> {
    #[derive(Deserialize)]
    struct Versions {
        format: u32,
        schema: u32,
        by: String,
    }
    let unclear = |_| altered(path, "its header cannot be read");
    let Versions { format, schema, by } = serde_json::from_slice(json).map_err(unclear)?;
    // Nothing of it was checked yet.
    let by = domain::timeline::printable(&by, 40);
    let other = |what, found, known| ArchiveError::OtherVersion { path: path.to_owned(), what, found, known, by: by.clone() };
    if format != FORMAT {
        return Err(other("format", format, FORMAT));
    }
    if schema != KNOWN {
        return Err(other("schema", schema, KNOWN));
    }
    let header: Header = serde_json::from_slice(json).map_err(unclear)?;
    if header.tables != tables() {
        return Err(altered(path, "it names other tables than its schema has"));
    }
    Ok(header)
}

/// The rows of a portion, with the number of their table, or why it is none. Each is checked as it is read: what the portion
/// says of itself takes no memory.
fn unpacked(packed: &[u8]) -> Result<(usize, Vec<Row>), String> {
    let (number, rest) = taken::<usize>(packed)?;
    let Some(table) = TABLES.get(number) else { return Err("it has a table that is not known".to_owned()) };
    let (many, mut rest) = taken::<usize>(rest)?;
    // A row takes a byte for how many values it has, and one at least for each.
    if many > MOST_ROWS || many > rest.len() / (table.columns.len() + 1) {
        return Err(format!("it has more rows of {} in a portion than there is room for", table.name));
    }
    let no_row = || format!("a row of {} is not one", table.name);
    let mut rows = Vec::with_capacity(many);
    for _ in 0..many {
        let (values, mut left) = taken::<usize>(rest)?;
        if values != table.columns.len() {
            return Err(no_row());
        }
        let mut row = Row::with_capacity(values);
        for (_, kind) in table.columns {
            let (value, after) = taken::<Value>(left)?;
            if !fits(&value, kind) {
                return Err(no_row());
            }
            row.push(value);
            left = after;
        }
        rows.push(row);
        rest = left;
    }
    if rest.is_empty() { Ok((number, rows)) } else { Err("a portion is longer than its rows".to_owned()) }
}

fn taken<T: serde::de::DeserializeOwned>(packed: &[u8]) -> Result<(T, &[u8]), String> {
    postcard::take_from_bytes(packed).map_err(|_| "a portion cannot be read".to_owned())
}

fn fits(value: &Value, kind: &Kind) -> bool {
    matches!(
        (value, kind),
        (Value::Nothing, _)
            | (Value::Number(_), Kind::Number)
            | (Value::Flag(_), Kind::Flag)
            | (Value::Text(_), Kind::Text)
            | (Value::Id(_), Kind::Id)
            | (Value::Bytes(_), Kind::Bytes)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn packed(table: usize, rows: &[Row]) -> Vec<u8> {
        postcard::to_stdvec(&(table, rows)).unwrap()
    }

    #[test]
    fn more_rows_than_a_portion_has_bytes_for_are_refused_before_they_take_memory() {
        let nothing = vec![Value::Nothing; TABLES[0].columns.len()];
        for crafted in [packed(0, &vec![vec![]; 20_000]), packed(0, &vec![nothing.clone(); MOST_ROWS + 1])] {
            let why = unpacked(&crafted).unwrap_err();
            assert!(why.contains("more rows"), "{why}");
        }
        let endless = postcard::to_stdvec(&(0_usize, u64::MAX)).unwrap();
        assert!(unpacked(&endless).unwrap_err().contains("more rows"));
        assert_eq!(unpacked(&packed(0, std::slice::from_ref(&nothing))).unwrap(), (0, vec![nothing]));
    }

    #[test]
    fn rows_that_are_long_together_become_several_portions() {
        let made = Timestamp::UNIX_EPOCH;
        let mut packer = Packer::new(&Header::new(made, "test", None)).unwrap();
        let (number, table) =
            TABLES.iter().enumerate().find(|(_, table)| table.columns.iter().any(|(_, kind)| matches!(kind, Kind::Bytes))).unwrap();
        let value = |kind: &Kind| if matches!(kind, Kind::Bytes) { Value::Bytes(vec![7; 3 << 20]) } else { Value::Nothing };
        let row: Row = table.columns.iter().map(|(_, kind)| value(kind)).collect();
        packer.rows(number, &vec![row.clone(); 4]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), packer.end().unwrap()).unwrap();
        let mut unpacker = Unpacker::open(file.path()).unwrap();
        let mut portions = vec![];
        while let Some((_, rows)) = unpacker.next().unwrap() {
            assert!(rows.iter().all(|read| *read == row));
            portions.push(rows.len());
        }
        assert_eq!((portions.len() > 1, portions.iter().sum::<usize>()), (true, 4));
    }
}
