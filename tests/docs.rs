//! What the guides say is held to the program: keys and defaults, examples, endpoints, problems, and the tests that
//! `docs/security.md` names.
#![allow(missing_docs, clippy::unwrap_used)]

mod service;

use overture::settings::Settings;
use serde_json::{Value, json};
use service::{Service, node, overture};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The rows of the table below a heading, cell by cell.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let below = page.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = below.split("\n## ").next().unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" |").map(|cell| cell.trim().trim_start_matches('|').trim().to_owned()).collect()).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Runs `overture check` on a file with this text.
fn check(folder: &Path, name: &str, text: &str) -> Result<(), String> {
    fs::write(folder.join(name), text).unwrap();
    let output = overture(folder).args(["check", name]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

/// The keys that a table of a file may have, as the message about an unknown one lists them.
fn known(folder: &Path, name: &str, text: &str) -> BTreeSet<String> {
    let told = check(folder, name, text).unwrap_err();
    let list = told.split("known here: ").nth(1).unwrap_or_else(|| panic!("{told}")).lines().next().unwrap().to_owned();
    list.split(", ").map(str::to_owned).collect()
}

/// The part before the first dot, with all that follow it.
fn by_table(keys: &[String]) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in keys {
        let (above, name) = key.rsplit_once('.').unwrap_or(("", key));
        tables.entry(above.to_owned()).or_default().insert(name.to_owned());
        if !above.is_empty() {
            tables.entry(String::new()).or_default().insert(above.split('.').next().unwrap().to_owned());
        }
    }
    tables
}

#[test]
fn the_settings_page_knows_every_key_and_its_default() {
    let (page, folder) = (page("settings.md"), tempfile::tempdir().unwrap());
    let rows = table(&page, "Keys");
    let keys: Vec<String> = rows.iter().map(|row| quoted(&row[0])[0].clone()).collect();
    for (above, names) in by_table(&keys) {
        let opened = if above.is_empty() { String::new() } else { format!("[{above}]\n") };
        // The name of the file says that settings are meant.
        assert_eq!(known(folder.path(), "overture.toml", &format!("{opened}zzzzzzzzzzzz = 1\n")), names, "[{above}]");
    }
    let lines: Vec<String> =
        rows.iter().filter(|row| !row[1].is_empty()).map(|row| format!("{} = {}\n", quoted(&row[0])[0], quoted(&row[1])[0])).collect();
    for line in &lines {
        assert_eq!(check(folder.path(), "overture.toml", line), Ok(()), "{line}");
    }
    assert_eq!(Settings::parse("overture.toml", &lines.concat()).unwrap(), Settings::default());
    let whole = &blocks(&page, "toml")[0];
    assert_eq!(Settings::parse("overture.toml", whole).unwrap(), Settings::default());
    let said: usize = whole.lines().filter(|line| line.contains(" = ")).count();
    assert_eq!(said, lines.len(), "the example has every key that has a default");
    let without: Vec<_> = rows.iter().filter(|row| row[1].is_empty()).map(|row| row[0].as_str()).collect();
    assert_eq!(without, ["`site`", "`store.url`"]);
    assert_eq!(check(folder.path(), "overture.toml", "site = \"site\"\n"), Ok(()));
}

#[test]
fn the_settings_page_knows_every_flag_and_variable() {
    let help = String::from_utf8(overture(root()).args(["serve", "--help"]).output().unwrap().stdout).unwrap();
    let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = table(&page("settings.md"), "Flags and environment");
    let named: BTreeSet<String> = rows.iter().map(|row| quoted(&row[1])[0].clone()).collect();
    let shown: BTreeSet<String> = one_line.split("[env: ").skip(1).map(|rest| rest.split('=').next().unwrap().to_owned()).collect();
    assert_eq!(named, shown);
    for row in &rows {
        let (flag, variable) = (&quoted(&row[0])[0], &quoted(&row[1])[0]);
        let described = one_line.split(flag.as_str()).nth(1).unwrap();
        assert!(described.split(" --").next().unwrap().contains(&format!("[env: {variable}=")), "{flag} is {variable}");
    }
}

#[test]
fn the_state_folder_holds_what_the_settings_page_says() {
    let service = Service::start();
    assert_eq!(service.apply("[site]\nname = \"one\"\n").status, 201);
    let said: BTreeSet<String> = table(&page("settings.md"), "The state folder").iter().flat_map(|row| quoted(&row[0])).collect();
    let there: BTreeSet<_> =
        fs::read_dir(service.path("state")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(said, there);
}

#[test]
fn the_site_page_knows_every_key_and_its_examples_are_sound() {
    let (page, folder) = (page("site.md"), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let examples = blocks(&page, "toml");
    assert_eq!(examples.len(), 2);
    fs::create_dir(folder.join("racks")).unwrap();
    fs::write(folder.join("racks/r1.csv"), &blocks(&page, "csv")[0]).unwrap();
    for example in &examples {
        assert_eq!(check(folder, "site.toml", example), Ok(()), "{example}");
    }
    let rows = table(&page, "Keys");
    let keys: Vec<String> = rows.iter().map(|row| quoted(&row[0])[0].clone()).collect();
    let sound = "[site]\nname = \"x\"\n";
    let network = "[network.n]\ninterface = \"br0\"\nsubnet = \"10.0.0.0/24\"\npool = \"10.0.0.9-10.0.0.19\"\n";
    let unknown = "zzzzzzzzzzzz = 1\n";
    for (above, names) in by_table(&keys) {
        let text = match above.as_str() {
            "" => format!("{unknown}{sound}"),
            "site" => format!("{sound}{unknown}"),
            "network.NAME" => format!("{sound}{network}{unknown}"),
            "node" => format!("{sound}[[node]]\nname = \"w1\"\nserial = \"VM-1\"\n{unknown}"),
            "node.bmc" => format!("{sound}[[node]]\nname = \"w1\"\nserial = \"VM-1\"\n[node.bmc]\nurl = \"redfish://10.0.0.1\"\n{unknown}"),
            "switch" => format!("{sound}[[switch]]\nname = \"sw1\"\n{unknown}"),
            "profile.NAME" | "profile.NAME.expects" | "rack.NAME" => format!("{sound}[{}]\n{unknown}", above.replace("NAME", "x")),
            other => panic!("the page names a table `{other}` that this test does not know"),
        };
        assert_eq!(known(folder, "site.toml", &text), names, "[{above}]");
    }
    // The larger example has every key.
    for key in &keys {
        let name = key.rsplit('.').next().unwrap();
        let there = [format!("\n{name} = "), format!(".{name}]\n")].iter().any(|written| examples[1].contains(written));
        assert!(there, "the example lacks {key}");
    }
    for row in rows.iter().filter(|row| row[1] == "required") {
        let name = quoted(&row[0])[0].rsplit('.').next().unwrap().to_owned();
        let without: String =
            examples[1].lines().filter(|line| !line.starts_with(&format!("{name} = "))).map(|line| format!("{line}\n")).collect();
        assert!(check(folder, "site.toml", &without).unwrap_err().contains(&format!("lacks `{name}`")), "{name} is required");
    }
    // The table has the columns that the reader knows.
    fs::write(folder.join("racks/r1.csv"), "name,zzzzzzzzzzzz\n").unwrap();
    let columns: BTreeSet<String> = table(&page, "Tables of nodes").iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(known(folder, "site.toml", &format!("{sound}[rack.r1]\nnodes = \"racks/r1.csv\"\n")), columns);
    // Whatever else has a default is the same when it says so.
    let said =
        |extra: &str| overture::site::parse(&BTreeMap::from([("site.toml".into(), format!("{sound}{network}{extra}"))]), "").unwrap();
    let defaults: Vec<_> = rows.iter().filter(|row| !row[1].is_empty() && row[1] != "required").collect();
    assert_eq!(defaults.len(), 2);
    for row in defaults {
        let line = format!("{} = {}\n", quoted(&row[0])[0].rsplit('.').next().unwrap(), quoted(&row[1])[0]);
        assert_eq!(said(&line), said(""), "{line}");
    }
}

#[test]
fn the_mistake_on_the_site_page_is_told_as_it_stands_there() {
    let (page, folder) = (page("site.md"), tempfile::tempdir().unwrap());
    let shown = &blocks(&page, "text")[0];
    fs::create_dir(folder.path().join("site")).unwrap();
    let text = "[network.provision]\ninterface = \"br0\"\nsubnet = \"10.20.0.0/24\"\npool = \"10.20.0.100-10.20.0.199\"\nunknown = \"discovery\"\n";
    fs::write(folder.path().join("site/site.toml"), "[site]\nname = \"hall-1\"\n").unwrap();
    fs::write(folder.path().join("site/network.toml"), text).unwrap();
    let output = overture(folder.path()).args(["check", "site"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("{shown}\n1 mistake.\n"));
}

#[test]
fn the_api_page_has_every_endpoint_in_the_descriptions_words() {
    let document: Value = serde_json::from_str(overture::api::openapi()).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((method.to_uppercase(), path.clone(), operation["summary"].as_str().unwrap().to_owned()));
        }
    }
    let rows = table(&page("api.md"), "Endpoints");
    let listed: BTreeSet<_> = rows.iter().map(|row| (quoted(&row[0])[0].clone(), quoted(&row[1])[0].clone(), row[2].clone())).collect();
    assert_eq!(listed, described);
}

#[test]
fn the_api_page_has_every_kind_of_problem() {
    let listed: BTreeSet<String> = table(&page("api.md"), "Refusals").iter().flat_map(|row| quoted(&row[0])).collect();
    let mut in_source = BTreeSet::from(["no_such_path".to_owned(), "no_such_method".to_owned()]);
    let files = fs::read_dir(root().join("src/api")).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).unwrap();
        // `StatusCode::CONFLICT, "name_taken"`, over lines or not.
        for rest in text.split("StatusCode::").skip(1) {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
            if let Some(word) = after.strip_prefix(',').map(str::trim_start).and_then(|rest| rest.strip_prefix('"')) {
                in_source.insert(word.split('"').next().unwrap().to_owned());
            }
        }
        // `read_json` chooses the status first.
        in_source.extend(text.contains("Problem::new(status, \"bad_body\"").then(|| "bad_body".to_owned()));
    }
    assert_eq!(listed, in_source);
}

