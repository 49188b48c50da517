//! Nodes: list, show, name, order, forget.

use super::extract::{Asked, Segment, Sent};
use super::views::{NodeDetail, NodePage, NodeView, OrderName, ProblemView};
use super::{Answer, Api, BAD_CURSOR, MOST_LISTED, limit, refuse, store_problem};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use domain::node::Node;
use domain::{NodeId, OrderId};
use inventory::problem::Problem;
use inventory::{FindError, ForgetError, OrderError, RenameError};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many nodes at most, 1 to 1000; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists nodes, in the order in which they were first seen.
#[utoipa::path(get, path = "/api/v1/nodes", operation_id = "list_nodes", tag = "nodes", params(ListQuery),
    responses(
        (status = 200, description = "a page of nodes", body = NodePage),
        (status = 400, description = "`limit` or `cursor` is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): State<Api>, Asked(query): Asked<ListQuery>) -> Answer<NodePage> {
    let most = limit("limit", query.limit.unwrap_or(100), MOST_LISTED)?;
    let after = query.cursor.as_deref().map(str::parse::<NodeId>).transpose();
    let after = after.map_err(|_| refuse(StatusCode::BAD_REQUEST, "bad_cursor", BAD_CURSOR))?;
    let page = api.inventory.list(after, most).await.map_err(|error| store_problem(&error))?;
    Ok(Json(NodePage { items: page.items.iter().map(NodeView::from).collect(), next_cursor: page.next.map(|id| id.to_string()) }))
}

/// Shows one node with all its facts.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", operation_id = "show_node", tag = "nodes",
    params(("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address")),
    responses(
        (status = 200, description = "the node", body = NodeDetail, headers(("ETag" = String, description = "its version"))),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Segment(node): Segment) -> Result<Response, Problem> {
    let node = find(&api, &node).await?;
    Ok(tagged(&node))
}

/// A change of a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeChange {
    /// A DNS label, or null to take the name away.
    #[serde(deserialize_with = "present")]
    #[schema(required = true)]
    name: Option<String>,
}

/// `null` is a value here; absence is a mistake.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Names a node, or takes its name away.
#[utoipa::path(patch, path = "/api/v1/nodes/{node}", operation_id = "change_node", tag = "nodes",
    params(
        ("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"),
        ("If-Match" = Option<String>, Header, description = "the node's ETag: change it only if it is still so"),
        ("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    request_body = NodeChange,
    responses(
        (status = 200, description = "the node as it is now", body = NodeDetail, headers(("ETag" = String, description = "its version"))),
        (status = 400, description = "not JSON", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "the name is another's, or several nodes fit", body = ProblemView, content_type = "application/problem+json"),
        (status = 412, description = "changed meanwhile", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "not a DNS label, or not what is wanted here", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(api): State<Api>,
    Segment(node): Segment,
    headers: HeaderMap,
    Sent(change): Sent<NodeChange>,
) -> Result<Response, Problem> {
    let expected = if_match(&headers)?;
    let node = find(&api, &node).await?;
    let renamed = api.inventory.rename(node.id, change.name.as_deref(), expected).await.map_err(|error| match &error {
        RenameError::Store(error) => store_problem(error),
        RenameError::NotALabel { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", "Not a name", error.to_string()),
        RenameError::Changed { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", error.to_string()),
        RenameError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
        RenameError::NameTaken { .. } => Problem::new(StatusCode::CONFLICT, "name_taken", "The name is taken", error.to_string()),
    })?;
    Ok(tagged(&renamed))
}

/// Forgets a node; a machine that still runs reports again and is a new one.
#[utoipa::path(delete, path = "/api/v1/nodes/{node}", operation_id = "forget_node", tag = "nodes",
    params(
        ("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"),
        ("If-Match" = Option<String>, Header, description = "the node's ETag: forget it only if it is still so"),
        ("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    responses(
        (status = 200, description = "the node as it was", body = NodeView),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json"),
        (status = 412, description = "changed meanwhile", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn forget(State(api): State<Api>, Segment(node): Segment, headers: HeaderMap) -> Answer<NodeView> {
    let expected = if_match(&headers)?;
    let node = find(&api, &node).await?;
    let forgotten = api.inventory.forget(node.id, expected).await.map_err(|error| match &error {
        ForgetError::Store(error) => store_problem(error),
        ForgetError::Changed { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", error.to_string()),
        ForgetError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
    })?;
    Ok(Json(NodeView::from(&forgotten)))
}

/// An order to give.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrder {
    /// What the node is to do.
    order: OrderName,
}

/// Gives the agent of a node an order.
///
/// Watch `order.taken` of the node to see when the agent has taken it.
#[utoipa::path(post, path = "/api/v1/nodes/{node}/orders", operation_id = "order_node", tag = "nodes",
    params(
        ("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"),
        ("If-Match" = Option<String>, Header, description = "the node's ETag: order it only if it is still so"),
        ("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    request_body = NewOrder,
    responses(
        (status = 202, description = "the order waits for the agent", body = NodeDetail, headers(("ETag" = String, description = "the node's version"))),
        (status = 400, description = "not JSON", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json"),
        (status = 412, description = "changed meanwhile", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "no such order", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn order(
    State(api): State<Api>,
    Segment(node): Segment,
    headers: HeaderMap,
    Sent(wanted): Sent<NewOrder>,
) -> Result<Response, Problem> {
    let expected = if_match(&headers)?;
    let node = find(&api, &node).await?;
    if let Some(expected) = expected.filter(|expected| *expected != node.version) {
        let changed = RenameError::Changed { expected, found: node.version };
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", changed.to_string()));
    }
    let ordered = api.inventory.give_order(node.id, wanted.order.into(), OrderId(Uuid::now_v7())).await;
    let ordered = ordered.map_err(|error| match &error {
        OrderError::Store(error) => store_problem(error),
        OrderError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
    })?;
    Ok((StatusCode::ACCEPTED, tagged(&ordered)).into_response())
}

pub(super) async fn find(api: &Api, text: &str) -> Result<Node, Problem> {
    api.inventory.find(text).await.map_err(|error| match &error {
        FindError::Store(error) => store_problem(error),
        FindError::Ambiguous { .. } => Problem::new(StatusCode::CONFLICT, "ambiguous_node", "Several nodes fit", error.to_string()),
        FindError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
    })
}

fn tagged(node: &Node) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", node.version)).unwrap_or(HeaderValue::from_static("\"0\""));
    ([(header::ETAG, tag)], Json(NodeDetail::from(node))).into_response()
}

/// The version that the caller wants changed; any will do without the header, or with `*`.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
    match version {
        Some(version) => Ok(Some(version)),
        None if value == "*" => Ok(None),
        None => Err(refuse(StatusCode::PRECONDITION_FAILED, "bad_if_match", "`If-Match` must be the ETag of the node, one, or `*`.")),
    }
}
