//! A client of the operators' API on a local socket.

use super::Reach;
use crate::api::store::ONLY_WATCHING;
use crate::settings::DEFAULT_SOCKET;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// How much of a refusal is shown, characters.
const MOST_SHOWN: usize = 2000;
/// How many lines of it.
const MOST_LINES: usize = 5;

/// Why the service gave no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No service is there.
    #[error(
        "no service answers at {0}. Start it with `overture serve` (if it ran, its log says why it ended), or a lab with `overture lab \
         up`; if it listens elsewhere, name its socket with --socket or OVERTURE_SOCKET"
    )]
    NoService(PathBuf),
    /// Several labs run, so the socket is not clear.
    #[error("several labs are running ({0}): name one service's socket with --socket")]
    SeveralLabs(String),
    /// This user may not.
    #[error("user {uid} may not use {socket}: run as root or join the group `overture`")]
    NotAllowed {
        /// The socket.
        socket: PathBuf,
        /// The user.
        uid: u32,
    },
    /// It could not even be asked for.
    #[error("`{0}` names no machine: give a name, id, serial number or MAC address; `overture nodes list` shows them")]
    NamesNothing(String),
    /// It refused, in its own words.
    #[error("{0}")]
    Refused(Refusal),
    /// What it sent could not be written.
    #[error("what the service sent could not be written")]
    NotTaken(#[source] std::io::Error),
    /// The connection broke.
    #[error("the service at {socket} did not answer")]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It answered something else than this version of the command expects.
    #[error("the service at {socket} answered something that this command does not understand: are both of the same version?")]
    Strange {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: domain::ports::BoxError,
    },
}

/// An RFC 9457 problem.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// The whole document.
    pub problem: Value,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |field: &str| self.problem[field].as_str().filter(|text| !text.is_empty());
        match text("detail").or(text("title")) {
            Some(text) => {
                // Lines may stand below one another: what was asked for, and where it is wrong.
                let lines: Vec<_> = text.lines().take(MOST_LINES).map(|line| domain::timeline::printable(line, MOST_SHOWN)).collect();
                f.write_str(&lines.join("\n"))
            }
            None => write!(f, "the service refused with status {}", self.status),
        }
    }
}

/// A connection to one service.
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
    /// Whether it was said that the service only watches.
    said: AtomicBool,
}

impl Client {
    /// A client of the service that `reach` names, or that is found on this machine.
    pub fn new(reach: &Reach) -> Result<Self, ClientError> {
        let socket = match &reach.socket {
            Some(socket) => socket.clone(),
            None if Path::new(DEFAULT_SOCKET).exists() => DEFAULT_SOCKET.into(),
            None => only_lab()?.unwrap_or_else(|| DEFAULT_SOCKET.into()),
        };
        Self::at(&socket)
    }

    /// A client of the service at a socket.
    pub fn at(socket: &Path) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .timeout(Duration::from_secs(60))
            .build()
            .map_err(|source| ClientError::Broken { socket: socket.to_owned(), source })?;
        Ok(Self { http, socket: socket.to_owned(), said: AtomicBool::new(false) })
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, None).await
    }

    /// Reads what is not JSON.
    pub async fn text(&self, path: &str) -> Result<String, ClientError> {
        let bytes = self.bytes(Method::GET, path, None).await?;
        String::from_utf8(bytes).map_err(|source| ClientError::Strange { socket: self.socket.clone(), source: source.into() })
    }

    /// Reads what is long, piece by piece, for as long as it takes.
    pub async fn download(&self, path: &str, mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> Result<(), ClientError> {
        const LONGEST: Duration = Duration::from_secs(86_400);
        let request = self.http.get(format!("http://overture{path}")).timeout(LONGEST);
        let mut response = request.send().await.map_err(|source| self.unreachable(source))?;
        let broken = |source| ClientError::Broken { socket: self.socket.clone(), source };
        let status = response.status();
        if !status.is_success() {
            let problem = serde_json::from_slice(&response.bytes().await.map_err(broken)?).unwrap_or_default();
            return Err(ClientError::Refused(Refusal { status, problem }));
        }
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            take(&piece).map_err(ClientError::NotTaken)?;
        }
        Ok(())
    }

    /// Writes, with a key that makes a repetition harmless.
    pub async fn write<T: DeserializeOwned>(&self, method: Method, path: &str, body: Value) -> Result<T, ClientError> {
        self.send(method, path, Some(body)).await
    }

    /// Writes a text as it is, so that what is wrong in it is told by its own lines; with such a key too.
    pub async fn write_text<T: DeserializeOwned>(&self, method: Method, path: &str, text: Vec<u8>) -> Result<T, ClientError> {
        let bytes = self.bytes(method, path, Some(text)).await?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Strange { socket: self.socket.clone(), source: source.into() })
    }

    /// Takes away, with such a key too.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, ClientError> {
        let bytes = self.bytes(method, path, body.map(|body| body.to_string().into_bytes())).await?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Strange { socket: self.socket.clone(), source: source.into() })
    }

    async fn bytes(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>, ClientError> {
        let broken = |source| ClientError::Broken { socket: self.socket.clone(), source };
        let mut request = self.http.request(method.clone(), format!("http://overture{path}"));
        if method != Method::GET {
            request = request.header("idempotency-key", Uuid::new_v4().to_string());
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        let status = response.status();
        self.say_if_watching(&response);
        let bytes = response.bytes().await.map_err(broken)?;
        if !status.is_success() {
            let problem = serde_json::from_slice(&bytes).unwrap_or_default();
            return Err(ClientError::Refused(Refusal { status, problem }));
        }
        Ok(bytes.into())
    }

    /// Says once that what is shown may not be the present.
    fn say_if_watching(&self, response: &reqwest::Response) {
        let why = response.headers().get(ONLY_WATCHING).and_then(|why| why.to_str().ok());
        if let Some(why) = why
            && !self.said.swap(true, Ordering::Relaxed)
        {
            let why = domain::timeline::printable(why, 200);
            eprintln!("(the service only watches: its store was {why}; `overture db resume` ends that)");
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&source);
        while let Some(error) = cause {
            match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
                    return ClientError::NoService(self.socket.clone());
                }
                Some(std::io::ErrorKind::PermissionDenied) => {
                    return ClientError::NotAllowed { socket: self.socket.clone(), uid: nix::unistd::getuid().as_raw() };
                }
                _ => cause = error.source(),
            }
        }
        ClientError::Broken { socket: self.socket.clone(), source }
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> Result<String, ClientError> {
    // Written in any way, these are taken out of a URL.
    if matches!(text, "" | "." | "..") {
        return Err(ClientError::NamesNothing(text.to_owned()));
    }
    let escaped =
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            })
            .collect();
    Ok(escaped)
}

fn only_lab() -> Result<Option<PathBuf>, ClientError> {
    let sockets = super::lab::sockets();
    match &sockets[..] {
        [] => Ok(None),
        [(name, socket)] => {
            if std::io::stderr().is_terminal() {
                eprintln!("(the service of lab `{name}`)");
            }
            Ok(Some(socket.clone()))
        }
        _ => Err(ClientError::SeveralLabs(
            sockets.iter().map(|(name, socket)| format!("{name}: {}", socket.display())).collect::<Vec<_>>().join(", "),
        )),
    }
}
