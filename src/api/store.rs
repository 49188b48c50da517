//! The store as a whole: where it is, its backup, moving it, and the end of watching after a restore.

use super::extract::{Segment, Sent};
use super::views::ProblemView;
use super::{Answer, Api, refuse, store_problem};
use crate::transfers::{NotBegun, Operation};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use inventory::problem::Problem;
use serde::{Deserialize, Serialize};
use std::io;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

/// The header of every answer while the service only watches: why.
pub const ONLY_WATCHING: &str = "overture-only-watching";

/// The store.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StoreView {
    /// A file, or a database without its password.
    pub place: String,
    /// Why the service only watches; absent when it acts.
    pub only_watching: Option<WatchingView>,
}

/// Why the service only watches.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WatchingView {
    /// Since when.
    pub since: String,
    /// Why: `restored from a backup of 2026-11-20T08:00:00Z`.
    pub reason: String,
}

/// Where to move the store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPlace {
    /// `postgres://USER:PASSWORD@HOST/DATABASE`: an empty database. It is neither kept nor logged with its password.
    #[schema(format = Password)]
    url: String,
}

/// What an operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// It goes on, also when nobody watches.
    Running,
    /// It is done.
    Done,
    /// Nothing came of it.
    Failed,
}

/// Something that takes long.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Its id.
    pub id: String,
    /// What it is doing.
    pub state: OperationState,
    /// How many rows are done.
    pub done: u64,
    /// How many there are, as far as is known yet.
    pub total: u64,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: Option<String>,
    /// What came of it.
    pub message: Option<String>,
    /// Why nothing did, and what to do.
    pub problem: Option<String>,
}

impl OperationView {
    fn of(operation: &Operation) -> Self {
        let outcome = operation.outcome();
        let state = match &outcome {
            None => OperationState::Running,
            Some(outcome) if outcome.said.is_ok() => OperationState::Done,
            Some(_) => OperationState::Failed,
        };
        let ended = outcome.as_ref().map(|outcome| outcome.at.to_string());
        let (message, problem) = match outcome.map(|outcome| outcome.said) {
            None => (None, None),
            Some(Ok(message)) => (Some(message), None),
            Some(Err(problem)) => (None, Some(problem)),
        };
        let (done, total) = (operation.progress.done(), operation.progress.total());
        Self { id: operation.id.to_string(), state, done, total, started: operation.started.to_string(), ended, message, problem }
    }
}

fn view(api: &Api) -> StoreView {
    let only_watching = api.watching.borrow().as_ref().map(|why| WatchingView { since: why.since.to_string(), reason: why.reason.clone() });
    StoreView { place: api.transfers.place().to_string(), only_watching }
}

/// Has every answer say why the service only watches, while it does: nobody should take what they see for the present.
pub(super) async fn say_if_watching(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let reason = api.watching.borrow().as_ref().map(|why| HeaderValue::from_str(&why.reason));
    if let Some(reason) = reason {
        response.headers_mut().insert(ONLY_WATCHING, reason.unwrap_or(HeaderValue::from_static("restored")));
    }
    response
}

/// Tells where the store is, and whether the service only watches.
#[utoipa::path(get, path = "/api/v1/store", operation_id = "show_store", tag = "service",
    responses((status = 200, description = "the store", body = StoreView)))]
pub(super) async fn show(State(api): State<Api>) -> Answer<StoreView> {
    Ok(Json(view(&api)))
}

/// Makes a backup of the store as it is now, and sends it on the way.
#[utoipa::path(get, path = "/api/v1/store/backup", operation_id = "backup_store", tag = "service",
    responses(
        (status = 200, description = "the backup; one that does not end well has been cut off", content_type = "application/octet-stream"),
        (status = 409, description = "another one is being made, or the store is being moved", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the store does not answer", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn backup(State(api): State<Api>) -> Result<Response, Problem> {
    let (first, rest) = api.transfers.backup().await.map_err(|error| not_begun(&error))?;
    let pieces = tokio_stream::once(Ok::<_, io::Error>(first)).chain(ReceiverStream::new(rest));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")], Body::from_stream(pieces))
        .into_response())
}

/// Begins to move the store to an empty Postgres database, while the service goes on.
#[utoipa::path(post, path = "/api/v1/store/migrate", operation_id = "migrate_store", tag = "service",
    params(("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    request_body = NewPlace,
    responses(
        (status = 202, description = "it has begun: watch the operation", body = OperationView),
        (status = 409, description = "a backup is being made, or the store is being moved", body = ProblemView, content_type = "application/problem+json"),
        (status = 422, description = "not a place", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn migrate(State(api): State<Api>, Sent(place): Sent<NewPlace>) -> Result<Response, Problem> {
    let operation = api.transfers.migrate(&place.url).map_err(|error| not_begun(&error))?;
    Ok((StatusCode::ACCEPTED, Json(OperationView::of(&operation))).into_response())
}

/// Lets a service act again that only watches since its store was restored.
#[utoipa::path(post, path = "/api/v1/store/resume", operation_id = "resume_store", tag = "service",
    params(("Idempotency-Key" = Option<String>, Header, description = "makes a repetition harmless")),
    responses(
        (status = 200, description = "it acts", body = StoreView),
        (status = 503, description = "the store does not answer", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn resume(State(api): State<Api>) -> Answer<StoreView> {
    api.transfers.resume().await.map_err(|error| store_problem(&error))?;
    Ok(Json(view(&api)))
}

/// Tells how far something has come that takes long.
#[utoipa::path(get, path = "/api/v1/operations/{id}", operation_id = "show_operation", tag = "service",
    params(("id" = String, Path, description = "its id")),
    responses(
        (status = 200, description = "the operation", body = OperationView),
        (status = 404, description = "none, or one from before the service was started", body = ProblemView, content_type = "application/problem+json")))]
pub(super) async fn operation(State(api): State<Api>, Segment(id): Segment) -> Answer<OperationView> {
    let found = id.parse().ok().and_then(|id| api.transfers.operation(id));
    let none = "No such operation: it may be of an earlier start of the service, whose log tells what came of it.";
    found.map(|found| Json(OperationView::of(&found))).ok_or_else(|| refuse(StatusCode::NOT_FOUND, "no_such_operation", none))
}

fn not_begun(error: &NotBegun) -> Problem {
    match error {
        NotBegun::Busy => Problem::new(StatusCode::CONFLICT, "store_busy", "The store is being copied", error.to_string()).retry_after(5),
        NotBegun::NotAUrl(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_place", "Not a place", error.to_string()),
        NotBegun::Copy(store::transfer::CopyError::Store(error)) => store_problem(error),
        NotBegun::Copy(error) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "The store does not answer", crate::chain(error))
                .retry_after(5)
        }
    }
}
