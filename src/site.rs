//! From a folder of TOML to a [`Site`].

use crate::files::{Complaints, Notes, Reader, Source};
use domain::site::{DEFAULT_LEASE_SECONDS, DeclaredNode, LONGEST_LEASE_SECONDS, Network, SHORTEST_LEASE_SECONDS, Site, Unknown};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest site that is read, bytes of all files together.
pub const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// The files of a site by their path within it, `/` between folders.
pub type Files = BTreeMap<String, String>;

/// Why a site's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder could not be read.
    #[error("could not read the site {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing there.
    #[error("{0} holds no .toml file: a site needs at least one, with [site] and [network.NAME]")]
    Empty(PathBuf),
    /// Too much there.
    #[error("{0} holds more than {MOST_BYTES} bytes of .toml files: this is no site")]
    TooLarge(PathBuf),
}

/// Reads every `.toml` file of a folder and its folders, except hidden ones; or one file.
pub fn read_files(path: &Path) -> Result<Files, FilesError> {
    let mut files = Files::new();
    let mut total = 0;
    if path.is_dir() {
        read_folder(path, path, &mut files, &mut total)?;
    } else {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.insert(name, read_file(path, path, &mut total)?);
    }
    if files.is_empty() { Err(FilesError::Empty(path.to_owned())) } else { Ok(files) }
}

fn read_folder(root: &Path, folder: &Path, files: &mut Files, total: &mut u64) -> Result<(), FilesError> {
    let unreadable = |source| FilesError::Unreadable { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            read_folder(root, &path, files, total)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.insert(name, read_file(root, &path, total)?);
        }
    }
    Ok(())
}

fn read_file(root: &Path, path: &Path, total: &mut u64) -> Result<String, FilesError> {
    let text = std::fs::read_to_string(path).map_err(|source| FilesError::Unreadable { path: path.to_owned(), source })?;
    *total += text.len() as u64;
    if *total > MOST_BYTES { Err(FilesError::TooLarge(root.to_owned())) } else { Ok(text) }
}

/// Reads a site from its files; every mistake at once. `prefix` goes before the files' names in messages.
pub fn parse(files: &Files, prefix: &str) -> Result<Site, Complaints> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source { path: format!("{prefix}{path}"), text: text.clone() }).collect();
    let mut notes = Notes::default();
    let mut site = Site::default();
    let mut named_in: Option<usize> = None;
    for (index, source) in sources.iter().enumerate() {
        Reader::file(&mut notes, index, &source.text, |root| {
            let said = root.table("site", |table| read_site(table, &mut site));
            if said.is_some() {
                match named_in {
                    None => named_in = Some(index),
                    Some(other) => root.complain("site", format!("[site] already stands in {}: keep one of them", sources[other].path)),
                }
            }
            root.tables("network", |name, table| {
                if site.networks.contains_key(name) {
                    table.complain("", "this network already stands in another file: keep one of them");
                } else if let Some(network) = read_network(table) {
                    site.networks.insert(name.to_owned(), network);
                }
            });
            let first = site.nodes.len();
            root.blocks("node", first, |table| site.nodes.push(read_node(table)));
        });
    }
    if named_in.is_none() && notes.is_clean() {
        notes.complain_of_all("no file has a [site] table: write [site] with name = \"…\"");
    }
    let believable: Vec<_> = site
        .mistakes()
        .into_iter()
        .filter(|mistake| named_in.is_some() || !mistake.key.starts_with("site."))
        .filter(|mistake| is_believable(&mistake.key, &notes))
        .collect();
    for mistake in believable {
        notes.complain_of(mistake);
    }
    notes.into_result(sources, site)
}

/// Whether a broken rule is a mistake of its own, and not what a mistake in the writing makes of a sound site.
fn is_believable(key: &str, notes: &Notes) -> bool {
    let (table, field) = key.rsplit_once('.').unwrap_or(("", key));
    let follows = match field {
        "name" => notes.is_spoiled(table),
        "address" => notes.is_spoiled(table) || notes.is_spoiled("network"),
        "static" => notes.is_spoiled(&format!("{table}.pool")),
        _ => false,
    };
    !follows && !notes.is_spoiled(key)
}

fn read_site(table: &mut Reader<'_, '_>, site: &mut Site) {
    table.require("name", "\"hall-1\"");
    site.name = table.text("name").unwrap_or_default();
    site.domain = table.text("domain");
    site.ntp = table.list("ntp", "an IPv4 address");
}

