//! Facts of the platform, from trees that look like a kernel's: memory modules, processors, PCI devices, network cards, UEFI,
//! sensors, TPM, management controller.

#![allow(clippy::unwrap_used)]

mod tables;
mod tree;

use inventory_agent::facts::{Answers, DriverInfo, Findings, Place, Probes, look_and_ask};
use inventory_agent::ipmi::Answer;
use inventory_agent::tree::Tree;
use inventory_wire::{Bmc, Dimm, Gap};
use proptest::prelude::*;
use tables::{Table, array, module};
use tree::FakeTree;

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

fn reason(findings: &Findings, path: &str) -> String {
    let gap = findings.gaps.iter().find(|gap| gap.path == path);
    gap.unwrap_or_else(|| panic!("no gap {path} among {:#?}", findings.gaps)).reason.clone()
}

fn with_tables(tables: &[Table]) -> FakeTree {
    let tree = FakeTree::new();
    tree.file("sys/firmware/dmi/tables/smbios_entry_point", b"_SM3_\x00\x18\x03\x03\x00");
    tree.file("sys/firmware/dmi/tables/DMI", &tables.iter().flat_map(Table::bytes).collect::<Vec<_>>());
    tree
}

const GIB: u64 = 1 << 30;

#[test]
fn memory_is_listed_module_by_module() {
    let full = module(1)
        .word(0x08, 80)
        .word(0x0a, 64)
        .word(0x0c, 0x7fff)
        .byte(0x0e, 9)
        .text(0x10, "DIMM_A1")
        .text(0x11, "P0_Node0_Channel0_Dimm0")
        .byte(0x12, 0x22)
        .word(0x15, 0xffff)
        .text(0x17, "Samsung")
        .text(0x18, "80CE0123")
        .text(0x19, "To Be Filled By O.E.M.")
        .text(0x1a, "M321R8GA0BB0-CQKZJ  ")
        .byte(0x1b, 2)
        .double_word(0x1c, 65536)
        .word(0x20, 0xffff)
        .double_word(0x54, 70_000)
        .double_word(0x58, 0x8000_0000 | 68_000);
    let plain =
        module(1).word(0x08, 64).word(0x0a, 64).word(0x0c, 8192).byte(0x12, 0x1a).text(0x10, "DIMM_A2").word(0x15, 3200).word(0x20, 2933);
    let empty = module(1).word(0x0c, 0).text(0x10, "DIMM_B1");
    let unknown = module(1).word(0x0c, 0xffff).text(0x10, "DIMM_B2").byte(0x12, 0x77).text(0x18, "00000000");
    let flash = module(2).word(0x0c, 16).text(0x10, "SYSTEM ROM");
    let tree = with_tables(&[
        array(1, 3, 0x8000_0000).byte(6, 6).quad_word(0x0f, 4096 * GIB),
        array(2, 5, 16384),
        full,
        plain,
        empty,
        unknown,
        flash,
    ]);
    let found = tree.look(&[]);
    let memory = found.facts.memory.clone().unwrap();
    assert_eq!((memory.installed_bytes, memory.slots), (Some(72 * GIB), Some(4)), "the firmware's flash is no memory");
    assert_eq!((memory.most_bytes, memory.error_correction), (Some(4096 * GIB), text("multi_bit_ecc")));
    let expected = Dimm {
        slot: text("DIMM_A1"),
        bank: text("P0_Node0_Channel0_Dimm0"),
        size_bytes: Some(64 * GIB),
        kind: text("ddr5"),
        form: text("dimm"),
        speed_mts: Some(70_000),
        configured_mts: Some(68_000),
        ranks: Some(2),
        ecc: Some(true),
        manufacturer: text("Samsung"),
        serial: text("80CE0123"),
        part_number: text("M321R8GA0BB0-CQKZJ"),
        ..Dimm::default()
    };
    assert_eq!(memory.dimms[0], expected);
    assert_eq!(reason(&found, "memory.dimms.DIMM_A1.asset_tag"), "SMBIOS gives the module no asset tag: it says `To Be Filled By O.E.M.`");
    let second = &memory.dimms[1];
    assert_eq!(
        (second.size_bytes, second.ecc, second.speed_mts, second.configured_mts),
        (Some(8 * GIB), Some(false), Some(3200), Some(2933))
    );
    assert_eq!((memory.dimms[2].slot.clone(), memory.dimms[2].size_bytes, memory.dimms[2].kind.clone()), (text("DIMM_B2"), None, None));
    assert_eq!(reason(&found, "memory.dimms.DIMM_B2.size_bytes"), "SMBIOS does not know the module's size");
    assert_eq!(reason(&found, "memory.dimms.DIMM_B2.serial"), "SMBIOS gives the module no serial number: it says `00000000`");
    assert_eq!(memory.dimms.len(), 3, "an empty socket has no module");
}

