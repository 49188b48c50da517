//! What was before: a node's reports, and what changed between them, on one node or on all.

use super::path;
use crate::api::views::{DifferencePage, DifferenceView, PastPage, ReportPage};
use crate::cli::client::{Client, segment};
use crate::cli::output::{moment, or_dash, print, print_json, table};
use crate::cli::{Failure, Format, Output, Reach};
use crate::count;
use clap::{Args, Subcommand};
use domain::timeline::printable;
use std::process::ExitCode;

#[derive(Args)]
pub struct History {
    /// Name, id, serial number or MAC address
    node: String,
    /// How many reports, newest first
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    format: Format,
}

#[derive(Args)]
pub struct Diff {
    /// Name, id, serial number or MAC address
    node: String,
    /// Compare with what it was then: a time ago (7d), a day, or a time [default: the report before the newest change]
    #[arg(long, value_name = "WHEN", conflicts_with = "from")]
    since: Option<String>,
    /// Compare from this report, by number, or from a moment
    #[arg(long, value_name = "REPORT|WHEN")]
    from: Option<String>,
    /// Compare to this report or moment [default: now]
    #[arg(long, value_name = "REPORT|WHEN")]
    to: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Everything about all nodes at once.
#[derive(Subcommand)]
pub enum InventoryCommand {
    /// Tell what changed on all nodes, and which are new
    #[command(after_help = "Example:\n  overture inventory diff --since 7d")]
    Diff {
        /// A time ago (7d), a day, or a time
        #[arg(long, value_name = "WHEN")]
        since: String,
        #[command(flatten)]
        format: Format,
    },
    /// Show all nodes with their documents, as they are or as they were
    #[command(after_help = "Example:\n  overture inventory show --at 30d --output json > then.json")]
    Show {
        /// A time ago (7d), a day, or a time [default: now]
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

pub async fn run(client: &Client, history: History) -> Result<(), Failure> {
    let page: ReportPage = client.get(&format!("{}/history?limit={}", path(&history.node)?, history.limit)).await?;
    match history.format.output {
        Output::Json => print_json(&page),
        Output::Table => {
            let rows = page.items.iter().map(|report| {
                let came = match (&report.boot, report.amends) {
                    (None, _) => "imported",
                    (Some(_), true) => "amendment",
                    (Some(_), false) => "report",
                };
                let changed = if report.changed { "changed" } else { "" };
                let boot = report.boot.as_ref();
                vec![
                    report.number.to_string(),
                    moment(&report.at),
                    came.into(),
                    changed.into(),
                    or_dash(report.address.as_ref()),
                    or_dash(boot),
                ]
            });
            print(&table(&["NUMBER", "AT", "CAME AS", "", "FROM", "BOOT"], rows));
            if page.next_cursor.is_some() {
                print("There are older ones: --limit shows more.\n");
            }
        }
    }
    Ok(())
}

pub async fn diff(client: &Client, diff: Diff) -> Result<(), Failure> {
    let mut query = vec![];
    for (name, value) in [("since", &diff.since), ("from", &diff.from), ("to", &diff.to)] {
        if let Some(value) = value {
            query.push(format!("{name}={}", segment(value)?));
        }
    }
    let found: DifferenceView = client.get(&format!("{}/differences?{}", path(&diff.node)?, query.join("&"))).await?;
    match diff.format.output {
        Output::Json => print_json(&found),
        Output::Table => print(&told(&found)),
    }
    Ok(())
}

/// A node and its changes, a line each.
fn told(difference: &DifferenceView) -> String {
    let label = printable(&difference.label, 80);
    let at = |report: &Option<crate::api::views::ReportRef>| {
        report.as_ref().map_or("nothing".to_owned(), |report| format!("report {} of {}", report.number, moment(&report.at)))
    };
    let same = matches!((&difference.from, &difference.to), (Some(from), Some(to)) if from.number == to.number);
    let mut out = match (&difference.from, difference.changes.len()) {
        (None, _) => format!("{label}: new since then\n"),
        (Some(_), 0) if same => format!("{label}: nothing changed since {}\n", at(&difference.from)),
        (Some(_), 0) => format!("{label}: nothing changed from {} to {}\n", at(&difference.from), at(&difference.to)),
        (Some(_), many) => format!("{label}: {} from {} to {}\n", count(many, "change"), at(&difference.from), at(&difference.to)),
    };
    for change in &difference.changes {
        out += &format!("  {}\n", printable(&change.sentence, 300));
    }
    out
}

/// `overture inventory`.
pub async fn inventory(reach: &Reach, command: InventoryCommand) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    match command {
        InventoryCommand::Diff { since, format } => {
            let mut items = vec![];
            let mut cursor = None;
            loop {
                let page: DifferencePage =
                    client.get(&paged("/api/v1/differences", &[("since", Some(&since)), ("cursor", cursor.as_ref())])?).await?;
                items.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            match format.output {
                Output::Json => print_json(&DifferencePage { items, next_cursor: None }),
                Output::Table if items.is_empty() => print("Nothing changed.\n"),
                Output::Table => print(&items.iter().map(told).collect::<String>()),
            }
        }
        InventoryCommand::Show { at, format } => {
            let mut items = vec![];
            let mut cursor = None;
            loop {
                let page: PastPage = client.get(&paged("/api/v1/inventory", &[("at", at.as_ref()), ("cursor", cursor.as_ref())])?).await?;
                items.extend(page.items);
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            match format.output {
                Output::Json => print_json(&PastPage { items, next_cursor: None }),
                Output::Table => {
                    let rows = items.iter().map(|node| {
                        let report = node.report.map_or("-".into(), |number| number.to_string());
                        vec![super::label(&node.node), report, or_dash(node.reported.as_deref().map(moment)), super::show::in_short(node)]
                    });
                    print(&table(&["NODE", "REPORT", "AT", "HARDWARE"], rows));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn paged(path: &str, query: &[(&str, Option<&String>)]) -> Result<String, Failure> {
    let mut parts = vec![];
    for (name, value) in query {
        if let Some(value) = value {
            parts.push(format!("{name}={}", segment(value)?));
        }
    }
    Ok(format!("{path}?{}", parts.join("&")))
}
