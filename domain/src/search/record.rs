//! Where the values of fields come from.

use super::fields::{FIELDS, Field, List};
use super::query::Needle;
use crate::clock::Timestamp;
use crate::hardware::{DiskBrief, Firmware, NicBrief};
use crate::mac::MacAddr;
use crate::node::{Node, Stage};
use crate::order::OrderKind;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// One value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Of texts.
    Text(Cow<'a, str>),
    /// One of the field's words.
    Word(&'static str),
    /// A count, bytes, Mbit/s, per cent.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// A point in time.
    Time(Timestamp),
    /// A MAC address.
    Mac(MacAddr),
    /// An IP address.
    Address(IpAddr),
    /// A UUID.
    Id(Uuid),
}

/// How a record has to hand out texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// As they were reported.
    AsWritten,
    /// In either case: letters A to Z may be in lower case, if that is cheaper.
    Either,
}

/// A text that is looked for in a record's texts.
#[derive(Debug, Clone, Copy)]
pub struct Wording<'a>(pub(super) &'a Needle);

impl Wording<'_> {
    /// Whether it stands in a text whose letters A to Z are in lower case. The texts of a record may stand in one, with an
    /// end of line between them: no wording has one.
    #[inline]
    pub fn is_in(&self, lower: &str) -> bool {
        self.0.is_in(lower)
    }

    /// What is looked for, letters A to Z in lower case.
    pub fn lower(&self) -> &str {
        &self.0.lower
    }

    /// The same for the same part of the same query, for as long as that is not moved: whoever judges many nodes may
    /// remember what it found out.
    pub fn key(&self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }
}

/// A node as a query sees it, wherever it is kept.
pub trait Record {
    /// Hands each value of a field to `test` until that says yes; whether it did. With `part`, only that part of the
    /// field's list is asked.
    fn any<'a>(&'a self, field: Field, part: Option<usize>, case: Case, test: impl FnMut(Value<'a>) -> bool) -> bool;
    /// The same for a field whose values are texts. A record may remember by `key` what `test` said of a text: while a query
    /// is judged, the same key says the same of the same text.
    fn any_text(&self, field: Field, part: Option<usize>, key: (usize, Case), test: impl Fn(&str) -> bool) -> bool {
        self.any(field, part, key.1, |value| matches!(value, Value::Text(text) if test(&text)))
    }
    /// The least and the greatest of the numbers of a field, where the record knows them without looking at each.
    fn extremes(&self, _field: Field) -> Option<(u64, u64)> {
        None
    }
    /// How many parts a list has.
    fn parts(&self, list: List) -> usize;
    /// Whether the wording stands in one of its searched values, see [`super::Described::is_searched`].
    fn mentions(&self, wording: Wording<'_>) -> bool {
        FIELDS.iter().filter(|field| field.is_searched()).any(|field| {
            self.any(field.field, None, Case::Either, |value| match value {
                Value::Text(text) => wording.is_in(&text.to_ascii_lowercase()),
                Value::Mac(mac) => wording.is_in(&mac.to_string()),
                Value::Address(address) => wording.is_in(&address.to_string()),
                Value::Id(id) => wording.is_in(&id.hyphenated().to_string()),
                _ => false,
            })
        })
    }
}

/// Where a node stands in the hall. Nobody reports that: it follows from the site and the cables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// The rack's name.
    pub rack: Option<Arc<str>>,
    /// Its lowest unit.
    pub unit: Option<u32>,
}

/// A node as the store keeps it, with what is known beside.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The node.
    pub node: &'a Node,
    /// Where it stands.
    pub placed: &'a Placed,
}

impl Record for Shown<'_> {
    fn any<'a>(&'a self, field: Field, part: Option<usize>, _: Case, mut test: impl FnMut(Value<'a>) -> bool) -> bool {
        match field.described().list {
            Some(List::Disks) => each(&self.node.summary.each_disk, part).any(|disk| disk_value(disk, field).is_some_and(&mut test)),
            Some(List::Nics) if field == Field::NicName => {
                let nics = each(&self.node.summary.each_nic, part);
                nics.flat_map(|nic| std::iter::once(&nic.name).chain(nic.names.iter().filter(|name| **name != nic.name)))
                    .any(|name| test(text(name)))
            }
            Some(List::Nics) => each(&self.node.summary.each_nic, part).any(|nic| nic_value(nic, field).is_some_and(&mut test)),
            None => match field {
                Field::Mac => self.node.identity.macs.iter().any(|mac| test(Value::Mac(*mac))),
                Field::Gpus => self.node.summary.gpus.iter().any(|gpu| test(text(gpu))),
                Field::Tags => self.node.labels.tags.iter().any(|tag| test(text(tag))),
                Field::Rack | Field::Unit => self.placed.value(field).is_some_and(test),
                _ => node_value(self.node, field).or_else(|| hardware_value(self.node, field)).is_some_and(test),
            },
        }
    }

    fn parts(&self, list: List) -> usize {
        match list {
            List::Disks => self.node.summary.each_disk.len(),
            List::Nics => self.node.summary.each_nic.len(),
        }
    }
}

impl Placed {
    /// The value of a field that only the place knows.
    pub fn value(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::Rack => self.rack.as_deref().map(text),
            Field::Unit => number(self.unit),
            _ => None,
        }
    }
}

