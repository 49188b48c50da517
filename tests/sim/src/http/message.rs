//! The head of an answer.

/// The longest head that is read, bytes.
pub(super) const LONGEST_HEAD: usize = 64 * 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers in the order in which they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// The connection was closed in the middle.
    #[error("the connection was closed before the answer was whole")]
    CutShort,
    /// Head or body exceed the limit.
    #[error("the answer is longer than the simulator reads")]
    TooLong,
    /// The first line.
    #[error("the first line is not HTTP/1.1, a status of three digits, and a reason")]
    StatusLine,
    /// A header.
    #[error("a header is not a name, a colon and a value of printable text")]
    Header,
    /// Lengths that contradict each other, or are none.
    #[error("Content-Length and Transfer-Encoding do not say one length (RFC 9112, 6.3)")]
    Length,
    /// A chunk.
    #[error("a chunk does not have the length it says")]
    Chunk,
}

pub(super) enum Length {
    Known(u64),
    Chunked,
    UntilClosed,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads a head up to and with its empty line.
    pub(super) fn parse_head(head: &[u8]) -> Result<Self, BadResponse> {
        let text = std::str::from_utf8(head).map_err(|_| BadResponse::Header)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(BadResponse::StatusLine)?;
        let (digits, _reason) = status.split_once(' ').ok_or(BadResponse::StatusLine)?;
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadResponse::StatusLine);
        }
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(BadResponse::Header)?;
            let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            if !token || value.chars().any(|c| c.is_control() && c != '\t') {
                return Err(BadResponse::Header);
            }
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status: digits.parse().map_err(|_| BadResponse::StatusLine)?, headers, body: Vec::new() })
    }

    /// RFC 9112, 6.3, without tolerance.
    pub(super) fn body_length(&self, method: &str) -> Result<Length, BadResponse> {
        let all =
            |wanted: &str| self.headers.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        let length = match (all("transfer-encoding")[..].as_ref(), all("content-length")[..].as_ref()) {
            (["chunked"], []) => Length::Chunked,
            ([], [digits]) if digits.bytes().all(|b| b.is_ascii_digit()) => Length::Known(digits.parse().map_err(|_| BadResponse::Length)?),
            ([], []) => Length::UntilClosed,
            _ => return Err(BadResponse::Length),
        };
        let without_body = method == "HEAD" || matches!(self.status, 100..200 | 204 | 304);
        Ok(if without_body { Length::Known(0) } else { length })
    }
}
