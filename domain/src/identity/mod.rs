//! Which machine is this? From what a machine says of itself to one node of the inventory.
//!
//! Boards lie: serials that were never filled in, UUIDs of zeros, one UUID in a whole batch. What is known to be a placeholder
//! is dropped first ([`usable_serial`], [`usable_uuid`]); what is left decides by the rules of [`judge`], which
//! `docs/identity.md` tells in a table.

mod placeholders;
mod recognise;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use placeholders::{usable_serial, usable_uuid};
pub use recognise::{Candidate, Judgement, Recognised, judge};

use crate::mac::MacAddr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most disks that are kept of a machine to recognise it by.
pub const MOST_DISKS: usize = 32;

/// What can tell one machine from another. Placeholders never get in here; see [`Identity::new`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// SMBIOS type 1 UUID.
    pub uuid: Option<Uuid>,
    /// SMBIOS type 1 serial number.
    pub serial: Option<String>,
    /// SMBIOS type 2 serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_serial: Option<String>,
    /// Permanent addresses of its network cards.
    pub macs: BTreeSet<MacAddr>,
    /// Serial numbers, or else world wide names, of its disks: at most [`MOST_DISKS`].
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub disks: BTreeSet<String>,
}

/// One thing that two reports of one machine have in common. What an index of nodes is made by: two machines that share no
/// sign are two machines. The UUID is its [`uuid_key`], texts are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sign {
    /// The UUID.
    Uuid(Uuid),
    /// The serial number.
    Serial(String),
    /// The board's serial number.
    Board(String),
    /// A network card.
    Card(MacAddr),
    /// A disk.
    Disk(String),
}

impl Identity {
    /// Keeps what identifies and drops placeholders. Cards that hang on USB do not belong in here: they move, and those inside
    /// of management controllers have one address in all of them.
    pub fn new(uuid: Option<Uuid>, serial: Option<&str>, macs: impl IntoIterator<Item = MacAddr>) -> Self {
        Self {
            uuid: uuid.and_then(usable_uuid),
            serial: serial.and_then(usable_serial),
            macs: macs.into_iter().filter(MacAddr::is_a_machines).collect(),
            ..Self::default()
        }
    }

    /// With the serial number of its board, unless that is a placeholder.
    #[must_use]
    pub fn with_board(self, serial: Option<&str>) -> Self {
        Self { board_serial: serial.and_then(usable_serial), ..self }
    }

    /// With its disks: of each the serial number, or else the world wide name. Disks that can be taken out, and those on USB,
    /// do not belong in here.
    #[must_use]
    pub fn with_disks<'d>(self, disks: impl IntoIterator<Item = &'d str>) -> Self {
        let mut disks: BTreeSet<_> = disks.into_iter().filter_map(placeholders::usable_disk).collect();
        while disks.len() > MOST_DISKS {
            disks.pop_last();
        }
        Self { disks, ..self }
    }

    /// What is known after one more report: silent parts of it leave what was known before.
    #[must_use]
    pub fn refreshed(&self, seen: Self) -> Self {
        Self {
            uuid: seen.uuid.or(self.uuid),
            serial: seen.serial.or_else(|| self.serial.clone()),
            board_serial: seen.board_serial.or_else(|| self.board_serial.clone()),
            macs: if seen.macs.is_empty() { self.macs.clone() } else { seen.macs },
            disks: if seen.disks.is_empty() { self.disks.clone() } else { seen.disks },
        }
    }

    /// Whether nothing is known that could identify. Disks alone identify nobody: they move.
    pub fn is_empty(&self) -> bool {
        self.uuid.is_none() && self.serial.is_none() && self.board_serial.is_none() && self.macs.is_empty()
    }

    /// All by which it could be found again.
    pub fn signs(&self) -> impl Iterator<Item = Sign> {
        let uuid = self.uuid.map(|uuid| Sign::Uuid(uuid_key(uuid)));
        let serial = self.serial.as_deref().map(|serial| Sign::Serial(serial.to_ascii_lowercase()));
        let board = self.board_serial.as_deref().map(|serial| Sign::Board(serial.to_ascii_lowercase()));
        let disks = self.disks.iter().map(|disk| Sign::Disk(disk.to_ascii_lowercase()));
        uuid.into_iter().chain(serial).chain(board).chain(self.macs.iter().copied().map(Sign::Card)).chain(disks)
    }
}

/// The other byte order of a UUID: the first three fields turned round. Before SMBIOS 2.6 makers wrote them as they liked, and
/// some firmware still sends another order in DHCP (option 97) than it shows in SMBIOS.
fn turned(uuid: Uuid) -> Uuid {
    Uuid::from_bytes_le(*uuid.as_bytes())
}

/// Whether two UUIDs are one, whatever byte order each was read in.
pub fn same_uuid(a: Uuid, b: Uuid) -> bool {
    a == b || a == turned(b)
}

/// What a UUID is indexed by: the same for both byte orders.
pub fn uuid_key(uuid: Uuid) -> Uuid {
    uuid.min(turned(uuid))
}
