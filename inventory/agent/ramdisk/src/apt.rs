//! Fetches Debian's packages as files: what apt would install, downloaded and verified by apt, never installed.
//!
//! apt takes a second to answer two questions, so its answer is kept beside the packages, until its lists change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::{APT_CACHE, APT_GET};
use crate::kernel::Package;
use crate::tools::{self, Packages};
use crate::{BuildError, Digest};

const KERNEL: &str = "linux-image-amd64";
/// What apt's answer depends on.
const LISTS: [&str; 5] =
    ["/var/lib/apt/lists", "/etc/apt/sources.list.d", "/etc/apt/sources.list", "/etc/apt/preferences.d", "/etc/apt/preferences"];

/// What apt said, and the state of its lists when it said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    lists: Digest,
    packages: Vec<Candidate>,
}

/// A package that apt would install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    name: String,
    version: String,
    /// `amd64`, or `all` for what is the same everywhere.
    architecture: String,
    sha256: Digest,
}

impl Candidate {
    fn deb(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture))
    }

    /// The package in the cache, if it is there and whole.
    fn cached(&self, cache: &Path) -> Option<Package> {
        let deb = self.deb(cache);
        let whole = Digest::of_file(&deb).ok()? == self.sha256;
        whole.then(|| Package { deb, name: self.name.clone(), version: self.version.clone(), digest: self.sha256 })
    }
}

impl Answer {
    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.packages.iter().any(|package| package.name == *name))
    }

    fn cached(&self, cache: &Path) -> Option<Vec<Package>> {
        self.packages.iter().map(|candidate| candidate.cached(cache)).collect()
    }
}

/// Packages that are fetched together.
struct Request {
    /// Named when apt knows nothing of it.
    first: &'static str,
    /// Where apt's answer is kept.
    file: &'static str,
    /// For the person who waits.
    size: &'static str,
    /// Which they are, where that is known without apt.
    names: &'static [&'static str],
    /// Asks apt for them.
    ask: fn() -> Result<Vec<Candidate>, BuildError>,
}

