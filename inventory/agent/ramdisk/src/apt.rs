//! Fetches Debian's kernel package as a file: what apt would install, downloaded and verified by apt, never installed.
//!
//! apt takes a second to answer two questions, so its answer is kept beside the package, until its lists change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::{APT_CACHE, APT_GET};
use crate::kernel::Package;
use crate::{BuildError, Digest};

const META: &str = "linux-image-amd64";
const ANSWER: &str = "apt.json";
/// What apt's answer depends on.
const LISTS: [&str; 5] =
    ["/var/lib/apt/lists", "/etc/apt/sources.list.d", "/etc/apt/sources.list", "/etc/apt/preferences.d", "/etc/apt/preferences"];

/// What apt said, and the state of its lists when it said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    lists: Digest,
    name: String,
    version: String,
    sha256: Digest,
}

impl Answer {
    fn deb(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}_{}_amd64.deb", self.name, self.version.replace(':', "%3a")))
    }

    /// The package in the cache, if it is there and whole.
    fn cached(&self, cache: &Path) -> Option<Package> {
        let deb = self.deb(cache);
        let whole = Digest::of_file(&deb).ok()? == self.sha256;
        whole.then(|| Package { deb, name: self.name.clone(), version: self.version.clone(), digest: self.sha256 })
    }
}

/// The kernel that `linux-image-amd64` depends on, as a file in the cache.
pub(crate) fn kernel_package(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Package, BuildError> {
    let lists = state_of_lists();
    let before = fs::read(cache.join(ANSWER)).ok().and_then(|bytes| serde_json::from_slice::<Answer>(&bytes).ok());
    if let Some(package) = before.as_ref().filter(|before| before.lists == lists).and_then(|before| before.cached(cache)) {
        return Ok(package);
    }
    let answer = match ask(lists) {
        Err(BuildError::NoCandidate { .. }) if before.is_some() => {
            let package = before.as_ref().and_then(|before| before.cached(cache)).ok_or_else(no_candidate)?;
            say(&format!("apt knows no {META} (its lists are empty?): using {} {} of the cache", package.name, package.version));
            return Ok(package);
        }
        answer => answer?,
    };
    let package = match answer.cached(cache) {
        Some(package) => package,
        None => download(&answer, cache, say)?,
    };
    if let Some(old) = before.map(|before| before.deb(cache)).filter(|old| *old != package.deb) {
        // Only the space it takes is lost when this fails.
        let _ = fs::remove_file(old);
    }
    let path = cache.join(ANSWER);
    let text = serde_json::to_vec_pretty(&answer).expect("strings and digests can be written as JSON");
    fs::write(&path, text).map_err(|source| BuildError::Write { path, source })?;
    Ok(package)
}

fn no_candidate() -> BuildError {
    BuildError::NoCandidate { package: META.to_owned() }
}

fn ask(lists: Digest) -> Result<Answer, BuildError> {
    let meta = show(META)?;
    let name = real_package(&meta).ok_or_else(no_candidate)?;
    let record = show(&name)?;
    let wrong = |why: &str| BuildError::AptAnswer { package: name.clone(), why: why.to_owned() };
    let version = field(&record, "Version").ok_or_else(|| wrong("it has no version"))?.to_owned();
    let sha256 = field(&record, "SHA256").and_then(|text| text.parse().ok()).ok_or_else(|| wrong("it has no SHA256"))?;
    Ok(Answer { lists, version, sha256, name })
}

fn show(package: &str) -> Result<String, BuildError> {
    match APT_CACHE.run("ask apt for a kernel", Path::new("/"), &["show", "--no-all-versions", package]) {
        // It ends with 100 and "No packages found"; any other trouble with its lists is mended in the same way.
        Err(BuildError::ToolFailed { .. }) => Err(no_candidate()),
        answer => answer,
    }
}

fn download(answer: &Answer, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Package, BuildError> {
    let part = cache.join("download.part");
    // What an interrupted download left.
    let _ = fs::remove_dir_all(&part);
    fs::create_dir(&part).map_err(|source| BuildError::Write { path: part.clone(), source })?;
    say(&format!("downloading {} {} (70 MB; it is not installed)", answer.name, answer.version));
    let wanted = format!("{}={}", answer.name, answer.version);
    // As root apt would download as its own user, who may not write here.
    let arguments = ["-q", "-o", "APT::Sandbox::User=root", "download", &wanted];
    APT_GET.run(&format!("download {wanted} (if apt's lists are old, run `apt-get update` as root first)"), &part, &arguments)?;
    let entries = fs::read_dir(&part).into_iter().flatten().flatten().map(|entry| entry.path());
    let deb = entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let wrong = |why: &str| BuildError::AptAnswer { package: answer.name.clone(), why: why.to_owned() };
    let deb = deb.ok_or_else(|| wrong("no package file was downloaded"))?;
    let place = answer.deb(cache);
    fs::rename(&deb, &place).map_err(|source| BuildError::Write { path: place, source })?;
    let _ = fs::remove_dir_all(&part);
    answer.cached(cache).ok_or_else(|| wrong("the package downloaded has another SHA256 than apt's lists say"))
}

/// The first `linux-image-…` that the meta package depends on.
fn real_package(meta: &str) -> Option<String> {
    let depends = field(meta, "Depends")?.split([',', '|']).map(str::trim);
    let names = depends.filter_map(|depend| depend.split_whitespace().next());
    names.map(|name| name.split(':').next().unwrap_or(name)).find(|name| name.starts_with("linux-image-")).map(str::to_owned)
}

fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Names, sizes and times of apt's lists and settings: any `apt-get update` that brought something changes it.
fn state_of_lists() -> Digest {
    let mut seen = Vec::new();
    for path in LISTS.map(Path::new) {
        let below = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in below.chain([path.to_owned()]) {
            // The folder's own time changes with apt's lock file, what is in it with its lists.
            if let Some(meta) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) {
                seen.push(format!("{} {} {} {}", path.display(), meta.len(), meta.mtime(), meta.mtime_nsec()));
            }
        }
    }
    seen.sort();
    Digest::of_pieces(seen.iter().map(String::as_bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_the_one_the_meta_package_depends_on() {
        for (depends, expected) in [
            ("linux-image-6.1.0-56-amd64 (= 6.1.192-2)", Some("linux-image-6.1.0-56-amd64")),
            ("linux-base (>= 4.3), linux-image-6.12-amd64:amd64", Some("linux-image-6.12-amd64")),
            ("linux-base", None),
        ] {
            let record = format!("Package: linux-image-amd64\nProvides: linux-image-generic\nDepends: {depends}\nSize: 1\n");
            assert_eq!(real_package(&record).as_deref(), expected, "{depends}");
        }
    }

    #[test]
    fn a_package_in_the_cache_counts_only_when_it_is_whole() {
        let cache = tempfile::tempdir().unwrap();
        let answer =
            Answer { lists: Digest::of(b""), name: "linux-image-6.1".into(), version: "1:6.1-2".into(), sha256: Digest::of(b"whole") };
        assert!(answer.cached(cache.path()).is_none());
        let deb = cache.path().join("linux-image-6.1_1%3a6.1-2_amd64.deb");
        fs::write(&deb, b"who").unwrap();
        assert!(answer.cached(cache.path()).is_none());
        fs::write(&deb, b"whole").unwrap();
        assert_eq!(answer.cached(cache.path()).unwrap().deb, deb);
    }
}
