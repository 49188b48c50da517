//! Some hundred nodes under one lock. What is held while one segment is scanned keeps nobody waiting for long, and what
//! stands together in memory is read fast.

use super::common::Common;
use super::row::{DiskRow, END, NicRow, Packed, Row, Run, Span, each_span, text_at, timestamp};
use domain::MacAddr;
use domain::search::{Case, Field, List, Placed, Record, Value, Wording};
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::atomic::Ordering;

/// How many nodes a segment has.
pub(super) const ROWS: usize = 1024;
/// Bytes that are left over before they are given back, at least.
const WORTH_IT: usize = 64 * 1024;

/// Some nodes.
#[derive(Debug, Default)]
pub(super) struct Segment {
    rows: Vec<Option<Row>>,
    places: Vec<Place>,
    common: Common,
    /// The own texts of all rows, in lower case.
    text: String,
    /// One bit for each byte of `text`: whether it was a capital letter.
    capital: Vec<u8>,
    macs: Vec<MacAddr>,
    disks: Vec<DiskRow>,
    nics: Vec<NicRow>,
    left_over: usize,
    /// How many common texts there were when the segment was written anew.
    common_then: usize,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    rack: Span,
    unit: Option<u32>,
}

const NOWHERE: Place = Place { rack: Span::MISSING, unit: None };

/// One node of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<'a> {
    pub(super) row: &'a Row,
    place: &'a Place,
    segment: &'a Segment,
    /// What is known already of wordings and common texts while the segment is scanned.
    known: &'a Wordings,
}

/// What was asked of every common text of a segment, so that it is not asked again for each node.
#[derive(Debug, Default)]
pub(super) struct Wordings {
    /// For each wording in which texts it stands, with their marks; none where it stands in none.
    standing: RefCell<Vec<(usize, Option<(Vec<bool>, u128)>)>>,
    /// For each condition which texts pass.
    passing: RefCell<Vec<((usize, Case), Option<Vec<bool>>)>>,
}

impl Segment {
    pub(super) fn get<'a>(&'a self, slot: usize, known: &'a Wordings) -> Option<Kept<'a>> {
        let row = self.rows.get(slot)?.as_ref()?;
        Some(Kept { row, place: self.places.get(slot)?, segment: self, known })
    }

    /// Every node. `known` is fresh for each scan.
    pub(super) fn iter<'a>(&'a self, known: &'a Wordings) -> impl Iterator<Item = Kept<'a>> {
        let rows = self.rows.iter().zip(&self.places);
        rows.filter_map(move |(row, place)| Some(Kept { row: row.as_ref()?, place, segment: self, known }))
    }

    pub(super) fn row(&self, slot: usize) -> Option<&Row> {
        self.rows.get(slot)?.as_ref()
    }

    /// Puts a node at a place, instead of what was there.
    pub(super) fn put(&mut self, slot: usize, mut packed: Packed) {
        while self.rows.len() <= slot {
            make_room(&mut self.rows, 1);
            make_room(&mut self.places, 1);
            self.rows.push(None);
            self.places.push(NOWHERE);
        }
        self.drop_row(slot);
        let entries: Vec<_> = packed.common.iter().map(|text| self.common.enter(text)).collect();
        for span in each_span(&mut packed.row, &mut packed.disks, &mut packed.nics) {
            if let Some(number) = span.entry() {
                *span = entries.get(usize::from(number)).copied().unwrap_or(Span::MISSING);
            }
        }
        let row = self.store(packed.row, &packed.text, None, &packed.macs, &packed.disks, &packed.nics);
        self.rows[slot] = Some(row);
        self.give_back();
    }

    /// Takes a node out.
    pub(super) fn remove(&mut self, slot: usize) {
        self.drop_row(slot);
        if let Some(place) = self.places.get_mut(slot) {
            *place = NOWHERE;
        }
        self.give_back();
    }

    pub(super) fn place(&mut self, slot: usize, placed: &Placed) {
        let rack = placed.rack.as_deref().map_or(Span::MISSING, |rack| self.common.enter(rack));
        if let Some(place) = self.places.get_mut(slot) {
            *place = Place { rack, unit: placed.unit };
        }
    }

