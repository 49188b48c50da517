//! One file to one client, over a socket of its own.

use super::answer::{Agreed, Heard, Sending, Transfer};
use super::counts::Counts;
use super::packet::{ErrorCode, Options, Packet, emit_error};
use super::server::{Settings, Shared, socket_at};
use crate::amount;
use crate::counts::one;
use crate::files::OpenError;
use domain::timeline::printable;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The longest silence before a retransmission.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How many strangers at one transfer's port are told so; the rest is silence.
const STRANGERS_TOLD: u32 = 8;

/// What is to be transferred, and to whom.
pub(super) struct Order {
    pub client: SocketAddrV4,
    pub name: String,
    pub options: Options,
    pub from: Ipv4Addr,
    /// Set when the client has said anything but its request.
    pub heard: Arc<AtomicBool>,
    pub stop: CancellationToken,
}

/// How a transfer ended.
pub(super) enum Ended {
    Complete { length: u64, took: Duration, retransmissions: u32 },
    SizeTold { length: u64 },
    GivenUp { delivered: u64, length: u64, code: u16, message: String },
    Silent { delivered: u64, length: u64, tries: u32 },
    Stopped,
    Missing(OpenError),
    Failed(io::Error),
}

impl Ended {
    /// The event and the sentence for `explain`.
    pub(super) fn in_words(&self, name: &str) -> (&'static str, String) {
        match self {
            Self::Complete { length, took, retransmissions: 0 } => {
                ("file", format!("read {name}, {} in {}", amount::bytes(*length), amount::duration(*took)))
            }
            Self::Complete { length, took, retransmissions } => (
                "file",
                format!("read {name}, {} in {}, {retransmissions} retransmissions", amount::bytes(*length), amount::duration(*took)),
            ),
            Self::SizeTold { length } => ("size", format!("asked for the size of {name}, {}", amount::bytes(*length))),
            Self::GivenUp { delivered, length, code, message } => (
                "aborted",
                format!(
                    "gave up reading {name} after {} of {}: error {code} `{}`",
                    amount::bytes(*delivered),
                    amount::bytes(*length),
                    printable(message, 80)
                ),
            ),
            Self::Silent { delivered, length, tries } => (
                "aborted",
                format!(
                    "fell silent while reading {name} after {} of {}, {tries} retransmissions unanswered",
                    amount::bytes(*delivered),
                    amount::bytes(*length)
                ),
            ),
            Self::Stopped => ("aborted", format!("was reading {name} when the transfer was ended by a newer request or the server's stop")),
            Self::Missing(why) => ("refused", format!("asked for {name}, which is missing: {why}{}", cause(why))),
            Self::Failed(why) => ("refused", format!("asked for {name}, and no socket was to be had: {why}")),
        }
    }
}

fn cause(error: &OpenError) -> String {
    std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default()
}

/// Transfers a file to the end, whatever that is.
pub(super) async fn run(order: &Order, settings: &Settings, shared: &Shared, counts: &Counts) -> Ended {
    let socket = match socket_at(SocketAddrV4::new(order.from, 0), settings.interface.as_deref(), false) {
        Ok(socket) => socket,
        Err(error) => return Ended::Failed(error),
    };
    let mut line = Line { socket, client: order.client, out: Vec::with_capacity(usize::from(settings.limits.block) + 4) };
    let content = match shared.files.contents(&order.name).await {
        Ok(content) => content,
        Err(missing) => {
            line.say_error(order.client, ErrorCode::FileNotFound, "the file is missing on the server").await;
            return Ended::Missing(missing);
        }
    };
    let agreed = Agreed::on(order.options, content.len() as u64, settings.limits);
    let first_wait = agreed.timeout.unwrap_or(settings.first_timeout);
    let (transfer, first) = Transfer::begin(content, agreed);
    let work = Work { transfer, line, waits: Waits { first: first_wait, tries: settings.tries }, counts, heard: &order.heard };
    tokio::select! {
        ended = work.go(first) => ended,
        () = order.stop.cancelled() => Ended::Stopped,
    }
}

