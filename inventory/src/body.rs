//! Reads the body of a request within bounds of size and time. Knows nothing of what it says.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use std::time::Duration;

/// How long a whole body may take to arrive; it holds room that others wait for.
const LONGEST_READ: Duration = Duration::from_secs(10);
/// How long, and how much of, a body that is too large is read and dropped, so that its sender hears the answer instead
/// of a reset connection.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);
const MOST_DRAINED: usize = 256 << 20;

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than the {most} bytes that are read")]
    TooLarge { most: usize },
    #[error("the body did not arrive within {} seconds", LONGEST_READ.as_secs())]
    TooSlow,
    #[error("the body broke off")]
    BrokenOff,
}

/// The length that the headers promise, if they do.
pub(crate) fn promised(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body, at most `most` bytes.
pub(crate) async fn read(mut body: Body, headers: &HeaderMap, most: usize) -> Result<Vec<u8>, BodyError> {
    let too_large = BodyError::TooLarge { most };
    if promised(headers).is_some_and(|length| length > most as u64) {
        // Who waits for leave to send is answered at once; whoever is sending already is heard out.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(too_large);
    }
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = next(&mut body).await? {
            if bytes.len() + chunk.len() > most {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(bytes))
    };
    match tokio::time::timeout(LONGEST_READ, reading).await.map_err(|_| BodyError::TooSlow)?? {
        Some(bytes) => Ok(bytes),
        None => {
            drain(&mut body).await;
            Err(too_large)
        }
    }
}

async fn next(body: &mut Body) -> Result<Option<Bytes>, BodyError> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::BrokenOff),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

async fn drain(body: &mut Body) {
    let dropping = async {
        let mut left = MOST_DRAINED;
        while let Ok(Some(chunk)) = next(body).await {
            left = match left.checked_sub(chunk.len()) {
                Some(left) => left,
                None => break,
            };
        }
    };
    // Whether it ended or the time did, what follows is the same.
    let _ = tokio::time::timeout(LONGEST_DRAIN, dropping).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(length: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, length.parse().expect("a header"))])
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound_whatever_its_headers_say() {
        let body = || Body::from(vec![7; 10]);
        assert_eq!(read(body(), &HeaderMap::new(), 10).await, Ok(vec![7; 10]));
        for headers in [headers("10"), headers("99999999999999999999"), headers("3"), HeaderMap::new()] {
            assert_eq!(read(body(), &headers, 9).await, Err(BodyError::TooLarge { most: 9 }));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_says_no_more_is_given_up() {
        let (_sender, receiver) = tokio::io::duplex(8);
        let silent = Body::from_stream(tokio_util::io::ReaderStream::new(receiver));
        assert_eq!(read(silent, &HeaderMap::new(), 10).await, Err(BodyError::TooSlow));
        let (_sender, receiver) = tokio::io::duplex(8);
        let silent = Body::from_stream(tokio_util::io::ReaderStream::new(receiver));
        assert_eq!(read(silent, &headers("11"), 10).await, Err(BodyError::TooLarge { most: 10 }));
    }
}
