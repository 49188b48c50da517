//! Nodes for other programs.

use super::extract::Asked;
use super::list::{not_searched, read};
use super::views::ProblemView;
use super::{Api, limit};
use crate::export::{json_lines, netbox, prometheus, table};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::node::Node;
use domain::place::Layout;
use inventory::problem::Problem;
use inventory::search::{Ask, Bounds};
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// For whom nodes are written.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExportFormat {
    /// A table with a header, a line a node.
    Csv,
    /// A node a line.
    Json,
    /// Devices, as NetBox imports them.
    NetboxDevices,
    /// Interfaces, as NetBox imports them.
    NetboxInterfaces,
    /// MAC addresses, as NetBox 4.2 and later import them.
    NetboxMacAddresses,
    /// Targets for Prometheus.
    Prometheus,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// For whom.
    #[param(inline)]
    format: ExportFormat,
    /// Which nodes, such as `disks.size > 1TB`; all if absent.
    filter: Option<String>,
    /// Port of the exporter, for Prometheus; 9100 if absent.
    port: Option<usize>,
}

/// Writes nodes in another program's form.
#[utoipa::path(get, path = "/api/v1/export", operation_id = "export_nodes", tag = "nodes", params(ExportQuery),
    responses(
        (status = 200, description = "the nodes", body = String, content_type = "text/csv"),
        (status = 400, description = "the query is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn export(State(api): State<Api>, Asked(query): Asked<ExportQuery>) -> Result<Response, Problem> {
    let port = port(query.port)?;
    let nodes = chosen(&api, query.filter.as_deref()).await?;
    let (kind, text) = written(&api.layout(), nodes, query.format, port).await?;
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TargetQuery {
    /// Which nodes, such as `stage = discovered`; all if absent.
    filter: Option<String>,
    /// Port of the exporter; 9100 if absent.
    port: Option<usize>,
}

/// Targets for Prometheus' HTTP service discovery.
#[utoipa::path(get, path = "/api/v1/prometheus-targets", operation_id = "prometheus_targets", tag = "nodes", params(TargetQuery),
    responses(
        (status = 200, description = "targets with labels, as http_sd reads them", body = Object),
        (status = 400, description = "the query is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn targets(State(api): State<Api>, Asked(query): Asked<TargetQuery>) -> Result<Response, Problem> {
    let port = port(query.port)?;
    let nodes = chosen(&api, query.filter.as_deref()).await?;
    let (kind, text) = written(&api.layout(), nodes, ExportFormat::Prometheus, port).await?;
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn port(asked: Option<usize>) -> Result<u16, Problem> {
    let port = limit("port", asked.unwrap_or(9100), usize::from(u16::MAX))?;
    Ok(u16::try_from(port).unwrap_or(u16::MAX))
}

/// The nodes that fit, all pages of them.
async fn chosen(api: &Api, filter: Option<&str>) -> Result<Vec<Arc<Node>>, Problem> {
    let Some(filter) = filter else { return Ok(api.inventory.all_nodes()) };
    let mut ask = Ask { query: read("filter", filter)?, limit: super::MOST_LISTED, ..Ask::default() };
    let mut nodes = vec![];
    loop {
        let found = api.inventory.search(ask.clone(), Bounds::default()).await.map_err(|error| not_searched(&error))?;
        nodes.extend(found.items.into_iter().filter_map(|hit| api.inventory.node(hit.id)));
        ask.cursor = found.next;
        if ask.cursor.is_none() {
            return Ok(nodes);
        }
    }
}

/// The text, and what it is; made beside the threads that serve everything else.
async fn written(layout: &Arc<Layout>, nodes: Vec<Arc<Node>>, format: ExportFormat, port: u16) -> Result<(&'static str, Vec<u8>), Problem> {
    let layout = layout.clone();
    let writing = tokio::task::spawn_blocking(move || -> io::Result<(&'static str, Vec<u8>)> {
        let (mut text, nodes) = (vec![], nodes.iter().map(|node| &**node));
        let kind = match format {
            ExportFormat::Csv => table(&layout, nodes, &mut text).map(|()| "text/csv; charset=utf-8"),
            ExportFormat::Json => json_lines(&layout, nodes, &mut text).map(|()| "application/x-ndjson"),
            ExportFormat::NetboxDevices => {
                netbox::devices(&layout, nodes, &netbox::Options::default(), &mut text).map(|()| "text/csv; charset=utf-8")
            }
            ExportFormat::NetboxInterfaces => netbox::interfaces(&layout, nodes, &mut text).map(|()| "text/csv; charset=utf-8"),
            ExportFormat::NetboxMacAddresses => netbox::mac_addresses(&layout, nodes, &mut text).map(|()| "text/csv; charset=utf-8"),
            ExportFormat::Prometheus => prometheus::targets(&layout, nodes, port, &mut text).map(|()| "application/json"),
        }?;
        Ok((kind, text))
    });
    let written = writing.await.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()));
    written.map_err(|error| Problem::internal(format!("the nodes could not be written: {error}")))
}
