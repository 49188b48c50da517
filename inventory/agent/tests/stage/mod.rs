//! A service played with rustls and nothing of ours: one listener in the open for the certificate, one with TLS.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme, StreamOwned};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use inventory_agent::boot::Boot;

pub const TICKET: &str = "0123456789abcdef0123456789abcdef";

/// Signs certificates.
pub struct Authority {
    key: KeyPair,
    params: CertificateParams,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { key, params, pem: certificate.pem(), certificate: certificate.der().clone() }
    }

    fn server(&self) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyKey))
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap()
    }
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub first_line: String,
    pub ticket: Option<String>,
    pub body: String,
    pub client_key: Option<String>,
}

/// What is answered: a status, headers and a body, or nothing but a closed connection.
pub struct Answer(Option<(u16, String, String)>);

impl Answer {
    pub fn json(status: u16, body: &str) -> Self {
        Self(Some((status, String::new(), body.to_owned())))
    }
    pub fn close() -> Self {
        Self(None)
    }
    pub fn with_header(self, name: &str, value: &str) -> Self {
        Self(self.0.map(|(status, headers, body)| (status, format!("{headers}{name}: {value}\r\n"), body)))
    }
}

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

pub struct Stage {
    open: SocketAddr,
    tls: SocketAddr,
    pin: [u8; 32],
    in_the_open: Arc<Mutex<String>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stage {
    pub fn open(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        Self::open_as(&authority, &authority, script)
    }

    /// The TLS listener belongs to `real`; in the open, and in the pin, is `shown`.
    pub fn open_as(real: &Authority, shown: &Authority, script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (plain, secure) = (listen(), listen());
        let (open, tls) = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
        let in_the_open = Arc::new(Mutex::new(shown.pem.clone()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let body = in_the_open.clone();
        // The threads end with the test's process.
        std::thread::spawn(move || plain.incoming().flatten().for_each(|stream| show(stream, &body.lock().unwrap())));
        let (config, script, record): (_, Arc<Script>, _) = (Arc::new(real.server()), Arc::new(script), asked.clone());
        std::thread::spawn(move || {
            for stream in secure.incoming().flatten() {
                let (config, script, record) = (config.clone(), script.clone(), record.clone());
                std::thread::spawn(move || converse(stream, config, &*script, &record));
            }
        });
        Self { open, tls, pin: Sha256::digest(&shown.certificate).into(), in_the_open, asked }
    }

    pub fn boot(&self) -> Boot {
        Boot {
            url: format!("https://{}", self.tls),
            ca: format!("http://{}/boot/authority.pem", self.open),
            pin: self.pin,
            ticket: TICKET.into(),
            boot: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            mac: None,
        }
    }

    pub fn serve_in_the_open(&self, body: &str) {
        *self.in_the_open.lock().unwrap() = body.into();
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn show(mut stream: TcpStream, body: &str) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {}
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}

fn converse(stream: TcpStream, config: Arc<ServerConfig>, script: &Script, record: &Mutex<Vec<Asked>>) {
    let tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut reader = BufReader::new(tls);
    while let Some(mut asked) = read_request(&mut reader) {
        let certificates = reader.get_ref().conn.peer_certificates();
        asked.client_key = certificates.and_then(|chain| chain.first()).map(|cert| fingerprint(cert));
        let answer = script(&asked);
        record.lock().unwrap().push(asked);
        let Some((status, headers, body)) = answer.0 else { return };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}");
        let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let stream = reader.get_mut();
        if stream.write_all(format!("{head}{length}\r\n{body}").as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let (_, value) = lines.iter().skip(1).filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(value.trim().to_owned())
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        first_line: lines.first()?.clone(),
        ticket: header("overture-ticket"),
        body: String::from_utf8(body).ok()?,
        client_key: None,
    })
}

/// SHA-256 of the SubjectPublicKeyInfo, found in the certificate by webpki and not by the code under test.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate).unwrap();
    Sha256::digest(parsed.subject_public_key_info()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes every client certificate, as the service does: the key is what counts.
#[derive(Debug)]
struct AnyKey;

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(m, c, d, &default_provider().signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(m, c, d, &default_provider().signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
