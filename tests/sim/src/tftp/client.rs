//! Reads files, asks for sizes, and goes away in the middle.

use super::packet::{Answer, BadAnswer, acknowledge, error, read_request};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// What is asked for with a read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Block size, bytes (RFC 2348).
    pub blksize: Option<u16>,
    /// Blocks between acknowledgements (RFC 7440).
    pub windowsize: Option<u16>,
    /// Whether the size is asked for (RFC 2349).
    pub tsize: bool,
}

impl Options {
    fn to_texts(self) -> Vec<(&'static str, String)> {
        let mut texts = Vec::new();
        texts.extend(self.tsize.then(|| ("tsize", "0".to_owned())));
        texts.extend(self.blksize.map(|size| ("blksize", size.to_string())));
        texts.extend(self.windowsize.map(|size| ("windowsize", size.to_string())));
        texts
    }
}

/// A file that was read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The file.
    pub bytes: Vec<u8>,
    /// The block size that was agreed on.
    pub blksize: usize,
    /// The window that was agreed on.
    pub windowsize: u16,
    /// The size that the server told, when asked.
    pub size: Option<u64>,
    /// How often we repeated a packet because nothing came.
    pub repeated: u32,
    /// How many blocks came that were not the next: repetitions, and what followed a lost one.
    pub out_of_order: u32,
    /// From the request to the last block.
    pub elapsed: Duration,
}

/// What a server did after its reader had sent ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned {
    /// How many packets came afterwards.
    pub packets: u32,
    /// When the last of them came.
    pub last: Option<Duration>,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum TftpError {
    /// The socket failed.
    #[error("could not {attempted} for TFTP")]
    Socket {
        /// "open a socket", "send", "receive".
        attempted: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody answered.
    #[error("the TFTP server {server} went silent after {bytes} bytes of `{file}`")]
    Silence {
        /// Who.
        server: SocketAddrV4,
        /// Reading what.
        file: String,
        /// What had come.
        bytes: usize,
    },
    /// The server refused.
    #[error("the TFTP server refused `{file}`: error {code}, {message:?}")]
    Refused {
        /// What.
        file: String,
        /// RFC 1350, appendix.
        code: u16,
        /// In words.
        message: String,
    },
    /// A packet that no server should send.
    #[error("the TFTP server sent a packet that is not well-formed, for `{file}`")]
    Malformed {
        /// Reading what.
        file: String,
        /// What is wrong.
        #[source]
        source: BadAnswer,
    },
    /// A packet that does not fit what was agreed on.
    #[error("the TFTP server {what}, for `{file}`")]
    Unfit {
        /// Reading what.
        file: String,
        /// What is wrong, after "the TFTP server".
        what: &'static str,
    },
}

/// A reader of one server.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Whom requests go to.
    pub server: SocketAddrV4,
    /// The address that requests come from; any, when unspecified.
    pub source: Ipv4Addr,
    /// After what silence a packet is repeated.
    pub repeat_after: Duration,
    /// How often a packet is sent at most.
    pub tries: u32,
    /// The largest file that is read, bytes.
    pub most: usize,
}

impl Client {
    /// A reader that repeats after a second, five times at most, and reads files of up to 256 MiB.
    pub fn new(server: SocketAddrV4) -> Self {
        Self { server, source: Ipv4Addr::UNSPECIFIED, repeat_after: Duration::from_secs(1), tries: 5, most: 256 << 20 }
    }

    /// Reads a file in mode octet.
    pub fn read(&self, file: &str, options: Options) -> Result<Transfer, TftpError> {
        let mut reading = Reading::begin(self, file, options)?;
        while !reading.done {
            reading.step()?;
        }
        reading.finish()
    }

    /// Asks for the size of a file and ends the transfer with ERROR, as firmware does before it reads.
    pub fn size(&self, file: &str) -> Result<u64, TftpError> {
        let mut reading = Reading::begin(self, file, Options { tsize: true, ..Options::default() })?;
        while !reading.agreed {
            reading.await_options()?;
        }
        reading.send(&error(8, "only asked for the size"))?;
        reading.told.ok_or_else(|| reading.unfit("does not tell sizes"))
    }