    fn drop_row(&mut self, slot: usize) {
        if let Some(row) = self.rows.get_mut(slot).and_then(Option::take) {
            let lists = usize::from(row.disks.length) * size_of::<DiskRow>() + usize::from(row.nics.length) * size_of::<NicRow>();
            self.left_over += usize::from(row.text.length) + usize::from(row.macs.length) * size_of::<MacAddr>() + lists;
        }
    }

    /// Appends texts and lists, and tells the row where. `capital` is given where the text is in lower case already.
    fn store(&mut self, mut row: Row, text: &str, capital: Option<&[u8]>, macs: &[MacAddr], disks: &[DiskRow], nics: &[NicRow]) -> Row {
        make_room(&mut self.macs, macs.len());
        make_room(&mut self.disks, disks.len());
        make_room(&mut self.nics, nics.len());
        make_room(&mut self.capital, text.len() / 8 + 1);
        if self.text.capacity() - self.text.len() < text.len() + 8 {
            self.text.reserve_exact(text.len() + 8 + self.text.len() / 8);
        }
        row.marks = 0;
        // Whole bytes of bits for each row.
        while !self.text.len().is_multiple_of(8) {
            self.text.push(END);
        }
        row.text = run(self.text.len(), text.len());
        self.text.push_str(text);
        match capital {
            Some(bits) => self.capital.extend_from_slice(bits),
            None => {
                self.text.get_mut(row.text.start as usize..).unwrap_or_default().make_ascii_lowercase();
                let bits = text
                    .as_bytes()
                    .chunks(8)
                    .map(|eight| eight.iter().enumerate().fold(0, |bits, (n, byte)| bits | u8::from(byte.is_ascii_uppercase()) << n));
                self.capital.extend(bits);
            }
        }
        row.macs = run(self.macs.len(), macs.len());
        self.macs.extend_from_slice(macs);
        row.disks = run(self.disks.len(), disks.len());
        self.disks.extend_from_slice(disks);
        row.nics = run(self.nics.len(), nics.len());
        self.nics.extend_from_slice(nics);
        let from = [row.disks.start as usize, row.nics.start as usize];
        let spans = each_span(&mut row, &mut self.disks[from[0]..], &mut self.nics[from[1]..]);
        let marks = spans.filter_map(|span| span.entry()).fold(0, |marks, number| marks | Span::mark(number));
        row.marks = marks;
        row
    }

    /// Writes the segment anew when much of it belongs to nobody.
    fn give_back(&mut self) {
        let many_texts = self.common.len() > 2 * self.common_then + ROWS;
        if !many_texts && self.left_over < WORTH_IT.max(self.bytes() / 5) {
            return;
        }
        let old = std::mem::take(self);
        let mut moved = vec![None; old.common.len()];
        let mut enter = |common: &mut Common, span: &mut Span| {
            if let Some(number) = span.entry() {
                let moved = &mut moved[usize::from(number)];
                *span = *moved.get_or_insert_with(|| common.enter(&old.common.written(number)));
            }
        };
        for (row, mut place) in old.rows.into_iter().zip(old.places) {
            enter(&mut self.common, &mut place.rack);
            let row = row.map(|mut row| {
                let text = &old.text[range(row.text)];
                let bits = &old.capital[row.text.start as usize / 8..][..text.len().div_ceil(8)];
                let (mut disks, mut nics) = (old.disks[range(row.disks)].to_vec(), old.nics[range(row.nics)].to_vec());
                each_span(&mut row, &mut disks, &mut nics).for_each(|span| enter(&mut self.common, span));
                let macs = &old.macs[range(row.macs)];
                self.store(row, text, Some(bits), macs, &disks, &nics)
            });
            self.rows.push(row);
            self.places.push(place);
        }
        self.common_then = self.common.len();
    }