#[test]
fn odd_modules_cost_only_what_is_odd_in_them() {
    // Text number 9 of two; a structure of SMBIOS 2.1, too short for most; KiB; an extended size that is not there.
    let lost = module(1).word(0x0c, 1024).text(0x10, "A").raw_byte(0x17, 9);
    let short = module(1).word(0x0c, 0x8000 | 2048).text(0x10, "B").length(0x15);
    let cut = module(1).word(0x0c, 0x7fff).text(0x10, "C").length(0x1b);
    let huge = module(1).word(0x0c, 0x7fff).double_word(0x1c, 0x7fff_ffff).text(0x10, "D");
    let found = with_tables(&[lost, short, cut, huge]).look(&[]);
    let memory = found.facts.memory.clone().unwrap();
    let sizes: Vec<_> = memory.dimms.iter().map(|dimm| dimm.size_bytes).collect();
    assert_eq!(sizes, [Some(GIB), Some(2 << 20), None, Some(0x7fff_ffff << 20)]);
    assert_eq!(reason(&found, "memory.dimms.A.manufacturer"), "SMBIOS gives the module no manufacturer");
    assert_eq!(reason(&found, "memory.dimms.B.part_number"), "SMBIOS gives the module no part number");
    assert_eq!(reason(&found, "memory.most_bytes"), "SMBIOS names no limit of the memory (type 16)");
}

#[test]
fn errors_of_memory_are_counted_over_all_controllers() {
    let tree = FakeTree::new();
    assert_eq!(reason(&tree.look(&[]), "memory.corrected_errors"), "the kernel has no EDAC driver for the memory controller");
    for (controller, corrected) in [(0, 3), (1, 4)] {
        tree.file(&format!("sys/devices/system/edac/mc/mc{controller}/ce_count"), format!("{corrected}\n").as_bytes());
        tree.file(&format!("sys/devices/system/edac/mc/mc{controller}/ue_count"), b"0\n");
    }
    tree.file("sys/devices/system/edac/mc/power/ce_count", b"9\n");
    let memory = tree.look(&[]).facts.memory.unwrap();
    assert_eq!((memory.corrected_errors, memory.uncorrected_errors), (Some(7), Some(0)));
}

