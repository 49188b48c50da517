//! Nodes: list, show, name, order.

use super::views::{NodeDetail, NodePage, NodeView, OrderName};
use super::{Answer, Api, refuse, store_problem};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use domain::node::Node;
use domain::{NodeId, OrderId};
use inventory::problem::Problem;
use inventory::{FindError, RenameError};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The most nodes on one page.
const MOST: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct ListQuery {
    /// How many nodes at most, 1 to 1000; 100 if absent.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists nodes, in the order in which they were first seen.
#[utoipa::path(get, path = "/api/v1/nodes", params(ListQuery), responses((status = 200, body = NodePage), (status = 400, description = "limit or cursor is wrong")))]
pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Answer<NodePage> {
    let Query(query) =
        query.map_err(|rejected| Problem::new(StatusCode::BAD_REQUEST, "bad_query", "The query cannot be read", rejected.body_text()))?;
    let limit = query.limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_limit", "`limit` must be 1 to 1000", format!("{limit} was given")));
    }
    let after = match query.cursor.as_deref().map(str::parse::<NodeId>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => {
            return Err(refuse(StatusCode::BAD_REQUEST, "bad_cursor", "`cursor` must be the `next_cursor` of an earlier page."));
        }
    };
    let page = api.inventory.list(after, limit).await.map_err(|error| store_problem(&error))?;
    Ok(Json(NodePage { items: page.items.iter().map(NodeView::from).collect(), next_cursor: page.next.map(|id| id.to_string()) }))
}

/// Shows one node with all its facts.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", params(("node" = String, Path, description = "name, id, serial number or MAC address")),
    responses((status = 200, body = NodeDetail), (status = 404, description = "no such node"), (status = 409, description = "several nodes fit")))]
pub(super) async fn show(State(api): State<Api>, Path(node): Path<String>) -> Result<Response, Problem> {
    let node = find(&api, &node).await?;
    Ok(tagged(&node))
}

/// A change of a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeChange {
    /// A DNS label, or null to take the name away.
    #[serde(deserialize_with = "present")]
    name: Option<String>,
}

/// `null` is a value here; absence is a mistake.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Names a node. Takes `If-Match` with the node's ETag.
#[utoipa::path(patch, path = "/api/v1/nodes/{node}", params(("node" = String, Path, description = "name, id, serial number or MAC address")), request_body = NodeChange,
    responses((status = 200, body = NodeDetail), (status = 404), (status = 409, description = "the name is another's, or several nodes fit"), (status = 412, description = "changed meanwhile"), (status = 422, description = "not a DNS label")))]
pub(super) async fn change(
    State(api): State<Api>,
    Path(node): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, Problem> {
    let change: NodeChange = read_json(&body)?;
    let expected = if_match(&headers)?;
    let node = find(&api, &node).await?;
    let renamed = api.inventory.rename(node.id, change.name.as_deref(), expected).await.map_err(|error| match &error {
        RenameError::Store(error) => store_problem(error),
        RenameError::NotALabel { .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", "This cannot be a node's name", error.to_string())
        }
        RenameError::Changed { .. } => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "The node was changed meanwhile", error.to_string())
        }
        RenameError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "There is no such node", error.to_string()),
        RenameError::NameTaken { .. } => {
            Problem::new(StatusCode::CONFLICT, "name_taken", "This name belongs to another node", error.to_string())
        }
    })?;
    Ok(tagged(&renamed))
}

/// An order to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrder {
    /// What the node is to do.
    order: OrderName,
}

/// Gives the agent of a node an order. Watch `order.taken` of the node to see when the agent has taken it.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/orders", params(("node" = String, Path, description = "name, id, serial number or MAC address")), request_body = NewOrder,
    responses((status = 202, body = NodeDetail), (status = 404), (status = 409, description = "several nodes fit")))]
pub(super) async fn order(State(api): State<Api>, Path(node): Path<String>, body: axum::body::Bytes) -> Result<Response, Problem> {
    let wanted: NewOrder = read_json(&body)?;
    let node = find(&api, &node).await?;
    let ordered = api.inventory.give_order(node.id, wanted.order.into(), OrderId(Uuid::now_v7())).await.map_err(|error| match &error {
        inventory::OrderError::Store(error) => store_problem(error),
        inventory::OrderError::NotFound { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "no_such_node", "There is no such node", error.to_string())
        }
    })?;
    Ok((StatusCode::ACCEPTED, tagged(&ordered)).into_response())
}

pub(super) async fn find(api: &Api, text: &str) -> Result<Node, Problem> {
    api.inventory.find(text).await.map_err(|error| match &error {
        FindError::Store(error) => store_problem(error),
        FindError::Ambiguous { .. } => Problem::new(StatusCode::CONFLICT, "ambiguous_node", "Several nodes fit", error.to_string()),
        FindError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "There is no such node", error.to_string()),
    })
}

fn tagged(node: &Node) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", node.version)).unwrap_or(HeaderValue::from_static("\"0\""));
    ([(header::ETAG, tag)], Json(NodeDetail::from(node))).into_response()
}

fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
    match version {
        Some(version) => Ok(Some(version)),
        None if value == "*" => Ok(None),
        None => Err(refuse(StatusCode::PRECONDITION_FAILED, "bad_if_match", "`If-Match` must be the node's ETag.")),
    }
}

/// JSON whatever the content type says, with an error that says where it is wrong.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, "bad_body", "The body is not what is wanted here", error.to_string())
    })
}