    /// What it takes of memory, without what is left between.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.capacity() * size_of::<Option<Row>>() + self.places.capacity() * size_of::<Place>() + self.common.bytes();
        let lists = self.disks.capacity() * size_of::<DiskRow>() + self.nics.capacity() * size_of::<NicRow>();
        rows + lists + self.text.capacity() + self.capital.capacity() + self.macs.capacity() * size_of::<MacAddr>()
    }
}

/// A segment has at most 1024 rows of at most 64 KiB, so that its places fit into 32 bits; a row's lists are cut when
/// they are packed.
fn run(start: usize, length: usize) -> Run {
    Run { start: u32::try_from(start).unwrap_or(u32::MAX), length: u16::try_from(length).unwrap_or(u16::MAX) }
}

/// Room for more, an eighth to spare: doubling would leave half of the memory empty.
fn make_room<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more + items.len() / 8);
    }
}

fn range(run: Run) -> std::ops::Range<usize> {
    run.start as usize..run.start as usize + usize::from(run.length)
}

fn part_of<T>(items: &[T], run: Run, part: Option<usize>) -> &[T] {
    let items = &items[range(run)];
    match part {
        None => items,
        Some(part) => items.get(part..=part).unwrap_or_default(),
    }
}

impl<'a> Kept<'a> {
    /// All its texts, in lower case.
    fn texts(&self) -> &'a str {
        &self.segment.text[range(self.row.text)]
    }

    #[inline]
    fn text(&self, span: Span, case: Case) -> Option<Value<'a>> {
        self.written(span, case).map(Value::Text)
    }

    #[inline]
    fn written(&self, span: Span, case: Case) -> Option<Cow<'a, str>> {
        if span == Span::MISSING {
            return None;
        }
        if let Some(number) = span.entry() {
            let common = &self.segment.common;
            return Some(if case == Case::Either { Cow::Borrowed(common.lower(number)) } else { common.written(number) });
        }
        let (start, length) = (usize::from(span.start), usize::from(span.length));
        let first = self.row.text.start as usize + start;
        let lower = &self.segment.text[first..first + length];
        if case == Case::Either {
            return Some(Cow::Borrowed(lower));
        }
        let is_capital = |at: usize| self.segment.capital[at / 8] >> (at % 8) & 1 == 1;
        if !(first..first + length).any(is_capital) {
            return Some(Cow::Borrowed(lower));
        }
        let restored = lower.char_indices().map(|(at, c)| if is_capital(first + at) { c.to_ascii_uppercase() } else { c });
        Some(Cow::Owned(restored.collect()))
    }

    /// Several texts that stand in one.
    fn several(&self, span: Span, case: Case, mut test: impl FnMut(Value<'a>) -> bool) -> bool {
        match self.written(span, case) {
            None => false,
            Some(Cow::Borrowed(texts)) => texts.split_terminator(END).any(|text| test(Value::Text(text.into()))),
            Some(Cow::Owned(texts)) => texts.split_terminator(END).any(|text| test(Value::Text(text.to_owned().into()))),
        }
    }

    #[inline]
    fn single(&self, field: Field, case: Case) -> Option<Value<'a>> {
        let row = self.row;
        match field {
            Field::Id => Some(Value::Id(row.id.0)),
            Field::Stage => row.stage.of(field).map(Value::Word),
            Field::Uuid => row.uuid.map(Value::Id),
            Field::CpuThreads => count(row.cpu_threads),
            Field::CpuCores => count(row.cpu_cores),
            Field::CpuSockets => count(row.cpu_sockets),
            Field::Memory => size(row.memory),
            Field::MemoryInstalled => size(row.memory_installed),
            Field::MemoryDimms => count(row.dimms),
            Field::MemoryCorrected => size(row.memory_corrected),
            Field::MemoryUncorrected => size(row.memory_uncorrected),
            Field::Disks => count(row.disk_count),
            Field::DisksTotal => size(row.disk_bytes),
            Field::Nics => count(row.nic_count),
            Field::Firmware => row.firmware.of(field).map(Value::Word),
            Field::SecureBoot => row.secure_boot.map(Value::Flag),
            Field::BmcAddress => row.bmc_address.map(Value::Address),
            Field::Address => row.address.map(|address| Value::Address(address.into())),
            Field::Reports => Some(Value::Number(row.reports.into())),
            Field::FirstSeen => Some(Value::Time(timestamp(row.first_seen))),
            Field::Seen => Some(Value::Time(timestamp(row.last_seen.load(Ordering::Relaxed)))),
            Field::Order => row.order.of(field).map(Value::Word),
            Field::Boot => row.boot.map(Value::Id),
            Field::Rack => self.text(self.place.rack, case),
            Field::Unit => self.place.unit.map(|unit| Value::Number(unit.into())),
            _ => text_at(field).and_then(|at| self.text(row.texts[at], case)),
        }
    }

    #[inline]
    fn of_disk(&self, disk: &DiskRow, field: Field, case: Case) -> Option<Value<'a>> {
        match field {
            Field::DiskName => self.text(disk.name, case),
            Field::DiskModel => self.text(disk.model, case),
            Field::DiskSerial => self.text(disk.serial, case),
            Field::DiskSize => size(disk.size),
            Field::DiskKind => disk.kind.of(field).map(Value::Word),
            Field::DiskWear => (disk.wear != u16::MAX).then_some(Value::Number(disk.wear.into())),
            Field::DiskHealthy => disk.healthy.map(Value::Flag),
            _ => None,
        }
    }

    #[inline]
    fn of_nic(&self, nic: &NicRow, field: Field, case: Case) -> Option<Value<'a>> {
        match field {
            Field::NicMac => nic.mac.map(Value::Mac),
            Field::NicDriver => self.text(nic.driver, case),
            Field::NicLink => nic.link.map(Value::Flag),
            Field::NicSpeed => count(nic.speed),
            Field::NicMostSpeed => count(nic.most_speed),
            Field::NicSwitch => self.text(nic.switch, case),
            Field::NicPort => self.text(nic.port, case),
            _ => None,
        }
    }

    /// As [`Record::any`], for as long as the segment is held.
    #[inline]
    pub(super) fn any_value(&self, field: Field, part: Option<usize>, case: Case, mut test: impl FnMut(Value<'a>) -> bool) -> bool {
        use Field as F;
        let segment = self.segment;
        match field {
            F::DiskName | F::DiskModel | F::DiskSerial | F::DiskSize | F::DiskKind | F::DiskWear | F::DiskHealthy => {
                let disks = part_of(&segment.disks, self.row.disks, part);
                disks.iter().any(|disk| self.of_disk(disk, field, case).is_some_and(&mut test))
            }
            F::NicName => part_of(&segment.nics, self.row.nics, part).iter().any(|nic| self.several(nic.names, case, &mut test)),
            F::NicMac | F::NicDriver | F::NicLink | F::NicSpeed | F::NicMostSpeed | F::NicSwitch | F::NicPort => {
                part_of(&segment.nics, self.row.nics, part).iter().any(|nic| self.of_nic(nic, field, case).is_some_and(&mut test))
            }
            F::Mac => segment.macs[range(self.row.macs)].iter().any(|mac| test(Value::Mac(*mac))),
            F::Gpus => self.several(self.row.gpus, case, test),
            F::Tags => self.several(self.row.tags, case, test),
            _ => self.single(field, case).is_some_and(test),
        }
    }

    /// Whether one of the common texts that the node has is among those in which a wording stands.
    fn has_one_of(&self, entries: &[bool], marks: u128) -> bool {
        let (row, segment) = (self.row, self.segment);
        let rack = self.place.rack.entry().map_or(0, Span::mark);
        if (row.marks | rack) & marks == 0 {
            return false;
        }
        let is = |span: &Span| span.entry().is_some_and(|number| entries.get(usize::from(number)) == Some(&true));
        row.texts.iter().chain([&row.gpus, &row.tags, &self.place.rack]).any(is)
            || segment.disks[range(row.disks)].iter().any(|disk| is(&disk.model) || is(&disk.name))
            || segment.nics[range(row.nics)].iter().any(|nic| is(&nic.switch) || is(&nic.port) || is(&nic.names) || is(&nic.driver))
    }

    /// The id and the UUID are not kept as texts: few words could be a part of one.
    fn ids_mention(&self, wording: Wording<'_>) -> bool {
        let could_be = wording.lower().bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let mut text = [0; 36];
        could_be && self.row.uuid.into_iter().chain([self.row.id.0]).any(|id| wording.is_in(id.hyphenated().encode_lower(&mut text)))
    }
}

