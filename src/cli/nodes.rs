//! `overture nodes`.

use super::client::{Client, segment};
use super::output::{ago, bytes, or_dash, print, print_json, table};
use super::{Failure, Format, Output, Reach};
use crate::api::views::{NodeDetail, NodePage, NodeView, OrderName};
use clap::{Subcommand, ValueEnum};
use domain::Timestamp;
use domain::timeline::printable;
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;

#[derive(Subcommand)]
pub enum Command {
    /// List the nodes that have reported
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show one node with its facts, and what could not be found out
    Show {
        /// Name, id, serial number or MAC address
        node: String,
        #[command(flatten)]
        format: Format,
    },
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
    /// Tell a node that waits in the ramdisk what to do
    #[command(
        after_help = "Examples:\n  overture nodes order w1 reboot\n  overture nodes order w1 local-disk    (undone by: overture nodes order w1 wait)"
    )]
    Order {
        /// Name, id, serial number or MAC address
        node: String,
        /// What to do
        #[arg(value_enum)]
        order: Order,
    },
    /// Forget a node whose machine is gone
    ///
    /// A machine that still runs, or starts from the network again, reports again and comes back: as a new node, without
    /// its orders, and with the name that the site declares for it or none.
    #[command(after_help = "Example:\n  overture nodes forget w1")]
    Forget {
        /// Name, id, serial number or MAC address
        node: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Order {
    /// Stay in the ramdisk; takes back an order that was not taken yet, and local-disk
    Wait,
    /// Restart
    Reboot,
    /// Switch off
    PowerOff,
    /// Restart from the local disk, now and at each later boot
    LocalDisk,
}

impl From<Order> for OrderName {
    fn from(order: Order) -> Self {
        match order {
            Order::Wait => Self::Wait,
            Order::Reboot => Self::Reboot,
            Order::PowerOff => Self::PowerOff,
            Order::LocalDisk => Self::LocalDisk,
        }
    }
}

pub async fn run(reach: &Reach, command: Command) -> Result<ExitCode, Failure> {
    let client = Client::new(reach)?;
    match command {
        Command::List { format } => {
            let nodes = all(&client).await?;
            match format.output {
                Output::Json => print_json(&NodePage { items: nodes, next_cursor: None }),
                Output::Table => print(&listing(&nodes, Timestamp::now())),
            }
        }
        Command::Show { node, format } => {
            let node: NodeDetail = client.get(&format!("/api/v1/nodes/{}", segment(&node)?)).await?;
            match format.output {
                Output::Json => print_json(&node),
                Output::Table => print(&detail(&node, Timestamp::now())),
            }
        }
        Command::Name { node, name, remove: _ } => {
            let named: NodeDetail =
                client.write(Method::PATCH, &format!("/api/v1/nodes/{}", segment(&node)?), json!({ "name": name })).await?;
            match &named.node.name {
                Some(name) => print(&format!("{} is now called {}\n", printable(&node, 80), printable(name, 80))),
                None => print(&format!("{} has no name any more\n", printable(&node, 80))),
            }
        }
        Command::Order { node, order } => {
            let order = OrderName::from(order);
            let ordered: NodeDetail =
                client.write(Method::POST, &format!("/api/v1/nodes/{}/orders", segment(&node)?), json!({ "order": order })).await?;
            print(&ordered_to(order, &ordered.node, Timestamp::now()));
        }
        Command::Forget { node } => {
            let forgotten: NodeView = client.delete(&format!("/api/v1/nodes/{}", segment(&node)?)).await?;
            print(&forgot(&forgotten, Timestamp::now()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ordered_to(order: OrderName, node: &NodeView, now: Timestamp) -> String {
    let label = printable(node.name.as_ref().or(node.serial.as_ref()).unwrap_or(&node.id), 80);
    // What can be pasted into a shell: a serial number is the machine's own text.
    let handle = node.name.as_ref().unwrap_or(&node.id);
    let heard = format!("last heard of {} ago", ago(&node.last_seen, now));
    match order {
        OrderName::Wait => {
            format!("{label} stays in the ramdisk; if it is on its local disk now, it boots into the ramdisk the next time it restarts\n")
        }
        OrderName::Reboot => format!("{label} restarts as soon as its agent asks ({heard}); watch it with: overture nodes show {handle}\n"),
        OrderName::PowerOff => format!("{label} switches off as soon as its agent asks ({heard})\n"),
        OrderName::LocalDisk => format!(
            "{label} restarts from its local disk as soon as its agent asks ({heard}), and at each later boot\n\
             undo with: overture nodes order {handle} wait, then restart the machine\n"
        ),
    }
}

fn forgot(node: &NodeView, now: Timestamp) -> String {
    let named = [("name", node.name.as_ref()), ("serial", node.serial.as_ref())];
    let mut parts = vec![format!("node {}", node.id)];
    parts.extend(named.into_iter().filter_map(|(what, text)| Some(format!("{what} {}", printable(text?, 80)))));
    parts.extend((!node.macs.is_empty()).then(|| format!("interfaces {}", node.macs.join(" "))));
    let heard = format!("last heard of {} ago", ago(&node.last_seen, now));
    format!("forgotten: {}, {heard}\nif the machine still runs, it comes back as a new node\n", parts.join(", "))
}

/// Every node, page by page.
pub async fn all(client: &Client) -> Result<Vec<NodeView>, super::ClientError> {
    let mut nodes = vec![];
    let mut path = "/api/v1/nodes?limit=1000".to_owned();
    loop {
        let page: NodePage = client.get(&path).await?;
        nodes.extend(page.items);
        match page.next_cursor {
            Some(cursor) => path = format!("/api/v1/nodes?limit=1000&cursor={cursor}"),
            None => return Ok(nodes),
        }
    }
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
                node.address.clone(),
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

fn threads(number: u32) -> String {
    crate::count(usize::try_from(number).unwrap_or(usize::MAX), "thread")
}

/// What there is of some parts; none when there is none of them.
fn joined(parts: [Option<String>; 2], between: &str) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(between))
}

fn detail(detail: &NodeDetail, now: Timestamp) -> String {
    let node = &detail.node;
    let mut lines = vec![
        ("name", or_dash(node.name.as_ref())),
        ("id", node.id.clone()),
        ("stage", node.stage.clone()),
        ("machine", or_dash(joined([node.vendor.clone(), node.product.clone()], " "))),
        ("serial", or_dash(node.serial.as_ref())),
        ("uuid", or_dash(node.uuid.as_ref())),
        ("address", node.address.clone()),
        ("firmware", or_dash(node.firmware.as_ref())),
        ("processor", or_dash(joined([node.cpu_model.clone(), node.cpu_threads.map(threads)], ", "))),
        ("memory", or_dash(node.memory_bytes.map(bytes))),
    ];
    let text = |value: &serde_json::Value, field: &str| value[field].as_str().unwrap_or("-").to_owned();
    for disk in detail.facts["disks"].as_array().into_iter().flatten() {
        let size = disk["size_bytes"].as_u64().map_or("-".into(), bytes);
        lines.push((
            "disk",
            format!(
                "{}  {size}  {}  serial {}  wwn {}",
                text(disk, "name"),
                text(disk, "transport"),
                text(disk, "serial"),
                text(disk, "wwn")
            ),
        ));
    }
    for nic in detail.facts["nics"].as_array().into_iter().flatten() {
        let link = match (nic["link"].as_bool(), nic["speed_mbit"].as_u64()) {
            (Some(true), Some(speed)) => format!("link {speed} Mbit/s"),
            (Some(true), None) => "link".into(),
            (Some(false), _) => "no link".into(),
            (None, _) => "link unknown".into(),
        };
        lines.push(("nic", format!("{}  {}  {}  {link}", text(nic, "name"), text(nic, "permanent_mac"), text(nic, "driver"))));
    }
    lines.push((
        "seen",
        format!(
            "first {} ago, last {} ago, {}",
            ago(&node.first_seen, now),
            ago(&node.last_seen, now),
            crate::count(usize::try_from(node.reports).unwrap_or(usize::MAX), "report")
        ),
    ));
    if let Some(order) = &node.order {
        let name = serde_json::to_value(order.order).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
        let taken = if order.taken.is_some() { "taken" } else { "waits for the agent" };
        lines.push(("order", format!("{name}, given {} ago, {taken}", ago(&order.given, now))));
    }
    lines.push(("agent key", detail.key.clone()));
    for gap in &detail.gaps {
        lines.push(("gap", format!("{}: {}", gap.path, gap.reason)));
    }
    lines.into_iter().map(|(title, value)| format!("{title:<10} {}\n", printable(&value, 200))).collect()
}
