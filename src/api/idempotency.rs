//! The same write sent twice is done once: a request with an `Idempotency-Key` gets the answer that the key got first.
//! And a write that has begun is finished, also when whoever asked for it has gone.

use super::extract::collect;
use super::{Api, refuse, store_problem};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::ports::Answered;
use inventory::problem::Problem;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest key, characters.
const LONGEST_KEY: usize = 128;

/// Keys of writes that are under way.
#[derive(Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<HashSet<String>>>);

struct UnderWay {
    writes: Writes,
    key: String,
}

impl Writes {
    fn begin(&self, key: &str) -> Option<UnderWay> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        new.then(|| UnderWay { writes: self.clone(), key: key.to_owned() })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.writes.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

pub(super) async fn middleware(State(api): State<Api>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    match request.headers().get("idempotency-key").cloned() {
        Some(key) => keyed(api, &key, request, next).await.unwrap_or_else(Problem::into_response),
        None => to_the_end(next.run(request)).await,
    }
}

async fn keyed(api: Api, key: &HeaderValue, request: Request, next: Next) -> Result<Response, Problem> {
    let key = key.to_str().ok().filter(|key| (1..=LONGEST_KEY).contains(&key.len())).map(str::to_owned);
    let Some(key) = key else {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            "bad_idempotency_key",
            "`Idempotency-Key` must be 1 to 128 printable ASCII characters.",
        ));
    };
    let (parts, body) = request.into_parts();
    let body = collect(body).await?;
    Ok(to_the_end(async move { once(api, key, parts, body, next).await.unwrap_or_else(Problem::into_response) }).await)
}

async fn once(api: Api, key: String, parts: Parts, body: Bytes, next: Next) -> Result<Response, Problem> {
    let digest = fingerprint(&parts.method, &parts.uri.to_string(), &body);
    let Some(_under_way) = api.writes.begin(&key) else {
        return Err(refuse(
            StatusCode::CONFLICT,
            "in_progress",
            "A write with this `Idempotency-Key` is under way; ask again in a moment.",
        )
        .retry_after(1));
    };
    if let Some(before) = api.store.answered(&key).await.map_err(|error| store_problem(&error))? {
        if before.request != digest {
            return Err(refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This `Idempotency-Key` belongs to another request; take a new one.",
            ));
        }
        return Ok(repeated(before));
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if response.status().is_server_error() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = collect(body).await.unwrap_or_default();
    let answer = Answered {
        key,
        request: digest,
        status: parts.status.as_u16(),
        body: String::from_utf8_lossy(&body).into_owned(),
        at: api.clock.now(),
    };
    if let Err(error) = api.store.keep_answer(&answer).await {
        // The write itself is done and durable; only a repetition would not be recognised.
        tracing::warn!("the answer to a write could not be kept: {}", crate::chain(&error));
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Works in a task of its own: a connection that ends drops what works for it, and a site that is kept but not in force
/// would be worse than either.
async fn to_the_end(work: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(work).await.unwrap_or_else(|_| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "This is a mistake in the service; its log says more. Look at what is in force before you try again.",
        )
        .into_response()
    })
}

fn repeated(before: Answered) -> Response {
    let status = StatusCode::from_u16(before.status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], before.body).into_response();
    let headers = response.headers_mut();
    headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    if !status.is_success() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

fn fingerprint(method: &Method, uri: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), uri.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(body);
    hex::encode(hash.finalize())
}
