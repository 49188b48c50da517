//! Who is speaking DHCP, which boot that belongs to, and which file it is told to load.

mod current;
mod file;
mod speaker;

pub use current::CurrentBoots;
pub use file::{BootFile, FIRST_SCRIPT, IPXE_BIOS, IPXE_UEFI, architecture, boot_file};
pub use speaker::{Architecture, Asker, Speaker, speaker};

use crate::clock::Timestamp;
use crate::ids::{BootId, NodeId};
use crate::mac::MacAddr;
use crate::ticket::{KeyFingerprint, Ticket};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use uuid::Uuid;

/// One power-on of one machine, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Its id, which everything that follows shares.
    pub id: BootId,
    /// The interface that asked.
    pub mac: MacAddr,
    /// The network it asked on.
    pub network: String,
    /// Its first DHCPDISCOVER.
    pub started: Timestamp,
    /// The last that was heard in it.
    pub last_heard: Timestamp,
    /// Transaction of the firmware's DISCOVER, when firmware asked.
    pub firmware_xid: Option<u32>,
    /// Transaction of iPXE's last DISCOVER.
    pub ipxe_xid: Option<u32>,
    /// Option 93, when sent.
    pub architecture: Option<Architecture>,
    /// Option 97, when sent.
    pub uuid: Option<Uuid>,
    /// The ticket that was issued in it.
    pub ticket: Option<Ticket>,
    /// The address that the ticket was issued to.
    pub ticket_address: Option<Ipv4Addr>,
    /// The key of the agent that used the ticket first.
    pub key: Option<KeyFingerprint>,
    /// The node that reported in it.
    pub node: Option<NodeId>,
    /// Why the ticket is void, when it is.
    pub revoked: Option<String>,
}

impl Boot {
    /// A boot that has just begun.
    pub fn begin(id: BootId, network: &str, asker: &Asker, now: Timestamp) -> Self {
        let mut boot = Self {
            id,
            mac: asker.mac,
            network: network.to_owned(),
            started: now,
            last_heard: now,
            firmware_xid: None,
            ipxe_xid: None,
            architecture: None,
            uuid: None,
            ticket: None,
            ticket_address: None,
            key: None,
            node: None,
            revoked: None,
        };
        boot.hear(asker, now);
        boot
    }

    /// Whether a DHCPDISCOVER belongs to this boot.
    ///
    /// A boot is new with a new transaction of firmware, or of an iPXE that no firmware exchange preceded (iPXE in
    /// a ROM). Everything else belongs to the boot that is under way.
    pub fn continues_with(&self, asker: &Asker) -> bool {
        match asker.speaker {
            Speaker::Pxe | Speaker::HttpBoot => self.firmware_xid == Some(asker.xid),
            Speaker::Ipxe if self.ipxe_xid == Some(asker.xid) => true,
            // Once an agent has used its ticket, an iPXE that asks has been started anew: by a ROM, or from a stick.
            Speaker::Ipxe => (self.firmware_xid.is_some() || self.ipxe_xid.is_none()) && self.key.is_none() && self.revoked.is_none(),
            Speaker::System => true,
        }
    }

    /// Notes what a DHCPDISCOVER of this boot says.
    pub fn hear(&mut self, asker: &Asker, now: Timestamp) {
        self.last_heard = now;
        match asker.speaker {
            Speaker::Pxe | Speaker::HttpBoot => self.firmware_xid = Some(asker.xid),
            Speaker::Ipxe => self.ipxe_xid = Some(asker.xid),
            Speaker::System => {}
        }
        self.architecture = asker.architecture.or(self.architecture);
        self.uuid = asker.uuid.or(self.uuid);
    }
}
