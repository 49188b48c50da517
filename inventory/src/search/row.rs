//! One node in few bytes.
//!
//! The texts that it shares with others are entries of its segment. Its own stand one after the other in the segment's
//! text, each once, in lower case, so that one search through them is a text search; which letters were capital is kept
//! beside, one bit each. Counts and sizes that are missing are the greatest number of their type, which no machine has.

use domain::node::Node;
use domain::search::{FIELDS, Field, Kind, beginning, firmware_word, order_word, stage_word};
use domain::{MacAddr, NodeId, Timestamp};
use std::net::IpAddr;
use std::sync::atomic::AtomicI64;
use uuid::Uuid;

/// Where a text stands: among the texts of its row, or as an entry of those that its segment has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u16,
    pub(super) length: u16,
}

/// Where something of a row stands in its segment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) length: u16,
}

/// A word of a field, by its place among them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word(u8);

impl Word {
    fn new(field: Field, word: Option<&str>) -> Self {
        let place = word.and_then(|word| words(field).iter().position(|known| *known == word));
        Self(place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX))
    }

    pub(super) fn of(self, field: Field) -> Option<&'static str> {
        words(field).get(usize::from(self.0)).copied()
    }
}

fn words(field: Field) -> &'static [&'static str] {
    match field.described().kind {
        Kind::Word(words) => words,
        _ => &[],
    }
}

/// Between texts; no text has one inside.
pub(super) const END: char = '\n';

impl Span {
    pub(super) const MISSING: Self = Self { start: u16::MAX, length: 0 };

    pub(super) fn common(number: u16) -> Self {
        Self { start: number, length: u16::MAX }
    }

    /// The bit of [`Row::marks`] that a common text has.
    pub(super) fn mark(number: u16) -> u128 {
        1 << (number % 128)
    }

    /// The number of the entry, if it is one.
    pub(super) fn entry(self) -> Option<u16> {
        (self.length == u16::MAX).then_some(self.start)
    }
}

/// Where a row has the text of a field.
pub(super) fn text_at(field: Field) -> Option<usize> {
    TEXT_AT.get(field as usize).map(|at| usize::from(*at)).filter(|at| *at < TEXTS.len())
}

const TEXT_AT: [u8; FIELDS.len()] = {
    let mut at = [u8::MAX; FIELDS.len()];
    let mut n = 0;
    while n < TEXTS.len() {
        at[TEXTS[n] as usize] = n as u8;
        n += 1;
    }
    at
};

/// The fields whose values are one text each, in the order in which a row has them.
pub(super) const TEXTS: [Field; 13] = [
    Field::Name,
    Field::Serial,
    Field::Vendor,
    Field::Product,
    Field::CpuModel,
    Field::FirmwareVersion,
    Field::Tpm,
    Field::BmcFirmware,
    Field::BoardSerial,
    Field::ChassisSerial,
    Field::AssetTag,
    Field::Owner,
    Field::Note,
];

/// One node, but for its texts and lists, which stand in its segment.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: NodeId,
    pub(super) version: u64,
    /// Of its name, for sorting.
    pub(super) beginning: u64,
    /// A bit for each common text that it has, where several may share one: what is not here it does not have.
    pub(super) marks: u128,
    /// Size of its smallest and of its largest disk; what is most asked for of disks.
    pub(super) smallest: u64,
    pub(super) largest: u64,
    pub(super) memory: u64,
    pub(super) memory_installed: u64,
    pub(super) memory_corrected: u64,
    pub(super) memory_uncorrected: u64,
    pub(super) disk_bytes: u64,
    pub(super) first_seen: i64,
    /// Nanoseconds since 1970; set without keeping queries out.
    pub(super) last_seen: AtomicI64,
    pub(super) reports: u32,
    pub(super) cpu_threads: u32,
    pub(super) cpu_cores: u32,
    pub(super) cpu_sockets: u32,
    pub(super) dimms: u32,
    pub(super) disk_count: u32,
    pub(super) nic_count: u32,
    pub(super) uuid: Option<Uuid>,
    pub(super) boot: Option<Uuid>,
    pub(super) bmc_address: Option<IpAddr>,
    pub(super) address: Option<std::net::Ipv4Addr>,
    pub(super) stage: Word,
    pub(super) firmware: Word,
    pub(super) order: Word,
    pub(super) secure_boot: Option<bool>,
    pub(super) texts: [Span; TEXTS.len()],
    /// Several texts in one, each with its end.
    pub(super) gpus: Span,
    pub(super) tags: Span,
    pub(super) text: Run,
    pub(super) macs: Run,
    pub(super) disks: Run,
    pub(super) nics: Run,
}

