//! The site's own certificate authority, and the agents' listener's certificate.
//!
//! Nodes are told the authority's fingerprint in their boot script and trust nothing else, so neither expiry nor names
//! carry meaning here. A node's clock may stand at 1970 or be years off: the certificates are valid from 1970 to
//! the end of 9999 (the value for "no well-defined expiration", RFC 5280, 4.1.2.5).

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The authority: its certificate, and the key that signs.
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error("could not {attempted} {path}")]
    File {
        /// read, write, set the mode of.
        attempted: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate is there, and the key is not.
    #[error(
        "{missing} is missing beside {present}: restore it from a backup, or remove both files to make a new authority (nodes that are booting must then start again)"
    )]
    Half {
        /// The one that is there.
        present: PathBuf,
        /// The other.
        missing: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{path} does not hold {what}: restore it from a backup, or remove both authority files to make a new one")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// A certificate, a key.
        what: &'static str,
    },
    /// The library refused.
    #[error("could not make a certificate")]
    Making(#[from] rcgen::Error),
}

impl Authority {
    /// Reads the authority from a folder, or makes one there: `authority.pem` and `authority.key` (mode 0600). A key whose
    /// certificate is not there gets a new one.
    pub fn load_or_make(folder: &Path) -> Result<Self, AuthorityError> {
        let (certificate_path, key_path) = (folder.join("authority.pem"), folder.join("authority.key"));
        match (certificate_path.exists(), key_path.exists()) {
            (true, true) => Self::load(&certificate_path, &key_path),
            (false, false) => Self::make(&certificate_path, &key_path),
            (true, false) => Err(AuthorityError::Half { present: certificate_path, missing: key_path }),
            (false, true) => Self::certify(&certificate_path, &key_path),
        }
    }

    fn load(certificate_path: &Path, key_path: &Path) -> Result<Self, AuthorityError> {
        let unusable = |path: &Path, what| AuthorityError::Unusable { path: path.to_owned(), what };
        let pem = read(certificate_path)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unusable(certificate_path, "a certificate"))?;
        let key = read_key(key_path)?;
        let of_key = rustls::server::ParsedCertificate::try_from(&certificate)
            .is_ok_and(|parsed| *parsed.subject_public_key_info() == *key.subject_public_key_info());
        if !of_key {
            return Err(unusable(certificate_path, "the certificate of the key beside it"));
        }
        Ok(Self { certificate: certificate.into_owned(), pem, key })
    }

    fn make(certificate_path: &Path, key_path: &Path) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        // The key first: a key without its certificate is taken up at the next start, a certificate without its key is not.
        write_private(key_path, key.serialize_pem().as_bytes())?;
        Self::sign_own(certificate_path, key)
    }

    /// Takes up a key that has no certificate: the first start was interrupted between the two.
    fn certify(certificate_path: &Path, key_path: &Path) -> Result<Self, AuthorityError> {
        tracing::warn!("{} was missing and is made anew: nodes that are booting now must start again", certificate_path.display());
        let key = read_key(key_path)?;
        Self::sign_own(certificate_path, key)
    }

    fn sign_own(certificate_path: &Path, key: KeyPair) -> Result<Self, AuthorityError> {
        let certificate = own_params().self_signed(&key)?;
        write_private(certificate_path, certificate.pem().as_bytes())?;
        Ok(Self { pem: certificate.pem(), certificate: certificate.der().clone(), key })
    }

    /// The certificate as nodes fetch it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 over the certificate's DER, 64 hexadecimal digits: what boot scripts pin.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::digest(&self.certificate))
    }

    /// A certificate for a listener on these addresses, with the authority's behind it, and its key. Made anew at each
    /// start; nothing remembers it.
    pub fn issue(&self, addresses: &[IpAddr]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
        let own = own_params();
        let issuer = Issuer::from_params(&own, &self.key);
        let key = KeyPair::generate()?;
        let mut params = timeless(CertificateParams::default());
        params.distinguished_name = named("Overture");
        params.subject_alt_names = addresses.iter().copied().map(SanType::IpAddress).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &issuer)?;
        Ok((vec![certificate.der().clone(), self.certificate.clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }
}

/// What the authority's certificate says, the same at each start.
fn own_params() -> CertificateParams {
    let mut params = timeless(CertificateParams::default());
    params.distinguished_name = named("Overture site authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn timeless(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(1970, 1, 1);
    params.not_after = rcgen::date_time_ymd(9999, 12, 31);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    std::fs::read_to_string(path).map_err(|source| AuthorityError::File { attempted: "read", path: path.to_owned(), source })
}

/// Reads the key, and takes it from everybody but its owner: a backup may have been put back with another mode.
fn read_key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let key = KeyPair::from_pem(&read(path)?).map_err(|_| AuthorityError::Unusable { path: path.to_owned(), what: "a private key" })?;
    let failed = |source| AuthorityError::File { attempted: "set the mode of", path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!("{} was open to others (mode {mode:04o}); it is now its owner's alone", path.display());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700)).map_err(failed)?;
    }
    Ok(key)
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), AuthorityError> {
    let failed = |source| AuthorityError::File { attempted: "write", path: path.to_owned(), source };
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().expect("folder");
        let first = Authority::load_or_make(folder.path()).expect("made");
        let again = Authority::load_or_make(folder.path()).expect("found");
        assert_eq!(first.fingerprint(), again.fingerprint());
        let mode = std::fs::metadata(folder.path().join("authority.key")).expect("key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        again.issue(&["127.0.0.1".parse().expect("address")]).expect("issued");
    }

    #[test]
    fn a_key_that_a_crash_left_alone_or_a_backup_left_open_is_taken_up() {
        let folder = tempfile::tempdir().expect("folder");
        Authority::load_or_make(folder.path()).expect("made");
        let path = folder.path().join("authority.key");
        let key = std::fs::read(&path).expect("key");
        std::fs::remove_file(folder.path().join("authority.pem")).expect("removed");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("opened");
        let made = Authority::load_or_make(folder.path()).expect("made whole");
        assert_eq!(Authority::load_or_make(folder.path()).expect("found").fingerprint(), made.fingerprint());
        assert_eq!(std::fs::read(&path).expect("key"), key);
        assert_eq!(std::fs::metadata(&path).expect("key").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn half_an_authority_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("folder");
        Authority::load_or_make(folder.path()).expect("made");
        std::fs::remove_file(folder.path().join("authority.key")).expect("removed");
        assert!(matches!(Authority::load_or_make(folder.path()), Err(AuthorityError::Half { .. })));
        std::fs::write(folder.path().join("authority.key"), "rubbish").expect("written");
        assert!(matches!(Authority::load_or_make(folder.path()), Err(AuthorityError::Unusable { .. })));
    }
}
