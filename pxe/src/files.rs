//! The files that a boot may load: a fixed table of names, shared by TFTP and boot HTTP.
//!
//! A request names an entry of the table; no text of a request ever becomes a path. Large files stay on disk and are
//! streamed; what is replaced there (a new ramdisk) is served from the next request on. What a file is for, and who may
//! load it, is not known here.

use axum::body::Bytes;
use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

/// The kernel of the discovery ramdisk.
pub const KERNEL: &str = "vmlinuz";
/// The discovery ramdisk.
pub const RAMDISK: &str = "ramdisk";
/// The certificate of the site's authority.
pub const AUTHORITY: &str = "authority.pem";

/// The largest file that is held in memory as a whole.
const MOST_HELD: u64 = 16 << 20;

/// Names and what stands behind them.
#[derive(Debug, Default)]
pub struct BootFiles {
    table: RwLock<HashMap<String, Entry>>,
}

#[derive(Debug, Clone)]
enum Entry {
    Held { bytes: Bytes, tag: String },
    OnDisk(Arc<OnDisk>),
}

#[derive(Debug)]
struct OnDisk {
    path: PathBuf,
    held: Mutex<Option<(String, Bytes)>>,
}

/// A file that was found, as it is at this moment.
#[derive(Debug)]
pub struct Opened {
    /// Its length, bytes.
    pub length: u64,
    /// Changes with its content; a strong entity tag without the quotes (RFC 9110, 8.8.3).
    pub tag: String,
    /// Its content.
    pub content: Content,
}

/// Where the content of an opened file is.
#[derive(Debug)]
pub enum Content {
    /// In memory.
    Held(Bytes),
    /// On disk, at its beginning.
    File(tokio::fs::File),
}

/// Why a file cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The table has no such name.
    #[error("no file of that name is served")]
    Unknown,
    /// The table has it, the disk does not give it.
    #[error("could not open {}", .path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder, a device or a pipe.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// More than fits where it is to be held.
    #[error("{} has {length} bytes, more than the {MOST_HELD} that are held in memory", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: u64,
    },
}

impl BootFiles {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file on disk under a name, in place of what the name had. The file need not be there yet.
    pub fn insert_file(&self, name: &str, path: impl Into<PathBuf>) {
        self.insert(name, Entry::OnDisk(Arc::new(OnDisk { path: path.into(), held: Mutex::new(None) })));
    }

    /// Puts a content held in memory under a name, in place of what the name had.
    pub fn insert_bytes(&self, name: &str, bytes: Vec<u8>) {
        let tag = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.insert(name, Entry::Held { bytes: bytes.into(), tag });
    }

    /// The file of that name, ready to be read.
    pub async fn open(&self, name: &str) -> Result<Opened, OpenError> {
        match self.entry(name)? {
            Entry::Held { bytes, tag } => Ok(Opened { length: bytes.len() as u64, tag, content: Content::Held(bytes) }),
            Entry::OnDisk(file) => open_on_disk(&file.path).await,
        }
    }

    /// Whether a file of that name could be opened now.
    pub async fn has(&self, name: &str) -> bool {
        match self.entry(name) {
            Ok(Entry::Held { .. }) => true,
            Ok(Entry::OnDisk(file)) => tokio::fs::metadata(&file.path).await.is_ok_and(|data| data.is_file()),
            Err(_) => false,
        }
    }

    /// The whole content of a small file, held once however many read it, and read again when it changed on disk.
    pub async fn contents(&self, name: &str) -> Result<Bytes, OpenError> {
        let file = match self.entry(name)? {
            Entry::Held { bytes, .. } => return Ok(bytes),
            Entry::OnDisk(file) => file,
        };
        // Taken first: of a hundred machines that start at once, one reads the disk.
        let mut held = file.held.lock().await;
        let Opened { length, tag, content } = open_on_disk(&file.path).await?;
        if let Some((of, bytes)) = held.as_ref()
            && *of == tag
        {
            return Ok(bytes.clone());
        }
        if length > MOST_HELD {
            return Err(OpenError::TooLarge { path: file.path.clone(), length });
        }
        let bytes = match content {
            Content::Held(bytes) => bytes,
            Content::File(open) => {
                let mut bytes = Vec::with_capacity(length as usize);
                let unreadable = |source| OpenError::Unreadable { path: file.path.clone(), source };
                open.take(MOST_HELD).read_to_end(&mut bytes).await.map_err(unreadable)?;
                Bytes::from(bytes)
            }
        };
        *held = Some((tag, bytes.clone()));
        Ok(bytes)
    }

    fn insert(&self, name: &str, entry: Entry) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), entry);
    }

    fn entry(&self, name: &str) -> Result<Entry, OpenError> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned().ok_or(OpenError::Unknown)
    }
}

async fn open_on_disk(path: &Path) -> Result<Opened, OpenError> {
    let unreadable = |source| OpenError::Unreadable { path: path.to_owned(), source };
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = tokio::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).await.map_err(unreadable)?;
    let data = file.metadata().await.map_err(unreadable)?;
    if !data.is_file() {
        return Err(OpenError::NotAFile(path.to_owned()));
    }
    Ok(Opened { length: data.len(), tag: tag_of(&data), content: Content::File(file) })
}

/// Another file, another time of change or another length is another content. Nanoseconds make the tag strong enough:
/// whoever replaces a boot file renames a new one into its place.
fn tag_of(data: &Metadata) -> String {
    format!("{:x}-{:x}-{:x}{:08x}-{:x}", data.dev(), data.ino(), data.mtime(), data.mtime_nsec(), data.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_was_replaced_is_read_again_and_has_another_tag() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("undionly.kpxe");
        let files = BootFiles::new();
        files.insert_file("undionly.kpxe", &path);
        assert!(!files.has("undionly.kpxe").await);
        assert!(matches!(files.contents("undionly.kpxe").await, Err(OpenError::Unreadable { .. })));

        std::fs::write(&path, b"one").expect("written");
        let first = files.contents("undionly.kpxe").await.expect("content");
        let again = files.contents("undionly.kpxe").await.expect("content");
        assert_eq!(first.as_ptr(), again.as_ptr(), "held once");
        let before = files.open("undionly.kpxe").await.expect("open").tag;

        let new = folder.path().join("new");
        std::fs::write(&new, b"three").expect("written");
        std::fs::rename(&new, &path).expect("renamed");
        assert_eq!(&files.contents("undionly.kpxe").await.expect("content")[..], b"three");
        assert_ne!(files.open("undionly.kpxe").await.expect("open").tag, before);
    }

    #[tokio::test]
    async fn only_regular_files_of_the_table_are_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = BootFiles::new();
        files.insert_file("folder", folder.path());
        files.insert_file("device", "/dev/zero");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        files.insert_file("pipe", &pipe);
        for name in ["folder", "device", "pipe"] {
            assert!(matches!(files.open(name).await, Err(OpenError::NotAFile(_))), "{name}");
            assert!(!files.has(name).await, "{name}");
        }
        for name in ["", "..", "/etc/passwd", "folder/x"] {
            assert!(matches!(files.open(name).await, Err(OpenError::Unknown)), "{name}");
        }
    }
}
