//! Disks from made-up trees, with answers that were recorded, and answers of Debian's own tools about files.

#![allow(clippy::unwrap_used)]

use super::ask::Contents;
use super::contents::{signatures, tables};
use super::probes::{Asker, Subject};
use super::tools::{Limits, Tool};
use super::*;
use inventory_wire::{Health, Signature};
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const WIPEFS_GPT: &[u8] = include_bytes!("../../../tests/fixtures/storage/wipefs-gpt.json");
const WIPEFS_MBR: &[u8] = include_bytes!("../../../tests/fixtures/storage/wipefs-mbr.json");
const WIPEFS_LVM: &[u8] = include_bytes!("../../../tests/fixtures/storage/wipefs-lvm.json");
const WIPEFS_EMPTY: &[u8] = include_bytes!("../../../tests/fixtures/storage/wipefs-empty.json");
const BLKID_GPT: &[u8] = include_bytes!("../../../tests/fixtures/storage/blkid-gpt.txt");
const BLKID_MBR: &[u8] = include_bytes!("../../../tests/fixtures/storage/blkid-mbr.txt");
const SATA: &[u8] = include_bytes!("../../../tests/fixtures/storage/smartctl-sata.json");

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

fn kinds(signatures: &[Signature]) -> Vec<(&str, u64)> {
    signatures.iter().map(|signature| (signature.kind.as_deref().unwrap(), signature.offset_bytes.unwrap())).collect()
}

#[test]
fn a_recorded_gpt_is_read_with_its_names_whole() {
    let (table, partitions) = tables(BLKID_GPT);
    assert_eq!((table.as_deref(), partitions.len()), (Some("gpt"), 3));
    assert_eq!(partitions[&1].label, text("EFI system"));
    assert_eq!(partitions[&1].kind, text("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"));
    assert_eq!(partitions[&2].label, text("root = ä\\\\x"));
    assert_eq!(partitions[&3].uuid, text("2f0e0d0c-0b0a-4908-8706-050403020100"));
    let found = signatures(WIPEFS_GPT).unwrap();
    assert!(!found.contains_key("sdb"), "a partition table is no signature beside partitions");
    assert_eq!(kinds(&found["sdb1"]), [("vfat", 0x52)], "one filesystem, though it is recognised at three places");
    assert_eq!(found["sdb2"][0].label, text("root fs"));
    assert_eq!(found["sdb3"][0].usage, text("other"));
}

#[test]
fn a_recorded_mbr_is_read_and_its_extended_partition_is_no_table_of_the_disk() {
    let (table, partitions) = tables(BLKID_MBR);
    assert_eq!(table, text("mbr"));
    let read: Vec<(u32, &str)> = partitions.iter().map(|(number, details)| (*number, details.kind.as_deref().unwrap())).collect();
    assert_eq!(read, [(1, "0x83"), (2, "0x5"), (5, "0x8e"), (6, "0xfd")]);
    assert_eq!(partitions[&5].uuid, text("cafe0001-05"));
    let found = signatures(WIPEFS_MBR).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["sdd5"]);
    assert_eq!(kinds(&signatures(WIPEFS_LVM).unwrap()["sda"]), [("LVM2_member", 0x218)]);
}

