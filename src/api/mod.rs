//! The operators' API. So far on the local socket only, whose file permissions decide who may use it.
//!
//! Conventions (docs/adr/0008): RFC 9457 problems, lists paged by cursor, ETags on nodes, idempotency keys on
//! writes. Handlers translate; deciding is the domain's, keeping is the store's.

// A refusal ends a request: its size costs nothing.
#![allow(clippy::result_large_err)]

mod explain;
mod export;
mod extract;
mod health;
mod history;
mod idempotency;
mod list;
mod metrics;
mod moments;
mod nodes;
mod site;
pub mod store;
mod tests;
mod verify;
pub mod views;

use crate::listen::LocalPeer;
use crate::sites::{Serve, Sites};
use axum::Router;
use axum::extract::Extension;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Json};
use domain::clock::Clock;
use domain::place::Layout;
use domain::ports::{ObserveOnly, Store, StoreError};
use inventory::Inventory;
use inventory::problem::Problem;
use pxe::leases::LeaseBook;
use std::sync::{Arc, LazyLock};
use tokio::sync::watch;
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
    /// The store as a whole.
    pub(crate) transfers: Arc<crate::transfers::Transfers>,
    /// Whether the service only watches.
    pub(crate) watching: watch::Receiver<Option<ObserveOnly>>,
    /// Writes under way by idempotency key.
    pub(crate) writes: idempotency::Writes,
}

impl Api {
    /// The site, arranged for looking up where a node stands.
    fn layout(&self) -> Arc<Layout> {
        self.inventory.layout()
    }

    /// Refuses while the service only watches.
    fn may_act(&self) -> Result<(), Problem> {
        match &*self.watching.borrow() {
            None => Ok(()),
            Some(ObserveOnly { since, reason }) => {
                let detail = format!(
                    "the service only watches since {since:.0}, because its store was {reason}: look at what differs \
                     (`overture nodes list`, `overture leases`), then let it act again with `overture db resume`"
                );
                Err(Problem::new(StatusCode::CONFLICT, "observe_only", "The service only watches", detail))
            }
        }
    }
}

/// Who asks, as far as the socket knows.
fn by(peer: Option<Extension<LocalPeer>>) -> String {
    peer.map_or("unknown".to_owned(), |Extension(peer)| format!("uid {}", peer.uid))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Overture",
        description = "Operators' API of the bare-metal provisioning appliance. Refusals are RFC 9457 problems (application/problem+json). \
                       Writes take an Idempotency-Key: the same request under the same key within a day, and 10,000 writes, gets the first answer, with the \
                       header idempotent-replayed."
    ),
    tags(
        (name = "nodes", description = "machines that have reported"),
        (name = "history", description = "how machines were, and what changed"),
        (name = "boots", description = "what machines asked for and were given"),
        (name = "site", description = "what the operator wants"),
        (name = "service", description = "the service itself")
    )
)]
struct Document;

/// The routes.
pub fn router(api: Api) -> Router {
    let (router, _) = described().split_for_parts();
    router
        .layer(axum::middleware::from_fn_with_state(api.clone(), idempotency::middleware))
        .layer(axum::middleware::from_fn_with_state(api.clone(), store::say_if_watching))
        .fallback(async |uri: Uri| Problem::no_such_path(uri.path()))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| Problem::no_such_method(method.as_str(), uri.path()))
        .layer(axum::extract::DefaultBodyLimit::max(extract::MOST_BYTES))
        .layer(axum::middleware::from_fn(extract::bounded))
        .with_state(api)
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(list::list))
        .routes(routes!(nodes::show, nodes::change, nodes::forget))
        .routes(routes!(nodes::order))
        .routes(routes!(nodes::import))
        .routes(routes!(nodes::report_schema))
        .routes(routes!(tests::order, tests::list))
        .routes(routes!(history::reports))
        .routes(routes!(history::differences))
        .routes(routes!(history::inventory_differences))
        .routes(routes!(history::past))
        .routes(routes!(verify::verify))
        .routes(routes!(export::export))
        .routes(routes!(export::targets))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::leases))
        .routes(routes!(site::show, site::apply))
        .routes(routes!(site::revisions))
        .routes(routes!(store::show))
        .routes(routes!(store::backup))
        .routes(routes!(store::migrate))
        .routes(routes!(store::resume))
        .routes(routes!(store::operation))
        .routes(routes!(description))
        .routes(routes!(health::healthy))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::metrics))
}

/// The description of the API, as `/openapi.json` serves it.
pub fn openapi() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| described().split_for_parts().1.to_pretty_json().unwrap_or_default() + "\n");
    &TEXT
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi())
}

/// How a failing store is told.
fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::Changed => refuse(StatusCode::CONFLICT, "changed", "Somebody else changed it meanwhile; read it again."),
        StoreError::NameTaken { .. } => Problem::new(StatusCode::CONFLICT, "name_taken", "The name is taken", error.to_string()),
        _ => {
            tracing::error!("an operator was refused: {}", crate::chain(error));
            let detail = format!("{}; nothing was changed", crate::chain(error));
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", "The store does not answer", detail).retry_after(5)
        }
    }
}

/// A problem that needs no more words than its kind.
fn refuse(status: StatusCode, kind: &str, sentence: &str) -> Problem {
    Problem::new(status, kind, sentence.trim_end_matches('.'), sentence)
}

/// The most items on one page.
const MOST_LISTED: usize = 1000;
/// What is said of a cursor that is none.
const BAD_CURSOR: &str = "`cursor` must be the `next_cursor` of an earlier page.";

/// A number of the query, if it is from 1 to `most`.
fn limit(name: &str, asked: usize, most: usize) -> Result<usize, Problem> {
    if (1..=most).contains(&asked) {
        return Ok(asked);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "bad_limit", "Out of range", format!("`{name}` must be 1 to {most}, and {asked} was given")))
}

type Answer<T> = Result<Json<T>, Problem>;
