//! One disk, as `/sys/block` shows it.
//!
//! Not disks: loops, RAM disks, device mapper and software RAID (no hardware behind them), optical drives, the
//! hidden paths of a multipath NVMe disk, boot partitions of eMMC, card readers without a card.

use super::partitions;
use super::probes::Subject;
use crate::facts::{Gaps, placeholder};
use crate::tree::{Tree, text_of};
use inventory_wire::Disk;

/// The kernel counts in these, whatever the disk's own sectors are.
const SECTOR: u64 = 512;
const MOST_OF_A_PAGE: usize = 4096;

/// One disk's corner of `/sys`.
pub struct Place<'t> {
    tree: &'t Tree,
    name: String,
    size: u64,
    /// Where it is attached, from the root of the bus on.
    path: Vec<String>,
}

impl<'t> Place<'t> {
    /// `None` for what is no disk.
    pub fn find(tree: &'t Tree, name: &str) -> Option<Self> {
        let at = |file: &str| format!("sys/block/{name}/{file}");
        let other_part_of_a_card = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
        let hidden = tree.flag(&at("hidden")) == Some(true);
        if !tree.exists(&at("device")) || hidden || other_part_of_a_card || name.starts_with("sr") || name.starts_with("fd") {
            return None;
        }
        // SCSI peripheral device types: 4 write-once, 5 CD and DVD, 7 optical memory.
        if matches!(tree.number(&at("device/type")), Some(4 | 5 | 7)) {
            return None;
        }
        let size = tree.number(&at("size")).and_then(|sectors| sectors.checked_mul(SECTOR)).filter(|size| *size > 0)?;
        Some(Self { tree, name: name.into(), size, path: tree.real_parts(&format!("sys/block/{name}")) })
    }

    /// As whom the disk is asked.
    pub fn subject(&self, disk: &Disk) -> Subject {
        // The kernel numbers disks as they appear, so another one in the same slot has another number.
        let number = self.text("diskseq").unwrap_or_default();
        let own = [disk.serial.as_deref(), disk.wwn.as_deref(), disk.model.as_deref()].map(Option::unwrap_or_default).join("|");
        let partition = |partition: &inventory_wire::Partition| Some((partition.name.clone()?, partition.size_bytes.unwrap_or_default()));
        Subject {
            name: self.name.clone(),
            identity: format!("{number}|{}|{own}", self.size),
            partitions: disk.partitions.iter().filter_map(partition).collect(),
        }
    }

    /// All that needs no question to the disk itself.
    pub fn disk(&self, gaps: &mut Gaps) -> Disk {
        let transport = self.transport();
        let virtio = transport == Some("virtio");
        let path = |field: &str| format!("disks.{}.{field}", self.name);
        let virtual_disk = "a virtio disk does not say";
        let model = if virtio { Err(virtual_disk.into()) } else { self.model().ok_or_else(|| "the disk gives no model".into()) };
        let wwn = if virtio { Err(virtual_disk.into()) } else { self.wwn() };
        let rotational = if virtio { Err(virtual_disk.into()) } else { self.flag("queue/rotational") };
        let firmware = if virtio { Err(virtual_disk.into()) } else { self.firmware().ok_or_else(|| "the disk gives no firmware".into()) };
        let sector = |file: &str| self.number(file).and_then(|bytes| u32::try_from(bytes).ok());
        let unsaid = "the kernel does not say";
        Disk {
            name: Some(self.name.clone()),
            model: gaps.known(model, &path("model")),
            serial: gaps.known(self.serial(), &path("serial")),
            wwn: gaps.known(wwn, &path("wwn")),
            size_bytes: Some(self.size),
            sector_bytes: gaps.need(sector("queue/logical_block_size"), &path("sector_bytes"), unsaid),
            physical_sector_bytes: gaps.need(sector("queue/physical_block_size"), &path("physical_sector_bytes"), unsaid),
            rotational: gaps.known(rotational, &path("rotational")),
            removable: gaps.known(self.flag("removable"), &path("removable")),
            transport: gaps.need(transport, &path("transport"), "its place on the buses is of no known kind").map(str::to_owned),
            firmware: gaps.known(firmware, &path("firmware")),
            pci: gaps.need(self.pci(), &path("pci"), "it is not on a PCI bus"),
            read_only: gaps.known(self.flag("ro"), &path("read_only")),
            partitions: partitions::look(self.tree, &self.name),
            holders: self.tree.names(&format!("sys/block/{}/holders", self.name)),
            ..Disk::default()
        }
    }

