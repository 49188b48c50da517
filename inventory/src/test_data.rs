//! Bytes for the network test: as many as an agent asks for, within bounds, made as they are sent.

use domain::BootId;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, Take};
use tokio_util::io::ReaderStream;

/// The most bytes of one answer.
pub(crate) const MOST_BYTES: u64 = 1 << 30;
/// How many answers are under way at once, in all and to one agent: one for each of its ports.
const MOST_STREAMS: usize = 32;
const MOST_OF_ONE: usize = 8;
/// What is made and sent at once.
const CHUNK: usize = 64 * 1024;

/// Who is being sent bytes.
#[derive(Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<BootId, usize>>>);

/// One answer's place; given back when it ends, however it ends.
struct Place {
    streams: Arc<Mutex<HashMap<BootId, usize>>>,
    boot: BootId,
}

impl Streams {
    /// `bytes` bytes for the agent of a boot; none when as many answers are under way as there may be.
    pub(crate) fn begin(&self, boot: BootId, bytes: u64) -> Option<ReaderStream<Take<Made>>> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (streams.values().sum::<usize>(), streams.get(&boot).copied().unwrap_or(0));
        if all >= MOST_STREAMS || own >= MOST_OF_ONE {
            return None;
        }
        streams.insert(boot, own + 1);
        let place = Place { streams: self.0.clone(), boot };
        // Any number but 0 begins a sequence of its own.
        let made = Made { state: (boot.0.as_u128() as u64) | 1, _place: place };
        Some(ReaderStream::with_capacity(made.take(bytes.min(MOST_BYTES)), CHUNK))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = streams.get_mut(&self.boot) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                streams.remove(&self.boot);
            }
        }
    }
}

/// Bytes without end that nothing on the way can compress: xorshift64 (Marsaglia 2003). Nothing secret depends on them.
pub(crate) struct Made {
    state: u64,
    _place: Place,
}

impl AsyncRead for Made {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let mut state = self.state;
        for chunk in buffer.initialize_unfilled().chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bytes = state.to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        self.state = state;
        let made = buffer.remaining();
        buffer.advance(made);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn boot(n: u128) -> BootId {
        BootId(Uuid::from_u128(n))
    }

    #[test]
    fn at_the_bound_new_answers_are_refused_until_old_ones_end() {
        let streams = Streams::default();
        let mut own: Vec<_> = (0..MOST_OF_ONE).map(|_| streams.begin(boot(1), 1).unwrap()).collect();
        assert!(streams.begin(boot(1), 1).is_none(), "one agent");
        let others: Vec<_> = (2..).map_while(|n| streams.begin(boot(n), 1)).collect();
        assert_eq!(own.len() + others.len(), MOST_STREAMS, "all agents");
        own.pop();
        assert!(streams.begin(boot(1), 1).is_some());
        drop((own, others));
        assert!(streams.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_bytes_look_like_noise() {
        let streams = Streams::default();
        let body = axum::body::Body::from_stream(streams.begin(boot(7), 1 << 20).unwrap());
        let bytes = axum::body::to_bytes(body, 2 << 20).await.unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        let mut counts = [0u32; 256];
        bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        assert!(counts.iter().all(|count| (3700..4500).contains(count)), "{counts:?}");
    }
}
