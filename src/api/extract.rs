//! What a request brings along, or the problem with it: axum's own refusals are plain text.

use super::refuse;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use inventory::problem::Problem;
use serde::de::DeserializeOwned;

/// The largest body of a write: a site of the largest size, with room for JSON's escapes.
pub(super) const MOST_BYTES: usize = 2 * crate::site::MOST_BYTES as usize;

/// The one variable segment of a path.
pub(super) struct Segment(pub String);

/// The query.
pub(super) struct Asked<T>(pub T);

/// The body: JSON, whatever the content type says.
pub(super) struct Sent<T>(pub T);

/// The body as it came.
pub(super) struct Whole(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejected| bad_body(&rejected))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        segment.map(|Path(text)| Self(text)).map_err(|_| refuse(StatusCode::BAD_REQUEST, "bad_path", "The path is not UTF-8."))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejected| bad_query(&rejected))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await.map_err(|rejected| bad_body(&rejected))?;
        read_json(&body).map(Self)
    }
}

fn bad_query(rejected: &QueryRejection) -> Problem {
    let text = rejected.body_text();
    let why = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, why)| why);
    let why = domain::timeline::printable(why, 200);
    Problem::new(StatusCode::BAD_REQUEST, "bad_query", "Wrong query", format!("the query cannot be read: {why}"))
}

fn bad_body(rejected: &BytesRejection) -> Problem {
    if rejected.status() == StatusCode::PAYLOAD_TOO_LARGE { too_large() } else { broken_off() }
}

/// JSON, with an error that says where it is wrong.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        let why = domain::timeline::printable(&error.to_string(), 200);
        Problem::new(status, "bad_body", "Wrong body", format!("the body is not what is wanted here: {why}"))
    })
}

/// The whole of a body.
pub(super) async fn collect(body: Body) -> Result<Bytes, Problem> {
    match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(broken_off()),
    }
}

/// Refuses a body that announces too much before any of it is read.
pub(super) async fn bounded(request: Request, next: Next) -> Response {
    let announced = |headers: &HeaderMap| headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok();
    match announced(request.headers()) {
        Some(length) if length > MOST_BYTES as u64 => too_large().into_response(),
        _ => next.run(request).await,
    }
}

pub(super) fn too_large() -> Problem {
    let detail = format!("a body has at most {MOST_BYTES} bytes, and the files of a site at most {} together", crate::site::MOST_BYTES);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", detail)
}

fn broken_off() -> Problem {
    refuse(StatusCode::BAD_REQUEST, "bad_body", "The body broke off.")
}
