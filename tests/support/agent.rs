//! An agent as the service sees it: TLS with a key of its own, the service's certificate checked against the authority
//! that the boot script names.

use super::PATIENCE;
use super::answer::{self, Answer};
use super::machine::{get, web};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use tests_sim::dhcp::Machine;
use tests_sim::http::{HttpError, Url};

/// An agent's key and its certificate, which says nothing.
#[derive(Debug)]
pub struct Key {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Key {
    /// A new one.
    pub fn fresh() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["agent".to_owned()]).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        Self { certificate: made.cert.der().clone(), key }
    }
}

/// What an agent's connection is.
pub type Connection = StreamOwned<ClientConnection, TcpStream>;

/// An agent with its ticket.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The address it speaks from.
    pub from: Ipv4Addr,
    /// Its ticket; none sends no header.
    pub ticket: Option<String>,
    /// The boot that it names in reports.
    pub boot: String,
    /// Where it finds the service.
    pub service: SocketAddrV4,
    tls: Arc<ClientConfig>,
}

impl Agent {
    /// An agent at an address, with the words of its kernel's command line. Fetches the authority and checks its pin.
    pub fn new(from: Ipv4Addr, words: &BTreeMap<String, String>, key: &Key) -> Self {
        Self::try_new(from, words, key).expect("the authority can be fetched")
    }

    /// The same, while the service may be gone.
    pub fn try_new(from: Ipv4Addr, words: &BTreeMap<String, String>, key: &Key) -> Result<Self, HttpError> {
        let authority: Url = words["ca"].parse().expect("a URL");
        let authority = web(from).get(&authority)?;
        let certificate = CertificateDer::from_pem_slice(&authority.body).expect("a certificate");
        assert_eq!(hex::encode(Sha256::digest(&certificate)), words["pin"], "the authority has the fingerprint of the script");
        let service = words["url"].strip_prefix("https://").and_then(|service| service.parse().ok()).expect("an address and a port");
        let tls = tls(certificate, Some(key));
        Ok(Self { from, ticket: Some(words["ticket"].clone()), boot: words["boot"].clone(), service, tls })
    }

    /// The same agent, but for its ticket.
    pub fn with_ticket(&self, ticket: Option<&str>) -> Self {
        Self { ticket: ticket.map(str::to_owned), ..self.clone() }
    }

    /// The same agent, naming another boot.
    pub fn of_boot(&self, boot: &str) -> Self {
        Self { boot: boot.to_owned(), ..self.clone() }
    }

    /// The same agent at another address.
    pub fn at(&self, from: Ipv4Addr) -> Self {
        Self { from, ..self.clone() }
    }

    /// A connection. With TLS 1.3 the service's refusal of a key comes with the first read.
    pub fn connect(&self) -> io::Result<Connection> {
        let stream = connect(self.from, self.service)?;
        let name = ServerName::IpAddress(std::net::IpAddr::from(*self.service.ip()).into());
        let tls = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(tls, stream))
    }

    /// One request over a connection of its own.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let ticket = self.ticket.as_deref();
        let headers: Vec<_> = ticket.map(|ticket| ("overture-ticket", ticket)).into_iter().collect();
        answer::ask(&mut self.connect()?, method, path, &headers, body)
    }

    /// Reports a machine's hardware; `number` tells this report from others of the same machine.
    pub fn report(&self, machine: &Machine, number: u64) -> io::Result<Answer> {
        self.send("POST", "/report", report(machine, &self.boot, number).to_string().as_bytes())
    }
}

/// TLS with an agent's key, or without any.
pub fn tls(authority: CertificateDer<'static>, key: Option<&Key>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS").with_root_certificates(roots);
    Arc::new(match key {
        Some(key) => builder.with_client_auth_cert(vec![key.certificate.clone()], key.key.clone_key()).expect("a key"),
        None => builder.with_no_client_auth(),
    })
}

impl Agent {
    /// The same agent without a key.
    pub fn without_key(&self) -> Self {
        let authority = get(self.from, "/boot/authority.pem");
        let certificate = CertificateDer::from_pem_slice(&authority.body).expect("a certificate");
        Self { tls: tls(certificate, None), ..self.clone() }
    }
}

/// A TCP connection from an address of the machines' side.
pub fn connect(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SockAddr::from(SocketAddrV4::new(from, 0)))?;
    socket.connect_timeout(&SockAddr::from(to), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(2 * PATIENCE))?;
    socket.set_write_timeout(Some(2 * PATIENCE))?;
    Ok(socket.into())
}

/// What an agent reports of a machine. The number travels as the agent's uptime.
pub fn report(machine: &Machine, boot: &str, number: u64) -> Value {
    let mac = machine.mac.to_string();
    json!({
        "report": 1,
        "boot": boot,
        "facts": {
            "system": { "manufacturer": "Simulated", "product": "Machine", "serial": machine.serial, "uuid": machine.uuid.to_string() },
            "firmware": { "kind": "bios" },
            "cpu": { "model": "None", "threads": 2 },
            "memory": { "usable_bytes": 536_870_912u64 },
            "disks": [{ "name": "vda", "serial": format!("D-{}", machine.serial), "size_bytes": 1_073_741_824u64 }],
            "nics": [{ "name": "eth0", "mac": mac, "permanent_mac": mac, "link": true }],
            "agent": { "version": "test", "uptime_seconds": number },
        },
        "gaps": [],
    })
}
