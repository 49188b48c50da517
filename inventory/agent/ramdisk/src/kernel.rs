//! A kernel and its modules on disk: out of a Debian package, unpacked into the cache, or a tree that somebody else unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{DEPMOD, DPKG_DEB};
use crate::module_index::Chosen;
use crate::{BuildError, Digest, ModuleRecord, error};

/// A kernel package as a file.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) deb: PathBuf,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) digest: Digest,
}

/// Where one kernel's files are.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) release: String,
    pub(crate) vmlinuz: PathBuf,
    /// `lib/modules/RELEASE`.
    pub(crate) modules: PathBuf,
}

/// A chosen module with its content.
pub(crate) struct ModuleFile {
    pub(crate) name: String,
    /// Below `lib/modules/RELEASE`.
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) digest: Digest,
}

impl ModuleFile {
    pub(crate) fn record(&self) -> ModuleRecord {
        ModuleRecord { name: self.name.clone(), path: self.path.clone(), bytes: self.content.len() as u64, sha256: self.digest }
    }
}

/// Asks a package file what it is.
pub(crate) fn describe(deb: &Path) -> Result<Package, BuildError> {
    let digest = Digest::of_file(deb).map_err(|source| BuildError::Read { path: deb.to_owned(), source })?;
    let path = fs::canonicalize(deb).map_err(|source| BuildError::Read { path: deb.to_owned(), source })?;
    let field = |name: &str| {
        let attempt = format!("read the kernel package {}", deb.display());
        DPKG_DEB.run(&attempt, Path::new("/"), &["-f", &path.to_string_lossy(), name]).map(|text| text.trim().to_owned())
    };
    Ok(Package { name: field("Package")?, version: field("Version")?, digest, deb: path })
}

impl Tree {
    /// Finds the one kernel under `root`.
    pub(crate) fn open(root: &Path) -> Result<Self, BuildError> {
        let fail = |why: String| BuildError::NotAKernel { root: root.to_owned(), why };
        let folder = ["lib/modules", "usr/lib/modules"].map(|folder| root.join(folder)).into_iter().find(|folder| folder.is_dir());
        let folder = folder.ok_or_else(|| fail("it has no lib/modules".to_owned()))?;
        let listed = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let listed = listed.map_err(|source| BuildError::Read { path: folder.clone(), source })?;
        let mut releases: Vec<String> = listed.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        releases.sort();
        let release = match &releases[..] {
            [release] => release.clone(),
            [] => return Err(fail("its lib/modules is empty".to_owned())),
            several => return Err(fail(format!("it holds {} kernels ({}); one is needed", several.len(), several.join(", ")))),
        };
        let vmlinuz = root.join("boot").join(format!("vmlinuz-{release}"));
        if !vmlinuz.is_file() {
            return Err(fail(format!("it has modules for {release} but no boot/vmlinuz-{release}")));
        }
        let modules = folder.join(&release);
        if !modules.join("modules.dep").is_file() {
            return Err(fail(format!("it has no modules.dep: run `depmod -b {} {release}`", root.display())));
        }
        Ok(Self { release, vmlinuz, modules })
    }
}

/// Unpacks a package into the cache and indexes its modules; a package unpacked before is used again.
///
/// All of it is unpacked: with 400 MB that takes 4 s, less than finding out beforehand which tenth is needed. Other kernels
/// unpacked there are removed.
pub(crate) fn unpack(package: &Package, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Tree, BuildError> {
    const PREFIX: &str = "kernel-";
    let name = format!("{PREFIX}{}", &package.digest.to_string()[..16]);
    let place = cache.join(&name);
    if place.is_dir() {
        return Tree::open(&place);
    }
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).map_err(|source| BuildError::Write { path: entry.path(), source })?;
        }
    }
    say(&format!("unpacking {} {} into the cache", package.name, package.version));
    let part = cache.join(format!("{name}.part"));
    fs::create_dir_all(&part).map_err(|source| BuildError::Write { path: part.clone(), source })?;
    let attempt = format!("unpack {}", package.deb.display());
    DPKG_DEB.run(&attempt, &part, &["-x", &package.deb.to_string_lossy(), "."])?;
    index_modules(&part).and_then(|()| Tree::open(&part)).map_err(|error| match error {
        BuildError::NotAKernel { why, .. } => BuildError::NotAKernel { root: package.deb.clone(), why },
        other => other,
    })?;
    fs::rename(&part, &place).map_err(|source| BuildError::Write { path: place.clone(), source })?;
    Tree::open(&place)
}

