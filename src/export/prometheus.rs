//! Targets for Prometheus, as its HTTP or file service discovery reads them.
//!
//! <https://prometheus.io/docs/prometheus/latest/http_sd/>: a JSON list of groups, empty when there is nothing.

use super::record::Record;
use domain::node::Node;
use domain::place::Layout;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::Ipv4Addr;

/// The port of Prometheus' node exporter.
pub const NODE_EXPORTER: u16 = 9100;

#[derive(Serialize)]
struct Group {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// A group for each node whose address is known. Labels that stay at each metric: `node`, `rack`, `unit`, `profile`,
/// `owner`, `stage`; labels for relabelling, which Prometheus then drops: `__meta_overture_…`. Of two nodes with one
/// address the one that was seen last has it.
///
/// # Errors
/// When `out` could not be written to.
pub fn targets<'n>(layout: &Layout, nodes: impl IntoIterator<Item = &'n Node>, port: u16, mut out: impl Write) -> io::Result<()> {
    let records: Vec<_> = nodes.into_iter().map(|node| (node, Record::of(layout, node))).collect();
    let mut holder: HashMap<Ipv4Addr, usize> = HashMap::new();
    for (i, (node, record)) in records.iter().enumerate() {
        let Some(address) = record.address else { continue };
        let held = holder.entry(address).or_insert(i);
        if records[*held].0.last_seen < node.last_seen {
            *held = i;
        }
    }
    let holds = |i: usize, record: &Record<'_>| record.address.filter(|address| holder.get(address) == Some(&i));
    let groups = records.iter().enumerate().filter_map(|(i, (node, record))| Some(group(node, record, holds(i, record)?, port)));
    serde_json::to_writer_pretty(&mut out, &groups.collect::<Vec<_>>())?;
    out.write_all(b"\n")?;
    out.flush()
}

fn group(node: &Node, record: &Record<'_>, address: Ipv4Addr, port: u16) -> Group {
    let text = |value: Option<&str>| value.map(str::to_owned);
    // With a comma at both ends, so that one tag is found by `,tag,`: the way of Prometheus' own discoveries.
    let tags = (!record.tags.is_empty()).then(|| format!(",{},", record.tags.iter().cloned().collect::<Vec<_>>().join(",")));
    let labels = [
        ("node", Some(record.label(node))),
        ("rack", record.rack.clone()),
        ("unit", record.unit.map(|unit| unit.to_string())),
        ("profile", record.profile.clone()),
        ("owner", text(record.owner)),
        ("stage", Some(record.stage.clone())),
        ("__meta_overture_id", Some(record.id.to_string())),
        ("__meta_overture_serial", text(record.serial)),
        ("__meta_overture_vendor", node.summary.vendor.clone()),
        ("__meta_overture_model", node.summary.product.clone()),
        ("__meta_overture_bmc", node.summary.bmc_address.map(|address| address.to_string())),
        ("__meta_overture_tags", tags),
    ];
    let known = labels.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    Group { targets: [format!("{address}:{port}")], labels: known.collect() }
}
