//! The agent's key: made on the node, for this boot, never written to a disk.
//!
//! The service binds the SHA-256 of its public part (SubjectPublicKeyInfo) to the boot when it is first used with
//! the boot's ticket; a second key voids the ticket. So a restarted agent must find its key again: init lets it be
//! kept in `/run`, which is memory.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A private key (ECDSA on P-256) with the self-signed certificate that TLS wants around it.
pub struct AgentKey {
    pair: KeyPair,
    certificate: Vec<u8>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It could not be made.
    #[error("could not make a key")]
    Make(#[source] rcgen::Error),
    /// It could not be kept.
    #[error("could not keep the key in {path}")]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl AgentKey {
    /// Makes a key that lives in this process only.
    pub fn make() -> Result<Self, KeyError> {
        Self::certified(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Make)?)
    }

    /// Takes the key that is kept in `path`, or makes one and keeps it there, for its owner only. A file that holds
    /// no key is replaced.
    pub fn kept_in(path: &Path) -> Result<Self, KeyError> {
        let kept = std::fs::read(path)
            .ok()
            .and_then(|der| KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ECDSA_P256_SHA256).ok());
        if let Some(pair) = kept {
            return Self::certified(pair);
        }
        let key = Self::make()?;
        keep(path, key.pair.serialized_der()).map_err(|source| KeyError::Keep { path: path.into(), source })?;
        Ok(key)
    }

    /// The clock of a node can be anywhere, so the certificate is always valid.
    fn certified(pair: KeyPair) -> Result<Self, KeyError> {
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "overture-agent");
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1);
        params.not_after = rcgen::date_time_ymd(9999, 12, 31);
        params.distinguished_name = name;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&pair).map_err(KeyError::Make)?.der().to_vec();
        Ok(Self { pair, certificate })
    }

    /// SHA-256 over the SubjectPublicKeyInfo (DER), 64 hexadecimal digits: what the service shows, too.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.pair.subject_public_key_info()))
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key, PKCS #8 in PEM, the only form that ureq takes from outside.
    pub(crate) fn private_pem(&self) -> String {
        self.pair.serialize_pem()
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({}…)", self.fingerprint().get(..16).unwrap_or_default())
    }
}

fn keep(path: &Path, der: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?.write_all(der)?;
    std::fs::rename(&new, path)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_restarted_agent_has_the_same_key_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.key");
        let first = AgentKey::kept_in(&path).unwrap();
        assert_eq!(AgentKey::kept_in(&path).unwrap().fingerprint(), first.fingerprint());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "no key").unwrap();
        assert_ne!(AgentKey::kept_in(&path).unwrap().fingerprint(), first.fingerprint());
        assert!(AgentKey::kept_in(&folder.path().join("no/such/folder")).is_err());
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = AgentKey::make().unwrap();
        assert!(format!("{key:?}").len() < 40);
        assert_eq!(key.fingerprint().len(), 64);
    }
}