/// Debian runs depmod when a kernel is installed; a package that is only unpacked has no index yet.
fn index_modules(root: &Path) -> Result<(), BuildError> {
    if !root.join("lib/modules").exists() && root.join("usr/lib/modules").exists() {
        let why = "its modules are in usr/lib/modules and compressed, as from Debian 13 on; use a kernel package of Debian 12";
        return Err(BuildError::NotAKernel { root: root.to_owned(), why: why.to_owned() });
    }
    for entry in fs::read_dir(root.join("lib/modules")).into_iter().flatten().flatten() {
        if !entry.path().join("modules.dep").exists() {
            let release = entry.file_name().to_string_lossy().into_owned();
            DEPMOD.run(&format!("index the modules of kernel {release}"), root, &["-b", ".", &release])?;
        }
    }
    Ok(())
}

/// The chosen modules' contents, in the order of their names.
pub(crate) fn read_modules(tree: &Tree, chosen: &Chosen) -> Result<Vec<ModuleFile>, BuildError> {
    let read = |(name, path): (&str, &str)| {
        if !path.ends_with(".ko") {
            // busybox's modprobe hands a module to the kernel as it is.
            let why = format!("its modules are compressed ({path}); unpack them and run depmod");
            return Err(BuildError::NotAKernel { root: tree.modules.clone(), why });
        }
        let content = error::read(&tree.modules.join(path))?;
        Ok(ModuleFile { name: name.to_owned(), path: path.to_owned(), digest: Digest::of(&content), content })
    };
    chosen.paths().map(read).collect()
}

/// What a tree contributes to a ramdisk, as one digest: it has no package whose digest could stand for it.
pub(crate) fn digest_of_tree(vmlinuz: &[u8], chosen: &Chosen, files: &[ModuleFile]) -> Digest {
    let index = chosen.index_files();
    let vmlinuz = Digest::of(vmlinuz);
    let pieces = files.iter().flat_map(|file| [file.path.as_bytes(), file.digest.as_bytes()]);
    Digest::of_pieces(pieces.chain(index.iter().map(|(_, text)| text.as_bytes())).chain([vmlinuz.as_bytes()]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(make: impl FnOnce(&Path)) -> String {
        let root = tempfile::tempdir().unwrap();
        make(root.path());
        Tree::open(root.path()).unwrap_err().to_string()
    }

    #[test]
    fn a_tree_that_is_no_kernel_is_told_why() {
        let folder = |root: &Path, name: &str| fs::create_dir_all(root.join(name)).unwrap();
        assert!(refused(|_| {}).ends_with("it has no lib/modules"));
        assert!(refused(|root| folder(root, "lib/modules")).ends_with("its lib/modules is empty"));
        assert!(refused(|root| folder(root, "lib/modules/6.1")).ends_with("it has modules for 6.1 but no boot/vmlinuz-6.1"));
        let two = refused(|root| {
            folder(root, "lib/modules/6.1");
            folder(root, "lib/modules/6.12");
        });
        assert!(two.ends_with("it holds 2 kernels (6.1, 6.12); one is needed"), "{two}");
        let bare = refused(|root| {
            folder(root, "lib/modules/6.1");
            folder(root, "boot");
            fs::write(root.join("boot/vmlinuz-6.1"), "").unwrap();
        });
        assert!(bare.contains("it has no modules.dep: run `depmod -b "), "{bare}");
    }
}
