//! Whether the process runs, and whether it can work.

use super::views::ProblemView;
use super::{Api, store_problem};
use axum::extract::State;
use axum::http::StatusCode;
use inventory::problem::Problem;

/// Answers as long as the process runs.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "service", responses((status = 200, description = "it runs", body = String, content_type = "text/plain")))]
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Answers 200 when the store can be read and every network of the site is served.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "service",
    responses(
        (status = 200, description = "it can work", body = String, content_type = "text/plain"),
        (status = 503, description = "the store does not answer, or an interface is missing", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    let revision = api.store.current_site().await.map_err(|error| store_problem(&error))?;
    let unserved = revision.map(|revision| api.serve.unserved(&revision.site)).unwrap_or_default();
    if unserved.is_empty() {
        let watching = api.watching.borrow().is_some();
        return Ok(if watching { "ready, but only watching: `overture db resume` ends that\n" } else { "ready\n" });
    }
    let detail = format!("not served: {}; the log says why, and it is tried again every few seconds", unserved.join(", "));
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "network_not_served", "A network is not served", detail))
}
