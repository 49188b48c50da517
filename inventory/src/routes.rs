//! The routes of agents. Who is at the other end is told by the listener, in each request's extensions, as
//! [`AgentPeer`]; which boot it speaks for is decided by its ticket and key before anything of the body is read.

use crate::agents::AgentPeer;
use crate::body::{self, BodyError};
use crate::counters::Happened;
use crate::orders::LONGEST_WAIT;
use crate::owner::Inventory;
use crate::problem::{Problem, chain};
use crate::test_data::{self, Streams};
use axum::body::Body;
use axum::extract::{Query, Request, State, rejection::QueryRejection};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use domain::boot::Boot;
use inventory_wire::{MOST_BYTES, Order, Progress, TIME_HEADER};
use serde::Deserialize;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How much of reports is read and parsed at once, KiB; parsed, a report can take ten times its bytes.
const ROOM_KIB: usize = 16 * 1024;
/// How long a report waits for room, first come, first served: longer than slow senders can hold it.
const LONGEST_QUEUE: Duration = Duration::from_secs(30);
/// The largest word of progress, bytes: the results of a test, one for each part of a large machine.
pub(crate) const MOST_PROGRESS: usize = 512 * 1024;

#[derive(Clone)]
struct Agents {
    inventory: Arc<Inventory>,
    room: Arc<Semaphore>,
    streams: Arc<Streams>,
}

/// `POST /report`, `POST /progress`, `GET /orders?wait=SECONDS`, `GET /test-data?bytes=N`. Every answer tells the time. Every request needs the header `overture-ticket` and the
/// extension [`AgentPeer`]. It has fallbacks of its own: nest it or serve it alone, and merge it with no other that has.
pub fn agent_routes(inventory: Arc<Inventory>) -> Router {
    let agents = Agents { inventory, room: Arc::new(Semaphore::new(ROOM_KIB)), streams: Arc::default() };
    Router::new()
        .route("/report", post(report))
        .route("/progress", post(progress))
        .route("/orders", get(orders))
        .route("/test-data", get(test_data))
        .fallback(async |uri: Uri| Problem::no_such_path(uri.path()))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| Problem::no_such_method(method.as_str(), uri.path()))
        .layer(map_response_with_state(agents.clone(), tell_time))
        .with_state(agents)
}

/// By this an agent learns how its machine's clock stands.
async fn tell_time(State(agents): State<Agents>, mut response: Response) -> Response {
    let now = format!("{:.3}", agents.inventory.clock.now());
    if let Ok(now) = HeaderValue::try_from(now) {
        response.headers_mut().insert(TIME_HEADER, now);
    }
    response
}

/// Refuses, and says in the log what the client is not told: why the store failed.
fn refused<E: Error + 'static>(agents: &Agents, error: E) -> Response
where
    Problem: for<'a> From<&'a E>,
{
    let problem = Problem::from(&error);
    if problem.status >= 500 && agents.inventory.quiet.may_speak(agents.inventory.clock.now()) {
        tracing::error!("an agent was refused: {}", chain(&error));
    }
    problem.into_response()
}

impl Agents {
    async fn boot(&self, peer: Option<&AgentPeer>, headers: &HeaderMap) -> Result<Boot, Response> {
        let Some(peer) = peer else {
            return Err(Problem::internal("the listener of agents does not say who is connected").into_response());
        };
        self.inventory.boot_of(peer, headers).await.map_err(|error| refused(self, error))
    }

    /// Room to read a body of that size, held until it is read and kept.
    async fn room(&self, headers: &HeaderMap, most: usize) -> Result<OwnedSemaphorePermit, Response> {
        let bytes = body::promised(headers).map_or(most, |length| usize::try_from(length).unwrap_or(most).min(most));
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        match tokio::time::timeout(LONGEST_QUEUE, self.room.clone().acquire_many_owned(kib)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                self.inventory.counters.count(Happened::Unavailable);
                Err(Problem::busy("more reports are being read than there is room for").into_response())
            }
        }
    }

    async fn body(&self, request: Request, most: usize) -> Result<Vec<u8>, Response> {
        let (parts, body) = request.into_parts();
        body::read(body, &parts.headers, most).await.map_err(|error| {
            self.inventory.counters.count(match error {
                BodyError::TooLarge { .. } => Happened::TooLarge,
                BodyError::TooSlow => Happened::TooSlow,
                BodyError::BrokenOff => Happened::Malformed,
            });
            refused(self, error)
        })
    }
}

async fn report(State(agents): State<Agents>, peer: Option<Extension<AgentPeer>>, request: Request) -> Response {
    let peer = peer.map(|Extension(peer)| peer);
    take_report(agents, peer, request).await.unwrap_or_else(|refused| refused)
}