    /// Reads some blocks, sends ERROR, and counts what still comes in the time given.
    pub fn abandon(&self, file: &str, options: Options, after_blocks: u64, watch: Duration) -> Result<Abandoned, TftpError> {
        let mut reading = Reading::begin(self, file, options)?;
        while reading.blocks < after_blocks && !reading.done {
            reading.step()?;
        }
        // What had been sent before the server can have read the ERROR does not count.
        reading.send(&error(0, "going away"))?;
        let (sent, grace) = (Instant::now(), Duration::from_millis(50));
        let mut abandoned = Abandoned { packets: 0, last: None };
        while let Some(left) = watch.checked_sub(sent.elapsed()).filter(|left| !left.is_zero()) {
            if reading.receive(left)?.is_some() && sent.elapsed() > grace {
                abandoned = Abandoned { packets: abandoned.packets + 1, last: Some(sent.elapsed()) };
            }
        }
        Ok(abandoned)
    }
}

struct Reading<'c> {
    client: &'c Client,
    socket: UdpSocket,
    /// The server's port of this transfer, once it is known.
    peer: Option<SocketAddr>,
    file: String,
    asked: Options,
    buffer: Vec<u8>,
    /// The last packet that was sent, for repetition.
    last: Vec<u8>,
    /// Whether DATA or OACK has come.
    agreed: bool,
    blksize: usize,
    windowsize: u16,
    told: Option<u64>,
    bytes: Vec<u8>,
    /// Blocks that came in order, from the beginning.
    blocks: u64,
    /// Of these, those that are not acknowledged.
    open: u16,
    /// Whether the last acknowledgement says that something was lost, so that one is enough.
    complained: bool,
    silent: u32,
    repeated: u32,
    out_of_order: u32,
    began: Instant,
    done: bool,
}

impl<'c> Reading<'c> {
    fn begin(client: &'c Client, file: &str, asked: Options) -> Result<Self, TftpError> {
        let socket = UdpSocket::bind((client.source, 0)).map_err(|source| TftpError::Socket { attempted: "open a socket", source })?;
        let texts = asked.to_texts();
        let texts: Vec<_> = texts.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reading = Self {
            client,
            socket,
            peer: None,
            file: file.to_owned(),
            asked,
            buffer: vec![0; 65_536],
            last: read_request(file, "octet", &texts),
            agreed: false,
            blksize: 512,
            windowsize: 1,
            told: None,
            bytes: Vec::new(),
            blocks: 0,
            open: 0,
            complained: false,
            silent: 0,
            repeated: 0,
            out_of_order: 0,
            began: Instant::now(),
            done: false,
        };
        reading.send(&reading.last)?;
        Ok(reading)
    }

    fn finish(self) -> Result<Transfer, TftpError> {
        if self.told.is_some_and(|told| told != self.bytes.len() as u64) {
            return Err(self.unfit("told a size that the file has not"));
        }
        Ok(Transfer {
            blksize: self.blksize,
            windowsize: self.windowsize,
            size: self.told,
            repeated: self.repeated,
            out_of_order: self.out_of_order,
            elapsed: self.began.elapsed(),
            bytes: self.bytes,
        })
    }

    fn unfit(&self, what: &'static str) -> TftpError {
        TftpError::Unfit { file: self.file.clone(), what }
    }

    fn send(&self, packet: &[u8]) -> Result<(), TftpError> {
        let to = self.peer.unwrap_or(self.client.server.into());
        self.socket.send_to(packet, to).map(drop).map_err(|source| TftpError::Socket { attempted: "send", source })
    }

    /// The length of a packet of the server's in the buffer, or none after the time given.
    fn receive(&mut self, wait: Duration) -> Result<Option<usize>, TftpError> {
        let failed = |source| TftpError::Socket { attempted: "receive", source };
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            self.socket.set_read_timeout(Some(left)).map_err(failed)?;
            match self.socket.recv_from(&mut self.buffer) {
                Ok((length, from)) if from.ip() == *self.client.server.ip() && self.peer.is_none_or(|peer| peer == from) => {
                    self.peer = Some(from);
                    return Ok(Some(length));
                }
                // RFC 1350, 4: a stranger is told, and the transfer goes on.
                Ok((_, stranger)) => drop(self.socket.send_to(&error(5, "unknown transfer"), stranger)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Err(source) => return Err(failed(source)),
            }
        }
    }

