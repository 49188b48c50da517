//! Talking to the service: first to be sure that it is the right one, then reports, orders and progress.
//!
//! ```text
//! GET  overture.ca   by HTTP   the authority's certificate; its SHA-256 must be the pin of the boot script
//! POST /report       by HTTPS  trusted is that authority and no other; the agent's key is the client certificate
//! GET  /orders
//! POST /progress
//! GET  /test-data
//! ```
//!
//! Each answer may carry the service's time, by which the machine's clock is compared with its own.
//!
//! It does not know how long to wait before trying again, nor what an order means; see [`crate::run`].

use crate::boot::Boot;
use crate::clock::Skew;
use crate::console::printable;
use crate::key::{AgentKey, hex};
use inventory_wire::{Accepted, Orders, Progress, Report, TICKET_HEADER, TIME_HEADER};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::Response;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// An answer is a few hundred bytes.
const MOST_OF_AN_ANSWER: u64 = 64 * 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("overture-agent/", env!("CARGO_PKG_VERSION"));

/// Why the authority's certificate could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Nobody answered.
    #[error("cannot fetch the authority's certificate from {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// Somebody answered something else.
    #[error("{url} answered {status} instead of the authority's certificate")]
    Answered {
        /// Where.
        url: String,
        /// HTTP's number.
        status: u16,
    },
    /// It is not a certificate.
    #[error("what {url} sends is not a certificate in PEM form")]
    NotACertificate {
        /// Where.
        url: String,
    },
    /// It is a certificate, and not the one of the boot script.
    #[error(
        "{url} sends a certificate with SHA-256 {found}, and this boot was told {expected}: somebody else answers there, or the \
         authority was replaced; I report nothing. Restart the machine to get a new boot script"
    )]
    WrongAuthority {
        /// Where.
        url: String,
        /// What came.
        found: String,
        /// The pin.
        expected: String,
    },
}

/// Why a request got no proper answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer, or none that can be trusted. Worth trying again soon.
    #[error("cannot reach {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The service cannot just now. Worth trying again soon.
    #[error("{url} is busy or broken: {why}")]
    Busy {
        /// Where.
        url: String,
        /// What it says.
        why: String,
    },
    /// The ticket does not open this any more. Only a new boot helps.
    #[error("{url} does not take the ticket of this boot: {why}. Restart this machine to get a new one")]
    TicketRefused {
        /// Where.
        url: String,
        /// What it says.
        why: String,
    },
    /// The service does not know what was asked about (404).
    #[error("{url} does not know this node: {why}")]
    Unknown {
        /// Where.
        url: String,
        /// What it says.
        why: String,
    },
    /// The service does not accept what was sent.
    #[error("{url} refuses: {why}")]
    Refused {
        /// Where.
        url: String,
        /// What it says.
        why: String,
    },
    /// The service says yes, in words that are not understood.
    #[error("{url} answers what this agent does not understand")]
    Nonsense {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The service, known to be the right one.
pub struct Service {
    agent: Agent,
    url: String,
    ticket: String,
    skew: Mutex<Option<Skew>>,
}

impl Service {
    /// Fetches the authority's certificate, compares it with the pin, and trusts it alone from then on.
    pub fn find(boot: &Boot, key: &AgentKey) -> Result<Self, AuthorityError> {
        let (authority, skew) = fetch_authority(boot)?;
        let private = PrivateKey::from_pem(key.private_pem().as_bytes()).expect("a key that rcgen wrote can be read");
        let certificate = Certificate::from_der(key.certificate()).to_owned();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(vec![Certificate::from_der(&authority).to_owned()])))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], private)))
            .build();
        let agent = settings().https_only(true).tls_config(tls).build().new_agent();
        Ok(Self { agent, url: boot.url.clone(), ticket: boot.ticket.clone(), skew: Mutex::new(skew) })
    }

    /// Its address: `https://10.20.0.1:8444`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How the machine's clock stands to its own, as exactly as its answers so far can tell; `None` while it has not told
    /// its time.
    pub fn skew(&self) -> Option<Skew> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a report; answered when it is stored.
    pub fn report(&self, report: &Report) -> Result<Accepted, AskError> {
        let url = format!("{}/report", self.url);
        let body = serde_json::to_vec(report).expect("a report is made of texts, numbers and maps with text keys");
        let request = self.agent.post(&url).header(TICKET_HEADER, &self.ticket).content_type("application/json");
        parsed(&url, successful(&url, self.timed(|| request.send(&body[..])))?)
    }

    /// Asks for orders; the service may hold the answer back for `wait`.
    pub fn orders(&self, wait: Duration) -> Result<Orders, AskError> {
        let url = format!("{}/orders", self.url);
        let request = self.agent.get(format!("{url}?wait={}", wait.as_secs())).header(TICKET_HEADER, &self.ticket);
        let request = request.config().timeout_global(Some(wait + CALL_LIMIT)).build();
        parsed(&url, successful(&url, self.timed(|| request.call()))?)
    }

    /// Tells how far an order has come.
    pub fn progress(&self, progress: &Progress) -> Result<(), AskError> {
        let url = format!("{}/progress", self.url);
        let body = serde_json::to_vec(progress).expect("progress is made of texts and numbers");
        let request = self.agent.post(&url).header(TICKET_HEADER, &self.ticket).content_type("application/json");
        successful(&url, self.timed(|| request.send(&body[..]))).map(drop)
    }

    /// Fetches so many bytes and throws them away; how many came. Ends early, without an error, when `enough` says so.
    pub fn test_data(&self, bytes: u64, time: Duration, enough: &dyn Fn() -> bool) -> Result<u64, AskError> {
        let url = format!("{}/test-data", self.url);
        let request = self.agent.get(format!("{url}?bytes={bytes}")).header(TICKET_HEADER, &self.ticket);
        let mut answer = request.config().timeout_global(Some(time + CALL_LIMIT)).build().call();
        let body = match &mut answer {
            Ok(answer) if answer.status().as_u16() == 200 => answer.body_mut(),
            _ => return successful(&url, answer).map(|_| 0),
        };
        let mut reader = body.with_config().limit(bytes.saturating_add(1)).reader();
        let (mut buffer, mut came) = (vec![0; 256 * 1024], 0);
        loop {
            let failed = |error: std::io::Error| AskError::Unreachable { url: url.clone(), source: Box::new(error.into()) };
            match reader.read(&mut buffer).map_err(failed)? {
                0 if came == bytes => return Ok(came),
                0 => {
                    let why = format!("{came} bytes came instead of {bytes}");
                    return Err(AskError::Unreachable { url: url.clone(), source: Box::new(std::io::Error::other(why).into()) });
                }
                more => came += more as u64,
            }
            if enough() {
                return Ok(came);
            }
        }
    }

    /// Does a call, and compares the clocks by its answer.
    fn timed(&self, call: impl FnOnce() -> Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, ureq::Error> {
        let (asked, begin) = (SystemTime::now(), Instant::now());
        let answer = call()?;
        if let Some(new) = skew_by(&answer, asked, begin.elapsed()) {
            let mut skew = self.skew.lock().unwrap_or_else(PoisonError::into_inner);
            *skew = Some(skew.map_or(new, |old| old.better(new)));
        }
        Ok(answer)
    }
}