async fn take_report(agents: Agents, peer: Option<AgentPeer>, request: Request) -> Result<Response, Response> {
    let boot = agents.boot(peer.as_ref(), request.headers()).await?;
    let room = agents.room(request.headers(), MOST_BYTES).await?;
    let bytes = agents.body(request, MOST_BYTES).await?;
    let from = peer.and_then(|peer| Some((peer.ipv4()?, peer.key)));
    let Some((address, key)) = from else {
        return Err(Problem::internal("a ticket was accepted from nowhere").into_response());
    };
    let inventory = agents.inventory.clone();
    // Beside this request, so that an agent that hangs up does not leave its report half remembered.
    let accepting = tokio::spawn(async move {
        let _room = room;
        inventory.accept(&boot, address, key, bytes).await
    });
    match accepting.await {
        Ok(Ok(accepted)) => Ok(Json(accepted).into_response()),
        Ok(Err(error)) => Err(refused(&agents, error)),
        Err(ended) => {
            tracing::error!("taking in a report ended early: {ended}");
            Err(Problem::internal("the report was not taken in; the service's log says why").into_response())
        }
    }
}

async fn progress(State(agents): State<Agents>, peer: Option<Extension<AgentPeer>>, request: Request) -> Response {
    let peer = peer.map(|Extension(peer)| peer);
    note_progress(agents, peer, request).await.unwrap_or_else(|refused| refused)
}

async fn note_progress(agents: Agents, peer: Option<AgentPeer>, request: Request) -> Result<Response, Response> {
    let boot = agents.boot(peer.as_ref(), request.headers()).await?;
    let _room = agents.room(request.headers(), MOST_PROGRESS).await?;
    let bytes = agents.body(request, MOST_PROGRESS).await?;
    let progress: Progress = serde_json::from_slice(&bytes).map_err(|error| {
        agents.inventory.counters.count(Happened::Malformed);
        Problem::malformed(&error).into_response()
    })?;
    agents.inventory.progress(&boot, &progress).await.map_err(|error| refused(&agents, error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait: u64,
}

async fn orders(
    State(agents): State<Agents>,
    peer: Option<Extension<AgentPeer>>,
    headers: HeaderMap,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Response {
    let peer = peer.map(|Extension(peer)| peer);
    tell_orders(agents, peer, headers, wait.ok().map(|Query(wait)| wait.wait)).await.unwrap_or_else(|refused| refused)
}

async fn tell_orders(agents: Agents, peer: Option<AgentPeer>, headers: HeaderMap, wait: Option<u64>) -> Result<Response, Response> {
    let boot = agents.boot(peer.as_ref(), &headers).await?;
    let Some(wait) = wait else {
        agents.inventory.counters.count(Happened::Malformed);
        let most = LONGEST_WAIT.as_secs();
        return Err(Problem::bad_parameter("wait", format!("`wait` is a number of seconds, {most} at most")).into_response());
    };
    let orders = agents.inventory.orders(&boot, Duration::from_secs(wait)).await.map_err(|error| refused(&agents, error))?;
    if orders.order != Order::Wait {
        // While it waited its ticket may have been revoked: nobody knows then whether this is the machine.
        agents.boot(peer.as_ref(), &headers).await?;
    }
    Ok(Json(orders).into_response())
}

#[derive(Deserialize)]
struct Amount {
    bytes: u64,
}

async fn test_data(
    State(agents): State<Agents>,
    peer: Option<Extension<AgentPeer>>,
    headers: HeaderMap,
    amount: Result<Query<Amount>, QueryRejection>,
) -> Response {
    let peer = peer.map(|Extension(peer)| peer);
    send_test_data(agents, peer, headers, amount.ok().map(|Query(amount)| amount.bytes)).await.unwrap_or_else(|refused| refused)
}

async fn send_test_data(agents: Agents, peer: Option<AgentPeer>, headers: HeaderMap, bytes: Option<u64>) -> Result<Response, Response> {
    let boot = agents.boot(peer.as_ref(), &headers).await?;
    let Some(bytes) = bytes.filter(|bytes| *bytes <= test_data::MOST_BYTES) else {
        agents.inventory.counters.count(Happened::Malformed);
        let rule = format!("`bytes` is a number of bytes, {} at most", test_data::MOST_BYTES);
        return Err(Problem::bad_parameter("bytes", rule).into_response());
    };
    let Some(stream) = agents.streams.begin(boot.id, bytes) else {
        agents.inventory.counters.count(Happened::Unavailable);
        return Err(Problem::busy("as many network tests are under way as there may be").into_response());
    };
    let headers = [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_LENGTH, bytes.to_string())];
    Ok((headers, Body::from_stream(stream)).into_response())
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
