//! HTTP answers over any stream, read until the server closes. Written by hand: what is tested must not parse itself.

use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};

/// The longest answer that is read.
const MOST: u64 = 64 << 20;

/// An answer to one request.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The kind of an RFC 9457 problem: the last part of its `type`.
    pub fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.rsplit(['/', ':']).next().unwrap_or_default().to_owned()
    }

    /// Reads an answer that the end of the stream ends.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body)?;
        }
        let promised = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
        (promised.is_none_or(|length| answer.body.len() == length)).then_some(answer)
    }
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 2 + length + 2..)?;
    }
}

/// Sends one request and reads its answer to the end of the stream.
pub fn ask(stream: &mut (impl Read + Write), method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    // Whoever refuses early may close before all was sent: its answer counts.
    let sent = stream.write_all(&[head.as_bytes(), body].concat()).and_then(|()| stream.flush());
    let bytes = read_all(stream)?;
    match Answer::parse(&bytes) {
        Some(answer) => Ok(answer),
        None => Err(sent.err().unwrap_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "the answer is not whole"))),
    }
}

/// Reads to the end; a connection that is reset ends too.
pub fn read_all(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match stream.take(MOST).read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(error),
        // TLS says so when the peer closes without a goodbye; what has come still counts.
        _ => Ok(bytes),
    }
}
