//! Debian's tools that the agent asks disks and network cards with, the libraries they need, and the list of PCI names: out of
//! Debian's packages, which are downloaded and unpacked into the cache, never installed.
//!
//! Which libraries those are is read from the programs themselves, so a package that comes to need another one is noticed at
//! the build and not on a node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cpio::{Archive, Entry};
use crate::kernel::Package;
use crate::manifest::PackageRecord;
use crate::{BuildError, Digest, command::DPKG_DEB, elf, error, kernel};

/// Where each program stands in the ramdisk, and in Debian's package.
pub(crate) const PROGRAMS: [&str; 4] = ["sbin/blkid", "sbin/wipefs", "usr/sbin/smartctl", "sbin/ethtool"];
/// What the agent reads.
const DATA: [&str; 1] = ["usr/share/misc/pci.ids"];
/// What brings the programs and data, and what brings the programs' libraries.
pub(crate) const PACKAGES: [&str; 12] = [
    "smartmontools",
    "util-linux",
    "ethtool",
    "libmnl0",
    "pci.ids",
    "libblkid1",
    "libsmartcols1",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "libselinux1",
    "libpcre2-8-0",
];
/// Folders of libraries in Debian's packages, and in the ramdisk the first of them: the loader looks into all.
const LIBRARIES: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];
/// The loader: the path stands in each program.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
/// As many as a program of a few packages can need; a circle of links is none.
const MOST_LINKS: usize = 16;

/// Files of the ramdisk, by their place.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    files: BTreeMap<String, Vec<u8>>,
}

/// Where the tools' packages are, and which.
#[derive(Debug, Default)]
pub(crate) struct Packages(pub(crate) Vec<Package>);

impl Packages {
    /// What files say that they are.
    pub(crate) fn describe(debs: &[PathBuf]) -> Result<Self, BuildError> {
        let mut packages = debs.iter().map(|deb| kernel::describe(deb)).collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(packages))
    }

    pub(crate) fn records(&self) -> Vec<PackageRecord> {
        let record =
            |package: &Package| PackageRecord { name: package.name.clone(), version: package.version.clone(), sha256: package.digest };
        self.0.iter().map(record).collect()
    }

    /// Unpacks them into the cache, if they are not there, and takes the programs with all that they need.
    pub(crate) fn tools(&self, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Tools, BuildError> {
        if self.0.is_empty() {
            return Ok(Tools::default());
        }
        let root = self.unpack(cache, say)?;
        Ok(Tools { files: collect(&root)? })
    }

    fn unpack(&self, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, BuildError> {
        const PREFIX: &str = "tools-";
        let digest = Digest::of_pieces(self.0.iter().map(|package| package.digest.as_bytes()));
        let name = format!("{PREFIX}{}", &digest.to_string()[..16]);
        let place = cache.join(&name);
        if place.is_dir() {
            return Ok(place);
        }
        for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.path().is_dir() {
                fs::remove_dir_all(entry.path()).map_err(|source| BuildError::Write { path: entry.path(), source })?;
            }
        }
        say(&format!("unpacking {} packages of tools for disks into the cache", self.0.len()));
        let part = cache.join(format!("{name}.part"));
        fs::create_dir_all(&part).map_err(|source| BuildError::Write { path: part.clone(), source })?;
        for package in &self.0 {
            let attempt = format!("unpack {}", package.deb.display());
            DPKG_DEB.run(&attempt, &part, &["-x", &package.deb.to_string_lossy(), "."])?;
        }
        fs::rename(&part, &place).map_err(|source| BuildError::Write { path: place.clone(), source })?;
        Ok(place)
    }
}

impl Tools {
    /// The places of the programs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(|name| is_program(name))
    }

    pub(crate) fn put_into(&self, archive: &mut Archive) -> Result<(), BuildError> {
        for (name, content) in &self.files {
            let mode = if is_program(name) { 0o755 } else { 0o644 };
            archive.put(name, Entry::File { mode, content: content.clone() })?;
        }
        Ok(())
    }
}

fn is_program(name: &str) -> bool {
    name == LOADER || PROGRAMS.contains(&name)
}

/// The data, the programs, the loader, and every library that one of them names.
fn collect(root: &Path) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
    let mut files = BTreeMap::new();
    let mut wanted = Vec::new();
    for program in PROGRAMS {
        let content = find(root, program)?.ok_or_else(|| missing(program, "the packages do not bring it"))?;
        wanted.extend(needed(program, &content)?);
        files.insert(program.to_owned(), content);
    }
    for name in DATA {
        let content = find(root, name)?.ok_or_else(|| missing(name, "the packages do not bring it"))?;
        files.insert(name.to_owned(), content);
    }
    while let Some((library, by)) = wanted.pop() {
        let place = if LOADER.ends_with(&library) { LOADER.to_owned() } else { format!("{}/{library}", LIBRARIES[0]) };
        if files.contains_key(&place) {
            continue;
        }
        let folders = LIBRARIES.iter().map(|folder| format!("{folder}/{library}"));
        let found = folders.map(|path| find(root, &path)).find_map(Result::transpose).transpose()?;
        let content =
            found.ok_or_else(|| missing(&library, &format!("{by} needs it, and no package of {} brings it", PACKAGES.join(", "))))?;
        wanted.extend(needed(&library, &content)?);
        files.insert(place, content);
    }
    if !files.contains_key(LOADER) {
        let name = LOADER.trim_start_matches("lib64/");
        let content = find(root, &format!("{}/{name}", LIBRARIES[0]))?;
        let content = content.or(find(root, &format!("{}/{name}", LIBRARIES[1]))?);
        files.insert(LOADER.to_owned(), content.ok_or_else(|| missing(name, "the package libc6 does not bring it"))?);
    }
    Ok(files)
}

fn needed(name: &str, content: &[u8]) -> Result<Vec<(String, String)>, BuildError> {
    let names = elf::needed(content).ok_or_else(|| missing(name, "it is no x86-64 program of the usual kind"))?;
    Ok(names.into_iter().map(|library| (library, name.to_owned())).collect())
}

fn missing(file: &str, why: &str) -> BuildError {
    BuildError::NoTool { file: file.to_owned(), why: why.to_owned() }
}

/// A file below `root` as a program there would find it: links are followed inside of it, and nowhere else. In Debian from 13
/// on everything is below `usr`.
fn find(root: &Path, path: &str) -> Result<Option<Vec<u8>>, BuildError> {
    for path in [path.to_owned(), format!("usr/{path}")] {
        let mut at = root.join(path);
        for _ in 0..MOST_LINKS {
            let Ok(target) = fs::read_link(&at) else { break };
            at = match target.strip_prefix("/") {
                Ok(absolute) => root.join(absolute),
                Err(_) => at.parent().unwrap_or(root).join(target),
            };
        }
        if at.is_file() && fs::canonicalize(&at).is_ok_and(|real| fs::canonicalize(root).is_ok_and(|root| real.starts_with(root))) {
            return error::read(&at).map(Some);
        }
    }
    Ok(None)
}
