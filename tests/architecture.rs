//! The arrows between the crates, and what the domain may use from outside, checked against `cargo metadata`.
#![allow(missing_docs, clippy::unwrap_used)]

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::BTreeSet;

/// From each crate to the crates of ours that it may use. `docs/architecture.md` draws the same map.
const ARROWS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("store", &["domain"]),
    ("pxe", &["domain"]),
    ("inventory", &["domain", "inventory-wire"]),
    ("inventory-wire", &[]),
    ("inventory-agent", &["inventory-wire"]),
    ("inventory-agent-ramdisk", &[]),
    ("lab", &["domain"]),
    ("tests-sim", &[]),
    ("tests-peers", &[]),
    ("bench", &["domain", "inventory", "lab", "pxe", "store", "tests-peers", "tests-sim"]),
    ("overture", &["domain", "store", "pxe", "inventory", "inventory-agent-ramdisk", "lab"]),
];

/// What the domain may use from outside: values and the words to write them down; for the language of search a reader of
/// words (winnow), the nearest name to a mistyped one (strsim), and a text within a text (memchr). No runtime, clock, file
/// or socket.
const DOMAIN_MAY_USE: [&str; 10] =
    ["async-trait", "ipnet", "jiff", "memchr", "serde", "serde_json", "strsim", "thiserror", "uuid", "winnow"];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).no_deps().exec().unwrap()
}

fn uses(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.clone())
        .collect()
}

#[test]
fn every_crate_is_on_the_map_and_no_arrow_leaves_it() {
    let metadata = metadata();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mapped: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, mapped, "a crate was added or removed: change the map here and in docs/architecture.md");
    for package in &metadata.packages {
        let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == package.name.as_str()).unwrap();
        for used in uses(package).intersection(&ours) {
            assert!(allowed.contains(&used.as_str()), "{} must not use {used}: siblings meet only in src/", package.name);
        }
    }
}

#[test]
fn each_crate_is_named_by_its_folder() {
    let metadata = metadata();
    for package in metadata.packages.iter().filter(|package| package.name.as_str() != "overture") {
        let folder = package.manifest_path.parent().unwrap().strip_prefix(&metadata.workspace_root).unwrap();
        assert_eq!(package.name.as_str(), folder.as_str().replace('/', "-"));
    }
}

#[test]
fn the_domain_uses_values_only() {
    let metadata = metadata();
    let domain = metadata.packages.iter().find(|package| package.name.as_str() == "domain").unwrap();
    for used in uses(domain) {
        assert!(DOMAIN_MAY_USE.contains(&used.as_str()), "the domain must not use {used}");
    }
    let jiff = domain.dependencies.iter().find(|dependency| dependency.name == "jiff").unwrap();
    assert!(!jiff.uses_default_features, "jiff's defaults read the system's time zones");
}

#[test]
fn only_the_store_holds_sql() {
    for package in metadata().packages {
        let holds = uses(&package).contains("sqlx");
        assert_eq!(holds, package.name.as_str() == "store", "{}", package.name);
    }
}