#[test]
fn processors_tell_flags_microcode_weaknesses_and_numa_nodes() {
    let tree = FakeTree::new();
    tree.file("proc/cpuinfo", b"vendor_id\t: GenuineIntel\nmicrocode\t: 0x2b000590\nflags\t\t: vmx aes avx2 aes\n");
    tree.file("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", b"4100000\n");
    tree.file("sys/devices/system/cpu/vulnerabilities/spectre_v2", b"Mitigation: Enhanced IBRS\n");
    tree.file("sys/devices/system/cpu/vulnerabilities/meltdown", b"Not affected\n");
    tree.file("sys/devices/system/node/node0/cpulist", b"0-15,32-47\n");
    tree.file("sys/devices/system/node/node0/meminfo", b"Node 0 MemTotal:       65536 kB\nNode 0 MemFree: 1 kB\n");
    tree.file("sys/devices/system/node/node0/distance", b"10 21\n");
    tree.file("sys/devices/system/node/node1/cpulist", b"\n");
    tree.file("sys/devices/system/node/node1/meminfo", b"Node 1 MemTotal:       0 kB\n");
    let found = tree.look(&[]);
    let cpu = found.facts.cpu.clone().unwrap();
    assert_eq!(cpu.flags, ["aes", "avx2", "vmx"]);
    assert_eq!((cpu.microcode, cpu.max_mhz), (text("0x2b000590"), Some(4100)));
    assert_eq!(cpu.vulnerabilities.unwrap()["spectre_v2"], "Mitigation: Enhanced IBRS");
    assert_eq!((cpu.numa[0].cpus.clone(), cpu.numa[0].memory_bytes), (text("0-15,32-47"), Some(64 << 20)));
    assert_eq!(cpu.numa[0].distances, [10, 21]);
    assert_eq!(reason(&found, "cpu.numa.1.cpus"), "it has no processor that is on");
    assert_eq!(reason(&found, "cpu.numa.1.memory_bytes"), "it has no memory");
}

const NAMES: &[u8] =
    b"8086  Intel Corporation\n\t1572  Ethernet Controller X710\n\t0a54  NVMe\n10de  NVIDIA Corporation\n\t20b5  A100 PCIe 80GB\n\
C 02  Network controller\n\t00  Ethernet controller\nC 03  Display controller\n\t02  3D controller\n";

fn with_cards() -> FakeTree {
    let tree = with_tables(&[Table::new(9, 0x11).text(4, "PCIe Slot 3").double_word(0x0d, 0x003b_0000)]);
    tree.file("usr/share/misc/pci.ids", NAMES);
    let nic = tree.pci("sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1", "0x020000", "0x8086", "0x1572");
    tree.file(&format!("{nic}/subsystem_vendor"), b"0x1028\n");
    tree.file(&format!("{nic}/subsystem_device"), b"0x1f99\n");
    tree.file(&format!("{nic}/revision"), b"0x02\n");
    tree.file(&format!("{nic}/numa_node"), b"1\n");
    tree.file(&format!("{nic}/current_link_speed"), b"8.0 GT/s PCIe\n");
    tree.file(&format!("{nic}/current_link_width"), b"8\n");
    tree.file(&format!("{nic}/max_link_speed"), b"Unknown\n");
    tree.file(&format!("{nic}/max_link_width"), b"255\n");
    let gpu = tree.pci("sys/devices/pci0000:80/0000:81:00.0", "0x030200", "0x10de", "0x20b5");
    tree.file(&format!("{gpu}/resource"), b"0x0 0xffffff 0x40200\n0x380000000000 0x3813ffffffff 0x14220c\n");
    tree.file(&format!("{gpu}/numa_node"), b"-1\n");
    tree
}

#[test]
fn pci_devices_have_names_links_and_slots() {
    let found = with_cards().look(&[]);
    let [nic, gpu] = &found.facts.pci[..] else { panic!("{:?}", found.facts.pci) };
    assert_eq!((nic.address.as_deref(), nic.class.as_deref()), (Some("0000:3b:00.1"), Some("020000")));
    assert_eq!((nic.class_name.as_deref(), nic.vendor.as_deref()), (Some("Ethernet controller"), Some("Intel Corporation")));
    assert_eq!((nic.device.as_deref(), nic.subsystem.as_deref()), (Some("Ethernet Controller X710"), Some("1028:1f99")));
    assert_eq!((nic.revision.as_deref(), nic.numa_node, nic.slot.as_deref()), (Some("02"), Some(1), Some("PCIe Slot 3")));
    assert_eq!((nic.link_speed.as_deref(), nic.link_width), (Some("8.0 GT/s PCIe"), Some(8)));
    assert_eq!((nic.most_link_speed.clone(), nic.most_link_width), (None, None), "the kernel writes Unknown and 255");
    assert_eq!((gpu.numa_node, gpu.slot.clone()), (None, None));
    assert_eq!(reason(&found, "pci.*.most_link_speed"), "2 of 2: it has no PCI Express link");
    assert_eq!(reason(&found, "pci.*.slot"), "1 of 2: SMBIOS names no slot at its address (types 9 and 41)");
    let accelerator = &found.facts.gpus[0];
    assert_eq!((accelerator.model.as_deref(), accelerator.memory_bytes), (Some("A100 PCIe 80GB"), Some(80 * GIB)));
    assert_eq!(found.facts.gpus.len(), 1);
}

