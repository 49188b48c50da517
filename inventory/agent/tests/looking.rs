//! Facts and gaps from trees that look like a kernel's.

#![allow(clippy::unwrap_used)]

mod tree;

use inventory_agent::facts::{Findings, look};
use inventory_agent::netlink::Link;
use inventory_agent::tree::Tree;
use inventory_wire::Disk;
use proptest::prelude::*;
use tree::FakeTree;

const BIOS: (&[u8], &[u8]) = (include_bytes!("fixtures/qemu-bios.entry"), include_bytes!("fixtures/qemu-bios.dmi"));
const UEFI: (&[u8], &[u8]) = (include_bytes!("fixtures/qemu-uefi.entry"), include_bytes!("fixtures/qemu-uefi.dmi"));

/// Two sockets with modules of different sizes, a board, an onboard network card, a management controller.
const MODULES: (&[u8], &[u8]) = (include_bytes!("fixtures/qemu-two-modules.entry"), include_bytes!("fixtures/qemu-two-modules.dmi"));

fn with_tables((entry, tables): (&[u8], &[u8])) -> FakeTree {
    let tree = FakeTree::new();
    tree.file("sys/firmware/dmi/tables/smbios_entry_point", entry);
    tree.file("sys/firmware/dmi/tables/DMI", tables);
    tree
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

fn reason(findings: &Findings, path: &str) -> String {
    let gap = findings.gaps.iter().find(|gap| gap.path == path);
    gap.unwrap_or_else(|| panic!("no gap {path} among {:#?}", findings.gaps)).reason.clone()
}

#[test]
fn the_maker_is_read_from_recorded_tables() {
    let found = with_tables(BIOS).look(&[]);
    let system = found.facts.system.clone().unwrap();
    assert_eq!(system.manufacturer, text("QEMU"));
    assert_eq!(system.product, text("Standard PC (i440FX + PIIX, 1996)"));
    assert_eq!(system.serial, text("VM-0001"));
    assert_eq!(system.uuid, text("12345678-1234-5678-90ab-cdef01234567"), "as /sys/class/dmi/id/product_uuid showed it");
    let board = found.facts.board.clone().unwrap();
    assert_eq!((board.serial, board.asset_tag), (text("B-1"), None));
    assert_eq!(reason(&found, "board.asset_tag"), "the board gives no asset tag: SMBIOS says `Not Specified`");
    assert_eq!(reason(&found, "system.sku"), "the system gives no SKU: SMBIOS leaves it empty");
    assert_eq!(found.facts.memory.clone().unwrap().installed_bytes, Some(384 << 20));
    assert_eq!(found.facts.firmware.unwrap().kind, text("bios"));

    let found = with_tables(UEFI).look(&[]);
    assert_eq!(found.facts.system.unwrap().serial, text("VM-0002"));
    assert!(found.facts.board.is_none());
}

#[test]
fn an_independent_reader_of_tables_agrees() {
    for (entry, tables) in [BIOS, UEFI] {
        let found = with_tables((entry, tables)).look(&[]).facts.system.unwrap();
        let point = dmidecode::EntryPoint::search(entry).unwrap();
        let system = point.structures(tables).find_map(|structure| match structure {
            Ok(dmidecode::Structure::System(system)) => Some(system),
            _ => None,
        });
        let system = system.unwrap();
        assert_eq!(found.manufacturer.as_deref(), Some(system.manufacturer));
        assert_eq!(found.product.as_deref(), Some(system.product));
        assert_eq!(found.version.as_deref(), Some(system.version));
        assert_eq!(found.serial.as_deref(), Some(system.serial));
        assert_eq!(found.uuid, system.uuid.map(|uuid| uuid.to_string()));
    }
}

#[test]
fn an_independent_reader_of_tables_agrees_about_memory() {
    for (entry, tables) in [BIOS, UEFI, MODULES] {
        let memory = with_tables((entry, tables)).look(&[]).facts.memory.unwrap();
        let point = dmidecode::EntryPoint::search(entry).unwrap();
        let theirs: Vec<_> = point
            .structures(tables)
            .filter_map(|structure| match structure {
                Ok(dmidecode::Structure::MemoryDevice(device)) => Some(device),
                _ => None,
            })
            .collect();
        assert_eq!(memory.slots, u32::try_from(theirs.len()).ok().filter(|slots| *slots > 0));
        assert_eq!(memory.dimms.len(), theirs.len());
        for (ours, theirs) in memory.dimms.iter().zip(theirs) {
            assert_eq!(ours.slot.as_deref(), Some(theirs.device_locator));
            assert_eq!(ours.size_bytes, theirs.size.map(|mebibytes| u64::from(mebibytes) << 20));
            assert_eq!(ours.speed_mts, theirs.speed.filter(|speed| *speed > 0).map(u32::from));
            assert_eq!(ours.configured_mts, theirs.configured_memory_speed.filter(|speed| *speed > 0).map(u32::from));
            assert_eq!(ours.manufacturer.as_deref(), Some(theirs.manufacturer).filter(|text| !text.is_empty() && *text != "Not Specified"));
        }
    }
    let memory = with_tables(MODULES).look(&[]).facts.memory.unwrap();
    let sizes: Vec<_> = memory.dimms.iter().map(|dimm| (dimm.slot.as_deref(), dimm.size_bytes)).collect();
    assert_eq!(sizes, [(Some("DIMM_A 0"), Some(16 << 30)), (Some("DIMM_A 1"), Some(4 << 30))]);
}

#[test]
fn without_root_the_kernels_copies_are_read_and_the_rest_is_a_gap() {
    let tree = FakeTree::new();
    tree.file("sys/class/dmi/id/sys_vendor", b"Supermicro\n");
    tree.file("sys/class/dmi/id/board_name", b"To be filled by O.E.M.\n");
    let found = tree.look(&[]);
    assert_eq!(found.facts.system.clone().unwrap().manufacturer, text("Supermicro"));
    assert_eq!(reason(&found, "board.product"), "the board gives no product: SMBIOS says `To be filled by O.E.M.`");
    assert!(reason(&found, "system.serial").contains("tables are not readable"));
    assert!(reason(&found, "system.uuid").contains("tables are not readable"));
}

#[test]
fn processors_are_counted_by_package_core_and_thread() {
    let tree = FakeTree::new();
    tree.file("proc/cpuinfo", b"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)   Xeon(R)  Gold\nflags\t: a b\n");
    tree.file("proc/meminfo", b"MemTotal:       65536 kB\n");
    for (cpu, package, siblings) in
        [(0, 0, "0,4"), (1, 0, "1,5"), (2, 1, "2,6"), (3, 1, "3,7"), (4, 0, "0,4"), (5, 0, "1,5"), (6, 1, "2,6")]
    {
        tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), format!("{package}\n").as_bytes());
        tree.file(&format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"), siblings.as_bytes());
    }
    tree.folder("sys/devices/system/cpu/cpu7");
    tree.folder("sys/devices/system/cpu/cpufreq/topology");
    let found = tree.look(&[]);
    let cpu = found.facts.cpu.unwrap();
    assert_eq!((cpu.sockets, cpu.cores, cpu.threads), (Some(2), Some(4), Some(7)), "cpu7 is switched off");
    assert_eq!((cpu.model, cpu.vendor), (text("Intel(R) Xeon(R) Gold"), text("GenuineIntel")));
    assert_eq!(found.facts.memory.unwrap().usable_bytes, Some(64 << 20));
}

