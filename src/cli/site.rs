//! `overture check`, `overture apply` and `overture site`.

use super::client::{Client, ClientError};
use super::output::{colours, print, print_json, table};
use super::{Failure, Format, Output, Reach};
use crate::api::views::{Applied, RevisionList, SiteView};
use crate::files::Complaints;
use crate::settings::Settings;
use crate::site;
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;
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
                eprintln!(
                    "{}:{}: {}",
                    error["file"].as_str().unwrap_or("site"),
                    error["line"],
                    error["detail"].as_str().unwrap_or_default()
                );
            }
            return Err(ClientError::Refused(refusal).into());
        }
        other => other?,
    };
    match format.output {
        Output::Json => print_json(&applied),
        Output::Table => {
            for change in &applied.changes {
                print(&format!("{}\n", domain::timeline::printable(change, 300)));
            }
            let number = applied.revision.as_ref().map_or("none".to_owned(), |revision| revision.number.to_string());
            print(&match (dry_run, applied.changed, applied.changes.is_empty()) {
                (true, _, true) => format!("Nothing would change; revision {number} is in force.\n"),
                (true, _, false) => format!("Nothing was changed (--dry-run); revision {number} is in force.\n"),
                (false, true, _) => format!("Revision {number} is in force.\n"),
                (false, false, _) => format!("Nothing to do: revision {number} already says this.\n"),
            });
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
                    print(&format!(
                        "# site {}, revision {}, applied {} by {}\n",
                        revision.name, revision.number, revision.applied, revision.by
                    ));
                    for (path, text) in &site.files {
                        print(&format!("\n# {path}\n{}\n", text.trim_end()));
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
                        .map(|r| vec![r.number.to_string(), r.applied, r.by, r.name, r.networks.to_string(), r.nodes.to_string()]);
                    print(&table(&["REVISION", "APPLIED", "BY", "SITE", "NETWORKS", "NODES"], rows));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(path: &Path) -> Result<Result<domain::site::Site, Complaints>, Failure> {
    let files = site::read_files(path)?;
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
