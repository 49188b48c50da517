//! What was before: a node's reports, what changed between them, and all nodes as they were.

use super::extract::{Asked, Segment};
use super::moments::{moment, time};
use super::nodes::find;
use super::views::{ChangeView, DifferencePage, DifferenceView, NodeDetail, PastPage, ProblemView, ReportPage, ReportRef, ReportView};
use super::{Answer, Api, BAD_CURSOR, MOST_LISTED, limit, refuse, store_problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use domain::NodeId;
use domain::history::PastReport;
use domain::node::Node;
use inventory::problem::Problem;
use inventory::{Differences, HistoryError, Mark, Moment};
use serde::Deserialize;
use utoipa::IntoParams;

/// The most nodes with their documents on one page.
const MOST_DOCUMENTS: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// How many reports at most, 1 to 1000; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the reports of a node, newest first.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/history", operation_id = "list_reports", tag = "history",
    params(("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"), HistoryQuery),
    responses(
        (status = 200, description = "a page of reports", body = ReportPage),
        (status = 400, description = "`limit` or `cursor` is wrong", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn reports(State(api): State<Api>, Segment(node): Segment, Asked(query): Asked<HistoryQuery>) -> Answer<ReportPage> {
    let most = limit("limit", query.limit.unwrap_or(100), MOST_LISTED)?;
    let before = query.cursor.as_deref().map(str::parse).transpose();
    let before = before.map_err(|_| refuse(StatusCode::BAD_REQUEST, "bad_cursor", BAD_CURSOR))?;
    let node = find(&api, &node)?;
    let reports: Vec<PastReport> = api.inventory.history(node.id, before, most).await.map_err(|error| told(&error))?;
    // The first report has number 1.
    let next_cursor = reports.last().filter(|last| reports.len() == most && last.number > 1).map(|last| last.number.to_string());
    Ok(Json(ReportPage { items: reports.iter().map(ReportView::from).collect(), next_cursor }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DifferenceQuery {
    /// Compare with what was then: a time ago (`7d`), a day or a time. Without `since` and `from`, with the report before the
    /// newest change.
    since: Option<String>,
    /// The same, or the number of a report.
    from: Option<String>,
    /// What to compare: a moment or the number of a report; the present if absent.
    to: Option<String>,
}

/// Tells what changed on a node between two of its reports.
#[utoipa::path(get, path = "/api/v1/nodes/{node}/differences", operation_id = "node_differences", tag = "history",
    params(("node" = String, Path, description = "name, id or a piece of it, UUID, serial number or MAC address"), DifferenceQuery),
    responses(
        (status = 200, description = "what changed", body = DifferenceView),
        (status = 400, description = "not a moment", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such node, or nothing is kept of that moment", body = ProblemView, content_type = "application/problem+json"),
        (status = 409, description = "several nodes fit", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn differences(
    State(api): State<Api>,
    Segment(node): Segment,
    Asked(query): Asked<DifferenceQuery>,
) -> Answer<DifferenceView> {
    let now = api.clock.now();
    let node = find(&api, &node)?;
    let to = moment("to", query.to.as_deref(), now)?;
    let from = match (&query.since, &query.from) {
        (Some(since), _) => Moment::At(time("since", since, now)?),
        (None, Some(from)) => moment("from", Some(from), now)?,
        (None, None) => before_newest_change(&api, node.id).await?,
    };
    let found = api.inventory.differences(node.id, from, to).await.map_err(|error| told(&error))?;
    Ok(Json(difference(node.id, node.label(), Some(found))))
}

/// The report before the newest one that changed anything; the oldest that is kept where there is none before it.
async fn before_newest_change(api: &Api, node: NodeId) -> Result<Moment, Problem> {
    let (mut oldest, mut changed) = (None, false);
    loop {
        let page = api.inventory.history(node, oldest, MOST_LISTED).await.map_err(|error| told(&error))?;
        for report in &page {
            oldest = Some(report.number);
            if changed {
                return Ok(Moment::After(report.number));
            }
            changed = report.changed;
        }
        if page.len() < MOST_LISTED {
            return Ok(oldest.map_or(Moment::Now, Moment::After));
        }
    }
}

fn difference(id: NodeId, label: String, found: Option<Differences>) -> DifferenceView {
    let mark = |mark: Mark| ReportRef { number: mark.number, at: mark.at.to_string() };
    let (from, to) = (found.as_ref().map(|found| mark(found.from)), found.as_ref().map(|found| mark(found.to)));
    let changes = found.into_iter().flat_map(|found| found.changes);
    let changes = changes.map(|dated| ChangeView {
        sentence: dated.change.in_words(),
        path: dated.change.path,
        before: dated.change.before,
        after: dated.change.after,
        came: dated.came.map(mark),
    });
    DifferenceView { node: id.to_string(), label, from, to, changes: changes.collect() }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SinceQuery {
    /// A time ago (`7d`), a day or a time.
    since: String,
    /// How many nodes are looked at for one page, 1 to 1000; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Tells what changed on all nodes since a moment, and which are new.
///
/// A page may have fewer items than `limit`, also none, and yet a `next_cursor`.
#[utoipa::path(get, path = "/api/v1/differences", operation_id = "inventory_differences", tag = "history", params(SinceQuery),
    responses(
        (status = 200, description = "a page of nodes with what changed on them", body = DifferencePage),
        (status = 400, description = "the query is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn inventory_differences(State(api): State<Api>, Asked(query): Asked<SinceQuery>) -> Answer<DifferencePage> {
    let most = limit("limit", query.limit.unwrap_or(100), MOST_LISTED)?;
    let since = time("since", &query.since, api.clock.now())?;
    let page = api.inventory.inventory_differences(since, cursor(query.cursor.as_deref())?, most).await;
    let page = page.map_err(|error| store_problem(&error))?;
    let items = page.items.into_iter().map(|found| difference(found.id, found.label, found.differences)).collect();
    Ok(Json(DifferencePage { items, next_cursor: page.next.map(|id| id.to_string()) }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PastQuery {
    /// A time ago (`7d`), a day or a time; the present if absent.
    at: Option<String>,
    /// How many nodes at most, 1 to 100; 100 if absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Shows all nodes with their documents as they were at a moment. Nodes that were forgotten since are not among them.
#[utoipa::path(get, path = "/api/v1/inventory", operation_id = "show_inventory", tag = "history", params(PastQuery),
    responses(
        (status = 200, description = "a page of nodes; it may be shorter than `limit` and yet have a `next_cursor`", body = PastPage),
        (status = 400, description = "the query is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn past(State(api): State<Api>, Asked(query): Asked<PastQuery>) -> Answer<PastPage> {
    let most = limit("limit", query.limit.unwrap_or(MOST_DOCUMENTS), MOST_DOCUMENTS)?;
    let now = api.clock.now();
    let at = query.at.as_deref().map(|at| time("at", at, now)).transpose()?.unwrap_or(now);
    let page = api.inventory.nodes_at(at, cursor(query.cursor.as_deref())?, most).await.map_err(|error| store_problem(&error))?;
    let layout = api.layout();
    let items = page.items.into_iter().filter_map(|then| {
        let node = api.inventory.node(then.id)?;
        let node = Node { summary: then.summary, ..Node::clone(&node) };
        Some(NodeDetail::of(&node, &layout, Some(then.past)))
    });
    Ok(Json(PastPage { items: items.collect(), next_cursor: page.next.map(|id| id.to_string()) }))
}

fn cursor(text: Option<&str>) -> Result<Option<NodeId>, Problem> {
    text.map(str::parse).transpose().map_err(|_| refuse(StatusCode::BAD_REQUEST, "bad_cursor", BAD_CURSOR))
}

pub(super) fn told(error: &HistoryError) -> Problem {
    match error {
        HistoryError::Store(error) => store_problem(error),
        HistoryError::NotFound { .. } => Problem::new(StatusCode::NOT_FOUND, "no_such_node", "No such node", error.to_string()),
        HistoryError::NotKept { .. } | HistoryError::NoDocument { .. } => {
            Problem::new(StatusCode::NOT_FOUND, "not_kept", "Nothing is kept of that", error.to_string())
        }
    }
}
