//! What stands in an answer: the network's settings, and what to load.

use super::answer::Here;
use super::packet::{Reply, Request, code};
use dhcproto::v4::MessageType;
use domain::admission::declared;
use domain::boot::{BootFile, Speaker, boot_file};
use domain::node::Known;
use std::net::Ipv4Addr;

/// iPXE's own option that tells it not to wait for a proxy DHCP server (`no-pxedhcp`, encapsulated in option 175).
const NO_PROXY_DHCP: [u8; 3] = [176, 1, 1];
/// PXE 2.1, table 2-1: PXE_DISCOVERY_CONTROL (6) = 8, load the boot file of this offer and discover nothing. Without it a
/// client that is told `PXEClient` goes looking for a boot server on port 4011.
const LOAD_THE_BOOT_FILE: [u8; 4] = [6, 1, 8, 255];

/// What a machine is told to load, and how to tell it.
#[derive(Debug, Clone)]
pub(super) struct Load {
    siaddr: Ipv4Addr,
    file: String,
    options: Vec<(u8, Vec<u8>)>,
    /// The end of a sentence: `, and the script http://10.20.0.1/boot.ipxe`.
    pub in_words: String,
    /// Why this.
    pub rule: String,
}

/// Chooses what a machine loads.
pub(super) fn load(request: &Request, here: &Here<'_>) -> Load {
    let (file, rule) = boot_file(request.speaker, request.architecture);
    let (file, mut options, in_words) = match file {
        BootFile::Nothing => {
            return Load {
                siaddr: Ipv4Addr::UNSPECIFIED,
                file: String::new(),
                options: vec![],
                in_words: ", and nothing to load".into(),
                rule,
            };
        }
        BootFile::Tftp(name) => {
            let server = vec![(code::TFTP_SERVER, here.own.to_string().into_bytes())];
            (name.to_owned(), server, format!(", and the boot programme {name} by TFTP"))
        }
        BootFile::Http(path) => {
            let port = if here.http_port == 80 { String::new() } else { format!(":{}", here.http_port) };
            let url = format!("http://{}{port}{path}", here.own);
            let what = if request.speaker == Speaker::Ipxe { "script" } else { "boot programme" };
            let in_words = format!(", and the {what} {url}");
            (url, vec![], in_words)
        }
    };
    let mut name = file.clone().into_bytes();
    match request.speaker {
        Speaker::Pxe => {
            options.push((code::VENDOR_CLASS, b"PXEClient".to_vec()));
            options.push((code::VENDOR_OPTIONS, LOAD_THE_BOOT_FILE.to_vec()));
        }
        Speaker::HttpBoot => options.push((code::VENDOR_CLASS, b"HTTPClient".to_vec())),
        Speaker::Ipxe => options.push((code::IPXE, NO_PROXY_DHCP.to_vec())),
        Speaker::System => {}
    }
    if request.speaker != Speaker::Ipxe {
        // EDK II ends the name itself and writes its zero over whatever option follows; so the zero comes from us.
        name.push(0);
    }
    options.insert(0, (code::BOOT_FILE, name));
    Load { siaddr: here.own, file, options, in_words, rule }
}

/// DHCPOFFER.
pub(super) fn offer(request: &Request, here: &Here<'_>, known: Option<&Known>, address: Ipv4Addr, load: Load) -> Reply {
    let reply = empty(request, MessageType::Offer);
    let reply = Reply { yiaddr: address, ..reply };
    settings(with_lease(reply, here, here.network.lease_seconds), load.into(), request, here, known)
}

/// DHCPACK with a lease. A client that said which address it uses is answered there (RFC 2131, 4.1).
pub(super) fn acknowledgement(
    request: &Request,
    here: &Here<'_>,
    known: Option<&Known>,
    address: Ipv4Addr,
    seconds: u32,
    load: Load,
) -> Reply {
    let ciaddr = if request.ciaddr == address { address } else { Ipv4Addr::UNSPECIFIED };
    let reply = Reply { yiaddr: address, ciaddr, ..empty(request, MessageType::Ack) };
    settings(with_lease(reply, here, seconds), load.into(), request, here, known)
}

/// DHCPACK without a lease (RFC 2131, 4.3.5: no address, no times).
pub(super) fn inform(request: &Request, here: &Here<'_>, known: Option<&Known>) -> Reply {
    let mut reply = Reply { ciaddr: request.ciaddr, ..empty(request, MessageType::Ack) };
    reply.options.push((code::SERVER_ID, here.own.octets().to_vec()));
    settings(reply, None, request, here, known)
}

/// DHCPNAK (RFC 2131, table 3: few options). Through a relay agent it must be broadcast (4.3.2).
pub(super) fn refusal(request: &Request, here: &Here<'_>, why: &str) -> Reply {
    let flags = if request.is_relayed() { request.flags | 0x8000 } else { request.flags };
    let mut reply = Reply { flags, ..empty(request, MessageType::Nak) };
    reply.options.push((code::SERVER_ID, here.own.octets().to_vec()));
    reply.options.push((code::MESSAGE, why.bytes().take(255).collect()));
    reply.options.extend(request.client_id.clone().map(|id| (code::CLIENT_ID, id)));
    reply
}

fn empty(request: &Request, kind: MessageType) -> Reply {
    Reply {
        kind,
        xid: request.xid,
        flags: request.flags,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: request.giaddr,
        mac: request.mac,
        file: String::new(),
        options: vec![],
        relay: request.relay.clone(),
    }
}

fn with_lease(mut reply: Reply, here: &Here<'_>, seconds: u32) -> Reply {
    let eighth = seconds / 8;
    reply.options.extend([
        (code::SERVER_ID, here.own.octets().to_vec()),
        (code::LEASE_TIME, seconds.to_be_bytes().to_vec()),
        (code::RENEWAL_TIME, (seconds / 2).to_be_bytes().to_vec()),
        (code::REBINDING_TIME, (seconds - eighth).to_be_bytes().to_vec()),
    ]);
    reply
}

/// The rest, the most important first: what does not fit is left out from the end.
fn settings(mut reply: Reply, load: Option<Load>, request: &Request, here: &Here<'_>, known: Option<&Known>) -> Reply {
    let network = here.network;
    let options = &mut reply.options;
    options.push((code::SUBNET_MASK, network.subnet.netmask().octets().to_vec()));
    options.extend(network.gateway.map(|gateway| (code::ROUTER, gateway.octets().to_vec())));
    if let Some(load) = load {
        (reply.siaddr, reply.file) = (load.siaddr, load.file);
        options.extend(load.options);
    }
    options.extend(addresses(code::NAME_SERVER, &network.dns));
    // RFC 4578, 2.3: sent back to a client that sent it.
    options.extend(request.machine_id.clone().map(|id| (code::MACHINE_ID, id)));
    options.extend(here.site.domain.clone().map(|domain| (code::DOMAIN_NAME, domain.into_bytes())));
    options.extend(addresses(code::TIME_SERVER, &here.site.ntp));
    options.push((code::BROADCAST, network.subnet.broadcast().octets().to_vec()));
    let declared = declared(here.site, here.claimed(request), known);
    options.extend(declared.map(|node| (code::HOST_NAME, node.name.clone().into_bytes())));
    // RFC 6842: sent back unaltered.
    options.extend(request.client_id.clone().map(|id| (code::CLIENT_ID, id)));
    reply
}

fn addresses(code: u8, addresses: &[Ipv4Addr]) -> Option<(u8, Vec<u8>)> {
    (!addresses.is_empty()).then(|| (code, addresses.iter().flat_map(|address| address.octets()).collect()))
}
