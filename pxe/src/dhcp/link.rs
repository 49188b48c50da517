//! The interface that is served: its socket, and the addresses that it has at this moment.

use crate::port_holder::{Transport, holder_of};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

/// Bytes that may wait in the kernel: a thousand machines that are switched on at once.
const RECEIVE_BUFFER: usize = 4 << 20;

/// An interface's addresses at one moment.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    /// The addresses; none while the interface does not exist.
    pub addresses: Vec<Ipv4Addr>,
    /// The moment.
    pub seen: Instant,
}

impl Addresses {
    /// Looks. What cannot be seen is not there.
    pub fn of(interface: &str) -> Self {
        let seen = Instant::now();
        let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let addresses =
            all.filter(|entry| entry.interface_name == interface).filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip())).collect();
        Self { addresses, seen }
    }
}

/// Why a server could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No such interface.
    #[error("there is no interface `{interface}` to serve DHCP on: create it, or correct `interface` in the site's network")]
    NoInterface {
        /// As configured.
        interface: String,
    },
    /// Somebody else has the port.
    #[error("port {port}/udp on `{interface}` is taken by {holder}: stop it, or let it alone serve DHCP there")]
    Taken {
        /// The port.
        port: u16,
        /// The interface.
        interface: String,
        /// The programme, or that it is unknown.
        holder: String,
    },
    /// Privilege is missing.
    #[error("not allowed to serve DHCP on port {port}/udp of `{interface}`: run as root, or with CAP_NET_BIND_SERVICE and CAP_NET_RAW")]
    NotAllowed {
        /// The port.
        port: u16,
        /// The interface.
        interface: String,
    },
    /// Anything else.
    #[error("could not {attempted} for DHCP on `{interface}`")]
    Socket {
        /// What was tried.
        attempted: &'static str,
        /// The interface.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Takes a port on an interface; 0 for any that is free. Nothing shares it: a second server must be noticed at once.
pub(super) fn open(interface: &str, port: u16) -> Result<(UdpSocket, u16), BindError> {
    let failed = |attempted| move |source| BindError::Socket { attempted, interface: interface.to_owned(), source };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).map_err(failed("open a socket"))?;
    socket.set_nonblocking(true).map_err(failed("set up the socket"))?;
    socket.set_broadcast(true).map_err(failed("allow broadcasts"))?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        // Without privilege, up to the system's limit; it works with less, only not for a whole hall at once.
        socket.set_recv_buffer_size(RECEIVE_BUFFER).ok();
    }
    socket.bind_device(Some(interface.as_bytes())).map_err(|error| refused(error, "bind to the interface", interface, port))?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    socket.bind(&any.into()).map_err(|error| refused(error, "bind the port", interface, port))?;
    let socket = UdpSocket::from(socket);
    let port = socket.local_addr().map_err(failed("read the bound port"))?.port();
    Ok((socket, port))
}

fn refused(source: io::Error, attempted: &'static str, interface: &str, port: u16) -> BindError {
    let missing = source.raw_os_error() == Some(nix::errno::Errno::ENODEV as i32);
    let interface = interface.to_owned();
    match source.kind() {
        ErrorKind::AddrInUse => {
            let holder = holder_of(Transport::Udp, port).unwrap_or_else(|| "another programme".into());
            BindError::Taken { port, interface, holder }
        }
        ErrorKind::PermissionDenied => BindError::NotAllowed { port, interface },
        _ if missing => BindError::NoInterface { interface },
        _ => BindError::Socket { attempted, interface, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_shows_its_addresses_and_a_missing_one_none() {
        assert!(Addresses::of("lo").addresses.contains(&Ipv4Addr::LOCALHOST));
        assert!(Addresses::of("no-such-link").addresses.is_empty());
    }

    #[test]
    fn a_port_is_had_by_one_and_the_other_is_told_by_whom() {
        let (_held, port) = open("lo", 0).expect("a socket");
        let refused = open("lo", port).expect_err("the port is taken").to_string();
        let me = format!("port {port}/udp on `lo` is taken by");
        assert!(refused.starts_with(&me) && refused.contains(&format!("(process {})", std::process::id())), "{refused}");
    }

    #[test]
    fn a_missing_interface_is_named() {
        let refused = open("no-such-link", 0).expect_err("it does not exist");
        assert!(matches!(refused, BindError::NoInterface { .. }), "{refused:?}");
    }
}
