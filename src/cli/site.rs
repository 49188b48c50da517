//! `overture check`, `overture apply` and `overture site`.

use super::client::{Client, ClientError};
use super::output::{colours, moment, print, print_json, table};
use super::{Failure, Format, Output, Reach};
use crate::api::views::{Applied, RevisionList, SiteView};
use crate::files::Complaints;
use crate::settings::Settings;
use crate::site;
use clap::Subcommand;
use domain::timeline::printable;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum Command {
    /// Show the site in force
    Show {
        #[command(flatten)]
        format: Format,
    },
    /// List the revisions that were applied, newest first
    Revisions {
        #[command(flatten)]
        format: Format,
    },
}

/// Checks settings or a site without a service.
pub fn check(path: &Path) -> Result<ExitCode, Failure> {
    if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|error| format!("could not read {}: {error}", path.display()))?;
        let named = path.file_name().is_some_and(|name| name == "overture.toml");
        if named || Settings::looks_like_settings(&text) {
            return match Settings::parse(&path.to_string_lossy(), &text) {
                Ok(_) => sound(&format!("{}: the settings are sound", path.display())),
                Err(complaints) => wrong(&complaints),
            };
        }
    }
    match parse(path)? {
        Ok(site) => sound(&format!(
            "{}: the site `{}` is sound: {}, {}",
            path.display(),
            site.name,
            crate::count(site.networks.len(), "network"),
            crate::count(site.nodes.len(), "declared node")
        )),
        Err(complaints) => wrong(&complaints),
    }
}

pub async fn apply(reach: &Reach, path: &Path, dry_run: bool, format: Format) -> Result<ExitCode, Failure> {
    // Checked here first: the messages can then name the files as the user knows them.
    if let Err(complaints) = parse(path)? {
        return wrong(&complaints);
    }
    let files = site::read_files(path)?;
    let client = Client::new(reach)?;
    let applied: Applied = match client.write(Method::PUT, &format!("/api/v1/site?dry_run={dry_run}"), json!({ "files": files })).await {
        Err(ClientError::Refused(refusal)) if refusal.problem["errors"].is_array() => {
            for error in refusal.problem["errors"].as_array().into_iter().flatten() {
                eprintln!("{}", told(error));
            }
            return Err(ClientError::Refused(refusal).into());
        }
        other => other?,
    };
    match format.output {
        Output::Json => print_json(&applied),
        Output::Table => {
            for change in &applied.changes {
                print(&format!("{}\n", printable(change, 300)));
            }
            print(&applied_in_words(&applied, dry_run));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn run(reach: &Reach, command: Command) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    match command {
        Command::Show { format } => {
            let site: SiteView = client.get("/api/v1/site").await?;
            match format.output {
                Output::Json => print_json(&site),
                Output::Table => {
                    let revision = &site.revision;
                    let (applied, by) = (moment(&revision.applied), printable(&revision.by, 200));
                    print(&format!("# site {}, revision {}, applied {applied} by {by}\n", revision.name, revision.number));
                    for (path, text) in &site.files {
                        print(&format!("\n# {}\n{}\n", printable(path, 200), harmless(text.trim_end())));
                    }
                }
            }
        }
        Command::Revisions { format } => {
            let list: RevisionList = client.get("/api/v1/site/revisions").await?;
            match format.output {
                Output::Json => print_json(&list),
                Output::Table if list.items.is_empty() => print("No site was applied yet: run `overture apply FOLDER`.\n"),
                Output::Table => {
                    let rows = list
                        .items
                        .into_iter()
                        .map(|r| vec![r.number.to_string(), moment(&r.applied), r.by, r.name, r.networks.to_string(), r.nodes.to_string()]);
                    print(&table(&["REVISION", "APPLIED", "BY", "SITE", "NETWORKS", "NODES"], rows));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn applied_in_words(applied: &Applied, dry_run: bool) -> String {
    let in_force = match &applied.revision {
        Some(revision) => format!("revision {} is in force", revision.number),
        None => "no site is in force yet".to_owned(),
    };
    match (dry_run, applied.changed, applied.changes.is_empty()) {
        (true, _, true) => format!("Nothing would change; {in_force}.\n"),
        (true, _, false) => format!("Nothing was changed (--dry-run); {in_force}.\n"),
        (false, true, true) => format!("Only the text differs; {in_force}.\n"),
        (false, true, false) => format!("Done; {in_force}.\n"),
        (false, false, _) => format!("Nothing to do; {in_force} and says this already.\n"),
    }
}

/// A mistake that only the service found: `nodes.toml:3: …`.
fn told(error: &Value) -> String {
    let text = |field: &str| error[field].as_str().map(|text| printable(text, 1000));
    let place = match (text("file"), error["line"].as_u64()) {
        (Some(file), Some(line)) => format!("{file}:{line}: "),
        (Some(file), None) => format!("{file}: "),
        _ => String::new(),
    };
    place + &text("detail").unwrap_or_default()
}

/// Lines as they came, but for what would draw on the terminal.
fn harmless(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(|part| printable(part, part.len())).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads a site; says so where a folder holds the settings instead.
fn parse(path: &Path) -> Result<Result<domain::site::Site, Complaints>, Failure> {
    let files = site::read_files(path)?;
    let settings = |name: &str| files.get(name).is_some_and(|text| Settings::looks_like_settings(text));
    if path.is_dir() && settings("overture.toml") {
        let file = path.join("overture.toml");
        let told = format!("{} holds settings and is no site: check {} itself, or name the site's folder", path.display(), file.display());
        return Err(told.into());
    }
    if path.is_file() && files.keys().any(|name| settings(name)) {
        return Err(format!("{} holds settings and is no site: name the site's folder", path.display()).into());
    }
    let prefix = if path.is_dir() {
        format!("{}/", path.display().to_string().trim_end_matches('/'))
    } else {
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).map(|parent| format!("{}/", parent.display())).unwrap_or_default()
    };
    Ok(site::parse(&files, &prefix))
}

fn sound(text: &str) -> Result<ExitCode, Failure> {
    print(&format!("{text}\n"));
    Ok(ExitCode::SUCCESS)
}

fn wrong(complaints: &Complaints) -> Result<ExitCode, Failure> {
    eprint!("{}", complaints.render(colours()));
    eprintln!("{}.", crate::count(complaints.len(), "mistake"));
    Ok(ExitCode::FAILURE)
}