/// The kernel that `linux-image-amd64` depends on, as a file in the cache.
pub(crate) fn kernel_package(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Package, BuildError> {
    let request = Request { first: KERNEL, file: "apt.json", size: "70 MB", names: &[], ask: ask_for_kernel };
    fetch(&request, cache, say)?.pop().ok_or_else(|| no_candidate(KERNEL))
}

/// The packages of the tools for disks, as files in the cache.
pub(crate) fn tool_packages(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Packages, BuildError> {
    let request = Request { first: tools::PACKAGES[0], file: "apt-tools.json", size: "6 MB", names: &tools::PACKAGES, ask: ask_for_tools };
    Ok(Packages(fetch(&request, cache, say)?))
}

fn fetch(request: &Request, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<Package>, BuildError> {
    let lists = state_of_lists();
    let path = cache.join(request.file);
    let before = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Answer>(&bytes).ok());
    // Another version of this program may ask for others.
    let before = before.filter(|before| before.has(request.names));
    if let Some(packages) = before.as_ref().filter(|before| before.lists == lists).and_then(|before| before.cached(cache)) {
        return Ok(packages);
    }
    let answer = match (request.ask)() {
        Err(BuildError::NoCandidate { .. }) if before.is_some() => {
            let packages = before.as_ref().and_then(|before| before.cached(cache)).ok_or_else(|| no_candidate(request.first))?;
            let names: Vec<String> = packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
            say(&format!("apt knows no {} (its lists are empty?): using {} of the cache", request.first, names.join(", ")));
            return Ok(packages);
        }
        candidates => Answer { lists, packages: candidates? },
    };
    let packages = match answer.cached(cache) {
        Some(packages) => packages,
        None => download(request, &answer, cache, say)?,
    };
    for old in before.iter().flat_map(|before| &before.packages).map(|old| old.deb(cache)) {
        if packages.iter().all(|package| package.deb != old) {
            // Only the space it takes is lost when this fails.
            let _ = fs::remove_file(old);
        }
    }
    let text = serde_json::to_vec_pretty(&answer).expect("strings and digests can be written as JSON");
    fs::write(&path, text).map_err(|source| BuildError::Write { path, source })?;
    Ok(packages)
}

fn no_candidate(package: &str) -> BuildError {
    BuildError::NoCandidate { package: package.to_owned() }
}

fn ask_for_kernel() -> Result<Vec<Candidate>, BuildError> {
    let name = real_package(&show(&[KERNEL])?).ok_or_else(|| no_candidate(KERNEL))?;
    Ok(vec![candidate(&show(&[&name])?, &name)?])
}

fn ask_for_tools() -> Result<Vec<Candidate>, BuildError> {
    let records = show(&tools::PACKAGES)?;
    let record = |name: &str| records.split("\n\n").find(|record| field(record, "Package") == Some(name));
    let found = tools::PACKAGES.iter().map(|name| candidate(record(name).ok_or_else(|| no_candidate(name))?, name));
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn candidate(record: &str, name: &str) -> Result<Candidate, BuildError> {
    let wrong = |why: &str| BuildError::AptAnswer { package: name.to_owned(), why: why.to_owned() };
    let version = field(record, "Version").ok_or_else(|| wrong("it has no version"))?.to_owned();
    let sha256 = field(record, "SHA256").and_then(|text| text.parse().ok()).ok_or_else(|| wrong("it has no SHA256"))?;
    let architecture = field(record, "Architecture").filter(|architecture| ["all", "amd64"].contains(architecture));
    let architecture = architecture.ok_or_else(|| wrong("it is not for amd64"))?.to_owned();
    Ok(Candidate { name: name.to_owned(), version, architecture, sha256 })
}

fn show(packages: &[&str]) -> Result<String, BuildError> {
    let arguments = [&["show", "--no-all-versions"], packages].concat();
    match APT_CACHE.run("ask apt for a package", Path::new("/"), &arguments) {
        // It ends with 100 and "No packages found"; any other trouble with its lists is mended in the same way.
        Err(BuildError::ToolFailed { .. }) => Err(no_candidate(packages.first().copied().unwrap_or_default())),
        answer => answer,
    }
}

fn download(request: &Request, answer: &Answer, cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<Package>, BuildError> {
    let part = cache.join("download.part");
    // What an interrupted download left.
    let _ = fs::remove_dir_all(&part);
    fs::create_dir(&part).map_err(|source| BuildError::Write { path: part.clone(), source })?;
    let wanted: Vec<String> = answer.packages.iter().map(|package| format!("{}={}", package.name, package.version)).collect();
    say(&format!("downloading {} ({}; nothing is installed)", wanted.join(", "), request.size));
    // As root apt would download as its own user, who may not write here.
    let mut arguments = vec!["-q", "-o", "APT::Sandbox::User=root", "download"];
    arguments.extend(wanted.iter().map(String::as_str));
    let attempt = format!("download {} (if apt's lists are old, run `apt-get update` as root first)", wanted.join(", "));
    APT_GET.run(&attempt, &part, &arguments)?;
    for package in &answer.packages {
        let (from, place) = (package.deb(&part), package.deb(cache));
        let wrong = |why: &str| BuildError::AptAnswer { package: package.name.clone(), why: why.to_owned() };
        if !from.is_file() {
            return Err(wrong("its file was not downloaded"));
        }
        fs::rename(&from, &place).map_err(|source| BuildError::Write { path: place, source })?;
        package.cached(cache).ok_or_else(|| wrong("the package downloaded has another SHA256 than apt's lists say"))?;
    }
    let _ = fs::remove_dir_all(&part);
    answer.cached(cache).ok_or_else(|| no_candidate(request.first))
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
    fn an_answer_to_another_question_is_none() {
        let package =
            |name: &str| Candidate { name: name.into(), version: "1".into(), architecture: "amd64".into(), sha256: Digest::of(b"") };
        let answer = Answer { lists: Digest::of(b""), packages: vec![package("smartmontools"), package("util-linux")] };
        assert!(answer.has(&[]) && answer.has(&["util-linux", "smartmontools"]));
        assert!(!answer.has(&["util-linux", "ethtool"]));
    }

    #[test]
    fn each_package_is_found_in_apts_records() {
        let sum = Digest::of(b"x");
        let record = format!("Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\nDescription: a\n .\n b\nSHA256: {sum}\n");
        let found = candidate(&record, "libc6").unwrap();
        assert_eq!((found.version.as_str(), found.sha256), ("2.36-9", sum));
        let refused = candidate("Package: libc6\nVersion: 2\n", "libc6").unwrap_err().to_string();
        assert!(refused.contains("libc6") && refused.contains("no SHA256"), "{refused}");
    }

    #[test]
    fn a_package_in_the_cache_counts_only_when_it_is_whole() {
        let cache = tempfile::tempdir().unwrap();
        let answer = Candidate {
            name: "linux-image-6.1".into(),
            version: "1:6.1-2".into(),
            architecture: "amd64".into(),
            sha256: Digest::of(b"whole"),
        };
        assert!(answer.cached(cache.path()).is_none());
        let deb = cache.path().join("linux-image-6.1_1%3a6.1-2_amd64.deb");
        fs::write(&deb, b"who").unwrap();
        assert!(answer.cached(cache.path()).is_none());
        fs::write(&deb, b"whole").unwrap();
        assert_eq!(answer.cached(cache.path()).unwrap().deb, deb);
    }
}
