//! Nodes for other programs, and reports from installed systems.

use super::label;
use crate::api::views::ImportedView;
use crate::cli::client::{Client, segment};
use crate::cli::output::{print, print_json};
use crate::cli::{Failure, Format, Output};
use clap::{Args, ValueEnum};
use std::io::Read;
use std::path::Path;

/// One byte more than the service takes: it tells of what is too long.
const MOST_OF_REPORT: u64 = (4 << 20) + 1;

#[derive(Args)]
pub struct Export {
    /// Which nodes, as in `nodes list` [default: all]
    filter: Option<String>,
    /// For whom
    #[arg(long, short, value_enum)]
    format: ExportFormat,
    /// Port of the exporter, for Prometheus' targets
    #[arg(long, value_name = "PORT", default_value_t = 9100)]
    port: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum ExportFormat {
    /// A table with a header, a line a node
    Csv,
    /// A node a line, with each of its disks and network interfaces
    Json,
    /// Devices, as NetBox imports them
    NetboxDevices,
    /// Interfaces, as NetBox imports them
    NetboxInterfaces,
    /// MAC addresses, as NetBox 4.2 and later import them
    NetboxMacAddresses,
    /// Targets for Prometheus' file_sd and http_sd
    Prometheus,
}

impl ExportFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::NetboxDevices => "netbox_devices",
            Self::NetboxInterfaces => "netbox_interfaces",
            Self::NetboxMacAddresses => "netbox_mac_addresses",
            Self::Prometheus => "prometheus",
        }
    }
}

pub async fn export(client: &Client, export: &Export) -> Result<(), Failure> {
    let mut path = format!("/api/v1/export?format={}&port={}", export.format.name(), export.port);
    if let Some(filter) = &export.filter {
        path += &format!("&filter={}", segment(filter)?);
    }
    print(&client.text(&path).await?);
    Ok(())
}

pub async fn import(client: &Client, file: &Path, format: Format) -> Result<(), Failure> {
    let mut report = vec![];
    let unreadable = |error| format!("could not read {}: {error}", file.display());
    if file == Path::new("-") {
        std::io::stdin().lock().take(MOST_OF_REPORT).read_to_end(&mut report).map_err(unreadable)?;
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST_OF_REPORT).read_to_end(&mut report)).map_err(unreadable)?;
    }
    let imported: ImportedView = client.write_text(reqwest::Method::POST, "/api/v1/reports", report).await?;
    match format.output {
        Output::Json => print_json(&imported),
        Output::Table => {
            let what = match (imported.new, imported.changed) {
                (true, _) => "a new node",
                (false, true) => "its hardware changed: overture nodes diff",
                (false, false) => "nothing changed",
            };
            print(&format!("{}: report {} taken in, {what}\n", label(&imported.node), imported.node.reports));
        }
    }
    Ok(())
}
