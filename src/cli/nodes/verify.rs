//! The site compared with what was seen.

use crate::api::views::Verification;
use crate::cli::client::{Client, segment};
use crate::cli::output::{print, print_json};
use crate::cli::{Failure, Format, Output};
use crate::count;
use clap::Args;
use domain::timeline::printable;
use std::process::ExitCode;

#[derive(Args)]
pub struct Verify {
    /// Names, ids, serial numbers or MAC addresses [default: all that reported or were declared]
    nodes: Vec<String>,
    #[command(flatten)]
    format: Format,
}

pub async fn run(client: &Client, verify: Verify) -> Result<ExitCode, Failure> {
    let query: Result<Vec<_>, _> = verify.nodes.iter().map(|node| segment(node).map(|node| format!("node={node}"))).collect();
    let found: Verification = client.get(&format!("/api/v1/verification?{}", query?.join("&"))).await?;
    match verify.format.output {
        Output::Json => print_json(&found),
        Output::Table => print(&told(&found)),
    }
    let differs = found.items.iter().any(|item| item.severity == "wrong");
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn told(found: &Verification) -> String {
    let nodes = count(found.nodes, "node");
    if found.items.is_empty() {
        return format!("{nodes} compared with the site: nothing differs.\n");
    }
    let mut out: String = found.items.iter().map(|item| printable(&item.sentence, 400) + "\n").collect();
    let of = |severity: &str| found.items.iter().filter(|item| item.severity == severity).count();
    out += &format!("\n{nodes} compared with the site: {}", count(of("wrong"), "difference"));
    for (severity, words) in [("notice", "worth a look"), ("unchecked", "not to be checked")] {
        if of(severity) > 0 {
            out += &format!(", {} {words}", of(severity));
        }
    }
    out + "\n"
}
