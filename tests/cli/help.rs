//! `--help` of every command, whole, so that a change of it is read in review.

use crate::journal::expect;
use crate::service::overture;
use std::collections::BTreeSet;
use std::path::Path;

fn help(path: &[String]) -> String {
    let output = overture(Path::new("/")).args(path).arg("--help").output().unwrap();
    assert!(output.status.success(), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below one, as its help lists them.
fn below(text: &str) -> Vec<String> {
    let listed = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names =
        listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).map(|line| line.split_whitespace().next().unwrap());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn all(path: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let text = help(path);
    for name in below(&text) {
        all(&[path, &[name]].concat(), found);
    }
    found.push((path.to_vec(), text));
}

#[test]
fn the_help_of_every_command_is_as_expected() {
    let mut found = vec![];
    all(&[], &mut found);
    let mut files = BTreeSet::new();
    for (path, text) in &found {
        assert!(text.lines().all(|line| line.chars().count() <= 100), "a line of {path:?} is too long");
        let name = format!("{}.txt", [&["overture".to_owned()], path.as_slice()].concat().join("-"));
        expect(&format!("help/{name}"), text);
        files.insert(name);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected/help");
    let kept: BTreeSet<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(kept, files, "a command is gone: remove its file");
}

#[test]
fn every_command_of_an_example_exists() {
    let mut found = vec![];
    all(&[], &mut found);
    let commands: BTreeSet<String> = found.iter().map(|(path, _)| path.join(" ")).collect();
    for (path, text) in &found {
        for line in text.lines().filter_map(|line| line.strip_prefix("  overture ")) {
            for command in line.split("&& overture ") {
                let words: Vec<_> = command.split_whitespace().collect();
                let longest = (0..=words.len()).rev().map(|n| words[..n].join(" ")).find(|words| commands.contains(words)).unwrap();
                assert!(!longest.is_empty(), "{path:?} shows `overture {command}`, which does not exist");
                let known = &found.iter().find(|(path, _)| path.join(" ") == longest).unwrap().1;
                for flag in words.iter().filter(|word| word.starts_with("--")) {
                    assert!(known.contains(*flag), "{path:?} shows `{flag}` of `overture {longest}`, which has none");
                }
            }
        }
    }
}
