//! `overture nodes`.

mod history;
mod labels;
mod list;
mod orders;
mod show;
mod take;
mod test;
mod verify;

pub use history::{InventoryCommand, inventory};
pub use list::all;

use super::client::{Client, segment};
use super::output::print;
use super::{Failure, Format, Reach};
use crate::api::views::{NodeDetail, NodeView};
use clap::Subcommand;
use domain::timeline::printable;
use reqwest::Method;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum Command {
    /// List nodes: all, or those that fit a filter
    #[command(
        after_help = "Examples:\n  overture nodes list 'disks.size > 1TB and vendor = Dell and stage = ready'\n  overture nodes list --sort -memory,name --columns name,product,memory,disks.size\n  overture nodes list 'seen > 1h' --watch\n\nFields, operators and units: docs/search.md"
    )]
    List(list::List),
    /// Show one node: its parts, its cables, and what could not be found out
    Show {
        /// Name, id, serial number or MAC address
        node: String,
        /// As it was then: a time ago (7d), a day, or a time
        #[arg(long, value_name = "WHEN")]
        at: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// List a node's reports, and mark those after which something was different
    History(history::History),
    /// Tell what changed on a node
    #[command(after_help = "Examples:\n  overture nodes diff w7 --since 7d\n  overture nodes diff w7 --from 12 --to 15")]
    Diff(history::Diff),
    /// Compare nodes with the site; exit code 1 when something differs
    #[command(after_help = "Example:\n  overture nodes verify w7 w8")]
    Verify(verify::Verify),
    /// Give a node a name, or take it away
    #[command(after_help = "Examples:\n  overture nodes name VM-0001 w1\n  overture nodes name w1 --remove")]
    Name {
        /// Name, id, serial number or MAC address
        node: String,
        /// 1 to 63 lower-case letters, digits and hyphens
        #[arg(required_unless_present = "remove", conflicts_with = "remove")]
        name: Option<String>,
        /// Take the name away
        #[arg(long)]
        remove: bool,
    },
    /// Write an owner, tags and a note on a node
    #[command(
        after_help = "Examples:\n  overture nodes label w7 --owner storage-team --tag gpu --note \"PSU 2 replaced\"\n  overture nodes label w7 --untag gpu --note \"\""
    )]
    Label(labels::Label),
    /// Tell a node that waits in the ramdisk what to do
    #[command(
        after_help = "Examples:\n  overture nodes order w1 reboot\n  overture nodes order w1 local-disk    (undone by: overture nodes order w1 wait)"
    )]
    Order {
        /// Name, id, serial number or MAC address
        node: String,
        /// What to do
        #[arg(value_enum)]
        order: orders::Order,
    },
    /// Test the hardware of a node that waits in the ramdisk; its disks are only read
    #[command(
        after_help = "Examples:\n  overture nodes test w7 --memory --disks --for 10m\n  overture nodes test w7 --all --wait\n\nExit codes with --wait: 0 all parts passed, 1 a part failed or the test did not end."
    )]
    Test(test::Test),
    /// Show the past tests of a node's hardware
    Tests {
        /// Name, id, serial number or MAC address
        node: String,
        #[command(flatten)]
        format: Format,
    },
    /// Write nodes for other programs: CSV, JSON, NetBox's import, Prometheus' targets
    #[command(
        after_help = "Examples:\n  overture nodes export --format csv > hall.csv\n  overture nodes export --format netbox-devices 'rack = r1' > devices.csv"
    )]
    Export(take::Export),
    /// Take in the report of an installed system
    #[command(after_help = "Example:\n  ssh w7 overture-agent report | overture nodes import -")]
    Import {
        /// What `overture-agent report` printed; - for standard input
        file: PathBuf,
        #[command(flatten)]
        format: Format,
    },
    /// Forget a node whose machine is gone, with its history
    ///
    /// A machine that still runs, or starts from the network again, reports again and comes back: as a new node, without
    /// its orders, and with the name that the site declares for it or none.
    #[command(after_help = "Example:\n  overture nodes forget w1")]
    Forget {
        /// Name, id, serial number or MAC address
        node: String,
    },
}

pub async fn run(reach: &Reach, command: Command) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    match command {
        Command::List(list) => list::run(&client, list).await?,
        Command::Show { node, at, format } => show::run(&client, &node, at.as_deref(), format).await?,
        Command::History(history) => history::run(&client, history).await?,
        Command::Diff(diff) => history::diff(&client, diff).await?,
        Command::Verify(verify) => return verify::run(&client, verify).await,
        Command::Name { node, name, remove: _ } => {
            let named: NodeDetail = client.write(Method::PATCH, &path(&node)?, json!({ "name": name })).await?;
            match &named.node.name {
                Some(name) => print(&format!("{} is now called {}\n", printable(&node, 80), printable(name, 80))),
                None => print(&format!("{} has no name any more\n", printable(&node, 80))),
            }
        }
        Command::Label(label) => labels::run(&client, label).await?,
        Command::Order { node, order } => orders::run(&client, &node, order).await?,
        Command::Test(test) => return test::run(&client, test).await,
        Command::Tests { node, format } => test::past(&client, &node, format).await?,
        Command::Export(export) => take::export(&client, &export).await?,
        Command::Import { file, format } => take::import(&client, &file, format).await?,
        Command::Forget { node } => orders::forget(&client, &node).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The path of a node in the API.
fn path(node: &str) -> Result<String, super::ClientError> {
    Ok(format!("/api/v1/nodes/{}", segment(node)?))
}

/// What a person calls a node.
fn label(node: &NodeView) -> String {
    printable(node.name.as_ref().or(node.serial.as_ref()).unwrap_or(&node.id), 80)
}
