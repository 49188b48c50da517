//! What this machine has of an interface, and listening there.

use super::BindError;
use domain::site::Network;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

/// An interface that has an address on its network.
pub(super) struct Found {
    /// Its number: an interface that is made anew under the same name has another.
    pub number: u32,
    /// Its addresses there; at least one.
    pub own: Vec<Ipv4Addr>,
}

/// The number of an interface; none when there is no such interface.
pub(super) fn number_of(interface: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(interface).ok()
}

/// Listens on an address, for what comes in by one interface: other networks of this machine are not served.
fn bind_on(interface: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// This machine's addresses on a network; at least one.
fn own_addresses(name: &str, network: &Network) -> Result<Vec<Ipv4Addr>, BindError> {
    let interfaces: Vec<_> = nix::ifaddrs::getifaddrs().map_err(|error| BindError::Interfaces(error.into()))?.collect();
    let mut own = interfaces.iter().filter(|found| found.interface_name == network.interface).peekable();
    if own.peek().is_none() {
        let mut names: Vec<_> = interfaces.iter().map(|found| found.interface_name.clone()).collect();
        names.sort();
        names.dedup();
        return Err(BindError::NoInterface { network: name.to_owned(), interface: network.interface.clone(), has: names.join(", ") });
    }
    let there: Vec<Ipv4Addr> = own
        .filter_map(|found| found.address.as_ref()?.as_sockaddr_in().map(|address| address.ip()))
        .filter(|address| network.subnet.contains(address))
        .collect();
    if there.is_empty() {
        let host = network.gateway.or_else(|| network.subnet.hosts().next()).unwrap_or(network.subnet.addr());
        return Err(BindError::NoAddress {
            network: name.to_owned(),
            interface: network.interface.clone(),
            subnet: network.subnet,
            example: ipnet::Ipv4Net::new(host, network.subnet.prefix_len()).unwrap_or(network.subnet),
        });
    }
    Ok(there)
}