    /// Waits for a packet; after a silence the last one is repeated, and none is returned.
    fn next(&mut self) -> Result<Option<usize>, TftpError> {
        let got = self.receive(self.client.repeat_after)?;
        if got.is_some() {
            self.silent = 0;
            return Ok(got);
        }
        self.silent += 1;
        if self.silent >= self.client.tries {
            return Err(TftpError::Silence { server: self.client.server, file: self.file.clone(), bytes: self.bytes.len() });
        }
        self.repeated += 1;
        self.send(&self.last)?;
        Ok(None)
    }

    /// Takes one packet. The first is an OACK that is not answered yet, or the first block.
    fn await_options(&mut self) -> Result<(), TftpError> {
        let Some(length) = self.next()? else { return Ok(()) };
        match self.parse(length)? {
            Parsed::Options(options) => self.agree(options),
            Parsed::Data { block, from } => {
                self.agreed = true;
                self.take(block, from, length)
            }
        }
    }

    fn step(&mut self) -> Result<(), TftpError> {
        if !self.agreed {
            self.await_options()?;
            if self.agreed && self.blocks == 0 {
                self.acknowledge()?;
            }
            return Ok(());
        }
        let Some(length) = self.next()? else { return Ok(()) };
        match self.parse(length)? {
            Parsed::Data { block, from } => self.take(block, from, length),
            // The server repeats its OACK because our ACK 0 was lost.
            Parsed::Options(_) if self.blocks == 0 => self.acknowledge(),
            Parsed::Options(_) => Err(self.unfit("sent options in the middle of a file")),
        }
    }

    fn parse(&self, length: usize) -> Result<Parsed, TftpError> {
        match Answer::parse(&self.buffer[..length]) {
            Ok(Answer::Data { block, bytes }) => Ok(Parsed::Data { block, from: length - bytes.len() }),
            Ok(Answer::Options(options)) => Ok(Parsed::Options(options)),
            Ok(Answer::Error { code, message }) => Err(TftpError::Refused { file: self.file.clone(), code, message }),
            Err(source) => Err(TftpError::Malformed { file: self.file.clone(), source }),
        }
    }

    fn agree(&mut self, options: Vec<(String, String)>) -> Result<(), TftpError> {
        for (name, value) in options {
            let value: u64 = value.parse().map_err(|_| self.unfit("answered an option with what is no number"))?;
            match name.as_str() {
                "blksize" if (8..=u64::from(self.asked.blksize.unwrap_or(0))).contains(&value) => self.blksize = value as usize,
                "windowsize" if (1..=u64::from(self.asked.windowsize.unwrap_or(0))).contains(&value) => self.windowsize = value as u16,
                "tsize" if self.asked.tsize => self.told = Some(value),
                _ => return Err(self.unfit("answered with an option that was not asked for, or with more than was asked for")),
            }
        }
        self.agreed = true;
        Ok(())
    }

    fn take(&mut self, block: u16, from: usize, to: usize) -> Result<(), TftpError> {
        if to - from > self.blksize {
            return Err(self.unfit("sent a block larger than agreed on"));
        }
        if block != (self.blocks + 1) as u16 {
            self.out_of_order += 1;
            // RFC 7440, 4: say once where to go on from. What is merely late or double in a window needs no answer.
            if !self.complained || self.windowsize == 1 {
                self.complained = true;
                return self.acknowledge();
            }
            return Ok(());
        }
        if self.bytes.len() + (to - from) > self.client.most {
            self.send(&error(3, "too large"))?;
            return Err(self.unfit("sent more than the simulator reads"));
        }
        self.bytes.extend_from_slice(&self.buffer[from..to]);
        self.blocks += 1;
        self.open += 1;
        self.complained = false;
        self.done = to - from < self.blksize;
        if self.done || self.open == self.windowsize { self.acknowledge() } else { Ok(()) }
    }

    fn acknowledge(&mut self) -> Result<(), TftpError> {
        self.open = 0;
        self.last = acknowledge(self.blocks as u16).to_vec();
        self.send(&self.last)
    }
}

enum Parsed {
    Data { block: u16, from: usize },
    Options(Vec<(String, String)>),
}

#[cfg(test)]
mod tests;
