//! From a folder of TOML, and the tables that its racks name, to a [`Site`].

mod read;
mod rows;
mod tables;
#[cfg(test)]
mod tests;

pub use read::{FilesError, MOST_BYTES, read_files};

use crate::files::{Complaints, Notes, Reader, Source};
use domain::site::{Mistake, Site};
use std::collections::{BTreeMap, HashMap};
use tables::{read_network, read_node, read_profile, read_rack, read_site, read_switch};

/// The files of a site by their path within it, `/` between folders.
pub type Files = BTreeMap<String, String>;

/// Reads a site from its files; every mistake at once. `prefix` goes before the files' names in messages.
pub fn parse(files: &Files, prefix: &str) -> Result<Site, Complaints> {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source { path: format!("{prefix}{path}"), text: text.clone() }).collect();
    let mut notes = Notes::default();
    let mut site = Site::default();
    let mut named_in: Option<usize> = None;
    for (index, (path, text)) in files.iter().enumerate() {
        if !read::is_table(path) {
            Reader::file(&mut notes, index, text, |root| read_file(root, index, &sources, &mut site, &mut named_in));
        }
    }
    read_tables(files, &mut notes, &mut site);
    if named_in.is_none() && notes.is_clean() {
        notes.complain_of_all("no file has a [site] table: write [site] with name = \"…\"");
    }
    let believable: Vec<_> = site
        .mistakes()
        .into_iter()
        .filter(|mistake| named_in.is_some() || !mistake.key.starts_with("site."))
        .filter(|mistake| is_believable(mistake, &notes))
        .collect();
    for mistake in believable {
        notes.complain_of(mistake);
    }
    notes.into_result(sources, site)
}

fn read_file(root: &mut Reader<'_, '_>, index: usize, sources: &[Source], site: &mut Site, named_in: &mut Option<usize>) {
    let said = root.table("site", |table| read_site(table, site));
    if said.is_some() {
        match *named_in {
            None => *named_in = Some(index),
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
    root.tables("profile", |name, table| {
        let profile = read_profile(table);
        if site.profiles.insert(name.to_owned(), profile).is_some() {
            table.complain("", "this profile already stands in another file: keep one of them");
        }
    });
    let first = site.switches.len();
    root.blocks("switch", first, |table| site.switches.push(read_switch(table)));
    root.tables("rack", |name, table| {
        let rack = read_rack(table);
        if site.racks.insert(name.to_owned(), rack).is_some() {
            table.complain("", "this rack already stands in another file: keep one of them");
        }
    });
    let first = site.nodes.len();
    root.blocks("node", first, |table| site.nodes.push(read_node(table)));
}

/// Reads the tables that the racks name.
fn read_tables(files: &Files, notes: &mut Notes, site: &mut Site) {
    let mut read: HashMap<&str, &str> = HashMap::new();
    let mut nodes = vec![];
    for (rack, table) in site.racks.iter().filter_map(|(rack, said)| Some((rack.as_str(), said.nodes.as_deref()?))) {
        let mut complain = |message: String| notes.complain_of(Mistake { key: format!("rack.{rack}.nodes"), message });
        let shown = domain::timeline::printable(table, 100);
        if !read::is_table_within(table) {
            complain(format!(
                "`{shown}` is not a table of this site: name a .csv file by its path within the site's folder, such as racks/{rack}.csv"
            ));
            continue;
        }
        if let Some(other) = read.insert(table, rack) {
            complain(format!("`{shown}` already lists the nodes of rack `{other}`: a table belongs to one rack"));
            continue;
        }
        match files.keys().position(|path| path == table) {
            Some(source) => nodes.extend(rows::read(notes, source, &files[table], rack, site.nodes.len() + nodes.len())),
            None => complain(format!("there is no {shown} in the site's folder: write it, or mend the path")),
        }
    }
    for (source, path) in files.keys().enumerate().filter(|(_, path)| read::is_table(path) && !read.contains_key(path.as_str())) {
        let message = format!("no rack names this table: write nodes = \"{}\" in [rack.NAME]", domain::timeline::printable(path, 100));
        notes.complain(crate::files::Place { source, span: 0..0 }, message);
    }
    site.nodes.extend(nodes);
}

/// Whether a broken rule is a mistake of its own, and not what a mistake in the writing makes of a sound site.
fn is_believable(mistake: &Mistake, notes: &Notes) -> bool {
    let key = mistake.key.as_str();
    let (table, field) = key.rsplit_once('.').unwrap_or(("", key));
    let follows = match field {
        "name" => notes.is_spoiled(table),
        "address" => notes.is_spoiled(table) || notes.is_spoiled("network"),
        "unit" => notes.is_spoiled(&format!("{table}.rack")),
        // A switch whose name could not be read may be the one that is meant.
        "switches" | "cabling" | "pair" => notes.is_spoiled("switch"),
        _ if table.ends_with(".cabling") => notes.is_spoiled("switch"),
        "static" => notes.is_spoiled(&format!("{table}.pool")),
        _ => false,
    };
    !follows && !notes.is_spoiled(key)
}
