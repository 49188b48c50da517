//! `http://` addresses, as boot scripts and option 67 name them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

/// An `http://` URL with an IPv4 address for a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    server: SocketAddrV4,
    target: String,
}

/// Not such a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not http://ADDRESS[:PORT]/PATH of printable ASCII without blanks")]
pub struct NotAUrl(String);

impl Url {
    /// The URL of a path, with its query, on a server.
    pub fn new(server: SocketAddrV4, target: &str) -> Result<Self, NotAUrl> {
        let sound = target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic());
        if sound { Ok(Self { server, target: target.to_owned() }) } else { Err(NotAUrl(format!("http://{server}{target}"))) }
    }

    /// Where to connect.
    pub fn server(&self) -> SocketAddrV4 {
        self.server
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as the header `Host` has them.
    pub fn authority(&self) -> String {
        if self.server.port() == 80 { self.server.ip().to_string() } else { self.server.to_string() }
    }

    /// What a reference within the document of this URL means: whole, from the root, or beside it.
    pub fn join(&self, reference: &str) -> Result<Self, NotAUrl> {
        if reference.contains("://") {
            return reference.parse();
        }
        if reference.starts_with('/') {
            return Self::new(self.server, reference);
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self::new(self.server, &format!("{folder}/{reference}"))
    }
}

impl FromStr for Url {
    type Err = NotAUrl;
    fn from_str(text: &str) -> Result<Self, NotAUrl> {
        let wrong = || NotAUrl(text.chars().take(200).collect());
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
        let host: Ipv4Addr = host.parse().map_err(|_| wrong())?;
        let port = port.parse().map_err(|_| wrong())?;
        Self::new(SocketAddrV4::new(host, port), if target.is_empty() { "/" } else { target }).map_err(|_| wrong())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_joined() {
        let url: Url = "http://10.0.0.1:8080/a/b?c=/d".parse().expect("a URL");
        assert_eq!((url.server().port(), url.target()), (8080, "/a/b?c=/d"));
        assert_eq!(url.join("x?y").map(|url| url.to_string()), Ok("http://10.0.0.1:8080/a/x?y".into()));
        assert_eq!(url.join("/x").map(|url| url.to_string()), Ok("http://10.0.0.1:8080/x".into()));
        assert_eq!(url.join("http://10.0.0.2/").map(|url| url.to_string()), Ok("http://10.0.0.2/".into()));
        assert_eq!("http://10.0.0.1".parse::<Url>().map(|url| url.to_string()), Ok("http://10.0.0.1/".into()));
        for text in ["", "https://10.0.0.1/", "http://host/", "http://10.0.0.1:99999/", "http://10.0.0.1/a b", "http://10.0.0.1/\r\n"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