#[test]
fn each_kind_of_disk_says_where_it_is_attached_and_who_it_is() {
    let tree = FakeTree::new();
    let sata = "sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0";
    tree.disk("sda", sata, 7_814_037_168);
    tree.file(&format!("{sata}/model"), b"SAMSUNG MZ7LH960\n");
    tree.file(&format!("{sata}/vpd_pg80"), b"\x00\x80\x00\x14      S45NNE0M000001");
    tree.file(&format!("{sata}/wwid"), b"naa.5002538e00000001\n");
    tree.file("sys/devices/pci0000:00/0000:00:1f.2/ata3/link3/ata_link/link3/sata_spd", b"6.0 Gbps\n");

    let sas = "sys/devices/pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0";
    tree.disk("sdb", sas, 100);
    tree.file(&format!("{sas}/vendor"), b"SEAGATE \n");
    tree.file(&format!("{sas}/vpd_pg80"), b"\x00\x80\x00\x00");

    let usb = "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host5/target5:0:0/5:0:0:0";
    tree.disk("sdc", usb, 100);
    tree.file("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial", b"4C530001\n");
    tree.file("sys/devices/pci0000:00/0000:00:14.0/usb1/serial", b"0000:00:14.0\n");

    let ide = "sys/devices/pci0000:00/0000:00:01.1/ata1/host1/target1:0:0/1:0:0:0";
    tree.disk("sdd", ide, 100);
    tree.file(&format!("{ide}/wwid"), b"t10.ATA     QEMU HARDDISK   QM00001\n");
    tree.file("sys/devices/pci0000:00/0000:00:01.1/ata1/link1/ata_link/link1/sata_spd", b"<unknown>\n");

    tree.disk("sde", "sys/devices/pci0000:00/0000:02:00.0/host7/target7:0:0/7:0:0:0", 100);
    tree.disk("vda", "sys/devices/pci0000:00/0000:00:04.0/virtio1", 2_097_152);
    tree.file("sys/block/vda/serial", b"VD-1");
    tree.disk("nvme0n1", "sys/devices/pci0000:00/0000:00:05.0/nvme/nvme0", 100);
    tree.file("sys/devices/pci0000:00/0000:00:05.0/nvme/nvme0/serial", b"PHLJ0001            \n");
    tree.file("sys/devices/pci0000:00/0000:00:05.0/nvme/nvme0/model", b"INTEL SSDPE2KX010T8\n");
    tree.file("sys/block/nvme0n1/wwid", b"eui.01000000010000005cd2e4\n");
    tree.disk("mmcblk0", "sys/devices/platform/mmc0/mmc0:0001", 100);

    let found = tree.look(&[]);
    let disk = |name: &str| found.facts.disks.iter().find(|disk| disk.name.as_deref() == Some(name)).unwrap().clone();
    let transports: Vec<_> = found.facts.disks.iter().map(|disk| (disk.name.clone().unwrap(), disk.transport.clone().unwrap())).collect();
    let expected = ["mmcblk0 mmc", "nvme0n1 nvme", "sda sata", "sdb sas", "sdc usb", "sdd ata", "sde scsi", "vda virtio"];
    assert_eq!(transports.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>(), expected);
    let sda = Disk {
        name: text("sda"),
        model: text("SAMSUNG MZ7LH960"),
        serial: text("S45NNE0M000001"),
        wwn: text("naa.5002538e00000001"),
        size_bytes: Some(4_000_787_030_016),
        sector_bytes: Some(512),
        rotational: Some(false),
        removable: Some(false),
        transport: text("sata"),
        pci: text("0000:00:1f.2"),
        ..Disk::default()
    };
    assert_eq!(disk("sda"), sda);
    assert_eq!(reason(&found, "disks.sdb.serial"), "the disk gives no serial number");
    assert_eq!(disk("sdc").serial, text("4C530001"), "of the stick, not of the bus");
    assert_eq!(reason(&found, "disks.sdd.wwn"), "the disk has no world wide name, only `t10.ATA     QEMU HARDDISK   QM00001`");
    assert_eq!((disk("vda").serial, disk("vda").rotational), (text("VD-1"), None));
    assert_eq!((disk("nvme0n1").serial, disk("nvme0n1").wwn), (text("PHLJ0001"), text("eui.01000000010000005cd2e4")));
}