    fn text(&self, file: &str) -> Option<String> {
        self.tree.text(&format!("sys/block/{}/{file}", self.name))
    }

    fn number(&self, file: &str) -> Option<u64> {
        self.tree.number(&format!("sys/block/{}/{file}", self.name))
    }

    fn flag(&self, file: &str) -> Result<bool, String> {
        self.tree.flag(&format!("sys/block/{}/{file}", self.name)).ok_or_else(|| "the kernel does not say".into())
    }

    fn page(&self, file: &str) -> Option<Vec<u8>> {
        self.tree.bytes(&format!("sys/block/{}/device/{file}", self.name), MOST_OF_A_PAGE).ok()
    }

    /// The whole name from the ATA identify data where there is one: SCSI's own field cuts it after 16 letters.
    fn model(&self) -> Option<String> {
        let ata = self.page("vpd_pg89").and_then(|page| ata_text(&page, MODEL));
        ata.or_else(|| self.text("device/model")).or_else(|| self.text("device/name"))
    }

    fn firmware(&self) -> Option<String> {
        let ata = self.page("vpd_pg89").and_then(|page| ata_text(&page, FIRMWARE));
        ata.or_else(|| ["firmware_rev", "rev", "fwrev"].iter().find_map(|file| self.text(&format!("device/{file}"))))
    }

    /// Of the nearest bus; an NVMe disk with several paths lies beside them, and the first counts.
    fn pci(&self) -> Option<String> {
        let nearest = |parts: Vec<String>| parts.into_iter().rev().find(|part| is_pci_address(part));
        let folder = format!("sys/block/{}/device", self.name);
        let path = || self.tree.names(&folder).into_iter().find(|name| numbered(name, "nvme"));
        nearest(self.path.clone()).or_else(|| nearest(self.tree.real_parts(&format!("{folder}/{}", path()?))))
    }

    fn serial(&self) -> Result<String, String> {
        let scsi = || self.page("vpd_pg80").and_then(|page| unit_serial(&page));
        let found = self.text("serial").or_else(|| self.text("device/serial")).or_else(scsi).or_else(|| self.usb_serial());
        match found {
            Some(serial) if placeholder::is_no_serial(&serial) => Err(format!("the disk says `{serial}`")),
            Some(serial) => Ok(serial),
            None => Err("the disk gives no serial number".into()),
        }
    }

    /// Of the USB device that the disk is part of: the nearest ancestor with a serial.
    fn usb_serial(&self) -> Option<String> {
        if self.transport() != Some("usb") {
            return None;
        }
        let ancestors = (1..self.path.len()).rev().map(|depth| self.path[..depth].join("/"));
        ancestors.take(16).find_map(|folder| self.tree.text(&format!("{folder}/serial")))
    }

    fn wwn(&self) -> Result<String, String> {
        match self.text("wwid").or_else(|| self.text("device/wwid")) {
            Some(name) if ["naa.", "eui.", "nvme.", "uuid."].iter().any(|kind| name.starts_with(kind)) => Ok(name),
            Some(name) => Err(format!("the disk has no world wide name, only `{name}`")),
            None => Err("the disk gives no world wide name".into()),
        }
    }

