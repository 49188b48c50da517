//! The list of nodes: filtered, sorted, in columns, page by page.

use super::extract::Asked;
use super::views::{CellView, ColumnView, NodePage, NodeView, ProblemView};
use super::{Answer, Api, MOST_LISTED, limit, store_problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use domain::search::{Columns, Mistake};
use inventory::problem::{Fault, Problem};
use inventory::search::{Ask, Bounds, SearchError};
use serde::Deserialize;
use std::str::FromStr;
use utoipa::IntoParams;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Which nodes, such as `disks.size > 1TB and vendor = Dell`; all if absent.
    filter: Option<String>,
    /// Fields to sort by, separated by commas, `-` before a field turns it round; by id, so by first sight, if absent.
    sort: Option<String>,
    /// Fields to show in `cells`, separated by commas.
    columns: Option<String>,
    /// How many nodes at most, 1 to 1000; 100 if absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists nodes. Pages stay in order while nodes come, go and change.
#[utoipa::path(get, path = "/api/v1/nodes", operation_id = "list_nodes", tag = "nodes", params(ListQuery),
    responses(
        (status = 200, description = "a page of nodes", body = NodePage),
        (status = 400, description = "the query is wrong", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn list(State(api): State<Api>, Asked(query): Asked<ListQuery>) -> Answer<NodePage> {
    let most = limit("limit", query.limit.unwrap_or(100), MOST_LISTED)?;
    let columns: Option<Columns> = query.columns.as_deref().map(|text| read("columns", text)).transpose()?;
    let ask = Ask {
        query: read("filter", query.filter.as_deref().unwrap_or_default())?,
        sort: read("sort", query.sort.as_deref().unwrap_or_default())?,
        columns: columns.clone(),
        cursor: query.cursor,
        limit: most,
    };
    let found = api.inventory.search(ask, Bounds::default()).await.map_err(|error| not_searched(&error))?;
    let layout = api.layout();
    // A node that was forgotten since is not on the page any more.
    let items = found.items.into_iter().filter_map(|hit| {
        let node = api.inventory.node(hit.id)?;
        let cells = hit.cells.into_iter().map(|cell| CellView { text: cell.text, value: cell.json }).collect();
        Some(NodeView { cells, ..NodeView::of(&node, &layout) })
    });
    let columns = columns.into_iter().flat_map(|columns| columns.0);
    Ok(Json(NodePage {
        items: items.collect(),
        next_cursor: found.next,
        total: found.total.and_then(|total| u64::try_from(total).ok()),
        columns: columns.map(|column| ColumnView { name: column.name(), title: column.title() }).collect(),
    }))
}

/// Reads a filter, an order or columns; a mistake is pointed out in its text.
pub(super) fn read<T: FromStr<Err = Mistake>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|mistake: Mistake| {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "bad_filter", "Not understood", format!("`{name}`: {mistake}"));
        let (detail, column) = (mistake.message().to_owned(), Some(mistake.column()));
        problem.with_fault(Fault { detail, file: None, line: None, column, key: Some(name.to_owned()) })
    })
}

pub(super) fn not_searched(error: &SearchError) -> Problem {
    match error {
        SearchError::Cursor(error) => Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", "Not a cursor of this list", error.to_string()),
        SearchError::Store(error) => store_problem(error),
        SearchError::Failed(_) => Problem::internal(error.to_string()),
    }
}
