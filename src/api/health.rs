//! Whether the process runs, and whether it can work.

use super::views::ProblemView;
use super::{Api, store_problem};
use axum::extract::State;
use inventory::problem::Problem;

/// Answers as long as the process runs.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "service", responses((status = 200, description = "it runs", body = String, content_type = "text/plain")))]
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Answers 200 when the store can be read.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "service",
    responses(
        (status = 200, description = "it can work", body = String, content_type = "text/plain"),
        (status = 503, description = "the store does not answer", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn ready(State(api): State<Api>) -> Result<&'static str, Problem> {
    match api.store.current_site().await {
        Ok(_) => Ok("ready\n"),
        Err(error) => Err(store_problem(&error)),
    }
}
