//! `overture explain` and `overture leases`.

use super::client::{Client, segment};
use super::output::{moment, print, print_json, table};
use super::{Failure, Format, Output, Reach};
use crate::api::views::{BootView, Explanation, LeasePage};
use clap::Args;
use domain::timeline::printable;
use std::process::ExitCode;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  overture explain 52:54:00:12:34:56\n  overture explain w1 --boots 5\n  overture explain w1 --output json"
)]
pub struct Explain {
    /// MAC address, or name, id or serial number of a node
    machine: String,
    /// How many boots, newest first, 1 to 20
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    boots: u8,
    #[command(flatten)]
    format: Format,
}

pub async fn run(reach: &Reach, explain: Explain) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    let path = format!("/api/v1/explain/{}?boots={}", segment(&explain.machine)?, explain.boots);
    let explanation: Explanation = client.get(&path).await?;
    match explain.format.output {
        Output::Json => print_json(&explanation),
        Output::Table => print(&told(&explanation)),
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn leases(reach: &Reach, format: Format) -> Result<ExitCode, Failure> {
    let leases = all(&Client::new(reach)?).await?;
    match format.output {
        Output::Json => print_json(&leases),
        Output::Table if leases.items.is_empty() => print("No address is leased.\n"),
        Output::Table => {
            let rows = leases.items.into_iter().map(|lease| {
                vec![lease.network, lease.address, lease.mac, lease.state, moment(&lease.expires), lease.host_name.unwrap_or("-".into())]
            });
            print(&table(&["NETWORK", "ADDRESS", "MAC", "STATE", "EXPIRES", "HOST NAME"], rows));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(client: &Client) -> Result<LeasePage, super::ClientError> {
    let mut page: LeasePage = client.get("/api/v1/leases?limit=1000").await?;
    while let Some(cursor) = page.next_cursor.take() {
        let next: LeasePage = client.get(&format!("/api/v1/leases?limit=1000&cursor={}", segment(&cursor)?)).await?;
        page.items.extend(next.items);
        page.next_cursor = next.next_cursor;
    }
    Ok(page)
}

fn told(explanation: &Explanation) -> String {
    let mut out = String::new();
    match &explanation.node {
        Some(node) => {
            let label = node.name.as_ref().or(node.serial.as_ref()).unwrap_or(&node.id);
            out +=
                &format!("{}: node {}, stage {}, interfaces {}\n", printable(label, 80), node.id, node.stage, explanation.macs.join(", "));
        }
        None => out += &format!("{}: not in the inventory\n", explanation.macs.join(", ")),
    }
    if explanation.boots.is_empty() {
        out += "\nNo boot of it is remembered: since it reported, none of its interfaces was heard.\n";
    }
    for boot in &explanation.boots {
        out += &told_boot(boot);
    }
    out
}

fn told_boot(boot: &BootView) -> String {
    let mut out = format!("\nBoot {} of {} on network {}, {}\n", boot.id, boot.mac, boot.network, moment(&boot.started));
    if let Some(revoked) = &boot.revoked {
        out += &format!("  ALARM: its ticket is void: {}\n", printable(revoked, 200));
    }
    for step in &boot.steps {
        let seconds = step.after_ms as f64 / 1000.0;
        out += &format!("{seconds:>8.3} s  {:<5}  {:<8}  {}\n", step.protocol, step.event, printable(&step.message, 300));
        if let Some(rule) = &step.rule {
            out += &format!("{:>27}because {}\n", "", printable(rule, 300));
        }
    }
    out
}
