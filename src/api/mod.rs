//! The operators' API. So far on the local socket only, whose file permissions decide who may use it.
//!
//! Conventions (docs/adr/0008): RFC 9457 problems, lists paged by cursor, ETags on nodes, idempotency keys on
//! writes. Handlers translate; deciding is the domain's, keeping is the store's.

mod explain;
mod idempotency;
mod metrics;
mod nodes;
mod site;
pub mod views;

use crate::sites::{Serve, Sites};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use domain::clock::Clock;
use domain::ports::{Store, StoreError};
use inventory::Inventory;
use inventory::problem::Problem;
use pxe::leases::LeaseBook;
use std::sync::Arc;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the handlers use.
#[derive(Clone)]
pub struct Api {
    /// The nodes.
    pub inventory: Arc<Inventory>,
    /// The site.
    pub sites: Arc<Sites>,
    /// What a new site makes ready.
    pub serve: Arc<dyn Serve>,
    /// The leases.
    pub leases: Arc<LeaseBook>,
    /// Boots and answers.
    pub store: Arc<dyn Store>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Everything that counts, for `/metrics`.
    pub counters: Arc<dyn Fn() -> Vec<crate::counters::Counter> + Send + Sync>,
    /// Writes under way by idempotency key.
    pub(crate) writes: idempotency::Writes,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Overture",
    description = "Operators' API of the bare-metal provisioning appliance. Errors are RFC 9457 problems (application/problem+json); writes take an Idempotency-Key."
))]
struct Document;

/// The routes and their description.
pub fn router(api: Api) -> Router {
    let (router, document) = described().split_for_parts();
    let text: Arc<str> = document.to_pretty_json().unwrap_or_default().into();
    router
        .layer(axum::middleware::from_fn_with_state(api.clone(), idempotency::middleware))
        .route("/openapi.json", axum::routing::get(move || async move { ([("content-type", "application/json")], text.to_string()) }))
        .route("/healthz", axum::routing::get(|| async { "ok\n" }))
        .route("/readyz", axum::routing::get(ready))
        .route("/metrics", axum::routing::get(metrics::metrics))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "not_found", "There is nothing at this path.") })
        .method_not_allowed_fallback(|| async {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path has no such method.")
        })
        .layer(axum::extract::DefaultBodyLimit::max(2 * usize::try_from(crate::site::MOST_BYTES).unwrap_or(usize::MAX)))
        .with_state(api)
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::show, nodes::change))
        .routes(routes!(nodes::order))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::leases))
        .routes(routes!(site::show, site::apply))
        .routes(routes!(site::revisions))
}

/// The description of the API, as `/openapi.json` serves it.
pub fn openapi() -> String {
    described().split_for_parts().1.to_pretty_json().unwrap_or_default()
}

async fn ready(axum::extract::State(api): axum::extract::State<Api>) -> Response {
    match api.store.current_site().await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => store_problem(&error).into_response(),
    }
}

/// How a failing store is told.
fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Changed => refuse(StatusCode::CONFLICT, "changed", "Somebody else changed it meanwhile; read it again."),
        StoreError::NameTaken { .. } => {
            Problem::new(StatusCode::CONFLICT, "name_taken", "This name belongs to another node", error.to_string())
        }
        _ => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "The store is not answering; nothing was changed",
            crate::chain(error),
        ),
    }
}

/// A problem that needs no more words than its kind.
fn refuse(status: StatusCode, kind: &str, sentence: &str) -> Problem {
    Problem::new(status, kind, sentence.trim_end_matches('.'), sentence)
}

type Answer<T> = Result<Json<T>, Problem>;
