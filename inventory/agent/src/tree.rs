//! Reading what the kernel shows under `/sys` and `/proc`, or a copy of it, with a bound on everything.
//!
//! A path is relative: `sys/class/net`. Nothing here hangs or panics on odd content: files are opened non-blocking,
//! only regular ones are read, and no more of them than asked for.

use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The most that is read of an attribute, bytes.
const MOST_OF_AN_ATTRIBUTE: usize = 4096;
/// The most entries of a folder that are looked at.
const MOST_ENTRIES: usize = 4096;
/// The longest text that becomes a fact, characters.
const LONGEST_TEXT: usize = 512;

/// A root with `sys` and `proc` below it.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
    live: bool,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("there is no /{0}")]
    Missing(String),
    /// Only root may read it.
    #[error("/{0} needs root: run it with sudo")]
    Forbidden(String),
    /// It is there and cannot be read; some attributes answer so when they have nothing to say.
    #[error("/{path} cannot be read")]
    Unreadable {
        /// The path below the root.
        path: String,
        /// What the kernel says.
        #[source]
        source: std::io::Error,
    },
}

impl Tree {
    /// This machine.
    pub fn live() -> Self {
        Self { root: PathBuf::from("/"), live: true }
    }

    /// A copy below `root`.
    pub fn copy(root: &Path) -> Self {
        Self { root: root.to_owned(), live: false }
    }

    /// Whether this is the running machine, which can be asked in other ways than by files.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Reads at most `most` bytes.
    pub fn bytes(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        self.read(path, most).map_err(|source| match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => ReadError::Missing(path.into()),
            ErrorKind::PermissionDenied => ReadError::Forbidden(path.into()),
            _ => ReadError::Unreadable { path: path.into(), source },
        })
    }

    fn read(&self, path: &str, most: usize) -> std::io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(self.root.join(path), flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("not a file"));
        }
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// An attribute as text, trimmed; `None` when it is absent, unreadable or empty.
    pub fn text(&self, path: &str) -> Option<String> {
        text_of(&self.bytes(path, MOST_OF_AN_ATTRIBUTE).ok()?)
    }

    /// An attribute as a number.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// An attribute that is 0 or 1.
    pub fn flag(&self, path: &str) -> Option<bool> {
        match self.text(path)?.as_str() {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    /// Whether there is such a file or folder.
    pub fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The names in a folder, sorted so that numbers count as numbers (`sda`, `sdb`, `sdaa`; `eth2`, `eth10`).
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join(path)) else { return Vec::new() };
        let mut names: Vec<String> = entries.take(MOST_ENTRIES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| natural_order(name));
        names
    }

    /// The last part of what a symbolic link points to: the driver behind `device/driver`.
    pub fn link_name(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.root.join(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// The parts of the path that `path` really is, symbolic links followed, below the root.
    pub fn real_parts(&self, path: &str) -> Vec<String> {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let (Some(root), Some(full)) = (real(&self.root), real(&self.root.join(path))) else { return Vec::new() };
        let below = full.strip_prefix(&root).unwrap_or(&full);
        below.components().filter_map(|part| Some(part.as_os_str().to_str()?.to_owned())).collect()
    }
}

/// Bytes from firmware or the kernel as a text: ends trimmed of spaces and NULs; what is not UTF-8, and control
/// characters, written as `\x1b`, so that nothing is lost and nothing is hidden. `None` when nothing is left.
pub fn text_of(bytes: &[u8]) -> Option<String> {
    let blank = |byte: &&u8| **byte == 0 || byte.is_ascii_whitespace();
    let start = bytes.iter().take_while(blank).count();
    let end = bytes.len() - bytes.iter().rev().take_while(blank).count();
    let mut text = String::new();
    for chunk in bytes.get(start..end)?.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_ascii_control() { text.extend(escaped(c as u8)) } else { text.push(c) }
        }
        chunk.invalid().iter().for_each(|&byte| text.extend(escaped(byte)));
    }
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    (!text.is_empty()).then_some(text)
}

fn escaped(byte: u8) -> impl Iterator<Item = char> {
    format!("\\x{byte:02x}").into_bytes().into_iter().map(char::from)
}

fn natural_order(name: &str) -> (String, usize, u64, String) {
    let letters: String = name.chars().take_while(|c| !c.is_ascii_digit()).collect();
    let rest = &name[letters.len()..];
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let family = letters.get(..2).unwrap_or(&letters).to_owned();
    (family, letters.len(), digits.parse().unwrap_or(0), name.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_files_are_neither_waited_for_nor_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree::copy(folder.path());
        std::fs::write(folder.path().join("big"), vec![b'a'; 100_000]).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(tree.bytes("big", 10).unwrap().len(), 10);
        assert_eq!(tree.text("big").unwrap().len(), LONGEST_TEXT);
        assert!(matches!(tree.bytes("pipe", 10), Err(ReadError::Unreadable { .. })));
        assert!(matches!(tree.bytes(".", 10), Err(ReadError::Unreadable { .. })));
        assert!(matches!(tree.bytes("none", 10), Err(ReadError::Missing(_))));
        assert!(matches!(tree.bytes("big/none", 10), Err(ReadError::Missing(_))));
    }

    #[test]
    fn what_is_not_text_is_shown_and_not_lost() {
        assert_eq!(text_of(b"  QM00001 \0\0\n").as_deref(), Some("QM00001"));
        assert_eq!(text_of(b"M\xfcller\x1b[2J").as_deref(), Some("M\\xfcller\\x1b[2J"));
        assert_eq!(text_of(" Größe ".as_bytes()).as_deref(), Some("Größe"));
        assert_eq!(text_of(b"a\0b\n").as_deref(), Some("a\\x00b"));
        assert_eq!(text_of(b" \0"), None);
    }

    #[test]
    fn names_come_in_the_order_that_people_expect() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["sdaa", "sdb", "eth10", "eth2", "sda", "nvme1n1", "nvme0n1"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(Tree::copy(folder.path()).names("."), ["eth2", "eth10", "nvme0n1", "nvme1n1", "sda", "sdb", "sdaa"]);
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_bounded_text_without_control_characters(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Some(text) = text_of(&bytes) {
                prop_assert!(text.chars().count() <= LONGEST_TEXT);
                prop_assert!(!text.chars().any(|c| c.is_ascii_control()));
            }
        }
    }
}
