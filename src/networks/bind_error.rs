//! Why a network cannot be served on this machine, and what to do about it.

use crate::authority::AuthorityError;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Why a network cannot be served on this machine.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The interface is not there.
    #[error("network.{network}.interface: this machine has no interface `{interface}`; it has {has}")]
    NoInterface {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// Those that are there.
        has: String,
    },
    /// The interface has no address there.
    #[error(
        "network.{network}.subnet: interface `{interface}` has no address in {subnet}: give it one, such as `ip addr add {example} dev {interface}`"
    )]
    NoAddress {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// The network's addresses.
        subnet: ipnet::Ipv4Net,
        /// One of them.
        example: ipnet::Ipv4Net,
    },
    /// The interface is served under another address.
    #[error(
        "network.{network}: interface `{interface}` is served as {old}, and this site needs {new}: apply the site without this network first, then with it"
    )]
    Moved {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// As bound.
        old: Ipv4Addr,
        /// As found.
        new: Ipv4Addr,
    },
    /// A port could not be had.
    #[error("network `{network}`: {server} could not listen on {address}{}", mend(.source, .holder.as_deref()))]
    Port {
        /// The network.
        network: String,
        /// Which server.
        server: &'static str,
        /// Where.
        address: SocketAddr,
        /// Who has the port.
        holder: Option<String>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// DHCP could not start.
    #[error("network `{network}`")]
    Dhcp {
        /// The network.
        network: String,
        /// Why.
        #[source]
        source: pxe::dhcp::BindError,
    },
    /// TFTP could not start.
    #[error("network `{network}`")]
    Tftp {
        /// The network.
        network: String,
        /// Why.
        #[source]
        source: pxe::tftp::BindError,
    },
    /// No certificate could be made.
    #[error("no certificate could be made for the agents' listener")]
    Certificate(#[from] AuthorityError),
    /// TLS could not be set up.
    #[error("TLS could not be set up for the agents' listener")]
    Tls(#[from] rustls::Error),
    /// The machine's interfaces could not be read.
    #[error("this machine's network interfaces could not be read")]
    Interfaces(#[source] io::Error),
}

/// What to do about a port that could not be had.
fn mend(source: &io::Error, holder: Option<&str>) -> String {
    match (source.kind(), holder) {
        (_, Some(holder)) => format!(", which {holder} has already: stop it, or choose another port in overture.toml"),
        (io::ErrorKind::AddrInUse, None) => ", which another program has already: stop it, or choose another port in overture.toml".into(),
        (io::ErrorKind::PermissionDenied, None) => {
            ": run as root or with CAP_NET_BIND_SERVICE, or choose another port in overture.toml".into()
        }
        _ => String::new(),
    }
}
