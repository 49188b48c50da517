//! What a node is told to do, and that it is forgotten.

use super::{label, path};
use crate::api::views::{NodeDetail, NodeView, OrderName};
use crate::cli::Failure;
use crate::cli::client::Client;
use crate::cli::output::{ago, print};
use clap::ValueEnum;
use domain::Timestamp;
use domain::timeline::printable;
use reqwest::Method;
use serde_json::json;

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

pub async fn run(client: &Client, node: &str, order: Order) -> Result<(), Failure> {
    let order = OrderName::from(order);
    let ordered: NodeDetail = client.write(Method::POST, &format!("{}/orders", path(node)?), json!({ "order": order })).await?;
    print(&ordered_to(order, &ordered.node, Timestamp::now()));
    Ok(())
}

pub async fn forget(client: &Client, node: &str) -> Result<(), Failure> {
    let forgotten: NodeView = client.delete(&path(node)?).await?;
    print(&forgot(&forgotten, Timestamp::now()));
    Ok(())
}

fn ordered_to(order: OrderName, node: &NodeView, now: Timestamp) -> String {
    let label = label(node);
    // What can be pasted into a shell: a serial number is the machine's own text.
    let handle = node.name.as_ref().unwrap_or(&node.id);
    let heard = format!("last heard of {} ago", ago(&node.last_seen, now));
    match order {
        OrderName::Wait => {
            format!("{label} stays in the ramdisk; if it is on its local disk now, it boots into the ramdisk the next time it restarts\n")
        }
        OrderName::Reboot => format!("{label} restarts as soon as its agent asks ({heard}); watch it with: overture nodes show {handle}\n"),
        OrderName::PowerOff => format!("{label} switches off as soon as its agent asks ({heard})\n"),
        OrderName::Test => format!("{label} is tested as soon as its agent asks ({heard})\n"),
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