/// One disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskRow {
    pub(super) size: u64,
    pub(super) name: Span,
    pub(super) model: Span,
    pub(super) serial: Span,
    pub(super) wear: u16,
    pub(super) kind: Word,
    pub(super) healthy: Option<bool>,
}

/// One network interface.
#[derive(Debug, Clone, Copy)]
pub(super) struct NicRow {
    pub(super) speed: u32,
    pub(super) most_speed: u32,
    /// Several texts in one.
    pub(super) names: Span,
    pub(super) driver: Span,
    pub(super) switch: Span,
    pub(super) port: Span,
    pub(super) mac: Option<MacAddr>,
    pub(super) link: Option<bool>,
}

/// A node made small, before it has a place in a segment.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) row: Row,
    /// Its own, as written; the segment lowers them.
    pub(super) text: String,
    /// What it may have in common with others; its spans count these until it has a segment.
    pub(super) common: Vec<String>,
    pub(super) macs: Vec<MacAddr>,
    pub(super) disks: Vec<DiskRow>,
    pub(super) nics: Vec<NicRow>,
}

/// Nanoseconds since 1970, kept inside of what 64 bits hold: years 1678 to 2262.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

pub(super) fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Collects the texts of one node, each once.
#[derive(Default)]
struct Texts {
    own: String,
    common: Vec<String>,
}

impl Texts {
    /// The place of a text. What no longer fits into 64 KiB is left out; nodes are bounded well below that.
    fn span(&mut self, text: &str) -> Span {
        let clean;
        let text = if text.contains(END) {
            clean = text.replace(END, " ");
            &clean
        } else {
            text
        };
        self.joined(text)
    }

    fn maybe(&mut self, text: &Option<String>) -> Span {
        text.as_deref().map_or(Span::MISSING, |text| self.span(text))
    }

    /// A text that others may have, too.
    fn common(&mut self, text: String) -> Span {
        let known = self.common.iter().position(|known| *known == text);
        let number = known.unwrap_or_else(|| {
            self.common.push(text);
            self.common.len() - 1
        });
        u16::try_from(number).map_or(Span::MISSING, Span::common)
    }

    fn maybe_common(&mut self, text: &Option<String>) -> Span {
        text.as_deref().map_or(Span::MISSING, |text| self.common(text.replace(END, " ")))
    }

    /// Several texts in one, common to others.
    fn several<'a>(&mut self, texts: impl Iterator<Item = &'a str>) -> Span {
        let mut all = String::new();
        texts.for_each(|text| all.extend(text.chars().map(|c| if c == END { ' ' } else { c }).chain([END])));
        if all.is_empty() { Span::MISSING } else { self.common(all) }
    }

    fn joined(&mut self, text: &str) -> Span {
        let known = if text.is_empty() { Some(0) } else { self.own.find(text) };
        let start = known.unwrap_or(self.own.len());
        match (u16::try_from(start), u16::try_from(text.len())) {
            (Ok(start), Ok(length)) if start.checked_add(length).is_some_and(|end| end < u16::MAX) => {
                if known.is_none() {
                    self.own.push_str(text);
                    self.own.push(END);
                }
                Span { start, length }
            }
            _ => Span::MISSING,
        }
    }
}