#[test]
fn without_the_list_of_names_the_numbers_remain() {
    let tree = FakeTree::new();
    tree.pci("sys/devices/pci0000:00/0000:00:03.0", "0x020000", "0x8086", "0x1572");
    let found = tree.look(&[]);
    assert_eq!(found.facts.pci[0].vendor_id, text("8086"));
    let why = "1 of 1: there is no list of names, /usr/share/misc/pci.ids: the package pci.ids has it";
    assert_eq!(reason(&found, "pci.*.vendor"), why);
}

#[test]
fn a_network_card_tells_all_that_is_known_of_it() {
    let tree = with_cards();
    let device = "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1";
    tree.nic("eth0", device, "i40e");
    for (file, content) in [("carrier", "1"), ("speed", "10000"), ("duplex", "full"), ("mtu", "9000"), ("dev_port", "1")] {
        tree.file(&format!("{device}/net/eth0/{file}"), content.as_bytes());
    }
    tree.file(&format!("{device}/sriov_totalvfs"), b"64\n");
    tree.file(&format!("{device}/sriov_numvfs"), b"2\n");
    let answers = Answers {
        speeds: Ok([("eth0".to_owned(), 25_000)].into()),
        firmware: Ok([].into()),
        drivers: [("eth0".to_owned(), Ok(DriverInfo { version: text("2.24.6"), firmware: text("9.20 0x8000d95e") }))].into(),
        ..Answers::none()
    };
    let found = look_and_ask(&Tree::copy(tree.root()), &answers, &Probes::none());
    let nic = &found.facts.nics[0];
    assert_eq!((nic.speed_mbit, nic.most_speed_mbit, nic.full_duplex), (Some(10_000), Some(25_000), Some(true)));
    assert_eq!((nic.mtu, nic.port.as_deref(), nic.bus.as_deref()), (Some(9000), Some("1"), Some("pci")));
    assert_eq!((nic.vendor.as_deref(), nic.model.as_deref()), (Some("Intel Corporation"), Some("Ethernet Controller X710")));
    assert_eq!((nic.numa_node, nic.sriov_most, nic.sriov_now), (Some(1), Some(64), Some(2)));
    assert_eq!((nic.firmware.as_deref(), nic.driver_version.as_deref()), (Some("9.20 0x8000d95e"), Some("2.24.6")));
    let by_devlink = Answers { firmware: Ok([("0000:3b:00.1".to_owned(), "9.30".to_owned())].into()), ..answers };
    let found = look_and_ask(&Tree::copy(tree.root()), &by_devlink, &Probes::none());
    assert_eq!(found.facts.nics[0].firmware.as_deref(), Some("9.30"));
    assert_eq!(reason(&tree.look(&[]), "nics.eth0.most_speed_mbit"), "only the machine itself can be asked");
}