fn each<T>(items: &[T], part: Option<usize>) -> impl Iterator<Item = &T> {
    let (from, most) = part.map_or((0, usize::MAX), |part| (part, 1));
    items.iter().skip(from).take(most)
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn maybe(value: &Option<String>) -> Option<Value<'_>> {
    value.as_deref().map(text)
}

fn number<'a>(n: Option<impl Into<u64>>) -> Option<Value<'a>> {
    n.map(|n| Value::Number(n.into()))
}

/// What the record says of the node itself.
fn node_value(node: &Node, field: Field) -> Option<Value<'_>> {
    match field {
        Field::Name => maybe(&node.name),
        Field::Id => Some(Value::Id(node.id.0)),
        Field::Stage => Some(Value::Word(stage_word(node.stage))),
        Field::Serial => maybe(&node.identity.serial),
        Field::Uuid => node.identity.uuid.map(Value::Id),
        Field::Address => node.address.map(|address| Value::Address(address.into())),
        Field::Owner => maybe(&node.labels.owner),
        Field::Note => maybe(&node.labels.note),
        Field::Reports => Some(Value::Number(node.reports)),
        Field::FirstSeen => Some(Value::Time(node.first_seen)),
        Field::Seen => Some(Value::Time(node.last_seen)),
        Field::Order => node.order.map(|order| Value::Word(order_word(order.kind))),
        Field::Boot => node.boot.map(|boot| Value::Id(boot.0)),
        _ => None,
    }
}

/// What the summary says of the hardware.
fn hardware_value(node: &Node, field: Field) -> Option<Value<'_>> {
    let summary = &node.summary;
    match field {
        Field::Vendor => maybe(&summary.vendor),
        Field::Product => maybe(&summary.product),
        Field::CpuModel => maybe(&summary.cpu_model),
        Field::CpuThreads => number(summary.cpu_threads),
        Field::CpuCores => number(summary.cpu_cores),
        Field::CpuSockets => number(summary.cpu_sockets),
        Field::Memory => number(summary.memory_bytes),
        Field::MemoryInstalled => number(summary.memory_installed_bytes),
        Field::MemoryDimms => number(summary.dimms),
        Field::MemoryCorrected => number(summary.memory_corrected_errors),
        Field::MemoryUncorrected => number(summary.memory_uncorrected_errors),
        Field::Disks => number(summary.disks),
        Field::DisksTotal => number(summary.disk_bytes),
        Field::Nics => number(summary.nics),
        Field::Firmware => summary.firmware.map(|firmware| Value::Word(firmware_word(firmware))),
        Field::FirmwareVersion => maybe(&summary.firmware_version),
        Field::SecureBoot => summary.secure_boot.map(Value::Flag),
        Field::Tpm => maybe(&summary.tpm),
        Field::BmcAddress => summary.bmc_address.map(Value::Address),
        Field::BmcFirmware => maybe(&summary.bmc_firmware),
        Field::BoardSerial => maybe(&summary.board_serial),
        Field::ChassisSerial => maybe(&summary.chassis_serial),
        Field::AssetTag => maybe(&summary.asset_tag),
        _ => None,
    }
}

fn disk_value(disk: &DiskBrief, field: Field) -> Option<Value<'_>> {
    match field {
        Field::DiskName => Some(text(&disk.name)),
        Field::DiskModel => maybe(&disk.model),
        Field::DiskSerial => maybe(&disk.serial),
        Field::DiskSize => number(disk.size_bytes),
        Field::DiskKind => disk.kind.as_deref().and_then(|kind| field.word(kind)).map(Value::Word),
        Field::DiskWear => number(disk.wear_percent),
        Field::DiskHealthy => disk.healthy.map(Value::Flag),
        _ => None,
    }
}

fn nic_value(nic: &NicBrief, field: Field) -> Option<Value<'_>> {
    match field {
        Field::NicMac => nic.mac.map(Value::Mac),
        Field::NicDriver => maybe(&nic.driver),
        Field::NicLink => nic.link.map(Value::Flag),
        Field::NicSpeed => number(nic.speed_mbit),
        Field::NicMostSpeed => number(nic.most_speed_mbit),
        Field::NicSwitch => maybe(&nic.switch),
        Field::NicPort => maybe(&nic.port),
        _ => None,
    }
}

impl Field {
    /// The field's own word for a text, if it is one of them.
    pub fn word(self, text: &str) -> Option<&'static str> {
        match self.described().kind {
            super::Kind::Word(words) => words.iter().copied().find(|word| *word == text),
            _ => None,
        }
    }
}

/// The word that `stage = …` asks for.
pub fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Discovered => "discovered",
    }
}

/// The word that `firmware = …` asks for.
pub fn firmware_word(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "bios",
        Firmware::Uefi => "uefi",
    }
}

/// The word that `order = …` asks for.
pub fn order_word(order: OrderKind) -> &'static str {
    match order {
        OrderKind::Wait => "wait",
        OrderKind::Reboot => "reboot",
        OrderKind::PowerOff => "power_off",
        OrderKind::LocalDisk => "local_disk",
        OrderKind::Test => "test",
    }
}