impl Record for Kept<'_> {
    fn any<'a>(&'a self, field: Field, part: Option<usize>, case: Case, test: impl FnMut(Value<'a>) -> bool) -> bool {
        self.any_value(field, part, case, test)
    }

    fn any_text(&self, field: Field, part: Option<usize>, key: (usize, Case), test: impl Fn(&str) -> bool) -> bool {
        let mut known = self.known.passing.borrow_mut();
        let at = known.iter().position(|(other, _)| *other == key).unwrap_or_else(|| {
            let common = &self.segment.common;
            known.push((key, if key.1 == Case::Either { common.passing(&test) } else { common.passing_as_written(&test) }));
            known.len() - 1
        });
        let entries = known[at].1.as_deref();
        let passes = |span: Span| match span.entry() {
            Some(number) => entries.is_some_and(|entries| entries.get(usize::from(number)) == Some(&true)),
            None => self.written(span, key.1).is_some_and(|text| test(&text)),
        };
        let (disks, nics) = (|| part_of(&self.segment.disks, self.row.disks, part), || part_of(&self.segment.nics, self.row.nics, part));
        match field {
            Field::DiskName => disks().iter().any(|disk| passes(disk.name)),
            Field::DiskModel => disks().iter().any(|disk| passes(disk.model)),
            Field::DiskSerial => disks().iter().any(|disk| passes(disk.serial)),
            Field::NicDriver => nics().iter().any(|nic| passes(nic.driver)),
            Field::NicSwitch => nics().iter().any(|nic| passes(nic.switch)),
            Field::NicPort => nics().iter().any(|nic| passes(nic.port)),
            Field::Rack => passes(self.place.rack),
            // Several texts in one entry.
            Field::NicName | Field::Gpus | Field::Tags => {
                self.any_value(field, part, key.1, |value| matches!(value, Value::Text(text) if test(&text)))
            }
            _ => text_at(field).is_some_and(|at| passes(self.row.texts[at])),
        }
    }

    fn extremes(&self, field: Field) -> Option<(u64, u64)> {
        (field == Field::DiskSize && self.row.largest != u64::MAX).then_some((self.row.smallest, self.row.largest))
    }

    fn parts(&self, list: List) -> usize {
        usize::from(match list {
            List::Disks => self.row.disks.length,
            List::Nics => self.row.nics.length,
        })
    }

    fn mentions(&self, wording: Wording<'_>) -> bool {
        let mut known = self.known.standing.borrow_mut();
        let at = known.iter().position(|(key, _)| *key == wording.key()).unwrap_or_else(|| {
            let entries = self.segment.common.passing(|text| wording.is_in(text));
            let marked = |entries: Vec<bool>| {
                let numbers = (0..=u16::MAX).zip(&entries).filter(|(_, stands)| **stands);
                let marks = numbers.fold(0, |marks, (number, _)| marks | Span::mark(number));
                (entries, marks)
            };
            known.push((wording.key(), entries.map(marked)));
            known.len() - 1
        });
        known[at].1.as_ref().is_some_and(|(entries, marks)| self.has_one_of(entries, *marks))
            || wording.is_in(self.texts())
            || self.ids_mention(wording)
    }
}

fn count<'a>(n: u32) -> Option<Value<'a>> {
    (n != u32::MAX).then_some(Value::Number(n.into()))
}

fn size<'a>(n: u64) -> Option<Value<'a>> {
    (n != u64::MAX).then_some(Value::Number(n))
}
