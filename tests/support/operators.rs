//! The operators' API over the local socket.

use super::answer::{self, Answer};
use super::{Metrics, PATIENCE};
use serde_json::Value;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// How long an answer may take: longer than the store lets anybody wait.
const LONGEST: std::time::Duration = PATIENCE.saturating_mul(2);

/// An operator at a service's socket.
#[derive(Debug, Clone)]
pub struct Operators {
    socket: PathBuf,
}

impl Operators {
    /// At this socket.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Where the socket is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(LONGEST))?;
        Ok(stream)
    }

    /// Asks.
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_api(method, path, body).unwrap_or_else(|error| panic!("{method} {path} of the operators' API: {error}"))
    }

    /// Asks a service that may be gone.
    pub fn try_api(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        answer::ask(&mut self.connect()?, method, path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// Gets what is there.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.api("GET", path, None);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// The items of all pages of a list.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let mut items = vec![];
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}?limit=1000{cursor}"));
            items.extend_from_slice(page["items"].as_array().expect("a list has items"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Applies a site of one file.
    pub fn apply(&self, site: &str) -> io::Result<Answer> {
        self.try_api("PUT", "/api/v1/site", Some(&serde_json::json!({ "files": { "site.toml": site } })))
    }

    /// What the service has counted.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.api("GET", "/metrics", None).text())
    }
}
