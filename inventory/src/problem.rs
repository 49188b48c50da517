//! Refusals as programs read them: RFC 9457, `application/problem+json`.
//!
//! Knows HTTP, and nothing of what was refused.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// Why a request was not done, and what to do about it (RFC 9457, section 3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Tells one kind of problem from another, for programs: `urn:overture:problem:unknown_node`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words, the same each time.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what to do next, for people.
    pub detail: String,
    /// Each mistake by itself, where there can be several or a place is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One mistake in what was sent; its place as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What is wrong.
    pub detail: String,
    /// The file, where several were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key, dotted, or the name of a header or parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Problem {
    /// What every `type` begins with.
    pub const PREFIX: &str = "urn:overture:problem:";

    /// A problem of a kind (a word in lower snake case).
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{}{kind}", Self::PREFIX),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: vec![],
            headers: vec![],
        }
    }

    /// The same with one more mistake.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.errors.push(fault);
        self
    }

    /// The same with a header on its answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with the word that trying again after that many seconds may help (RFC 9110, 10.2.3).
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    /// The kind without its prefix.
    pub fn word(&self) -> &str {
        self.kind.strip_prefix(Self::PREFIX).unwrap_or(&self.kind)
    }

    /// Nothing is served under a path.
    pub fn no_such_path(path: &str) -> Self {
        let path = domain::timeline::printable(path, 200);
        Self::new(StatusCode::NOT_FOUND, "no_such_path", "No such path", format!("nothing is served at `{path}`"))
    }

    /// A path is served, but not by this method. Whoever answers adds `Allow`.
    pub fn no_such_method(method: &str, path: &str) -> Self {
        let (method, path) = (domain::timeline::printable(method, 20), domain::timeline::printable(path, 200));
        let detail = format!("`{path}` does not answer {method}: see the header `allow`");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", "No such method", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("texts and numbers are JSON");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

/// An error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_the_rfc_and_reads_back() {
        let problem = Problem::new(StatusCode::CONFLICT, "name_taken", "The name is taken", "`w1` belongs to another node")
            .with_fault(Fault { detail: "taken".into(), key: Some("name".into()), ..Fault::default() });
        let json = serde_json::to_value(&problem).expect("json");
        let expected = serde_json::json!({
            "type": "urn:overture:problem:name_taken",
            "title": "The name is taken",
            "status": 409,
            "detail": "`w1` belongs to another node",
            "errors": [{ "detail": "taken", "key": "name" }],
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Problem>(json).expect("problem"), problem);
        assert_eq!(problem.word(), "name_taken");
    }

    #[test]
    fn its_answer_says_what_it_is_and_when_to_come_back() {
        let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", "t", "d").retry_after(5).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }
}