#[test]
fn uefi_variables_tell_what_is_booted() {
    let tree = FakeTree::new();
    let variable = |name: &str, value: &[u8]| {
        let path = format!("sys/firmware/efi/efivars/{name}-8be4df61-93ca-11d2-aa0d-00e098032b8c");
        tree.file(&path, &[&[7, 0, 0, 0], value].concat());
    };
    variable("SecureBoot", &[1]);
    variable("SetupMode", &[0]);
    variable("BootCurrent", &[1, 0]);
    variable("BootOrder", &[1, 0, 0x0a, 0]);
    let label: Vec<u8> = "debian\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    variable("Boot0001", &[&[1, 0, 0, 0, 10, 0], &label[..], &[3, 5, 6, 0, 2, 0, 0x7f, 0xff, 4, 0]].concat());
    variable("Boot000A", b"\x00");
    let found = tree.look(&[]);
    let firmware = found.facts.firmware.clone().unwrap();
    assert_eq!((firmware.secure_boot, firmware.setup_mode), (Some(true), Some(false)));
    assert_eq!((firmware.boot_current, firmware.boot_order), (text("0001"), vec!["0001".to_owned(), "000A".to_owned()]));
    let [first, second] = &firmware.boot_entries[..] else { panic!("{:?}", firmware.boot_entries) };
    assert_eq!((first.label.clone(), first.active, first.path.clone()), (text("debian"), Some(true), text("USB(0x2,0x0)")));
    assert_eq!((second.number.clone(), second.label.clone()), (text("000A"), None));
    assert_eq!(reason(&found, "firmware.boot_entries.000A.active"), "the entry is cut short");
}

#[test]
fn sensors_are_named_by_chip_and_label() {
    let tree = FakeTree::new();
    let at = |chip: u8, file: &str| format!("sys/class/hwmon/hwmon{chip}/{file}");
    for chip in [0, 1] {
        tree.file(&at(chip, "name"), b"coretemp\n");
        tree.file(&at(chip, "temp1_label"), b"Package id 0\n");
        tree.file(&at(chip, "temp1_input"), b"41000\n");
        tree.file(&at(chip, "temp1_crit"), b"100000\n");
        tree.file(&at(chip, "temp1_crit_alarm"), b"1\n");
    }
    tree.file(&at(2, "name"), b"power_meter\n");
    tree.file(&at(2, "power1_average"), b"212000000\n");
    tree.file(&at(2, "fan2_input"), b"odd\n");
    tree.file(&at(2, "intrusion0_alarm"), b"0\n");
    let found = tree.look(&[]);
    let seen: Vec<_> =
        found.facts.sensors.iter().map(|s| (s.name.clone().unwrap(), s.kind.clone().unwrap(), s.value, s.critical, s.alarm)).collect();
    let expected = [
        ("coretemp-0/Package id 0", "temperature", Some(41_000), Some(100_000), Some(true)),
        ("coretemp-1/Package id 0", "temperature", Some(41_000), Some(100_000), Some(true)),
        ("power_meter-0/fan2", "fan", None, None, None),
        ("power_meter-0/power1", "power", Some(212_000_000), None, None),
    ];
    assert_eq!(seen, expected.map(|(name, kind, value, critical, alarm)| (name.to_owned(), kind.to_owned(), value, critical, alarm)));
    assert_eq!(reason(&found, "sensors.power_meter-0/fan2.value"), "it gives no value now");
}

#[test]
fn the_trusted_platform_module_tells_its_version() {
    let tree = FakeTree::new();
    assert_eq!(reason(&tree.look(&[]), "tpm"), "the kernel shows no TPM");
    tree.file("sys/firmware/acpi/tables/TPM2", b"TPM2");
    assert_eq!(reason(&tree.look(&[]), "tpm"), "the firmware names a TPM, but no driver of the kernel shows it");
    tree.file("sys/class/tpm/tpm0/tpm_version_major", b"2\n");
    let found = tree.look(&[]);
    assert_eq!(found.facts.tpm.clone().unwrap().version, text("2.0"));
    assert_eq!(reason(&found, "tpm.firmware"), "the kernel does not tell it of a TPM 2.0");
    tree.file("sys/class/tpm/tpm0/tpm_version_major", b"1\n");
    tree.file("sys/class/tpm/tpm0/device/caps", b"Manufacturer: 0x49465800\nTCG version: 1.2\nFirmware version: 3.17\n");
    let tpm = tree.look(&[]).facts.tpm.unwrap();
    assert_eq!((tpm.version, tpm.manufacturer, tpm.firmware), (text("1.2"), text("IFX"), text("3.17")));
}