fn read_network(table: &mut Reader<'_, '_>) -> Option<Network> {
    for (name, example) in [("interface", "\"br0\""), ("subnet", "\"10.20.0.0/24\""), ("pool", "\"10.20.0.100-10.20.0.199\"")] {
        table.require(name, example);
    }
    let interface = table.text("interface");
    let subnet = table.parsed_as("subnet", "a network: write address/prefix, such as 10.20.0.0/24");
    let gateway = table.parsed_as("gateway", "an IPv4 address");
    let dns = table.list("dns", "an IPv4 address");
    table.one_of("dhcp", &[("here", ())]);
    let pool = table.parsed("pool");
    let fixed = table.parsed("static");
    let unknown = table.one_of("unknown", &Unknown::SPELLINGS);
    let lease_seconds = table.integer("lease_seconds", i64::from(SHORTEST_LEASE_SECONDS)..=i64::from(LONGEST_LEASE_SECONDS));
    // What cannot be read has had its complaint; a stand-in lets the rest of the network be judged all the same.
    let subnet: ipnet::Ipv4Net = subnet?;
    let anywhere = domain::address::AddressRange::new(subnet.network(), subnet.network()).ok()?;
    Some(Network {
        interface: interface.unwrap_or_default(),
        subnet,
        gateway,
        dns,
        pool: pool.unwrap_or(anywhere),
        fixed,
        unknown: unknown.unwrap_or_default(),
        lease_seconds: lease_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_LEASE_SECONDS),
    })
}

fn read_node(table: &mut Reader<'_, '_>) -> DeclaredNode {
    table.require("name", "\"w1\"");
    DeclaredNode {
        name: table.text("name").unwrap_or_default(),
        serial: table.text("serial"),
        uuid: table.parsed_as("uuid", "a UUID, such as 4c4c4544-0042-3510-8058-b4c04f4e3232"),
        mac: table.parsed("mac"),
        address: table.parsed_as("address", "an IPv4 address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    const SOUND: &str = r#"
[site]
name = "hall-1"
domain = "hall1.example"
ntp = ["10.20.0.1"]

[network.provision]
interface = "br0"
subnet = "10.20.0.0/24"
gateway = "10.20.0.1"
dns = ["10.20.0.1"]
dhcp = "here"
pool = "10.20.0.100-10.20.0.199"
static = "10.20.0.20-10.20.0.99"
unknown = "discover"

[[node]]
name = "w1"
serial = "VM-0001"
"#;

    #[test]
    fn a_site_is_read_from_several_files() {
        let second = "[[node]]\nname = \"w2\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.20.0.21\"\n";
        let site = parse(&files(&[("a.toml", SOUND), ("racks/r1.toml", second)]), "").expect("sound");
        assert_eq!(site.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["w1", "w2"]);
        assert_eq!(site.networks["provision"].unknown, Unknown::Discover);
        assert_eq!(site.networks["provision"].lease_seconds, 3600);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let text = SOUND
            .replace("subnet = \"10.20.0.0/24\"", "subnet = \"10.20.0.0\"")
            .replace("unknown = \"discover\"", "unknown = \"discovery\"")
            .replace("serial =", "serail =")
            .replace("dhcp = \"here\"", "dhcp = 3");
        let complaints = parse(&files(&[("site.toml", &text)]), "site/").expect_err("mistakes");
        let told: Vec<_> =
            complaints.located().into_iter().map(|l| (l.file.unwrap_or_default(), l.line.unwrap_or_default(), l.message)).collect();
        let lines: Vec<_> = told.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(lines, [9, 12, 15, 19], "{told:#?}");
        assert!(told.iter().all(|(file, _, _)| file == "site/site.toml"));
        assert!(told[2].2.contains("did you mean \"discover\"?"), "{}", told[2].2);
        assert!(told[3].2.contains("did you mean `serial`?"), "{}", told[3].2);
    }

    #[test]
    fn broken_rules_are_told_beside_mistakes_in_the_writing_and_nothing_is_told_twice() {
        let text = SOUND
            .replace("unknown = \"discover\"", "unknown = \"discovery\"")
            .replace("10.20.0.100-10.20.0.199", "10.20.0.199-10.20.0.100")
            .replace("10.20.0.0/24", "10.20.0.1/24")
            .replace("serial = \"VM-0001\"", "mac = \"52:54\"\naddress = \"10.20.0.21\"");
        let complaints = parse(&files(&[("site.toml", &text)]), "").expect_err("mistakes");
        let lines: Vec<_> = complaints.located().into_iter().filter_map(|l| l.line).collect();
        assert_eq!(lines, [9, 13, 15, 19], "{complaints}");
    }

    #[test]
    fn broken_rules_stand_at_their_keys() {
        let text = SOUND.replace("10.20.0.199", "10.20.1.199");
        let complaints = parse(&files(&[("site.toml", &text)]), "").expect_err("mistakes");
        let told = complaints.located();
        assert_eq!((told.len(), told[0].line), (1, Some(13)));
        assert!(complaints.to_string().contains("pool = \"10.20.0.100-10.20.1.199\""), "{complaints}");
    }

    #[test]
    fn what_is_not_toml_is_told_and_nothing_panics() {
        for text in [
            "[site",
            "site = 3",
            "[[site]]",
            "network = \"x\"",
            "[network]\nx = 1",
            "[node]\nname = 1",
            "\u{0}",
            "node = [1, 2]",
            "[site]\nname = \"a\"\n[site]\n",
        ] {
            assert!(parse(&files(&[("x.toml", text)]), "").is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_site_needs_its_name_table() {
        let complaints = parse(&files(&[("x.toml", "")]), "").expect_err("mistakes");
        assert_eq!(complaints.located()[0].file, None);
    }
}