#[test]
fn an_empty_disk_is_empty_and_nonsense_is_refused() {
    assert!(signatures(WIPEFS_EMPTY).unwrap().is_empty());
    assert!(signatures(b"\n").unwrap().is_empty());
    assert_eq!(tables(b""), (None, Default::default()));
    assert_eq!(signatures(&WIPEFS_GPT[..100]).unwrap_err(), "what wipefs wrote is no JSON");
    assert_eq!(signatures(b"{}").unwrap_err(), "what wipefs wrote has no list of signatures");
    assert!(signatures(br#"{"signatures":[null, 7, {"device":"sda"}, {"type":"ext4"}, {"device":1,"type":"x"}]}"#).unwrap().is_empty());
}

#[test]
fn groups_are_named_where_the_member_tells_and_repetition_is_bounded() {
    let entry = |kind: &str, offset: usize, label: &str| {
        format!(r#"{{"device":"sdc","offset":"{offset:#x}","type":"{kind}","usage":"raid","uuid":"u{label}","label":"{label}"}}"#)
    };
    let entries: Vec<String> = (0..500).map(|at| entry("zfs_member", at, if at % 2 == 0 { "tank" } else { "pool" })).collect();
    let found = signatures(format!(r#"{{"signatures":[{}]}}"#, entries.join(",")).as_bytes()).unwrap();
    assert_eq!(kinds(&found["sdc"]), [("zfs_member", 0), ("zfs_member", 1)]);
    assert_eq!(found["sdc"][0].member_of, text("tank"));
    let entries: Vec<String> = (0..500).map(|at| entry("isw_raid_member", at, &format!("array{at}"))).collect();
    let found = signatures(format!(r#"{{"signatures":[{}]}}"#, entries.join(",")).as_bytes()).unwrap();
    assert_eq!(found["sdc"].len(), 32);
    assert_eq!(found["sdc"][0].member_of, text("array0"));
}

#[test]
fn escapes_of_blkid_are_undone_and_control_characters_stay_visible() {
    let (_, partitions) = tables(b"ID_PART_ENTRY_NUMBER=1\nID_PART_ENTRY_NAME=a\\x20b\\x1b\\x5bc\\xzz\\x\n");
    assert_eq!(partitions[&1].label, text("a b\\x1b[c\\xzz\\x"));
}

/// A tree with one SATA disk of two partitions, and what is asked of it.
fn sata_tree() -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, content: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let device = "sys/devices/pci0000:00/0000:00:1f.2/ata1/host1/target1:0:0/1:0:0:0";
    let block = format!("{device}/block/sdb");
    for (file, content) in [
        ("size", "196608"),
        ("ro", "0"),
        ("removable", "0"),
        ("diskseq", "4"),
        ("queue/rotational", "1"),
        ("queue/logical_block_size", "512"),
        ("queue/physical_block_size", "4096"),
        ("sdb1/partition", "1"),
        ("sdb1/start", "2048"),
        ("sdb1/size", "65536"),
        ("sdb1/uevent", "PARTN=1\nPARTNAME=EFI system\n"),
        ("sdb2/partition", "2"),
        ("sdb2/start", "67584"),
        ("sdb2/size", "65536"),
        ("sdb2/uevent", "PARTN=2\nPARTNAME=root = !\n"),
        ("sdb2/holders/dm-0/x", ""),
    ] {
        put(&format!("{block}/{file}"), content);
    }
    put(&format!("{device}/rev"), "2.5+\n");
    put(&format!("{device}/model"), "OVERTURE-SATA\n");
    put("sys/bus/pci/devices/0000:00:1f.2/class", "0x010601\n");
    put("sys/bus/pci/devices/0000:00:02.0/class", "0x010400\n");
    put("sys/bus/pci/devices/0000:00:02.0/host0/scsi_host/host0/version_fw", "16.00.12.00\n");
    put("sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n");
    let link = |from: &str, to: &str| {
        fs::create_dir_all(folder.path().join(from).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(folder.path().join(to), folder.path().join(from)).unwrap();
    };
    link("sys/block/sdb", &block);
    link(&format!("{block}/device"), device);
    link("sys/bus/pci/devices/0000:00:02.0/driver", "sys/bus/pci/drivers/mpt3sas");
    let tree = Tree::copy(folder.path());
    (folder, tree)
}

/// Answers as recorded.
struct Recorded;

impl Asker for Recorded {
    fn contents(&self, disk: &Subject) -> Result<Contents, String> {
        assert_eq!(disk.partitions, [("sdb1".to_owned(), 65536 * 512), ("sdb2".to_owned(), 65536 * 512)]);
        let (table, partitions) = tables(BLKID_GPT);
        Ok(Contents { table, partitions, signatures: signatures(WIPEFS_GPT)?, missing: vec![("signatures", "wipefs ended with 1".into())] })
    }

    fn health(&self, _disk: &Subject) -> Result<HealthSeen, String> {
        let mut seen = health::parse(SATA, Some(4))?;
        seen.firmware = seen.firmware.map(|firmware| firmware + "1234");
        Ok(seen)
    }
}

#[test]
fn what_the_kernel_shows_and_what_the_disk_tells_become_one_disk() {
    let (_folder, tree) = sata_tree();
    let mut gaps = Gaps::default();
    let disk = look(&tree, &Probes::with(Box::new(Recorded), LONG, LONG), &mut gaps).remove(0);
    assert_eq!((disk.pci.as_deref(), disk.physical_sector_bytes, disk.read_only), (Some("0000:00:1f.2"), Some(4096), Some(false)));
    assert_eq!(disk.firmware, text("2.5+1234"), "the kernel shows its beginning");
    assert_eq!(disk.partition_table, text("gpt"));
    let [first, second] = &disk.partitions[..] else { panic!("{:?}", disk.partitions) };
    assert_eq!((first.name.as_deref(), first.number, first.start_bytes), (Some("sdb1"), Some(1), Some(1 << 20)));
    assert_eq!((first.label.as_deref(), first.signatures.len()), (Some("EFI system"), 1));
    assert_eq!((second.label.as_deref(), &second.holders[..]), (Some("root = ä\\\\x"), &["dm-0".to_owned()][..]));
    assert_eq!(disk.health.as_ref().and_then(|health| health.passed), Some(true));
    let reason = |path: &str| gaps.0.iter().find(|gap| gap.path == path).map(|gap| gap.reason.as_str());
    assert_eq!(reason("disks.sdb.signatures"), Some("wipefs ended with 1"));
    assert!(reason("disks.sdb.health").unwrap().starts_with("the disk does not tell wear_percent"));
    assert_eq!(reason("disks.sdb.firmware"), None);
}

struct Empty;

impl Asker for Empty {
    fn contents(&self, _disk: &Subject) -> Result<Contents, String> {
        Ok(Contents::default())
    }

    fn health(&self, _disk: &Subject) -> Result<HealthSeen, String> {
        Err("it does not say".into())
    }
}

#[test]
fn an_empty_disk_is_a_fact_and_no_gap() {
    let (_folder, tree) = sata_tree();
    let mut gaps = Gaps::default();
    let disk = look(&tree, &Probes::with(Box::new(Empty), LONG, LONG), &mut gaps).remove(0);
    assert_eq!((disk.partition_table.as_deref(), disk.signatures.len()), (Some("none"), 0));
    assert!(!gaps.0.iter().any(|gap| gap.path.ends_with("partition_table") || gap.path.ends_with("signatures")), "{:?}", gaps.0);
}

#[test]
fn without_answers_the_kernels_facts_stand_and_the_rest_is_a_gap() {
    let (_folder, tree) = sata_tree();
    let mut gaps = Gaps::default();
    let disk = look(&tree, &Probes::none(), &mut gaps).remove(0);
    assert_eq!(disk.partitions[0].label, text("EFI system"), "the kernel has a copy");
    assert_eq!(disk.partitions[1].label, None, "which is garbled where it is not ASCII");
    assert_eq!((disk.firmware.as_deref(), disk.health), (Some("2.5+"), None::<Health>));
    let open: Vec<&str> = gaps.0.iter().filter(|gap| gap.reason == A_COPY).map(|gap| gap.path.as_str()).collect();
    assert_eq!(open, ["disks.sdb.partition_table", "disks.sdb.signatures", "disks.sdb.health"]);
}

#[test]
fn controllers_are_found_by_class_with_the_firmware_that_their_driver_shows() {
    let (_folder, tree) = sata_tree();
    let mut gaps = Gaps::default();
    let found = look_at_controllers(&tree, &mut gaps);
    let read: Vec<_> = found.iter().map(|c| (c.kind.as_deref().unwrap(), c.driver.as_deref(), c.firmware.as_deref())).collect();
    assert_eq!(read, [("raid", Some("mpt3sas"), Some("16.00.12.00")), ("sata", None, None)]);
    let reasons: Vec<&str> = gaps.0.iter().map(|gap| gap.path.as_str()).collect();
    assert_eq!(reasons, ["controllers.0000:00:1f.2.firmware", "controllers.0000:00:1f.2.driver"]);
}

fn run(program: &str, package: &str, arguments: &[&str]) {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let ended = Command::new(program).args(arguments).env("PATH", path).output();
    let ended = ended.unwrap_or_else(|error| panic!("{program}: {error}; scripts/deps.sh installs {package}"));
    assert!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn real(tool: &'static str, arguments: &[&str]) -> Vec<u8> {
    let limits = Limits { time: LONG, bytes: 1 << 20 };
    Tool { name: tool, package: "util-linux" }.run(arguments, limits).unwrap().output
}

fn found_by_wipefs(image: &Path) -> Vec<Signature> {
    let image = image.to_str().unwrap();
    let output = real("wipefs", &["--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,USAGE,UUID,LABEL", image]);
    signatures(&output).unwrap().into_values().next().unwrap_or_default()
}

#[test]
fn the_installed_tools_speak_as_the_recorded_ones_did() {
    let folder = tempfile::tempdir().unwrap();
    let image = |name: &str, size: u64| {
        let path = folder.path().join(name);
        fs::File::create(&path).unwrap().set_len(size).unwrap();
        path
    };
    let ext4 = image("ext4", 8 << 20);
    run("mkfs.ext4", "e2fsprogs", &["-q", "-L", "root fs", ext4.to_str().unwrap()]);
    let found = found_by_wipefs(&ext4);
    assert_eq!((kinds(&found), found[0].label.as_deref()), (vec![("ext4", 0x438)], Some("root fs")));
    let vfat = image("vfat", 8 << 20);
    run("mkfs.vfat", "dosfstools", &["-n", "ESP", vfat.to_str().unwrap()]);
    assert_eq!(found_by_wipefs(&vfat).len(), 1);
    let swap = image("swap", 1 << 20);
    run("mkswap", "util-linux", &[swap.to_str().unwrap()]);
    assert_eq!(found_by_wipefs(&swap)[0].kind, text("swap"));
    let before = fs::read(&swap).unwrap();
    found_by_wipefs(&swap);
    assert_eq!(fs::read(&swap).unwrap(), before, "looking writes nothing");
    assert!(found_by_wipefs(&image("empty", 1 << 20)).is_empty());
}

#[test]
fn the_installed_blkid_tells_the_kind_of_table() {
    let folder = tempfile::tempdir().unwrap();
    for (label, expected) in [("gpt", "gpt"), ("dos", "mbr")] {
        let image = folder.path().join(label);
        fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let script = folder.path().join("script");
        fs::write(&script, format!("label: {label}\nsize=4M\n")).unwrap();
        run("sh", "dash", &["-c", &format!("PATH=$PATH:/usr/sbin:/sbin sfdisk -q {} < {}", image.display(), script.display())]);
        let output = real("blkid", &["-p", "-u", "nofilesystem,raid,crypto,other", "-o", "udev", image.to_str().unwrap()]);
        assert_eq!(tables(&output).0.as_deref(), Some(expected), "{label}");
    }
}

#[test]
fn members_written_from_their_formats_are_recognised_by_the_installed_wipefs() {
    let folder = tempfile::tempdir().unwrap();
    let raid = folder.path().join("md");
    let mut bytes = vec![0; 4096];
    bytes.extend(raid_superblock("host1:0"));
    fs::write(&raid, bytes).unwrap();
    // A smaller one is no member to it.
    fs::File::options().write(true).open(&raid).unwrap().set_len(32 << 20).unwrap();
    let found = found_by_wipefs(&raid);
    assert_eq!(kinds(&found), [("linux_raid_member", 4096)]);
    assert_eq!(found[0].member_of, text("host1:0"));
    let luks = folder.path().join("luks");
    let mut bytes = vec![0; 1 << 20];
    bytes[..8].copy_from_slice(b"LUKS\xba\xbe\x00\x01");
    bytes[168..204].copy_from_slice(b"0f0e0d0c-0b0a-4908-8706-050403020100");
    fs::write(&luks, bytes).unwrap();
    let found = found_by_wipefs(&luks);
    assert_eq!((found[0].kind.as_deref(), found[0].usage.as_deref()), (Some("crypto_LUKS"), Some("crypto")));
    assert_eq!(found[0].uuid, text("0f0e0d0c-0b0a-4908-8706-050403020100"));
}

/// The superblock of a Linux RAID, version 1.2 (`struct mdp_superblock_1`).
fn raid_superblock(name: &str) -> Vec<u8> {
    let mut block = vec![0; 4096];
    let mut put = |at: usize, what: &[u8]| block[at..at + what.len()].copy_from_slice(what);
    put(0, &0xa92b_4efcu32.to_le_bytes());
    put(4, &1u32.to_le_bytes());
    put(16, &[0x11; 16]);
    put(32, name.as_bytes());
    put(144, &8u64.to_le_bytes());
    put(220, &2u32.to_le_bytes());
    // 256 bytes and two for each of two members, its own field taken as zero.
    let words = block[..260].chunks_exact(4).map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap())));
    let sum: u64 = words.sum();
    let folded = ((sum & 0xffff_ffff) + (sum >> 32)) as u32;
    block[216..220].copy_from_slice(&folded.to_le_bytes());
    block
}

proptest! {
    #[test]
    fn nothing_that_a_tool_writes_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..800, text in ".{0,40}") {
        tables(&bytes);
        tables(text.as_bytes());
        let _ = signatures(&bytes);
        for recorded in [WIPEFS_GPT, BLKID_GPT] {
            let mut changed = recorded.to_vec();
            let from = at.min(changed.len());
            let to = (from + text.len()).min(changed.len());
            changed.splice(from..to, text.bytes());
            tables(&changed);
            if let Ok(found) = signatures(&changed) {
                prop_assert!(found.values().all(|signatures| signatures.len() <= 32));
            }
        }
    }
}
