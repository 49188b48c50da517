//! `overture check`, `apply` and `site`.

use crate::journal::{Journal, without_ids, without_times};
use crate::service::{Service, overture};
use serde_json::Value;
use std::fs;
use std::path::Path;

const SITE: &str = r#"# Hall 1, left row
[site]
name = "hall-1"
domain = "hall1.example"
ntp = ["10.20.0.1"]

[[node]]
name = "w1"
serial = "VM-0001"
"#;

const NETWORK: &str = r#"[network.provision]
interface = "nothere0"
subnet = "10.20.0.0/24"
pool = "10.20.0.100-10.20.0.199"
"#;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn check_tells_what_is_sound_and_every_mistake_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "site/site.toml", SITE);
    write(folder, "site/networks/provision.toml", NETWORK);
    write(folder, "site/.draft.toml", "not looked at");
    write(folder, "site/README.md", "not looked at");
    write(folder, "overture.toml", "state = \"state\"\nsite = \"site\"\n\n[dhcp]\nport = 6767\n");
    write(folder, "etc/overture.toml", "state = \"state\"\n");
    write(folder, "wrong/site.toml", &SITE.replace("domain =", "domian =").replace("\"10.20.0.1\"", "\"10.20.0.1\", \"time\""));
    write(folder, "wrong/network.toml", "[network.provision]\ninterface = \"br0\"\nsubnet = \"10.20.0.0\"\nunknown = \"discovery\"\n");
    write(folder, "rules/site.toml", &SITE.replace("hall-1", "Hall 1"));
    write(
        folder,
        "rules/network.toml",
        &format!(
            "{}static = \"10.20.0.150-10.20.0.250\"\ngateway = \"10.21.0.1\"\n",
            NETWORK.replace("0/24", "7/24").replace("199", "255")
        ),
    );
    write(
        folder,
        "rules/nodes.toml",
        "[[node]]\nname = \"w1\"\nserial = \"Default string\"\n\n[[node]]\nname = \"w2\"\n\n[[node]]\nname = \"w3\"\nmac = \"52:54:00:00:00:03\"\naddress = \"10.20.0.101\"\n",
    );
    write(folder, "settings.toml", "stat = \"state\"\n[dhcp]\nport = 70000\n[boot]\nfiles = \"\"\nipxe = 3\n[operator]\nsocket = \"x\"\n");
    write(folder, "broken.toml", "[site]\nname = hall-1\n");
    write(folder, "hostile.toml", "[site]\nname = \"\\u001b[2J\\u202e\"\n\"\\u001b[31mred\" = 1 # \u{202e} backwards\n");
    fs::create_dir(folder.join("empty")).unwrap();
    let mut journal = Journal::new();
    for arguments in ["check site", "check site/", "check site/site.toml", "check overture.toml"] {
        assert!(journal.run(overture(folder), arguments).status.success(), "{arguments}");
    }
    for arguments in [
        "check wrong",
        "check rules",
        "check settings.toml",
        "check broken.toml",
        "check hostile.toml",
        "check etc",
        "check empty",
        "check none",
    ] {
        let output = journal.run(overture(folder), arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{arguments}: {told:?}");
    }
    journal.expect("cli/check.txt", str::to_owned);
}

#[test]
fn a_site_is_applied_shown_and_kept() {
    let service = Service::start();
    let folder = service.folder();
    let mut journal = Journal::new();
    let mut run = |remark: &str, arguments: &str, code: i32| {
        if !remark.is_empty() {
            journal.remark(remark);
        }
        let mut command = overture(folder);
        command.env("OVERTURE_SOCKET", service.socket());
        let output = journal.run(command, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
    };
    write(folder, "site/site.toml", SITE);
    run("no site yet", "site show", 1);
    run("", "site revisions", 0);
    run("", "apply site --dry-run", 0);
    run("", "apply site", 0);
    run("the same again", "apply site", 0);
    run("", "apply site --dry-run", 0);
    write(folder, "site/site.toml", &SITE.replace("left row", "right row"));
    run("another comment", "apply site", 0);
    write(folder, "site/site.toml", &SITE.replace("w1", "w2").replace("[\"10.20.0.1\"]", "[]"));
    run("another node, no time server", "apply site --dry-run", 0);
    run("", "apply site", 0);
    write(folder, "site/network.toml", NETWORK);
    run("a network whose interface this machine does not have", "apply site --dry-run", 1);
    run("", "apply site", 1);
    write(folder, "site/network.toml", &NETWORK.replace("subnet", "subnt"));
    run("a mistake", "apply site", 1);
    run("", "apply overture.toml", 1);
    run("what is in force after all that", "site show", 0);
    run("", "site revisions", 0);
    run("", "site revisions --output json", 0);
    journal.expect("cli/apply.txt", |text| {
        // Which interfaces there are differs from machine to machine.
        let text = without_ids(&without_times(text));
        let lines = text.lines().map(|line| match line.split_once("`; it has ") {
            Some((before, rest)) => format!("{before}`; it has INTERFACES{}", &rest[rest.find(". ").unwrap_or(rest.len())..]),
            None => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    });
}

#[test]
fn mistakes_that_only_the_service_finds_are_told_with_their_place_too() {
    // An older command beside a newer service, say: here, the API is asked directly and both must say the same.
    let service = Service::start();
    write(service.folder(), "site/site.toml", &SITE.replace("domain =", "domian ="));
    let told = String::from_utf8(service.overture(&["check", "site"]).stderr).unwrap();
    let answer = service.apply(&SITE.replace("domain =", "domian ="));
    let error = answer.json()["errors"][0].clone();
    assert!(told.contains(error["detail"].as_str().unwrap()), "{told}");
    assert!(told.contains(&format!("site/site.toml:{}:{}", error["line"], error["column"])), "{told} {error}");
}

#[test]
fn hostile_files_are_shown_harmlessly() {
    let service = Service::start();
    let files = serde_json::json!({"\u{1b}[2J.toml": "[site]\nname = \"one\" # \u{202e}\tx\n", "a.toml": "#\tkept\n"});
    assert_eq!(service.write("PUT", "/api/v1/site", &serde_json::json!({ "files": files })).status, 201);
    for format in ["table", "json"] {
        let shown = String::from_utf8(service.overture(&["site", "show", "--output", format]).stdout).unwrap();
        assert!(!shown.contains(|c: char| !"\n\t".contains(c) && c.is_control() || c == '\u{202e}'), "{shown:?}");
    }
    let json: Value = serde_json::from_slice(&service.overture(&["site", "show", "--output", "json"]).stdout).unwrap();
    assert_eq!(json["files"], files, "escaped, it still means the same");
}