/// How long silence is borne.
struct Waits {
    first: Duration,
    tries: u32,
}

impl Waits {
    fn after(&self, tries: u32) -> Duration {
        (self.first * 2u32.saturating_pow(tries.min(16))).min(LONGEST_WAIT.max(self.first))
    }
}

/// The client's end of the transfer, as the socket sees it.
struct Line {
    socket: UdpSocket,
    client: SocketAddrV4,
    out: Vec<u8>,
}

impl Line {
    /// A packet that could not be sent counts as lost on the way.
    async fn send(&mut self, transfer: &Transfer, what: &Sending) {
        let blocks = match what {
            Sending::Options => 0..=0,
            Sending::Blocks(blocks) => blocks.clone(),
        };
        for block in blocks {
            transfer.emit(block, &mut self.out);
            if let Err(error) = self.socket.send_to(&self.out, SocketAddr::V4(self.client)).await {
                tracing::debug!("a TFTP packet to {} could not be sent: {error}", self.client);
            }
        }
    }

    async fn say_error(&mut self, to: SocketAddrV4, code: ErrorCode, why: &str) {
        emit_error(&mut self.out, code, why);
        let _ = self.socket.send_to(&self.out, SocketAddr::V4(to)).await;
    }
}

struct Work<'a> {
    transfer: Transfer,
    line: Line,
    waits: Waits,
    counts: &'a Counts,
    heard: &'a AtomicBool,
}

impl Work<'_> {
    async fn go(mut self, first: Sending) -> Ended {
        let started = Instant::now();
        let (mut tries, mut retransmissions, mut strangers) = (0, 0, 0);
        let mut buffer = [0; 128];
        self.line.send(&self.transfer, &first).await;
        // Only progress moves the deadline: neither strangers nor repetitions keep a transfer alive.
        let mut deadline = started + self.waits.after(0);
        loop {
            let (bytes, sender) = match timeout_at(deadline, self.line.socket.recv_from(&mut buffer)).await {
                Ok(Ok((length, SocketAddr::V4(sender)))) => (&buffer[..length], sender),
                Ok(Ok((_, SocketAddr::V6(_))) | Err(_)) => continue,
                Err(_) if tries == self.waits.tries => return self.silent(tries),
                Err(_) => {
                    (tries, retransmissions) = (tries + 1, retransmissions + 1);
                    one(&self.counts.retransmissions);
                    let again = self.transfer.again();
                    self.line.send(&self.transfer, &again).await;
                    deadline = Instant::now() + self.waits.after(tries);
                    continue;
                }
            };
            if sender != self.line.client {
                one(&self.counts.strangers);
                strangers += 1;
                if strangers <= STRANGERS_TOLD && !matches!(Packet::parse(bytes), Ok(Packet::Error { .. })) {
                    self.line.say_error(sender, ErrorCode::UnknownTransfer, "this port serves another client").await;
                }
                continue;
            }
            let heard = self.transfer.hear(bytes);
            self.heard.fetch_or(heard != Heard::Nothing, Ordering::Relaxed);
            match heard {
                Heard::Nothing => {}
                Heard::Send(next) => {
                    self.line.send(&self.transfer, &next).await;
                    tries = 0;
                    deadline = Instant::now() + self.waits.after(0);
                }
                Heard::Complete => {
                    return Ended::Complete { length: self.transfer.length(), took: started.elapsed(), retransmissions };
                }
                Heard::GaveUp { code, message } => return self.given_up(code, message),
            }
        }
    }

    fn silent(&self, tries: u32) -> Ended {
        Ended::Silent { delivered: self.transfer.delivered(), length: self.transfer.length(), tries }
    }

    /// OVMF asks for the length first, and gives up as soon as it has it.
    fn given_up(&self, code: u16, message: String) -> Ended {
        let (delivered, length) = (self.transfer.delivered(), self.transfer.length());
        if self.transfer.told_the_length() && delivered == 0 {
            return Ended::SizeTold { length };
        }
        Ended::GivenUp { delivered, length, code, message }
    }
}
