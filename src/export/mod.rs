//! The inventory in other programs' forms: a table, JSON, NetBox's import, Prometheus' targets.
//!
//! Values in, text out; which nodes, and where the text goes, is the caller's.

pub mod netbox;
pub mod prometheus;
mod record;
mod sheet;
#[cfg(test)]
mod tests;

pub use record::Record;
use sheet::{Sheet, join, shown};

use domain::node::Node;
use domain::place::Layout;
use std::io::{self, Write};

/// The columns of [`table`]. New ones are added at the end.
const COLUMNS: [&str; 34] = [
    "name",
    "id",
    "stage",
    "serial",
    "uuid",
    "vendor",
    "model",
    "rack",
    "unit",
    "place_from",
    "profile",
    "owner",
    "tags",
    "note",
    "address",
    "bmc_address",
    "firmware",
    "firmware_version",
    "bmc_firmware",
    "cpu_model",
    "sockets",
    "cores",
    "cpus",
    "memory_bytes",
    "memory_installed_bytes",
    "dimms",
    "disks",
    "disk_bytes",
    "nics",
    "macs",
    "asset_tag",
    "first_seen",
    "last_seen",
    "reports",
];

/// Nodes as a CSV table with a header, a line each. What is not known is an empty cell.
///
/// # Errors
/// When `out` could not be written to.
pub fn table<'n>(layout: &Layout, nodes: impl IntoIterator<Item = &'n Node>, out: impl Write) -> io::Result<()> {
    let mut sheet = Sheet::new(out, &COLUMNS)?;
    for node in nodes {
        let record = Record::of(layout, node);
        let summary = &node.summary;
        sheet.row([
            shown(&record.name),
            record.id.to_string(),
            record.stage.clone(),
            shown(&record.serial),
            shown(&record.uuid),
            shown(&summary.vendor),
            shown(&summary.product),
            shown(&record.rack),
            shown(&record.unit),
            shown(&record.place_from),
            shown(&record.profile),
            shown(&record.owner),
            join(&record.tags),
            shown(&record.note),
            shown(&record.address),
            shown(&summary.bmc_address),
            shown(&record.firmware),
            shown(&summary.firmware_version),
            shown(&summary.bmc_firmware),
            shown(&summary.cpu_model),
            shown(&summary.cpu_sockets),
            shown(&summary.cpu_cores),
            shown(&summary.cpu_threads),
            shown(&summary.memory_bytes),
            shown(&summary.memory_installed_bytes),
            shown(&summary.dimms),
            shown(&summary.disks),
            shown(&summary.disk_bytes),
            shown(&summary.nics),
            join(&node.identity.macs),
            shown(&summary.asset_tag),
            node.first_seen.to_string(),
            node.last_seen.to_string(),
            node.reports.to_string(),
        ])?;
    }
    sheet.finish()
}

/// Nodes as JSON, an object a line: what [`table`] has, and each disk and network interface.
///
/// # Errors
/// When `out` could not be written to.
pub fn json_lines<'n>(layout: &Layout, nodes: impl IntoIterator<Item = &'n Node>, mut out: impl Write) -> io::Result<()> {
    for node in nodes {
        serde_json::to_writer(&mut out, &Record::of(layout, node))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
