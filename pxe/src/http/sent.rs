//! A body that knows how far it came: what was loaded, and what was not, is noted when it ends.

use super::BootHttp;
use crate::amount;
use crate::counts::one;
use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, ReadBuf};

/// How much of a file is in memory at once, for each connection.
const PIECE: usize = 32 << 10;

/// Where the note goes.
pub(super) struct Sink {
    pub http: BootHttp,
    pub peer: Ipv4Addr,
    pub name: String,
    /// The whole file's length, when only a part of it is sent.
    pub of: Option<u64>,
}

/// Part of a file on its way.
pub(super) struct Sent {
    source: Source,
    length: u64,
    sent: u64,
    started: Instant,
    sink: Sink,
}

enum Source {
    Held(Bytes),
    File { file: tokio::fs::File, piece: Vec<u8> },
}

impl Sent {
    pub(super) fn held(bytes: Bytes, sink: Sink) -> Self {
        Self { length: bytes.len() as u64, source: Source::Held(bytes), sent: 0, started: Instant::now(), sink }
    }

    /// `file` stands at the first byte that is to be sent.
    pub(super) fn file(mut file: tokio::fs::File, length: u64, sink: Sink) -> Self {
        file.set_max_buf_size(PIECE);
        Self { source: Source::File { file, piece: Vec::new() }, length, sent: 0, started: Instant::now(), sink }
    }

    fn next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let left = self.length - self.sent;
        match &mut self.source {
            Source::Held(bytes) => Poll::Ready(Ok(bytes.split_to((PIECE as u64).min(left) as usize))),
            Source::File { file, piece } => {
                piece.resize((PIECE as u64).min(left) as usize, 0);
                let mut buffer = ReadBuf::new(piece);
                ready!(Pin::new(file).poll_read(context, &mut buffer))?;
                let read = buffer.filled().len();
                if read == 0 {
                    // The connection breaks off, so that nobody takes the beginning for the whole.
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent")));
                }
                Poll::Ready(Ok(Bytes::copy_from_slice(&piece[..read])))
            }
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let bytes = ready!(self.next(context))?;
        self.sent += bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.sent)
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let (whole, took) = (self.sent == self.length, amount::duration(self.started.elapsed()));
        let Sink { http, peer, name, of } = &self.sink;
        let part = of.map(|of| format!(" of {}", amount::bytes(of))).unwrap_or_default();
        let length = amount::bytes(self.length);
        let (counter, event, message) = if whole {
            (&http.counts.files, "file", format!("loaded {name}, {length}{part} in {took}"))
        } else {
            let sent = amount::bytes(self.sent);
            (&http.counts.files_aborted, "aborted", format!("stopped loading {name} after {sent} of {length}, {took}"))
        };
        one(counter);
        http.note_at(*peer, event, message, None);
    }
}
