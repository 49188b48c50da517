//! Nodes: show, name, label, order, import, forget.

use super::extract::{Asked, Segment, Sent, Whole, too_large};
use super::moments::moment;
use super::views::{ImportedView, NodeDetail, NodeView, OrderName, ProblemView};
use super::{Answer, Api, by, refuse, store_problem};
use crate::listen::LocalPeer;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use domain::OrderId;
use domain::node::Node;
use inventory::problem::{Fault, Problem};
use inventory::{FindError, ForgetError, HistoryError, ImportError, LabelChange, LabelError, Moment, RenameError};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowQuery {
    /// Its document as it was then: a time ago (`7d`), a day, a time, or the number of a report.
    at: Option<String>,
}

/// Shows one node with all its facts.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", operation_id = "show_node", tag = "nodes",
    params(("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"), ShowQuery),
    responses(
        (status = 200, description = "the node", body = NodeDetail, headers(("ETag" = String, description = "its version"))),
        (status = 400, description = "`at` is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn show(State(api): State<Api>, Segment(node): Segment, Asked(query): Asked<ShowQuery>) -> Result<Response, Problem> {
    let at = moment("at", query.at.as_deref(), api.clock.now())?;
    let node = find(&api, &node)?;
    tagged(&api, &node, at).await
}

/// A change of a node: its name, or what is written on it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeChange {
    /// A DNS label, or null to take the name away.
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    /// Who it belongs to, or null to take that away.
    #[serde(default, deserialize_with = "present")]
    owner: Option<Option<String>>,
    /// A note, or null to take it away.
    #[serde(default, deserialize_with = "present")]
    note: Option<Option<String>>,
    /// Tags that it is to have.
    #[serde(default)]
    add_tags: BTreeSet<String>,
    /// Tags that it is not to have.
    #[serde(default)]
    remove_tags: BTreeSet<String>,
}

impl NodeChange {
    fn labels(&self) -> Option<LabelChange> {
        let text = |field: &Option<Option<String>>| field.clone().map(Option::unwrap_or_default);
        let change = LabelChange {
            owner: text(&self.owner),
            note: text(&self.note),
            add_tags: self.add_tags.clone(),
            remove_tags: self.remove_tags.clone(),
        };
        (change != LabelChange::default()).then_some(change)
    }
}

/// `null` is a value here, which is not the same as absence.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Names a node, or writes an owner, tags and a note on it. A name and the others are two requests.
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
    api.may_act()?;
    let node = find(&api, &node)?;
    let changed = match (&change.name, change.labels()) {
        (Some(name), None) => api.inventory.rename(node.id, name.as_deref(), expected).await.map_err(|error| not_renamed(&error))?,
        (None, Some(labels)) => api.inventory.label(node.id, &labels, expected).await.map_err(|error| not_labelled(&error))?,
        (None, None) => return Err(unclear("nothing is to be changed: send `name`, `owner`, `note`, `add_tags` or `remove_tags`")),
        (Some(_), Some(_)) => return Err(unclear("`name` is changed by a request of its own: send the others in another")),
    };
    tagged(&api, &changed, Moment::Now).await
}

fn unclear(detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_change", "Not a change", detail)
}

fn not_renamed(error: &RenameError) -> Problem {
    match error {
        RenameError::Store(error) => store_problem(error),
        RenameError::NotALabel { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", "Not a name", error.to_string()),
        RenameError::Changed { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", error.to_string()),
        RenameError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
        RenameError::NameTaken { .. } => Problem::new(StatusCode::CONFLICT, "name_taken", "The name is taken", error.to_string()),
    }
}

fn not_labelled(error: &LabelError) -> Problem {
    let said = error.to_string();
    match error {
        LabelError::Store(error) => store_problem(error),
        LabelError::Changed { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", said),
        LabelError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", said),
        wrong => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_label", "Not a label", said.clone());
            let key = wrong.field().map(str::to_owned);
            problem.with_fault(Fault { detail: said, file: None, line: None, column: None, key })
        }
    }
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
    api.may_act()?;
    let node = find(&api, &node)?;
    let forgotten = api.inventory.forget(node.id, expected).await.map_err(|error| match &error {
        ForgetError::Store(error) => store_problem(error),
        ForgetError::Changed { .. } => Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", error.to_string()),
        ForgetError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
    })?;
    Ok(Json(NodeView::of(&forgotten, &api.layout())))
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
    api.may_act()?;
    let node = find(&api, &node)?;
    if let Some(expected) = expected.filter(|expected| *expected != node.version) {
        let changed = RenameError::Changed { expected, found: node.version };
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "Changed meanwhile", changed.to_string()));
    }
    if wanted.order == OrderName::Test {
        return Err(unclear("what is to be tested is missing: order tests at /api/v1/nodes/{node}/tests"));
    }
    let ordered = api.inventory.give_order(node.id, wanted.order.into(), OrderId(Uuid::now_v7())).await;
    let ordered = ordered.map_err(|error| super::tests::refused(&error))?;
    Ok((StatusCode::ACCEPTED, tagged(&api, &ordered, Moment::Now).await?).into_response())
}

