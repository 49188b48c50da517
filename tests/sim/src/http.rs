//! HTTP/1.1 as iPXE speaks it (RFC 9112): requests over plain TCP to an address, never a name.
//!
//! Replies are read strictly and up to a limit. Redirects are not followed: a boot server has no need of them.

mod message;
mod url;

pub use message::{BadResponse, Response};
pub use url::{NotAUrl, Url};

use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection could not be made or broke.
    #[error("could not {attempted} {server}")]
    Connection {
        /// "connect to", "send to", "read from".
        attempted: &'static str,
        /// Whom.
        server: SocketAddrV4,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer is no right HTTP.
    #[error("the answer to {method} {target} is not well-formed")]
    Malformed {
        /// Of the request.
        method: String,
        /// Of the request.
        target: String,
        /// What is wrong.
        #[source]
        source: BadResponse,
    },
}

/// Makes connections.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The address that connections come from; any, when unspecified.
    pub source: Ipv4Addr,
    /// How long one step may take: connecting, sending, each read.
    pub patience: Duration,
    /// The largest body that is read, bytes.
    pub most: usize,
}

impl Default for Client {
    /// From any address; ten seconds a step; bodies of up to 256 MiB.
    fn default() -> Self {
        Self { source: Ipv4Addr::UNSPECIFIED, patience: Duration::from_secs(10), most: 256 << 20 }
    }
}

impl Client {
    /// Asks for a file over a connection of its own.
    pub fn get(&self, url: &Url) -> Result<Response, HttpError> {
        self.connect(url.server())?.request("GET", url, &[], b"")
    }

    /// Asks for the head of a file over a connection of its own, as UEFI does before it loads.
    pub fn head(&self, url: &Url) -> Result<Response, HttpError> {
        self.connect(url.server())?.request("HEAD", url, &[], b"")
    }

    /// Opens a connection for several requests.
    pub fn connect(&self, server: SocketAddrV4) -> Result<Connection, HttpError> {
        let opened = || -> io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SockAddr::from(SocketAddrV4::new(self.source, 0)))?;
            socket.connect_timeout(&SockAddr::from(server), self.patience)?;
            socket.set_tcp_nodelay(true)?;
            socket.set_read_timeout(Some(self.patience))?;
            socket.set_write_timeout(Some(self.patience))?;
            Ok(socket.into())
        };
        let stream = opened().map_err(|source| HttpError::Connection { attempted: "connect to", server, source })?;
        Ok(Connection { stream, server, most: self.most, ahead: Vec::new() })
    }

    /// Sends any bytes and returns whatever comes until the server closes, the limit is reached or nothing more comes in
    /// time. For what is no HTTP.
    pub fn exchange_bytes(&self, server: SocketAddrV4, bytes: &[u8]) -> Result<Vec<u8>, HttpError> {
        let mut connection = self.connect(server)?;
        let mut answer = Vec::new();
        // Whoever refuses early closes before all was sent: what came back still counts.
        let sent = connection.stream.write_all(bytes);
        loop {
            match connection.fill() {
                Ok(0) => break,
                Ok(_) => answer.append(&mut connection.ahead),
                Err(_) => break,
            }
            if answer.len() >= self.most {
                break;
            }
        }
        match sent {
            Err(source) if answer.is_empty() => Err(HttpError::Connection { attempted: "send to", server, source }),
            _ => Ok(answer),
        }
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    server: SocketAddrV4,
    most: usize,
    /// What was read and belongs to what comes next.
    ahead: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer; the connection can then be used again, unless the server closes it.
    pub fn request(&mut self, method: &str, url: &Url, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, HttpError> {
        let server = self.server;
        let mut text = format!("{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: iPXE/1.0.0+simulated\r\n", url.target(), url.authority());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        let sent = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.write_all(body));
        let answer = self.read(method);
        match (sent, answer) {
            (_, Ok(response)) => Ok(response),
            (Err(source), Err(_)) => Err(HttpError::Connection { attempted: "send to", server, source }),
            (Ok(()), Err(Trouble::Socket(source))) => Err(HttpError::Connection { attempted: "read from", server, source }),
            (Ok(()), Err(Trouble::Malformed(source))) => {
                Err(HttpError::Malformed { method: method.to_owned(), target: url.target().to_owned(), source })
            }
        }
    }

    fn read(&mut self, method: &str) -> Result<Response, Trouble> {
        let head = loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.ahead.drain(..end + 4).collect::<Vec<_>>();
            }
            if self.ahead.len() > message::LONGEST_HEAD {
                return Err(BadResponse::TooLong.into());
            }
            self.fill_or(BadResponse::CutShort)?;
        };
        let mut response = Response::parse_head(&head)?;
        response.body = match response.body_length(method)? {
            message::Length::Known(length) if length > self.most as u64 => return Err(BadResponse::TooLong.into()),
            message::Length::Known(length) => self.take(length as usize)?,
            message::Length::Chunked => self.chunks()?,
            message::Length::UntilClosed => self.rest()?,
        };
        Ok(response)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Trouble> {
        while self.ahead.len() < length {
            self.fill_or(BadResponse::CutShort)?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    fn rest(&mut self) -> Result<Vec<u8>, Trouble> {
        while self.fill()? > 0 {
            if self.ahead.len() > self.most {
                return Err(BadResponse::TooLong.into());
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// RFC 9112, 7.1, without trailers.
    fn chunks(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match self.ahead.windows(2).position(|two| two == b"\r\n") {
                    Some(end) => break self.take(end + 2)?,
                    None if self.ahead.len() > 100 => return Err(BadResponse::Chunk.into()),
                    None => self.fill_or(BadResponse::CutShort)?,
                }
            };
            let digits = std::str::from_utf8(&line[..line.len() - 2]).unwrap_or_default();
            let length = usize::from_str_radix(digits, 16).map_err(|_| BadResponse::Chunk)?;
            if length > self.most - body.len() {
                return Err(BadResponse::TooLong.into());
            }
            body.extend(self.take(length)?);
            if self.take(2)? != b"\r\n" {
                return Err(BadResponse::Chunk.into());
            }
            if length == 0 {
                return Ok(body);
            }
        }
    }

    fn fill_or(&mut self, closed: BadResponse) -> Result<(), Trouble> {
        if self.fill()? == 0 { Err(closed.into()) } else { Ok(()) }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 65_536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(length) => {
                    self.ahead.extend_from_slice(&buffer[..length]);
                    return Ok(length);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

enum Trouble {
    Socket(io::Error),
    Malformed(BadResponse),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<BadResponse> for Trouble {
    fn from(error: BadResponse) -> Self {
        Self::Malformed(error)
    }
}

#[cfg(test)]
mod tests;
