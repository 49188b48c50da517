//! The list of nodes: filtered, sorted, in chosen columns, once or again and again.

use crate::api::views::{NodePage, NodeView};
use crate::cli::client::{Client, segment};
use crate::cli::output::{ago, bytes, or_dash, print, print_json, table};
use crate::cli::{ClientError, Failure, Format, Output};
use clap::Args;
use domain::Timestamp;
use std::io::IsTerminal;
use std::time::Duration;

#[derive(Args)]
pub struct List {
    /// Which nodes, such as 'disks.size > 1TB and stage = ready' [default: all]
    filter: Option<String>,
    /// Fields to sort by, separated by commas; - before a field turns it round
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Fields to show, separated by commas
    #[arg(long, value_name = "FIELDS")]
    columns: Option<String>,
    /// The most nodes to show
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Show the list again every two seconds until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    format: Format,
}

pub async fn run(client: &Client, list: List) -> Result<(), Failure> {
    let mut was_shown = false;
    loop {
        let found = match fetch(client, &list).await {
            Ok(found) => found,
            // A service that is started again is waited for.
            Err(error) if list.watch && was_shown => {
                eprintln!("{:.0}: {error}; trying again every 2 s, Ctrl-C ends", Timestamp::now());
                tokio::time::sleep(Duration::from_secs(2)).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        was_shown = true;
        let text = match (list.format.output, &list.columns) {
            (Output::Json, _) => None,
            (Output::Table, _) if found.items.is_empty() && list.filter.is_some() => Some("No node fits.\n".into()),
            (Output::Table, Some(_)) => Some(in_columns(&found)),
            (Output::Table, None) => Some(listing(&found.items, Timestamp::now())),
        };
        match text {
            None => print_json(&found),
            Some(text) if list.watch && std::io::stdout().is_terminal() => {
                // Clear the screen, home.
                print(&format!("\u{1b}[2J\u{1b}[H{text}\nevery 2 s, Ctrl-C ends; {:.0}\n", Timestamp::now()));
            }
            Some(text) => print(&text),
        }
        if !list.watch {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The nodes that fit, page by page.
async fn fetch(client: &Client, list: &List) -> Result<NodePage, ClientError> {
    let mut query = String::new();
    for (name, value) in [("filter", &list.filter), ("sort", &list.sort), ("columns", &list.columns)] {
        if let Some(value) = value.as_ref().filter(|value| !value.trim().is_empty()) {
            query += &format!("&{name}={}", segment(value)?);
        }
    }
    let most = list.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut all: Option<NodePage> = None;
    loop {
        let (have, cursor) = all.as_ref().map_or((0, None), |page| (page.items.len(), page.next_cursor.as_deref()));
        let limit = most.saturating_sub(have).clamp(1, 1000);
        let after = cursor.map(segment).transpose()?.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page: NodePage = client.get(&format!("/api/v1/nodes?limit={limit}{query}{after}")).await?;
        let more = page.next_cursor.is_some();
        let all = match &mut all {
            Some(all) => {
                all.items.extend(page.items);
                all.next_cursor = page.next_cursor;
                all
            }
            none => none.insert(page),
        };
        if !more || all.items.len() >= most {
            return Ok(all.clone());
        }
    }
}

/// Every node.
pub async fn all(client: &Client) -> Result<Vec<NodeView>, ClientError> {
    let everything = List { filter: None, sort: None, columns: None, limit: None, watch: false, format: Format { output: Output::Json } };
    Ok(fetch(client, &everything).await?.items)
}

/// The table of nodes.
pub fn listing(nodes: &[NodeView], now: Timestamp) -> String {
    if nodes.is_empty() {
        return "No node has reported yet. Machines that start from the network appear here; `overture explain MAC` tells what one was sent.\n".into();
    }
    let header = ["NAME", "STAGE", "SERIAL", "MAC", "ADDRESS", "FIRMWARE", "CPUS", "MEMORY", "DISKS", "NICS", "SEEN"];
    table(
        &header,
        nodes.iter().map(|node| {
            vec![
                or_dash(node.name.as_ref()),
                node.stage.clone(),
                or_dash(node.serial.as_ref()),
                or_dash(node.macs.first()),
                or_dash(node.address.as_ref()),
                or_dash(node.firmware.as_ref()),
                or_dash(node.cpu_threads),
                or_dash(node.memory_bytes.map(bytes)),
                match (node.disks, node.disk_bytes) {
                    (Some(0), _) => "none".into(),
                    (Some(count), Some(size)) => format!("{count}, {}", bytes(size)),
                    (count, _) => or_dash(count),
                },
                or_dash(node.nics),
                format!("{} ago", ago(&node.last_seen, now)),
            ]
        }),
    )
}

/// The table of the columns that were asked for.
fn in_columns(page: &NodePage) -> String {
    let titles: Vec<_> = page.columns.iter().map(|column| column.title.as_str()).collect();
    let shown = |text: &String| if text.is_empty() { "-".to_owned() } else { text.clone() };
    table(&titles, page.items.iter().map(|node| node.cells.iter().map(|cell| shown(&cell.text)).collect()))
}
