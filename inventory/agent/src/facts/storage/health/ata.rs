//! ATA, with SATA: attributes, whose meaning is each maker's and which smartctl names from its database; device statistics
//! (ACS-4, 9.5), which mean the same everywhere and go first; the log of self-tests (ACS-4, 9.20).

use super::{Node, failure};
use inventory_wire::Health;

const GIB: u64 = 1 << 30;
/// Attributes that tell the bytes written to a disk, with the bytes that they count in; 0 for logical sectors.
const WRITTEN: [(&str, u64); 7] = [
    ("Total_LBAs_Written", 0),
    ("Host_Writes_32MiB", 32 << 20),
    ("Host_Writes_MiB", 1 << 20),
    ("Host_Writes_GiB", GIB),
    ("Lifetime_Writes_GiB", GIB),
    ("Total_Writes_GiB", GIB),
    ("Total_Writes_GB", GIB),
];
const READ: [(&str, u64); 7] = [
    ("Total_LBAs_Read", 0),
    ("Host_Reads_32MiB", 32 << 20),
    ("Host_Reads_MiB", 1 << 20),
    ("Host_Reads_GiB", GIB),
    ("Lifetime_Reads_GiB", GIB),
    ("Total_Reads_GiB", GIB),
    ("Total_Reads_GB", GIB),
];
/// Attributes whose normalised value is what is left of the disk's life, per cent.
const LEFT: [&str; 8] = [
    "Wear_Leveling_Count",
    "Media_Wearout_Indicator",
    "SSD_Life_Left",
    "Percent_Lifetime_Remain",
    "Percent_Life_Remaining",
    "Perc_Rated_Life_Remain",
    "Remaining_Lifetime_Perc",
    "Remaining_Life",
];

pub fn health(document: Node<'_>) -> Health {
    let attributes = document.at("ata_smart_attributes").at("table").list();
    let attributes = Attributes(attributes);
    let statistics = Statistics(document.at("ata_device_statistics").at("pages").list());
    let sector = document.at("logical_block_size").number().unwrap_or(512);
    let sectors = |count: u64| count.saturating_mul(sector);
    let bytes = |names: &[(&str, u64)]| {
        let (count, unit) = names.iter().find_map(|(name, unit)| Some((attributes.raw(&[name])?, *unit)))?;
        Some(if unit == 0 { sectors(count) } else { count.saturating_mul(unit) })
    };
    let percent = |value: u64| u32::try_from(value).ok().filter(|value| *value <= 255);
    Health {
        wear_percent: statistics.value(7, 8).and_then(percent).or_else(|| attributes.worn()),
        spare_percent: attributes.normalised("Available_Reservd_Space"),
        reallocated_sectors: attributes.raw_of(5).or_else(|| statistics.value(3, 32)),
        pending_sectors: attributes.raw_of(197),
        media_errors: statistics.value(4, 8).or_else(|| attributes.raw_of(187)).or_else(|| attributes.raw_of(198)),
        warnings: attributes.warnings(),
        self_test: self_test(document.at("ata_smart_self_test_log")),
        read_bytes: statistics.value(1, 40).map(sectors).or_else(|| bytes(&READ)),
        written_bytes: statistics.value(1, 24).map(sectors).or_else(|| bytes(&WRITTEN)),
        ..Health::default()
    }
}

struct Attributes<'v>(Vec<Node<'v>>);

impl Attributes<'_> {
    /// The number that a person would read: raw values carry other counters in their upper bits.
    fn read(attribute: &Node<'_>) -> Option<u64> {
        let raw = attribute.at("raw");
        let text = raw.at("string").text().unwrap_or_default();
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().or_else(|| raw.at("value").number().filter(|_| text.is_empty()))
    }

    fn raw_of(&self, id: u64) -> Option<u64> {
        self.0.iter().find(|attribute| attribute.at("id").number() == Some(id)).and_then(Self::read)
    }

    fn raw(&self, names: &[&str]) -> Option<u64> {
        let named = |attribute: &&Node<'_>| attribute.at("name").text().is_some_and(|name| names.contains(&name.as_str()));
        self.0.iter().find(named).and_then(Self::read)
    }

    fn normalised(&self, name: &str) -> Option<u32> {
        let found = self.0.iter().find(|attribute| attribute.at("name").text().as_deref() == Some(name))?;
        u32::try_from(found.at("value").number()?).ok().filter(|percent| *percent <= 100)
    }

    fn worn(&self) -> Option<u32> {
        LEFT.iter().find_map(|name| self.normalised(name)).map(|left| 100 - left)
    }

    /// Those that are, or were, below the threshold that their maker set.
    fn warnings(&self) -> Vec<String> {
        let sentence = |attribute: &Node<'_>| {
            let when = match attribute.at("when_failed").text()?.as_str() {
                "now" => "is below its threshold",
                "past" => "was below its threshold",
                _ => return None,
            };
            Some(format!("{} {when}", attribute.at("name").text()?))
        };
        self.0.iter().filter_map(sentence).collect()
    }
}

struct Statistics<'v>(Vec<Node<'v>>);

impl Statistics<'_> {
    fn value(&self, page: u64, offset: u64) -> Option<u64> {
        let page = self.0.iter().find(|candidate| candidate.at("number").number() == Some(page))?;
        let table = page.at("table").list();
        let entry = table.iter().find(|entry| entry.at("offset").number() == Some(offset))?;
        let valid = entry.at("flags").at("valid").flag() != Some(false);
        entry.at("value").number().filter(|_| valid)
    }
}

fn self_test(log: Node<'_>) -> Option<String> {
    let kinds = ["extended", "standard"].map(|kind| log.at(kind));
    let log = kinds.into_iter().find(|log| log.0.is_some())?;
    let Some(latest) = log.at("table").list().first().copied() else {
        return (log.at("count").number() == Some(0)).then(|| "never run".into());
    };
    // The upper half is the result, the lower how much was left.
    let words = match latest.at("status").at("value").number()? >> 4 {
        5 => "failed: electrical",
        6 => "failed: servo",
        7 => "failed: read",
        8 => "failed: damaged in handling",
        code => failure(code),
    };
    Some(words.into())
}
