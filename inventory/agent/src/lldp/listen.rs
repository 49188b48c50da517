//! One packet socket that gets the LLDP frames of all interfaces, and a thread that reads it.
//!
//! Cards filter by address; that they let the groups of LLDP through is seen to by the ramdisk's init, which has them
//! receive every group ([`crate::netlink::switch_on`]). Here nothing is changed.

use super::frame::{ETHERTYPE, Said, parse};
use nix::sys::socket::{LinkAddr, recvfrom};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// The largest frame that a card takes, and some.
const BUFFER: usize = 10 * 1024;
/// `PACKET_OTHERHOST`: to another machine, or on a VLAN that is not ours.
const TO_SOMEBODY_ELSE: u8 = 3;
/// Names of interfaces may change; they are read again after this time.
const NAMES_HOLD: Duration = Duration::from_secs(5);

/// What was heard, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The name of the interface.
    pub interface: String,
    /// What the neighbour said.
    pub said: Said,
}

/// Why nothing can be heard.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The kernel gives no socket.
    #[error("could not listen for LLDP")]
    Socket(#[source] std::io::Error),
}

/// Listens in a thread of its own on every interface of this network namespace. `tell` is called with each frame that
/// is understood; when it answers `false`, the thread ends.
pub fn listen(mut tell: impl FnMut(Heard) -> bool + Send + 'static) -> Result<(), ListenError> {
    let socket = open().map_err(ListenError::Socket)?;
    let listener = std::thread::Builder::new().name("lldp".into());
    let run = move || {
        let (mut names, mut buffer) = (Names::default(), vec![0; BUFFER]);
        loop {
            match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
                Ok((length, Some(from))) if from.pkttype() != TO_SOMEBODY_ELSE => {
                    let Ok(said) = parse(buffer.get(..length).unwrap_or_default()) else { continue };
                    let Some(interface) = names.of(from.ifindex()) else { continue };
                    if !tell(Heard { interface, said }) {
                        return;
                    }
                }
                Ok(_) => {}
                // An interface that went down is told once, by an error; the others go on.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    };
    listener.spawn(run).map(drop).map_err(ListenError::Socket)
}

fn open() -> std::io::Result<OwnedFd> {
    // The kernel wants the EtherType in network byte order.
    let protocol = NonZeroU32::new(ETHERTYPE.to_be().into()).map(Protocol::from_raw);
    Ok(socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?)
}

#[derive(Default)]
struct Names {
    known: Vec<(u32, String)>,
    read: Option<Instant>,
}

impl Names {
    fn of(&mut self, index: usize) -> Option<String> {
        let index = u32::try_from(index).ok()?;
        if self.read.is_none_or(|read| read.elapsed() > NAMES_HOLD) {
            let links = crate::netlink::links().ok()?;
            (self.known, self.read) = (links.into_iter().map(|link| (link.index, link.name)).collect(), Some(Instant::now()));
        }
        self.known.iter().find(|(known, _)| *known == index).map(|(_, name)| name.clone())
    }
}
