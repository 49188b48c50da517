//! Looks at the finished ramdisk before anybody boots it. A tree with its modules in the wrong folder has the same size, boots,
//! and has no network card; so the bytes that will be sent are unpacked and searched as the kernel and `modprobe` would.

use std::collections::BTreeSet;

use crate::cpio::{Archive, Entry};
use crate::module_index::Chosen;
use crate::tools::Tools;
use crate::{BuildError, compress};

pub(crate) fn inspect(ramdisk: &[u8], release: &str, chosen: &Chosen, tools: &Tools) -> Result<(), BuildError> {
    let content = compress::first_archive(ramdisk).map_err(|why| BuildError::Inconsistent { why: format!("it does not unpack: {why}") })?;
    Archive::parse(&content).and_then(|archive| check(&archive, release, chosen, tools)).map_err(|why| BuildError::Inconsistent { why })
}

fn check(archive: &Archive, release: &str, chosen: &Chosen, tools: &Tools) -> Result<(), String> {
    for program in ["init", "bin/busybox", "bin/sh", "sbin/modprobe"] {
        runs(archive, program)?;
    }
    for name in tools.names() {
        runs(archive, name)?;
    }
    match archive.get("dev/console") {
        Some(Entry::CharacterDevice { major: 5, minor: 1, .. }) => {}
        _ => return Err("it has no /dev/console".to_owned()),
    }
    let folder = format!("lib/modules/{release}");
    let Some(Entry::File { content: dep, .. }) = archive.get(&format!("{folder}/modules.dep")) else {
        return Err(format!("it has no {folder}/modules.dep"));
    };
    let dep = String::from_utf8_lossy(dep);
    let indexed: BTreeSet<&str> = dep.lines().filter_map(|line| line.split(':').next()).collect();
    let needed = dep.split_whitespace().map(|word| word.trim_end_matches(':'));
    for path in needed.chain(chosen.paths().map(|(_, path)| path)) {
        if !indexed.contains(path) {
            return Err(format!("its modules.dep has no line for {path}"));
        }
        match archive.get(&format!("{folder}/{path}")) {
            Some(Entry::File { content, .. }) if !content.is_empty() => {}
            _ => return Err(format!("it has no {folder}/{path}")),
        }
    }
    Ok(())
}

/// Follows links from `name` to a file that may be executed.
fn runs(archive: &Archive, name: &str) -> Result<(), String> {
    let mut at = name.to_owned();
    // The kernel gives up after 40 links (`MAXSYMLINKS`); ours are one long.
    for _ in 0..40 {
        match archive.get(&at) {
            Some(Entry::File { mode, .. }) if mode & 0o111 == 0o111 => return Ok(()),
            Some(Entry::Link { target }) => at = resolve(&at, target),
            _ => return Err(format!("/{name} leads to {at}, which is no program")),
        }
    }
    Err(format!("/{name} leads nowhere"))
}

fn resolve(link: &str, target: &str) -> String {
    let above = link.rsplit_once('/').map_or("", |(above, _)| above);
    let mut parts: Vec<&str> = if target.starts_with('/') { Vec::new() } else { above.split('/').collect() };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_as_the_kernel_would() {
        for (link, target, expected) in [
            ("init", "bin/agent", "bin/agent"),
            ("bin/sh", "busybox", "bin/busybox"),
            ("sbin/modprobe", "../bin/busybox", "bin/busybox"),
            ("a/b/c", "/bin/x", "bin/x"),
            ("a", "../../x", "x"),
        ] {
            assert_eq!(resolve(link, target), expected, "{link} -> {target}");
        }
    }

    #[test]
    fn a_program_that_may_not_be_executed_or_leads_in_a_circle_is_found() {
        let mut archive = Archive::default();
        archive.put("a", Entry::Link { target: "b".into() }).unwrap();
        archive.put("b", Entry::Link { target: "a".into() }).unwrap();
        archive.put("plain", Entry::File { mode: 0o644, content: vec![1] }).unwrap();
        assert_eq!(runs(&archive, "a").unwrap_err(), "/a leads nowhere");
        assert_eq!(runs(&archive, "plain").unwrap_err(), "/plain leads to plain, which is no program");
        assert_eq!(runs(&archive, "init").unwrap_err(), "/init leads to init, which is no program");
    }
}