    fn transport(&self) -> Option<&'static str> {
        let any = |prefix: &str| self.path.iter().any(|part| numbered(part, prefix));
        if self.name.starts_with("vd") {
            Some("virtio")
        } else if self.name.starts_with("nvme") {
            Some("nvme")
        } else if self.name.starts_with("mmcblk") {
            Some("mmc")
        } else if any("usb") {
            Some("usb")
        } else if any("ata") {
            Some(if self.is_serial_ata() { "sata" } else { "ata" })
        } else if self.path.iter().any(|part| part.starts_with("end_device-")) {
            // A SATA disk behind a SAS controller is called by its own language.
            Some(if self.text("device/vendor").as_deref() == Some("ATA") { "sata" } else { "sas" })
        } else if any("host") {
            Some("scsi")
        } else {
            None
        }
    }

    /// Parallel ATA has no SATA speed; some drivers do not tell it, but have a name that does.
    fn is_serial_ata(&self) -> bool {
        let below = |prefix: &str| {
            let depth = self.path.iter().position(|part| numbered(part, prefix))?;
            Some((self.path.get(..=depth)?.join("/"), self.path.get(depth)?.clone()))
        };
        let speed = below("ata").and_then(|(port, name)| {
            let link = format!("link{}", name.strip_prefix("ata")?);
            self.tree.text(&format!("{port}/{link}/ata_link/{link}/sata_spd"))
        });
        let driver = below("host").and_then(|(host, name)| self.tree.text(&format!("{host}/scsi_host/{name}/proc_name")));
        speed.is_some_and(|speed| speed.ends_with("Gbps")) || driver.is_some_and(|name| name == "ahci" || name.starts_with("sata_"))
    }
}

/// `ata12` for `ata`, but not `ata_port`.
fn numbered(part: &str, prefix: &str) -> bool {
    part.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// SCSI vital product data, page 0x80 (SPC-4, 7.8.15): two bytes of header, length, text.
fn unit_serial(page: &[u8]) -> Option<String> {
    let &[_, 0x80, high, low, ..] = page else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    text_of(page.get(4..)?.get(..length).or(page.get(4..))?)
}

/// Words of ATA's IDENTIFY DEVICE (ACS-4, 7.13.7).
type Words = std::ops::Range<usize>;
const FIRMWARE: Words = 23..27;
const MODEL: Words = 27..47;

/// Page 0x89 (SAT-3, 12.4.2): from byte 60 the 512 bytes of ATA's IDENTIFY DEVICE, in which texts have two letters a word,
/// the second first.
fn ata_text(page: &[u8], words: Words) -> Option<String> {
    if page.get(1) != Some(&0x89) {
        return None;
    }
    let words = page.get(60 + 2 * words.start..60 + 2 * words.end)?;
    let letters: Vec<u8> = words.chunks_exact(2).flat_map(|word| [word[1], word[0]]).collect();
    text_of(&letters)
}

/// `0000:00:03.0`.
fn is_pci_address(part: &str) -> bool {
    let lengths: Vec<usize> = part.split([':', '.']).map(str::len).collect();
    matches!(lengths[..], [4 | 5, 2, 2, 1]) && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn product_data_pages_are_read() {
        assert_eq!(unit_serial(b"\x00\x80\x00\x08  S1234\x00rest").as_deref(), Some("S1234"));
        assert_eq!(unit_serial(b"\x00\x80\x00\xffS1").as_deref(), Some("S1"));
        assert_eq!(unit_serial(b"\x00\x83\x00\x02S1"), None);
        let mut page = vec![0u8; 572];
        page[1] = 0x89;
        page[114..154].fill(b' ');
        page[114..122].copy_from_slice(b"aSsmnu g");
        page[106..114].copy_from_slice(b"XE1T04Q ");
        assert_eq!(ata_text(&page, MODEL).as_deref(), Some("Samsung"));
        assert_eq!(ata_text(&page, FIRMWARE).as_deref(), Some("EXT140 Q"));
    }

    #[test]
    fn only_a_number_makes_a_port() {
        assert!(numbered("ata12", "ata"));
        assert!(!numbered("ata_port", "ata") && !numbered("ata", "ata") && !numbered("data1", "ata"));
    }

    proptest! {
        #[test]
        fn no_page_panics(page in prop::collection::vec(any::<u8>(), 0..700)) {
            unit_serial(&page);
            ata_text(&page, MODEL);
            ata_text(&page, FIRMWARE);
        }
    }
}
