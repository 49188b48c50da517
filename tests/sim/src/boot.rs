//! The whole way of a machine from power-on to the point where the ramdisk's agent would begin.
//!
//! ```text
//! firmware   DHCP ── TFTP, or HTTP for HTTP boot: the boot programme        (left out where iPXE is in the ROM)
//! iPXE       DHCP ── HTTP: first script, the node's script, kernel, ramdisk
//! ramdisk    DHCP
//! ```

use crate::dhcp::{Client, ClientError, ExchangeError, Lease, Machine, Speaker, Timing};
use crate::http::{self, HttpError, NotAUrl, Url};
use crate::interface::{HeldAddress, Interface, InterfaceError};
use crate::ipxe::{self, End, Script, Settings};
use crate::names::Mac;
use crate::tftp::{self, TftpError};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// How patient a machine is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// With DHCP.
    pub dhcp: Timing,
    /// With each step of TFTP and HTTP.
    pub step: Duration,
    /// With all boot scripts together.
    pub scripts: Duration,
}

impl Default for Patience {
    /// Enough for a busy machine.
    fn default() -> Self {
        Self { dhcp: Timing::default(), step: Duration::from_secs(10), scripts: Duration::from_secs(60) }
    }
}

/// Why a machine did not get as far as its scripts.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The interface belongs to another machine.
    #[error(
        "`{interface}` has the address {has:?} and the machine {mac}: give the interface the machine's address (`ip link set {interface} address {mac}`)"
    )]
    OtherCard {
        /// Which.
        interface: String,
        /// Its address.
        has: Option<Mac>,
        /// The machine's.
        mac: Mac,
    },
    /// The interface cannot be used.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The interface cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// DHCP failed.
    #[error("no lease for {speaker:?}")]
    Lease {
        /// Who asked.
        speaker: Speaker,
        /// Why.
        #[source]
        source: ExchangeError,
    },
    /// DHCP did not say what to load.
    #[error("the lease for {speaker:?} names no boot file")]
    NoBootFile {
        /// Who asked.
        speaker: Speaker,
    },
    /// What DHCP named is no URL.
    #[error("the boot file for {speaker:?} is not to be loaded by HTTP")]
    Url {
        /// Who asked.
        speaker: Speaker,
        /// Why.
        #[source]
        source: NotAUrl,
    },
    /// The boot programme was not loaded.
    #[error("the firmware could not load its boot programme")]
    Tftp(#[from] TftpError),
    /// The boot programme was not loaded.
    #[error("the firmware could not load its boot programme")]
    Http(#[from] HttpError),
    /// The boot programme was not loaded.
    #[error("the firmware got status {status} for {url}")]
    Status {
        /// What it asked for.
        url: Url,
        /// What it got.
        status: u16,
    },
}

/// What the firmware was given.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// Its lease.
    pub lease: Lease,
    /// What it loaded: a name by TFTP, a URL by HTTP.
    pub file: String,
    /// The boot programme.
    pub programme: Vec<u8>,
}

/// How far a machine came.
#[derive(Debug)]
pub struct Booted {
    /// What happened before iPXE; none where iPXE is in the ROM.
    pub firmware: Option<Firmware>,
    /// iPXE's lease.
    pub ipxe: Lease,
    /// The scripts that were run, in order.
    pub scripts: Vec<Script>,
    /// What iPXE wrote on the screen.
    pub said: Vec<String>,
    /// Where the scripts led.
    pub outcome: Outcome,
    /// The last lease's address, which the interface has until this is dropped: what follows is to come from it.
    pub address: HeldAddress,
}

/// Where a boot led.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A ramdisk runs, and its agent would know this.
    Ramdisk {
        /// The kernel's command line.
        command_line: String,
        /// Its words `overture.NAME=VALUE`, without `overture.`.
        words: BTreeMap<String, String>,
        /// The kernel.
        kernel: ipxe::Image,
        /// Initial ramdisks.
        initrds: Vec<ipxe::Image>,
        /// The ramdisk's own lease.
        lease: Box<Lease>,
    },
    /// Anything else.
    Other(End),
}

