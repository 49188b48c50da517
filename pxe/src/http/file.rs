//! Files of the table: whole, in part, or their headers.

use super::range::{Wanted, wanted};
use super::sent::{Sent, Sink};
use super::{Serving, not_found, plain};
use crate::counts::one;
use crate::files::{Content, OpenError, Opened};
use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::timeline::printable;
use std::net::Ipv4Addr;
use tokio::io::AsyncSeekExt;

impl Serving {
    pub(super) async fn file(&self, peer: Ipv4Addr, name: &str, method: &Method, asked: &HeaderMap) -> Response {
        let opened = match self.http.files.open(name).await {
            Ok(opened) => opened,
            Err(error) => return self.no_file(peer, name, &error),
        };
        let tag = format!("\"{}\"", opened.tag);
        if has_already(asked, &tag) {
            one(&self.http.counts.files_not_modified);
            return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
        }
        // A part of one version is of no use to who has parts of another (If-Range, RFC 9110, 13.1.5).
        let same = text_of(asked, header::IF_RANGE).is_none_or(|of| of == tag);
        let range = text_of(asked, header::RANGE).filter(|_| same && *method == Method::GET);
        let (status, first, length) = match wanted(range, opened.length) {
            Wanted::All => (StatusCode::OK, 0, opened.length),
            Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
            Wanted::Outside => return self.outside(&opened, &tag),
        };
        let mut response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, content_type(name))
            .header(header::CONTENT_LENGTH, length)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::ETAG, tag);
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {first}-{}/{}", first + length - 1, opened.length);
            response = response.header(header::CONTENT_RANGE, range);
        }
        let body = if *method == Method::HEAD {
            one(&self.http.counts.files_heads);
            self.http.note_at(peer, "size", format!("asked for the size of {name}"), None);
            Body::empty()
        } else {
            match self.body(peer, name, opened, first, length).await {
                Ok(body) => body,
                Err(error) => return self.no_file(peer, name, &error),
            }
        };
        response.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }

    async fn body(&self, peer: Ipv4Addr, name: &str, opened: Opened, first: u64, length: u64) -> Result<Body, OpenError> {
        let of = (length < opened.length).then_some(opened.length);
        let sink = Sink { http: self.http.clone(), peer, name: name.to_owned(), of };
        match opened.content {
            Content::Held(bytes) => {
                let part = bytes.slice(first as usize..(first + length) as usize);
                Ok(Body::new(Sent::held(part, sink)))
            }
            Content::File(mut file) => {
                let unreadable = |source| OpenError::Unreadable { path: name.into(), source };
                if first > 0 {
                    file.seek(std::io::SeekFrom::Start(first)).await.map_err(unreadable)?;
                }
                Ok(Body::new(Sent::file(file, length, sink)))
            }
        }
    }

    fn no_file(&self, peer: Ipv4Addr, name: &str, error: &OpenError) -> Response {
        let shown = printable(name, 80);
        if matches!(error, OpenError::Unknown) {
            self.http.note_at(peer, "refused", format!("asked for {shown}, which is not served"), None);
        } else {
            one(&self.http.counts.unreadable_files);
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let what = format!("asked for {shown}, which cannot be given: {error}{cause}");
            self.warn(&format!("{peer} {what}"));
            self.http.note_at(peer, "refused", what, None);
        }
        not_found(&self.http.counts)
    }

    fn outside(&self, opened: &Opened, tag: &str) -> Response {
        one(&self.http.counts.bad_ranges);
        let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "the file has no such bytes");
        let headers = [(header::CONTENT_RANGE, format!("bytes */{}", opened.length)), (header::ETAG, tag.to_owned())];
        for (name, value) in headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// If-None-Match: a list of tags, or `*`; weak tags compare as strong ones (RFC 9110, 13.1.2).
fn has_already(asked: &HeaderMap, tag: &str) -> bool {
    let Some(tags) = text_of(asked, header::IF_NONE_MATCH) else { return false };
    tags.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "pem")) => "application/x-pem-file",
        // UEFI's HTTP boot decides by this whether it has a programme (UEFI 2.10, 24.7.2).
        Some((_, "efi")) => "application/efi",
        _ => "application/octet-stream",
    }
}