#[test]
fn the_problem_on_the_api_page_is_what_the_service_answers() {
    let service = Service::start();
    let shown: Value = serde_json::from_str(&blocks(&page("api.md"), "json")[0]).unwrap();
    let answer = service.write("PUT", "/api/v1/site", &json!({"files": {"site.toml": "[site]\nnam = \"x\"\nname = \"hall-1\"\n"}}));
    assert_eq!(answer.json(), shown);
}

#[test]
fn the_page_of_nodes_on_the_api_page_is_what_the_service_answers() {
    let service = Service::with_nodes([node(1)]);
    let mut shown: Value = serde_json::from_str(&blocks(&page("api.md"), "json")[1]).unwrap();
    let mut answer = service.get("/api/v1/nodes?filter=disks.size%20%3E%201GB%20and%20seen%20%3C%201h&columns=serial,disks.size").json();
    let item = shown["items"][0].take();
    let answered = answer["items"][0].take();
    assert_eq!(answer, shown);
    for (name, value) in item.as_object().unwrap() {
        assert_eq!(&answered[name], value, "{name}");
    }
}

#[test]
fn every_curl_on_the_api_page_does_what_it_says() {
    let service = Service::with_nodes([node(1)]);
    let socket = service.socket();
    for line in blocks(&page("api.md"), "sh").iter().flat_map(|block| block.lines()) {
        let line = line.replace("/run/overture/api.sock", socket.to_str().unwrap()).replacen(
            "curl ",
            "curl --silent --show-error --fail-with-body ",
            1,
        );
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok(), "{line}: {output:?}");
    }
    let node = service.get("/api/v1/nodes/w1").json();
    assert_eq!((&node["serial"], &node["order"]["order"]), (&json!("VM-0001"), &json!("reboot")));
    assert_eq!(service.get("/api/v1/site").json()["number"], 1);
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let rows = table(&page("security.md"), "Attacks that are tested");
    assert!(rows.len() > 25, "{rows:#?}");
    for row in &rows {
        let mut file: Option<(String, String)> = None;
        let mut named = 0;
        for word in quoted(&row[2]) {
            if word.ends_with(".rs") {
                let text = fs::read_to_string(root().join(&word)).unwrap_or_else(|error| panic!("{word}: {error}"));
                file = Some((word, text));
            } else {
                let (path, text) = file.as_ref().unwrap();
                assert!(text.contains(&format!("fn {word}(")), "{path} has no test {word}");
                named += 1;
            }
        }
        assert!(named > 0, "no test is named for: {}", row[0]);
    }
}

#[test]
fn every_link_of_the_guides_leads_somewhere() {
    let guides = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for path in guides.chain([root().join("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = target.split('#').next().unwrap();
            let found: PathBuf = path.parent().unwrap().join(file);
            assert!(target.starts_with("http") || found.exists(), "{} leads to {target}, which is not there", path.display());
        }
    }
}