impl Packed {
    pub(super) fn new(node: &Node) -> Self {
        let mut texts = Texts::default();
        let (summary, identity, labels) = (&node.summary, &node.identity, &node.labels);
        let each = [
            &node.name,
            &identity.serial,
            &summary.vendor,
            &summary.product,
            &summary.cpu_model,
            &summary.firmware_version,
            &summary.tpm,
            &summary.bmc_firmware,
            &summary.board_serial,
            &summary.chassis_serial,
            &summary.asset_tag,
            &labels.owner,
            &labels.note,
        ];
        let mut spans = [Span::MISSING; TEXTS.len()];
        for ((span, text), field) in spans.iter_mut().zip(each).zip(TEXTS) {
            let is_its_own =
                matches!(field, Field::Name | Field::Serial | Field::BoardSerial | Field::ChassisSerial | Field::AssetTag | Field::Note);
            *span = if is_its_own { texts.maybe(text) } else { texts.maybe_common(text) };
        }
        let gpus = texts.several(summary.gpus.iter().map(String::as_str));
        let tags = texts.several(labels.tags.iter().map(String::as_str));
        let disks = pack_disks(node, &mut texts);
        let nics = pack_nics(node, &mut texts);
        let macs: Vec<_> = identity.macs.iter().copied().collect();
        // What is searched though it is no text.
        macs.iter().for_each(|mac| _ = texts.span(&mac.to_string()));
        nics.iter().filter_map(|nic| nic.mac).for_each(|mac| _ = texts.span(&mac.to_string()));
        let addresses = summary.bmc_address.into_iter().chain(node.address.map(Into::into));
        addresses.for_each(|address| _ = texts.span(&address.to_string()));

        let sizes = disks.iter().map(|disk| disk.size).filter(|size| *size != u64::MAX);
        let count = |n: Option<u32>| n.unwrap_or(u32::MAX);
        let size = |n: Option<u64>| n.unwrap_or(u64::MAX);
        let row = Row {
            id: node.id,
            version: node.version,
            beginning: node.name.as_deref().map_or(u64::MAX, beginning),
            marks: 0,
            smallest: sizes.clone().min().unwrap_or(u64::MAX),
            largest: sizes.max().unwrap_or(u64::MAX),
            memory: size(summary.memory_bytes),
            memory_installed: size(summary.memory_installed_bytes),
            memory_corrected: size(summary.memory_corrected_errors),
            memory_uncorrected: size(summary.memory_uncorrected_errors),
            disk_bytes: size(summary.disk_bytes),
            first_seen: nanoseconds(node.first_seen),
            last_seen: AtomicI64::new(nanoseconds(node.last_seen)),
            reports: u32::try_from(node.reports).unwrap_or(u32::MAX),
            cpu_threads: count(summary.cpu_threads),
            cpu_cores: count(summary.cpu_cores),
            cpu_sockets: count(summary.cpu_sockets),
            dimms: count(summary.dimms),
            disk_count: count(summary.disks),
            nic_count: count(summary.nics),
            uuid: identity.uuid,
            boot: node.boot.map(|boot| boot.0),
            bmc_address: summary.bmc_address,
            address: node.address,
            stage: Word::new(Field::Stage, Some(stage_word(node.stage))),
            firmware: Word::new(Field::Firmware, summary.firmware.map(firmware_word)),
            order: Word::new(Field::Order, node.order.map(|order| order_word(order.kind))),
            secure_boot: summary.secure_boot,
            texts: spans,
            gpus,
            tags,
            text: Run::default(),
            macs: Run::default(),
            disks: Run::default(),
            nics: Run::default(),
        };
        Self { row, text: texts.own, common: texts.common, macs, disks, nics }
    }
}

fn pack_disks(node: &Node, texts: &mut Texts) -> Vec<DiskRow> {
    let each = node.summary.each_disk.iter().take(usize::from(u16::MAX));
    each.map(|disk| DiskRow {
        size: disk.size_bytes.unwrap_or(u64::MAX),
        name: texts.common(disk.name.replace(END, " ")),
        model: texts.maybe_common(&disk.model),
        serial: texts.maybe(&disk.serial),
        // More than 65,534 per cent is not worth telling apart.
        wear: disk.wear_percent.map_or(u16::MAX, |wear| u16::try_from(wear).unwrap_or(u16::MAX - 1)),
        kind: Word::new(Field::DiskKind, disk.kind.as_deref()),
        healthy: disk.healthy,
    })
    .collect()
}

fn pack_nics(node: &Node, texts: &mut Texts) -> Vec<NicRow> {
    let each = node.summary.each_nic.iter().take(usize::from(u16::MAX));
    each.map(|nic| {
        let names = std::iter::once(&nic.name).chain(nic.names.iter().filter(|name| **name != nic.name));
        NicRow {
            speed: nic.speed_mbit.unwrap_or(u32::MAX),
            most_speed: nic.most_speed_mbit.unwrap_or(u32::MAX),
            names: texts.several(names.map(String::as_str)),
            driver: texts.maybe_common(&nic.driver),
            switch: texts.maybe_common(&nic.switch),
            port: texts.maybe_common(&nic.port),
            mac: nic.mac,
            link: nic.link,
        }
    })
    .collect()
}

/// Every span of a row and its lists.
pub(super) fn each_span<'a>(row: &'a mut Row, disks: &'a mut [DiskRow], nics: &'a mut [NicRow]) -> impl Iterator<Item = &'a mut Span> {
    let of_row = row.texts.iter_mut().chain([&mut row.gpus, &mut row.tags]);
    let of_disks = disks.iter_mut().flat_map(|disk| [&mut disk.name, &mut disk.model, &mut disk.serial]);
    let of_nics = nics.iter_mut().flat_map(|nic| [&mut nic.names, &mut nic.driver, &mut nic.switch, &mut nic.port]);
    of_row.chain(of_disks).chain(of_nics)
}
