//! A stream whose progress can be watched: a peer that neither sends nor reads must not hold a connection for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts the bytes that pass in either direction.
pub struct Watched<S> {
    inner: S,
    passed: Arc<AtomicU64>,
}

/// What a watched stream has done.
pub struct Progress {
    passed: Arc<AtomicU64>,
}

impl<S> Watched<S> {
    /// The stream, and what to watch it by.
    pub fn new(inner: S) -> (Self, Progress) {
        let passed = Arc::new(AtomicU64::new(0));
        (Self { inner, passed: passed.clone() }, Progress { passed })
    }
}

impl Progress {
    /// Returns when no byte has passed for `idle`, and at the latest for twice as long.
    pub async fn stalls_for(&self, idle: Duration) {
        let mut before = self.passed.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(idle).await;
            let now = self.passed.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.passed.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.passed.fetch_add(*written as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn a_stream_stalls_when_nothing_passes() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (mut watched, progress) = Watched::new(ours);
        let started = tokio::time::Instant::now();
        let talking = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(8)).await;
                watched.write_all(b"x").await.expect("written");
                tokio::io::AsyncReadExt::read_u8(&mut theirs).await.expect("read");
            }
        };
        tokio::join!(talking, progress.stalls_for(Duration::from_secs(10)));
        assert_eq!(started.elapsed(), Duration::from_secs(50));
    }
}
