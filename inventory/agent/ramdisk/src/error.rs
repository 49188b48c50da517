//! What can go wrong in a build, each with what to do about it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no (new) ramdisk. What stood in the output folder before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program this needs is not on the machine.
    #[error("{tool} is not installed: install the package {package} (apt-get install {package})")]
    Tool {
        /// The program.
        tool: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A program ran and failed.
    #[error("could not {attempt}: {tool} ended with {status}: {said}")]
    ToolFailed {
        /// What it was run for.
        attempt: String,
        /// The program.
        tool: &'static str,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to its standard error.
        said: String,
    },
    /// apt has no kernel to offer, and none was fetched before.
    #[error("apt knows no {package}: run `apt-get update` as root and try again, or name a kernel package that you have as a file")]
    NoCandidate {
        /// The package asked for.
        package: String,
    },
    /// What apt fetched, or what it says about it, cannot be used.
    #[error("apt's answer about {package} cannot be used: {why}; run `apt-get update` as root and try again")]
    AptAnswer {
        /// The package asked for.
        package: String,
        /// What is wrong.
        why: String,
    },
    /// The agent or busybox is not there.
    #[error("there is no {what} at {path}: {mend}")]
    NoProgram {
        /// Which program.
        what: &'static str,
        /// Where it was expected.
        path: PathBuf,
        /// How to get it.
        mend: &'static str,
    },
    /// The agent or busybox would not run in a ramdisk that has no libraries.
    #[error("{path} cannot be the ramdisk's {what}: it is {found}, not a static x86-64 program; {mend}")]
    NotStatic {
        /// Which program.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
        /// How to get a static one.
        mend: &'static str,
    },
    /// A tool for disks, or a library that it needs, is not in the packages.
    #[error("the ramdisk cannot have {file}: {why}; give all packages of the tools, or build without tools")]
    NoTool {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel's tree is not what a kernel package unpacks to.
    #[error("{root} is no kernel tree: {why}")]
    NotAKernel {
        /// The folder looked at.
        root: PathBuf,
        /// What is missing or too much.
        why: String,
    },
    /// The chosen set names modules that this kernel has neither as files nor built in.
    #[error("kernel {release} has no {}: use another kernel, or take them out of the module set", names.join(", "))]
    MissingModules {
        /// The kernel.
        release: String,
        /// Modules, or folders that hold none.
        names: Vec<String>,
    },
    /// zstd has no such level.
    #[error("zstd has no level {0}: choose 1 to 22")]
    Level(i32),
    /// An extra archive is nothing that the kernel unpacks.
    #[error(
        "{path} cannot be appended to the ramdisk: it is neither a newc cpio archive nor one compressed with gzip, bzip2, xz, lzma, lzo, lz4 or zstd"
    )]
    ForeignArchive {
        /// The file.
        path: PathBuf,
    },
    /// A file is too big for a field of the newc format, or a name cannot stand in it.
    #[error("{name} cannot be put into the ramdisk: {why}")]
    Entry {
        /// The entry's name.
        name: String,
        /// What the format cannot say.
        why: &'static str,
    },
    /// The finished ramdisk was read back and is not what it should be: a mistake in this program.
    #[error("the ramdisk that was built would not work: {why}; this is a mistake in Overture, please report it")]
    Inconsistent {
        /// What is wrong with it.
        why: String,
    },
    /// A file could not be read.
    #[error("could not read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("could not write {path}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|source| BuildError::Read { path: path.to_owned(), source })
}