/// Boots a machine on an interface that has the machine's MAC address, in this thread's network namespace. Who speaks first
/// is the machine's `speaker`: firmware by TFTP, firmware by HTTP, or iPXE in a ROM.
pub fn boot(interface: &str, machine: &Machine, patience: Patience) -> Result<Booted, BootError> {
    let card = Interface::find(interface)?;
    if card.mac() != Some(machine.mac) {
        return Err(BootError::OtherCard { interface: interface.to_owned(), has: card.mac(), mac: machine.mac });
    }
    let mut client = Client::bind(interface)?.with_timing(patience.dhcp);
    let firmware = match machine.speaker {
        Speaker::Ipxe | Speaker::System => None,
        Speaker::Firmware | Speaker::HttpBoot => Some(start_firmware(&card, &mut client, machine, patience)?),
    };
    let on_rom_driver = firmware.is_some() && !machine.is_uefi();
    let as_ipxe = Machine { broadcast: machine.broadcast.or(on_rom_driver.then_some(true)), ..machine.running(Speaker::Ipxe) };
    let lease = take_lease(&mut client, &as_ipxe)?;
    let address = card.hold(lease.address, lease.prefix)?;
    let url: Url = named(&lease, Speaker::Ipxe)?.parse().map_err(|source| BootError::Url { speaker: Speaker::Ipxe, source })?;
    let web = http_client(lease.address, patience);
    let load = move |url: &Url| match web.get(url) {
        Ok(response) if response.status == 200 => Ok(response.body),
        Ok(response) => Err(format!("status {} for {url}", response.status)),
        Err(error) => Err(chain_of(&error)),
    };
    let mut script = ipxe::Machine::new(Settings::of(&as_ipxe, &lease), Instant::now() + patience.scripts, Box::new(load));
    let end = script.start(&url);
    let (scripts, said) = (std::mem::take(&mut script.scripts), std::mem::take(&mut script.said));
    let End::Kernel { kernel, initrds } = end else {
        return Ok(Booted { firmware, ipxe: lease, scripts, said, outcome: Outcome::Other(end), address });
    };
    drop(address);
    let system = take_lease(&mut client, &machine.running(Speaker::System))?;
    let address = card.hold(system.address, system.prefix)?;
    let command_line = kernel.arguments.clone();
    let words = words(&command_line);
    let outcome = Outcome::Ramdisk { command_line, words, kernel, initrds, lease: Box::new(system) };
    Ok(Booted { firmware, ipxe: lease, scripts, said, outcome, address })
}

fn start_firmware(card: &Interface, client: &mut Client, machine: &Machine, patience: Patience) -> Result<Firmware, BootError> {
    let lease = take_lease(client, machine)?;
    let file = named(&lease, machine.speaker)?;
    let _address = card.hold(lease.address, lease.prefix)?;
    let programme = match machine.speaker {
        Speaker::HttpBoot => load_by_http(&file, &lease, patience)?,
        _ => load_by_tftp(&file, machine, &lease, patience)?,
    };
    Ok(Firmware { lease, file, programme })
}

fn load_by_tftp(file: &str, machine: &Machine, lease: &Lease, patience: Patience) -> Result<Vec<u8>, TftpError> {
    let server = SocketAddrV4::new(lease.next_server, 69);
    let client = tftp::Client { source: lease.address, repeat_after: patience.step / 5, ..tftp::Client::new(server) };
    // EDK II asks for the size, ends that transfer with an error, and reads in windows; a ROM reads in lock step.
    let options = if machine.is_uefi() {
        client.size(file)?;
        tftp::Options { blksize: Some(1468), windowsize: Some(4), tsize: false }
    } else {
        tftp::Options { blksize: Some(1456), windowsize: None, tsize: true }
    };
    Ok(client.read(file, options)?.bytes)
}

fn load_by_http(file: &str, lease: &Lease, patience: Patience) -> Result<Vec<u8>, BootError> {
    let url: Url = file.parse().map_err(|source| BootError::Url { speaker: Speaker::HttpBoot, source })?;
    let client = http_client(lease.address, patience);
    for response in [client.head(&url)?, client.get(&url)?] {
        match response.status {
            200 if response.body.is_empty() => {}
            200 => return Ok(response.body),
            status => return Err(BootError::Status { url, status }),
        }
    }
    Ok(Vec::new())
}

fn http_client(source: Ipv4Addr, patience: Patience) -> http::Client {
    http::Client { source, patience: patience.step, ..http::Client::default() }
}

fn take_lease(client: &mut Client, machine: &Machine) -> Result<Lease, BootError> {
    client.lease(machine).map_err(|source| BootError::Lease { speaker: machine.speaker, source })
}

fn named(lease: &Lease, speaker: Speaker) -> Result<String, BootError> {
    lease.boot_file.clone().ok_or(BootError::NoBootFile { speaker })
}

/// The words `overture.NAME=VALUE` of a kernel's command line.
fn words(command_line: &str) -> BTreeMap<String, String> {
    let words = command_line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("overture.")?.split_once('='));
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// An error with all its causes in one line.
pub(crate) fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_words_are_picked_from_the_command_line() {
        let found = words("initrd=ramdisk console=ttyS0 overture.ticket=0123 overture.url=https://10.0.0.1:8444/?a=b overture.flag");
        assert_eq!(found.len(), 2);
        assert_eq!(found["url"], "https://10.0.0.1:8444/?a=b");
    }
}