#[test]
fn what_is_no_disk_is_left_out() {
    let tree = FakeTree::new();
    for name in ["loop0", "ram0", "zram0", "dm-0", "md127"] {
        tree.file(&format!("sys/devices/virtual/block/{name}/size"), b"2048\n");
        tree.link(&format!("sys/block/{name}"), &format!("sys/devices/virtual/block/{name}"));
    }
    let at = |name: &str| format!("sys/devices/pci0000:00/{name}");
    tree.disk("sr0", &at("ata2/host1/target1:0:0/1:0:0:0"), 2048);
    tree.disk("mmcblk0boot0", &at("mmc0"), 2048);
    tree.disk("sdq", &at("reader"), 0);
    tree.disk("sdr", &at("optical"), 2048);
    tree.file(&format!("{}/type", at("optical")), b"5\n");
    tree.disk("nvme0c0n1", &at("nvme0"), 2048);
    tree.file("sys/block/nvme0c0n1/hidden", b"1\n");
    tree.disk("sds", &at("huge"), u64::MAX);
    assert_eq!(tree.look(&[]).facts.disks, []);
}

#[test]
fn network_cards_are_told_from_what_only_looks_like_one() {
    let tree = FakeTree::new();
    tree.nic("eth0", "sys/devices/pci0000:00/0000:00:03.0/virtio0", "virtio_net");
    tree.file("sys/class/net/eth0/address", b"02:00:00:00:00:99\n");
    tree.file("sys/class/net/eth0/carrier", b"1\n");
    tree.file("sys/class/net/eth0/speed", b"25000\n");
    tree.file("sys/class/net/eth0/addr_assign_type", b"3\n");
    tree.nic("eth1", "sys/devices/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0", "cdc_ether");
    tree.file("sys/class/net/eth1/address", b"52:54:00:00:00:02\n");
    tree.file("sys/class/net/eth1/addr_assign_type", b"0\n");
    tree.file("sys/class/net/eth1/carrier", b"0\n");
    tree.file("sys/class/net/eth1/speed", b"-1\n");
    tree.nic("ib0", "sys/devices/pci0000:00/0000:81:00.0", "mlx5_core");
    tree.file("sys/class/net/ib0/type", b"32\n");
    tree.file("sys/class/net/ib0/address", b"00:00:10:49:fe:80:00:00:00:00:00:00:00:11:22:33:44:55:66:77\n");
    tree.folder("sys/devices/virtual/net/br0");
    tree.link("sys/class/net/br0", "sys/devices/virtual/net/br0");

    let permanent_mac = Some([0x52, 0x54, 0, 0, 0, 1]);
    let link = Link { index: 2, name: "eth0".into(), mac: None, permanent_mac, up: true, carrier: Some(true) };
    let found = tree.look(&[link]);
    let [eth0, eth1, ib0] = &found.facts.nics[..] else { panic!("{:?}", found.facts.nics) };
    assert_eq!((eth0.mac.as_deref(), eth0.permanent_mac.as_deref()), (Some("02:00:00:00:00:99"), Some("52:54:00:00:00:01")));
    assert_eq!((eth0.driver.as_deref(), eth0.pci.as_deref()), (Some("virtio_net"), Some("0000:00:03.0")));
    assert_eq!((eth0.link, eth0.speed_mbit), (Some(true), Some(25_000)));
    assert_eq!(eth1.permanent_mac.as_deref(), Some("52:54:00:00:00:02"));
    assert_eq!((eth1.link, eth1.speed_mbit), (Some(false), None));
    assert_eq!(eth1.pci.as_deref(), Some("0000:00:14.0"), "the controller that its bus hangs on");
    assert_eq!((ib0.mac.clone(), ib0.link), (None, None));
    assert_eq!(reason(&found, "nics.ib0.mac"), "it is no Ethernet interface");
    assert_eq!(reason(&found, "nics.ib0.link"), "the interface is not up, so its link is not known");
}