fn skew_by(answer: &Response<Body>, asked: SystemTime, took: Duration) -> Option<Skew> {
    Skew::measure(answer.headers().get(TIME_HEADER)?.to_str().ok()?, asked, took)
}

/// No proxy and no redirect: the boot script names the service by its address, and nothing else is asked.
fn settings() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(USER_AGENT)
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_global(Some(CALL_LIMIT))
}

/// The certificate that the pin names, and the service's time where the answer tells it.
fn fetch_authority(boot: &Boot) -> Result<(Vec<u8>, Option<Skew>), AuthorityError> {
    let url = || boot.ca.clone();
    let unreachable = |error| AuthorityError::Unreachable { url: url(), source: Box::new(error) };
    let (asked, begin) = (SystemTime::now(), Instant::now());
    let mut answer = settings().build().new_agent().get(&boot.ca).call().map_err(unreachable)?;
    let skew = skew_by(&answer, asked, begin.elapsed());
    if answer.status().as_u16() != 200 {
        return Err(AuthorityError::Answered { url: url(), status: answer.status().as_u16() });
    }
    let body = answer.body_mut().with_config().limit(MOST_OF_AN_ANSWER).read_to_vec().map_err(unreachable)?;
    let certificate = CertificateDer::from_pem_slice(&body).map_err(|_| AuthorityError::NotACertificate { url: url() })?;
    let found: [u8; 32] = Sha256::digest(&certificate).into();
    if found != boot.pin {
        return Err(AuthorityError::WrongAuthority { url: url(), found: hex(&found), expected: hex(&boot.pin) });
    }
    Ok((certificate.to_vec(), skew))
}

/// The body of a 2xx answer; everything else by what the agent can do about it.
fn successful(url: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<Vec<u8>, AskError> {
    let unreachable = |error| AskError::Unreachable { url: url.into(), source: Box::new(error) };
    let mut answer = answer.map_err(unreachable)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(MOST_OF_AN_ANSWER).read_to_vec();
    if (200..300).contains(&status) {
        return body.map_err(unreachable);
    }
    let (url, why) = (url.to_owned(), problem(status, &body.unwrap_or_default()));
    Err(match status {
        401 | 403 | 409 | 410 => AskError::TicketRefused { url, why },
        404 => AskError::Unknown { url, why },
        408 | 425 | 429 | 500..600 => AskError::Busy { url, why },
        _ => AskError::Refused { url, why },
    })
}

fn parsed<T: DeserializeOwned>(url: &str, body: Vec<u8>) -> Result<T, AskError> {
    serde_json::from_slice(&body).map_err(|source| AskError::Nonsense { url: url.into(), source })
}

/// What a problem document (RFC 9457) says, in one sentence without a full stop.
fn problem(status: u16, body: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |field: &str| document.get(field).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    match text("detail").or(text("title")) {
        Some(sentence) => printable(sentence.trim_end_matches('.'), 300),
        None => format!("HTTP {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_its_own_words() {
        let document = br#"{"type":"about:blank","title":"Forbidden","detail":"another key has used this ticket.","status":403}"#;
        assert_eq!(problem(403, document), "another key has used this ticket");
        assert_eq!(problem(403, br#"{"title":"Forbidden"}"#), "Forbidden");
        assert_eq!(problem(502, b"<html>"), "HTTP 502");
        assert_eq!(problem(400, br#"{"detail":"a\u001b[2Jb"}"#), "a\\u{1b}[2Jb");
    }
}