#[test]
fn a_management_controller_that_does_not_speak_leaves_its_reason() {
    let tree = with_tables(&[Table::new(38, 0x12)]);
    let look = |bmc: Answer| look_and_ask(&Tree::copy(tree.root()), &Answers { bmc, ..Answers::none() }, &Probes::none());
    let missing = "SMBIOS names a management controller (type 38), but there is no /dev/ipmi0: the modules ipmi_si (or ipmi_ssif) and ipmi_devintf are not loaded";
    assert_eq!(reason(&look(Answer::NoDevice), "bmc"), missing);
    assert_eq!(reason(&look(Answer::Pending), "bmc"), "the management controller is still being asked");
    assert_eq!(reason(&look(Answer::Failed("it burns".into())), "bmc"), "it burns");
    let none = look_and_ask(&Tree::copy(with_tables(&[]).root()), &Answers { bmc: Answer::NoDevice, ..Answers::none() }, &Probes::none());
    assert!(reason(&none, "bmc").contains("/dev/ipmi0"));
    // The kernel keeps a copy for everybody.
    assert_eq!(reason(&look(Answer::NeedsRoot), "bmc.address"), "/dev/ipmi0 needs root: run it with sudo");
    tree.file("sys/bus/platform/devices/ipmi_bmc.0/firmware_revision", b"2.86\n");
    tree.file("sys/bus/platform/devices/ipmi_bmc.0/manufacturer_id", b"0x002a7c\n");
    let copied = look(Answer::NeedsRoot).facts.bmc.unwrap();
    assert_eq!((copied.firmware, copied.manufacturer_id), (text("2.86"), Some(10876)));
    let gap = Gap { path: "bmc.vlan".into(), reason: "it does not tag".into() };
    let said = look(Answer::Said(Box::new(Bmc { address: text("10.0.0.1"), ..Bmc::default() }), vec![gap.clone()]));
    assert_eq!(said.facts.bmc.unwrap().address, text("10.0.0.1"));
    assert!(said.gaps.contains(&gap));
}

#[test]
fn the_agent_says_where_it_runs_and_how_long_user_space_took() {
    let tree = FakeTree::new();
    tree.file("proc/uptime", b"7.61 3.20\n");
    let answers = Answers { place: Some(Place::Ramdisk), user_space_began: Some(5.3), ..Answers::none() };
    let agent = look_and_ask(&Tree::copy(tree.root()), &answers, &Probes::none()).facts.agent.unwrap();
    assert_eq!((agent.place, agent.uptime_seconds, agent.user_space_seconds), (text("ramdisk"), Some(7), Some(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn modules_of_any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), length in 4u8..0x60) {
        let mut table = module(1).length(length);
        bytes.iter().enumerate().for_each(|(at, byte)| table.set(4 + at, *byte));
        with_tables(&[array(1, 3, 9), table]).look(&[]);
    }

    #[test]
    fn odd_files_of_devices_do_not_panic(junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let tree = with_cards();
        let device = "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1";
        tree.nic("eth0", device, "i40e");
        for file in ["class", "vendor", "subsystem_vendor", "numa_node", "current_link_width", "resource", "config", "acpi_index", "sriov_totalvfs"] {
            tree.file(&format!("{device}/{file}"), &junk);
        }
        for file in ["dev_port", "phys_port_name", "duplex", "mtu", "ifindex", "uevent"] {
            tree.file(&format!("{device}/net/eth0/{file}"), &junk);
        }
        for file in ["sys/class/hwmon/hwmon0/name", "sys/class/hwmon/hwmon0/temp1_input", "sys/class/tpm/tpm0/device/caps", "usr/share/misc/pci.ids",
            "sys/devices/system/node/node0/meminfo", "sys/devices/system/node/node0/distance", "sys/bus/pci/slots/3/address",
            "sys/firmware/efi/efivars/Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c", "sys/firmware/efi/efivars/BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c"] {
            tree.file(file, &junk);
        }
        tree.look(&[]);
    }
}
