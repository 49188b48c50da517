//! What can be said of the file before SQLite touches it: whether it is ours, whole, writable. Nothing here writes.
//!
//! The header is read by hand (<https://www.sqlite.org/fileformat2.html#the_database_header>), because opening a file with
//! SQLite may already change it.

use super::open::OpenError;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// "OVTR", in the header's field for the application.
pub const APPLICATION: u32 = 0x4f56_5452;

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version of the schema, unless the write-ahead log has a newer one.
    pub schema: u32,
}

/// Whether anything is kept beside the file that is not in it yet.
pub fn has_log(path: &Path) -> bool {
    beside(path, "-wal").metadata().is_ok_and(|log| log.len() > 0)
}

/// `state.db` and `-wal` make `state.db-wal`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Looks at the file at `path`: its header, none if there is no file.
pub fn inspect(path: &Path) -> Result<Option<Header>, OpenError> {
    let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && has_log(path) => return Err(OpenError::LogAlone { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            return Err(OpenError::ReadOnly { path: path.to_owned(), why: error.to_string() });
        }
        Err(error) => return Err(unusable(error)),
    };
    let metadata = file.metadata().map_err(unusable)?;
    if !metadata.is_file() {
        return Err(OpenError::NotAStore { path: path.to_owned(), why: "it is not a regular file".into() });
    }
    // Root may write what is marked read-only, but whoever marked it meant it.
    if metadata.permissions().readonly() {
        return Err(OpenError::ReadOnly { path: path.to_owned(), why: "nobody has the permission to write it".into() });
    }
    check(path, read_start(file).map_err(unusable)?, metadata.len()).map(Some)
}

fn read_start(file: File) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut start)?;
    Ok(start)
}

fn check(path: &Path, start: Vec<u8>, length: u64) -> Result<Header, OpenError> {
    let truncated = |why: String| OpenError::Truncated { path: path.to_owned(), why };
    if !start.starts_with(&MAGIC[..start.len().min(MAGIC.len())]) {
        return Err(OpenError::NotAStore { path: path.to_owned(), why: "it is not an SQLite database".into() });
    }
    let Ok(header) = <[u8; HEADER_BYTES]>::try_from(start) else {
        return Err(truncated(format!("it is {length} bytes long, shorter than the header of a database")));
    };
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(68) != APPLICATION {
        return Err(OpenError::NotAStore { path: path.to_owned(), why: "it is the SQLite database of another program".into() });
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let whole = u64::from(number(28)) * page;
    // While there is a log, pages may be in it that the file does not have yet.
    if length < whole && !has_log(path) {
        return Err(truncated(format!("it is {length} bytes long and says that it has {whole}")));
    }
    Ok(Header { schema: number(60) })
}
