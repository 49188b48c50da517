//! What a ramdisk was made of and came out as: written beside it, read to tell whether it has to be made again, and by whoever
//! serves it. It knows nothing of how it is built.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Digest, ModuleSet};

/// The manifest's own version; another one is not read.
pub(crate) const FORMAT: u32 = 2;

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's shape: 2.
    pub format: u32,
    /// Which kernel it is.
    pub kernel: KernelRecord,
    /// All that decides about the bytes.
    pub inputs: Inputs,
    /// The kernel's file.
    pub vmlinuz: FileRecord,
    /// The ramdisk's file.
    pub ramdisk: RamdiskRecord,
    /// The modules in it, by name.
    pub modules: Vec<ModuleRecord>,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRecord {
    /// What `uname -r` says on the node.
    pub release: String,
    /// The Debian package, when it came from one.
    pub package: Option<String>,
    /// That package's version.
    pub version: Option<String>,
}

/// All that decides about the bytes of kernel and ramdisk. Equal inputs make equal files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The kernel package's file; for a tree, the chosen files in it.
    pub kernel: Digest,
    /// The agent.
    pub agent: Digest,
    /// busybox.
    pub busybox: Digest,
    /// The packages that the tools for disks come from, by name; none without tools. Their sources and licences are Debian's
    /// of the same name and version.
    pub tools: Vec<PackageRecord>,
    /// The archives appended, in their order.
    pub extra: Vec<Digest>,
    /// The set of modules.
    pub set: ModuleSet,
    /// What this program adds by itself: the modules' names in the set, folders, links, scripts, and its own version.
    pub recipe: Digest,
    /// zstd's version: another one may compress to other bytes.
    pub zstd: String,
    /// zstd's level.
    pub zstd_level: i32,
}

/// A file's size and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Size.
    pub bytes: u64,
    /// Digest.
    pub sha256: Digest,
}

/// The ramdisk's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RamdiskRecord {
    /// The file.
    #[serde(flatten)]
    pub file: FileRecord,
    /// Our archive in it before compression, extra archives not counted.
    pub unpacked_bytes: u64,
}

/// A Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its file's digest.
    pub sha256: Digest,
}

/// A kernel module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// Its name as `lsmod` shows it.
    pub name: String,
    /// Its place below `lib/modules/RELEASE`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

/// A manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no manifest.
    #[error("{path} is no manifest of a ramdisk: build the ramdisk again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by another version.
    #[error("{path} has format {found}, this version reads {FORMAT}: build the ramdisk again")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u32,
    },
}

impl FileRecord {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: Digest::of(bytes) }
    }
}

impl Manifest {
    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// When it is not there, is damaged, or of another format.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let path = path.to_owned();
        let bytes = std::fs::read(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        match serde_json::from_slice::<Versioned>(&bytes) {
            Err(source) => Err(ManifestError::Content { path, source }),
            Ok(Versioned { format: FORMAT }) => serde_json::from_slice(&bytes).map_err(|source| ManifestError::Content { path, source }),
            Ok(Versioned { format }) => Err(ManifestError::Format { path, found: format }),
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("strings, numbers and digests can be written as JSON");
        text.push(b'\n');
        text
    }
}
