//! What an operator writes on a node.

use super::{label as called, path};
use crate::api::views::NodeDetail;
use crate::cli::Failure;
use crate::cli::client::Client;
use crate::cli::output::print;
use clap::Args;
use domain::timeline::printable;
use reqwest::Method;
use serde_json::{Map, Value, json};

#[derive(Args)]
pub struct Label {
    /// Name, id, serial number or MAC address
    node: String,
    /// Who it belongs to; an empty text takes it away
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// A word to find it by; may be given several times
    #[arg(long, value_name = "WORD")]
    tag: Vec<String>,
    /// Take such a word away; may be given several times
    #[arg(long, value_name = "WORD")]
    untag: Vec<String>,
    /// Anything else; an empty text takes it away
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub async fn run(client: &Client, label: Label) -> Result<(), Failure> {
    let mut change = Map::new();
    for (field, value) in [("owner", label.owner), ("note", label.note)] {
        if let Some(value) = value {
            change.insert(field.into(), if value.is_empty() { Value::Null } else { value.into() });
        }
    }
    for (field, words) in [("add_tags", label.tag), ("remove_tags", label.untag)] {
        if !words.is_empty() {
            change.insert(field.into(), json!(words));
        }
    }
    if change.is_empty() {
        return Err("say what to write: --owner, --tag, --untag or --note".into());
    }
    let node: NodeDetail = client.write(Method::PATCH, &path(&label.node)?, change.into()).await?;
    let node = node.node;
    let mut out = format!("{}:", called(&node));
    let parts = [
        node.owner.as_ref().map(|owner| format!(" owner {}", printable(owner, 80))),
        (!node.tags.is_empty()).then(|| format!(" tags {}", printable(&node.tags.join(" "), 400))),
        node.note.as_ref().map(|note| format!(" note \"{}\"", printable(note, 200))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    out += &if parts.is_empty() { " no owner, no tags, no note".into() } else { parts.join(",") };
    print(&(out + "\n"));
    Ok(())
}
