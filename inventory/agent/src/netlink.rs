//! The kernel's view of network interfaces over route netlink (RFC 3549): listing them, switching them on.
//!
//! Messages are made and read by hand: two kinds of request and five attributes are all that is needed, and the
//! permanent address has no file under `/sys`. Numbers are in the machine's own byte order.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::time::Duration;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
pub(crate) const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
const IFF_UP: u32 = 1;
const IFF_ALLMULTI: u32 = 0x200;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_CARRIER: u16 = 33;
const IFLA_PERM_ADDRESS: u16 = 54;
/// NETLINK_ROUTE is protocol 0.
const ROUTE: Option<Protocol> = None;
/// nlmsghdr: length, type, flags, sequence, port.
pub(crate) const HEADER: usize = 16;
/// ifinfomsg: family, type, index, flags, change.
const LINK_HEADER: usize = 16;

/// What one datagram may hold; the kernel fills at most 32 KiB.
const BUFFER: usize = 64 * 1024;
const MOST_LINKS: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(2);

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its address in use, when it has six bytes.
    pub mac: Option<[u8; 6]>,
    /// The address in its hardware.
    pub permanent_mac: Option<[u8; 6]>,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether there is a partner at the other end; known only while it is up.
    pub carrier: Option<bool>,
}

impl Link {
    /// Whether it has this address, in use or in hardware.
    pub fn has_mac(&self, mac: &str) -> bool {
        [self.mac, self.permanent_mac].into_iter().flatten().any(|own| mac_text(own) == mac)
    }
}

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket failed.
    #[error("could not ask the kernel about its network interfaces")]
    Socket(#[source] std::io::Error),
    /// The kernel refused.
    #[error("the kernel refused to {what}")]
    Refused {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// All network interfaces of this network namespace.
pub fn links() -> Result<Vec<Link>, NetlinkError> {
    let mut links = Vec::new();
    converse(ROUTE, &request(RTM_GETLINK, NLM_F_DUMP, 0, 0, 0), "list its network interfaces", |message| {
        if message.kind == RTM_NEWLINK && links.len() < MOST_LINKS {
            links.extend(parse_link(message.payload));
        }
    })?;
    Ok(links)
}

/// Switches an interface on, and has it receive what is sent to groups: cards drop LLDP otherwise. It may already be.
pub fn switch_on(link: &Link) -> Result<(), NetlinkError> {
    let bytes = request(RTM_NEWLINK, NLM_F_ACK, link.index, IFF_UP | IFF_ALLMULTI, IFF_UP | IFF_ALLMULTI);
    converse(ROUTE, &bytes, &format!("switch {} on", link.name), |_| {})
}

/// Six bytes in lower case with colons.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Sends one request and reads until the kernel says that it is done.
pub(crate) fn converse(
    protocol: Option<Protocol>,
    bytes: &[u8],
    what: &str,
    mut each: impl FnMut(&Message<'_>),
) -> Result<(), NetlinkError> {
    let failed = |error: rustix::io::Errno| NetlinkError::Socket(error.into());
    let socket = open(protocol).map_err(failed)?;
    rustix::net::send(&socket, bytes, SendFlags::empty()).map_err(failed)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()).map_err(failed)?;
        for message in messages(&buffer[..length.min(BUFFER)]) {
            match message.verdict() {
                Some(Ok(())) => return Ok(()),
                Some(Err(source)) => return Err(NetlinkError::Refused { what: what.into(), source }),
                None => each(&message),
            }
        }
    }
}

fn open(protocol: Option<Protocol>) -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn request(kind: u16, flags: u16, index: u32, interface_flags: u32, change: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + LINK_HEADER);
    bytes.extend(((HEADER + LINK_HEADER) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(index.to_ne_bytes());
    bytes.extend(interface_flags.to_ne_bytes());
    bytes.extend(change.to_ne_bytes());
    bytes
}

/// One message of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// Whether it ends the conversation, and how. An error of 0 is an acknowledgement.
    fn verdict(&self) -> Option<Result<(), std::io::Error>> {
        match self.kind {
            NLMSG_DONE => Some(Ok(())),
            NLMSG_ERROR => match number(self.payload, 0).map(|code| code as i32) {
                Some(0) => Some(Ok(())),
                code => Some(Err(std::io::Error::from_raw_os_error(code.unwrap_or(0).saturating_neg()))),
            },
            _ => None,
        }
    }
}

pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Cuts `bytes` at a length that is aligned to four; what is too short for its own length ends the walk.
fn cut(bytes: &[u8], length: usize, header: usize) -> Option<(&[u8], &[u8])> {
    let content = bytes.get(header..length)?;
    Some((content, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes, 0)?).ok()?;
        let kind = short(bytes, 4)?;
        let (payload, rest) = cut(bytes, length, HEADER)?;
        bytes = rest;
        Some(Message { kind, payload })
    })
}

pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes, 0)?);
        // The two top bits are flags (nested, network byte order).
        let kind = short(bytes, 2)? & 0x3fff;
        let (content, rest) = cut(bytes, length, 4)?;
        bytes = rest;
        Some((kind, content))
    })
}

/// Reads the payload of RTM_NEWLINK; `None` without an index or a name.
fn parse_link(payload: &[u8]) -> Option<Link> {
    let index = number(payload, 4)?;
    let up = number(payload, 8)? & IFF_UP != 0;
    let mut link = Link { index, name: String::new(), mac: None, permanent_mac: None, up, carrier: None };
    for (kind, content) in attributes(payload.get(LINK_HEADER..)?) {
        let mac = || content.try_into().ok().filter(|mac: &[u8; 6]| mac.iter().any(|byte| *byte != 0));
        match kind {
            IFLA_IFNAME => link.name = crate::tree::text_of(content)?,
            IFLA_ADDRESS => link.mac = mac(),
            IFLA_PERM_ADDRESS => link.permanent_mac = mac(),
            IFLA_CARRIER if up => link.carrier = content.first().map(|carrier| *carrier != 0),
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(4 + content.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn emitted(link: &Link) -> Vec<u8> {
        let mut payload = vec![0; 4];
        payload.extend(link.index.to_ne_bytes());
        payload.extend(u32::from(link.up).to_ne_bytes());
        payload.extend([0; 4]);
        payload.extend(attribute(IFLA_IFNAME, &[link.name.as_bytes(), &[0]].concat()));
        link.mac.iter().for_each(|mac| payload.extend(attribute(IFLA_ADDRESS, mac)));
        link.permanent_mac.iter().for_each(|mac| payload.extend(attribute(IFLA_PERM_ADDRESS, mac)));
        link.carrier.iter().for_each(|carrier| payload.extend(attribute(IFLA_CARRIER, &[u8::from(*carrier)])));
        payload
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_recorded_answer_of_the_kernel_is_understood() {
        let bytes = include_bytes!("../tests/fixtures/rtm_newlink.bin");
        let found: Vec<_> = messages(bytes).filter(|message| message.kind == RTM_NEWLINK).filter_map(|m| parse_link(m.payload)).collect();
        let mac = Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(found[0], Link { index: 1, name: "lo".into(), mac: None, permanent_mac: None, up: true, carrier: Some(true) });
        assert_eq!(found[1], Link { index: 4, name: "eth0".into(), mac, permanent_mac: mac, up: true, carrier: Some(true) });
        assert!(found[1].has_mac("52:54:00:12:34:56"));
    }

    #[test]
    fn the_kernels_verdict_is_understood() {
        let verdict = |kind, payload: &[u8]| Message { kind, payload }.verdict();
        assert!(matches!(verdict(NLMSG_DONE, &[]), Some(Ok(()))));
        assert!(matches!(verdict(NLMSG_ERROR, &0u32.to_ne_bytes()), Some(Ok(()))));
        let refused = verdict(NLMSG_ERROR, &(-1i32).to_ne_bytes()).unwrap().unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        assert!(verdict(NLMSG_ERROR, &[]).unwrap().is_err());
        assert!(verdict(NLMSG_ERROR, &i32::MIN.to_ne_bytes()).unwrap().is_err());
        assert!(verdict(RTM_NEWLINK, &[]).is_none());
    }

    #[test]
    fn this_kernel_lists_its_loopback() {
        assert!(links().unwrap().iter().any(|link| link.name == "lo"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            messages(&bytes).for_each(|message| { message.verdict(); });
            parse_link(&bytes);
        }

        #[test]
        fn lengths_that_lie_end_the_walk(lengths in prop::collection::vec(0u16..40, 1..40), tail in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut bytes: Vec<u8> = lengths.iter().flat_map(|length| length.to_ne_bytes()).collect();
            bytes.extend(tail);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / 4);
            prop_assert!(messages(&bytes).count() <= bytes.len() / 16);
        }

        #[test]
        fn a_link_survives_being_written_and_read(index in any::<u32>(), name in "[a-z]{1,14}[0-9]", up in any::<bool>(), mac in any::<Option<[u8; 6]>>()) {
            let mac = mac.filter(|mac| mac != &[0; 6]);
            let link = Link { index, name, mac, permanent_mac: mac, up, carrier: up.then_some(true) };
            prop_assert_eq!(parse_link(&emitted(&link)), Some(link));
        }
    }
}
