//! A network interface of this thread's namespace, as a machine's network card.

use crate::names::Mac;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{LinkAddr, MsgFlags, recv, send};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;
use std::time::Instant;

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;

/// Why an interface cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// There is none of that name here.
    #[error("this network namespace has no interface `{0}` with an Ethernet address: enter the namespace before, and create it there")]
    Missing(String),
    /// A packet socket was refused.
    #[error("could not open a packet socket on `{interface}`: this needs root (CAP_NET_RAW)")]
    Socket {
        /// On which interface.
        interface: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `ip address` failed.
    #[error("could not give {address} to `{interface}`: {said}")]
    Address {
        /// To which interface.
        interface: String,
        /// Which address.
        address: Ipv4Addr,
        /// What `ip` said.
        said: String,
    },
}

/// An interface that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    name: String,
    link: LinkAddr,
}

impl Interface {
    /// The interface of that name.
    pub fn find(name: &str) -> Result<Self, InterfaceError> {
        let missing = || InterfaceError::Missing(name.to_owned());
        let mut addresses = nix::ifaddrs::getifaddrs().map_err(|_| missing())?;
        let link = addresses.find_map(|found| match found.address {
            Some(address) if found.interface_name == name => address.as_link_addr().copied(),
            _ => None,
        });
        Ok(Self { name: name.to_owned(), link: link.ok_or_else(missing)? })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn mac(&self) -> Option<Mac> {
        self.link.addr().map(Mac)
    }

    /// Sends and hears its IPv4 frames.
    pub fn open(&self) -> Result<Wire, InterfaceError> {
        let opened = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(IPV4.to_be()))))?;
            nix::sys::socket::bind(socket.as_raw_fd(), &self.link)?;
            // Room for the answers to a flood; without the right to force it, the system's limit has to do.
            let _ = socket.set_recv_buffer_size(8 << 20);
            Ok(socket)
        };
        let socket = opened().map_err(|source| InterfaceError::Socket { interface: self.name.clone(), source })?;
        Ok(Wire { socket })
    }

    /// Gives it an address until the guard is dropped.
    pub fn hold(&self, address: Ipv4Addr, prefix: u32) -> Result<HeldAddress, InterfaceError> {
        let held = HeldAddress { interface: self.name.clone(), address, prefix };
        held.ip("replace").map_err(|said| InterfaceError::Address { interface: self.name.clone(), address, said })?;
        Ok(held)
    }
}

/// An address that an interface has; taken away when dropped.
#[derive(Debug)]
pub struct HeldAddress {
    interface: String,
    address: Ipv4Addr,
    prefix: u32,
}

impl HeldAddress {
    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn ip(&self, what: &str) -> Result<(), String> {
        let address = format!("{}/{}", self.address, self.prefix);
        let done = Command::new("ip").args(["address", what, &address, "dev", &self.interface]).output();
        match done {
            Ok(done) if done.status.success() => Ok(()),
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => Err(format!("the programme `ip` did not start: {error}")),
        }
    }
}

impl Drop for HeldAddress {
    fn drop(&mut self) {
        // The namespace may be gone already, and the address with it.
        let _ = self.ip("delete");
    }
}

/// Whole IPv4 frames of one interface.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
}

impl Wire {
    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        loop {
            match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
                // The queue of the card is full: as with real cards, the frame is lost, and its sender will repeat it.
                Ok(_) | Err(Errno::ENOBUFS) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next frame, or none until `deadline`. What has already come is always given.
    pub fn hear<'b>(&mut self, buffer: &'b mut [u8], deadline: Instant) -> io::Result<Option<&'b [u8]>> {
        loop {
            match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => return Ok(Some(&buffer[..length])),
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => {}
                Err(error) => return Err(error.into()),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            // Not the socket's own time-out: the kernel rounds that up to its tick, four milliseconds or more.
            match ppoll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], Some(left.into()), None) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
