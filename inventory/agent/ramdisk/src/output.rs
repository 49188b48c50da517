//! The three files in the output folder: replaced one by one by renaming, the manifest last, so that whatever is interrupted is
//! noticed by the manifest's digests and built again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::manifest::FileRecord;
use crate::{BuildError, Digest, Inputs, Manifest};

pub(crate) const VMLINUZ: &str = "vmlinuz";
pub(crate) const RAMDISK: &str = "ramdisk";
pub(crate) const MANIFEST: &str = "manifest.json";

/// The manifest in the folder, if it tells of the same inputs and the files are what it says.
pub(crate) fn unchanged(out: &Path, inputs: &Inputs) -> Option<Manifest> {
    let manifest = Manifest::read(&out.join(MANIFEST)).ok()?;
    let same = manifest.inputs == *inputs && is(&out.join(VMLINUZ), &manifest.vmlinuz) && is(&out.join(RAMDISK), &manifest.ramdisk.file);
    same.then_some(manifest)
}

fn is(path: &Path, record: &FileRecord) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == record.bytes)
        && Digest::of_file(path).is_ok_and(|digest| digest == record.sha256)
}

pub(crate) fn write(out: &Path, vmlinuz: &[u8], ramdisk: &[u8], manifest: &Manifest) -> Result<(), BuildError> {
    // All three are on disk before the first is renamed: a full disk leaves the old ones.
    let parts =
        [Part::write(out, VMLINUZ, vmlinuz)?, Part::write(out, RAMDISK, ramdisk)?, Part::write(out, MANIFEST, &manifest.to_json())?];
    parts.into_iter().try_for_each(Part::put_in_place)
}

/// A file beside its place; removed unless it gets there.
struct Part {
    path: PathBuf,
    place: PathBuf,
}

impl Part {
    fn write(out: &Path, name: &str, content: &[u8]) -> Result<Self, BuildError> {
        let part = Self { path: out.join(format!(".{name}.{}.part", std::process::id())), place: out.join(name) };
        let written = File::create(&part.path).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        written.map_err(|source| BuildError::Write { path: part.place.clone(), source })?;
        Ok(part)
    }

    fn put_in_place(self) -> Result<(), BuildError> {
        fs::rename(&self.path, &self.place).map_err(|source| BuildError::Write { path: self.place.clone(), source })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already when it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}
