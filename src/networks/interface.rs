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

/// What an interface has on its network, or what it lacks.
pub(super) fn find(name: &str, network: &Network) -> Result<Found, BindError> {
    let interfaces: Vec<_> = nix::ifaddrs::getifaddrs().map_err(|error| BindError::Interfaces(error.into()))?.collect();
    let Some(number) = number_of(&network.interface) else {
        let mut names: Vec<_> = interfaces.into_iter().map(|found| found.interface_name).collect();
        names.sort();
        names.dedup();
        return Err(BindError::NoInterface { network: name.to_owned(), interface: network.interface.clone(), has: names.join(", ") });
    };
    let own: Vec<Ipv4Addr> = interfaces
        .iter()
        .filter(|found| found.interface_name == network.interface)
        .filter_map(|found| found.address.as_ref()?.as_sockaddr_in().map(|address| address.ip()))
        .filter(|address| network.subnet.contains(address))
        .collect();
    if own.is_empty() {
        return Err(BindError::NoAddress {
            network: name.to_owned(),
            interface: network.interface.clone(),
            subnet: network.subnet,
            example: ipnet::Ipv4Net::new(free_address(network), network.subnet.prefix_len()).unwrap_or(network.subnet),
        });
    }
    Ok(Found { number, own })
}

/// An address of a network that the site gives to nobody.
fn free_address(network: &Network) -> Ipv4Addr {
    let is_taken = |address: &Ipv4Addr| {
        network.gateway == Some(*address)
            || network.dns.contains(address)
            || network.pool.contains(*address)
            || network.fixed.is_some_and(|fixed| fixed.contains(*address))
    };
    network.subnet.hosts().find(|address| !is_taken(address)).unwrap_or(network.subnet.addr())
}

/// Listens on an address, for what comes in by one interface: other networks of this machine are not served.
pub(super) fn listen_on(interface: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(address)?;
    socket.listen(1024)
}