#[test]
fn secure_boot_is_read_from_the_uefi_variable() {
    const VARIABLE: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    for (bytes, on) in [(&b"\x06\0\0\0\x01"[..], Some(true)), (b"\x06\0\0\0\0", Some(false)), (b"\x06", None)] {
        let tree = FakeTree::new();
        tree.file(VARIABLE, bytes);
        let firmware = tree.look(&[]).facts.firmware.unwrap();
        assert_eq!((firmware.kind, firmware.secure_boot), (text("uefi"), on));
    }
    let tree = FakeTree::new();
    tree.folder("sys/firmware/efi/efivars");
    assert_eq!(reason(&tree.look(&[]), "firmware.secure_boot"), "the UEFI variables are not mounted");
}

#[test]
fn of_nothing_everything_is_a_gap() {
    let found = FakeTree::new().look(&[]);
    for path in
        ["system", "board", "chassis", "firmware", "firmware.kind", "cpu.model", "memory.usable_bytes", "disks", "nics", "kernel.release"]
    {
        assert!(!reason(&found, path).is_empty());
    }
}

#[test]
fn only_the_hardware_decides_whether_a_machine_has_changed() {
    let tree = with_tables(BIOS);
    tree.file("proc/uptime", b"5.11 3.20\n");
    let first = tree.look(&[]);
    tree.file("proc/uptime", b"65.11 3.20\n");
    assert!(tree.look(&[]).same_hardware(&first));
    tree.disk("sdz", "sys/devices/pci0000:00/late", 100);
    assert!(!tree.look(&[]).same_hardware(&first));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_tables_do_not_panic(at in prop::collection::vec((0usize..523, any::<u8>()), 1..40), cut in 0usize..524) {
        let mut tables = BIOS.1.to_vec();
        for (place, byte) in at {
            if let Some(place) = tables.get_mut(place) {
                *place = byte;
            }
        }
        tables.truncate(cut);
        with_tables((BIOS.0, &tables)).look(&[]);
    }

    #[test]
    fn odd_content_of_any_file_does_not_panic(junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let tree = with_tables((&junk, &junk));
        tree.disk("sda", "sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0", 100);
        tree.nic("eth0", "sys/devices/pci0000:00/0000:00:03.0/virtio0", "virtio_net");
        for file in ["model", "vpd_pg80", "vpd_pg89", "wwid", "vendor", "type"] {
            tree.file(&format!("sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/{file}"), &junk);
        }
        for file in ["block/sda/size", "block/sda/queue/rotational", "class/net/eth0/address", "class/net/eth0/speed", "class/net/eth0/carrier"] {
            tree.file(&format!("sys/{file}"), &junk);
        }
        for file in ["cpuinfo", "meminfo", "uptime", "sys/kernel/osrelease"] {
            tree.file(&format!("proc/{file}"), &junk);
        }
        tree.file("sys/devices/system/cpu/cpu0/topology/physical_package_id", &junk);
        tree.look(&[]);
    }
}

#[test]
fn the_running_machine_can_be_looked_at() {
    let found = look(&Tree::live(), &inventory_agent::netlink::links().unwrap());
    assert!(found.facts.kernel.unwrap().release.is_some());
    assert!(found.facts.memory.unwrap().usable_bytes.is_some_and(|bytes| bytes > 0));
}