/// Takes in the report of an installed system, as `overture-agent report` prints it.
#[utoipa::path(post, path = "/api/v1/reports", operation_id = "import_report", tag = "nodes",
    params(("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    request_body(content = Object, description = "a report; its schema is at /api/v1/report-schema"),
    responses(
        (status = 200, description = "it is kept", body = ImportedView),
        (status = 409, description = "its machine cannot be told from others, or there is no room", body = ProblemView, content_type = "application/problem+json"),
        (status = 413, description = "too large", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "no report, or of no machine", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn import(State(api): State<Api>, peer: Option<Extension<LocalPeer>>, body: Whole) -> Answer<ImportedView> {
    api.may_act()?;
    if body.0.len() > inventory::MOST_REPORT_BYTES {
        return Err(too_large());
    }
    let imported = api.inventory.import(body.0.into(), &by(peer)).await.map_err(|error| match &error {
        ImportError::Store(error) => store_problem(error),
        ImportError::Read(_) | ImportError::Amends => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_report", "Not a report", error.to_string())
        }
        ImportError::Nameless => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "nameless", "Of no machine", error.to_string()),
        ImportError::Ambiguous { .. } => Problem::new(StatusCode::CONFLICT, "ambiguous_node", "Several nodes fit", error.to_string()),
        ImportError::Full { .. } => Problem::new(StatusCode::CONFLICT, "full", "The inventory is full", error.to_string()),
    })?;
    Ok(Json(ImportedView { node: NodeView::of(&imported.node, &api.layout()), new: imported.new, changed: imported.changed }))
}

/// The JSON Schema of a report.
#[utoipa::path(get, path = "/api/v1/report-schema", operation_id = "report_schema", tag = "nodes",
    responses((status = 200, description = "JSON Schema 2020-12", body = Object)))]
pub(super) async fn report_schema() -> Json<serde_json::Value> {
    Json(inventory::report_schema())
}

pub(super) fn find(api: &Api, text: &str) -> Result<Arc<Node>, Problem> {
    api.inventory.find(text).map_err(|error| match &error {
        FindError::Ambiguous { .. } => Problem::new(StatusCode::CONFLICT, "ambiguous_node", "Several nodes fit", error.to_string()),
        FindError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
    })
}

/// A node with its document of a moment, and its version as a tag.
async fn tagged(api: &Api, node: &Node, at: Moment) -> Result<Response, Problem> {
    let past = match api.inventory.document(node.id, at).await {
        Ok(past) => Some(past),
        // The node's record is there and worth showing.
        Err(HistoryError::NoDocument { .. } | HistoryError::NotFound { .. }) => None,
        Err(error) => return Err(super::history::told(&error)),
    };
    let tag = HeaderValue::from_str(&format!("\"{}\"", node.version)).unwrap_or(HeaderValue::from_static("\"0\""));
    // What was reported is shown as it was then, what an operator wrote as it is.
    let then = past.as_ref().filter(|_| at != Moment::Now).map(|past| Node { summary: past.summary(), ..node.clone() });
    let node = then.as_ref().unwrap_or(node);
    Ok(([(header::ETAG, tag)], Json(NodeDetail::of(node, &api.layout(), past))).into_response())
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
