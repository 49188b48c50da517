//! The command line of QEMU for one machine. Flags were measured with QEMU 7.2; a change shows in `tests/expected`.

use crate::folder::Folder;
use crate::plan::{Accel, Machine};
use crate::programs;
use domain::hardware::Firmware;
use std::path::Path;

/// The program.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// All arguments for `machine`, whose files lie in `folder`.
pub(crate) fn arguments(machine: &Machine, accel: Accel, folder: &Folder) -> Vec<String> {
    let mut line = CommandLine::default();
    line.option("-name", &machine.name);
    line.option("-accel", accelerator(accel));
    // Nothing of QEMU's own choosing: no floppy, no display, no second network card.
    line.words.extend(["-nodefaults", "-no-user-config"].map(String::from));
    line.option("-display", "none");
    firmware(&mut line, machine, accel, folder);
    line.option("-m", &machine.memory_mib.to_string());
    identity(&mut line, machine);
    line.option("-device", "virtio-rng-pci");
    network_cards(&mut line, machine);
    disk(&mut line, machine, folder);
    if machine.server {
        servers_disks(&mut line, machine, folder);
        servers_boards(&mut line, machine);
    }
    sockets(&mut line, machine, folder);
    line.words
}

#[derive(Default)]
struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    fn option(&mut self, name: &str, value: &str) {
        self.words.extend([name.to_owned(), value.to_owned()]);
    }
}

/// Translated code is cached up to 128 MiB a machine; QEMU's own default is a gigabyte.
pub(crate) fn accelerator(accel: Accel) -> &'static str {
    match accel {
        Accel::Tcg => "tcg,thread=multi,tb-size=128",
        Accel::Kvm => "kvm",
    }
}

/// The board and processor of a machine that starts by BIOS. The KVM probe tries just these.
/// `graphics=off` sends what BIOS and iPXE say to the serial line.
pub(crate) fn bios_board(accel: Accel) -> [(&'static str, &'static str); 2] {
    let processor = if accel == Accel::Kvm { "host" } else { "Nehalem" };
    [("-machine", "pc,graphics=off"), ("-cpu", processor)]
}

fn firmware(line: &mut CommandLine, machine: &Machine, accel: Accel, folder: &Folder) {
    match machine.firmware {
        Firmware::Bios => bios_board(accel).into_iter().for_each(|(name, value)| line.option(name, value)),
        Firmware::Uefi => {
            line.option("-machine", "q35");
            line.option("-cpu", if accel == Accel::Kvm { "host" } else { "max" });
            line.option("-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={}", programs::OVMF_CODE));
            let variables = quoted(&folder.uefi_variables(&machine.name));
            line.option("-drive", &format!("if=pflash,unit=1,format=raw,file={variables}"));
        }
    }
}

fn identity(line: &mut CommandLine, machine: &Machine) {
    let Machine { serial, uuid, .. } = machine;
    line.option("-smbios", &format!("type=1,manufacturer=Overture,product=Lab machine,serial={serial},uuid={uuid}"));
}

/// `speed` and `duplex` because a guest's aggregator finds no partner on a link without them. UEFI brings its own
/// driver, which option ROMs of the card would only get in the way of.
fn network_cards(line: &mut CommandLine, machine: &Machine) {
    for (port, mac) in machine.macs.iter().enumerate() {
        // Only the first is booted from.
        let rom = if port > 0 || machine.firmware == Firmware::Uefi { ",romfile=" } else { "" };
        let boot = if port == 0 { ",bootindex=1" } else { "" };
        line.option("-netdev", &format!("tap,id=net{port},ifname={},script=no,downscript=no", machine.tap(port)));
        line.option("-device", &format!("virtio-net-pci,id=nic{port},netdev=net{port},mac={mac}{boot},speed=1000,duplex=full{rom}"));
    }
}

/// An NVMe and a SATA disk beside the first.
fn servers_disks(line: &mut CommandLine, machine: &Machine, folder: &Folder) {
    let file = |number: u8| quoted(&folder.further_disk(&machine.name, number));
    for number in [1, 2] {
        line.option("-drive", &format!("if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,file={}", file(number)));
    }
    line.option("-device", &format!("nvme,drive=disk1,serial={}", machine.serial_of_disk(1)));
    line.option("-device", "ich9-ahci,id=ahci0");
    let wwn = 0x5000_c500_0000_0000_u64 + u64::from(machine.number);
    line.option(
        "-device",
        &format!("ide-hd,bus=ahci0.0,drive=disk2,serial={},model=Overture SATA,wwn={wwn:#x}", machine.serial_of_disk(2)),
    );
}

/// A management controller with its local interface, a board and a chassis with serial numbers, memory modules.
fn servers_boards(line: &mut CommandLine, machine: &Machine) {
    line.option("-device", "ipmi-bmc-sim,id=bmc0");
    line.option("-device", "isa-ipmi-kcs,bmc=bmc0");
    let number = machine.number;
    line.option("-smbios", "type=0,vendor=Overture,version=1.4.2,date=11/01/2026");
    line.option("-smbios", &format!("type=2,manufacturer=Overture,product=Lab board,serial=BRD-{number:04}"));
    line.option("-smbios", &format!("type=3,manufacturer=Overture,serial=CHS-{number:04},asset=LAB-{number:04}"));
    line.option(
        "-smbios",
        &format!("type=17,loc_pfx=DIMM_A,bank=P0,manufacturer=Overture,serial=MEM-{number:04},part=OV-DDR4-3200,speed=3200"),
    );
}

/// The disk comes second in the firmware's order. Its writes are not forced through to the computer's own disk:
/// a lab need not survive a power cut.
fn disk(line: &mut CommandLine, machine: &Machine, folder: &Folder) {
    let file = quoted(&folder.disk(&machine.name));
    line.option("-drive", &format!("if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file={file}"));
    line.option("-device", &format!("virtio-blk-pci,drive=disk0,serial={},bootindex=2", machine.disk_serial));
}

/// The serial line ends in a socket, so that a person can attach to it, and is logged whether somebody does or not.
fn sockets(line: &mut CommandLine, machine: &Machine, folder: &Folder) {
    let (console, log) = (quoted(&folder.console_socket(&machine.name)), quoted(&folder.serial_log(&machine.name)));
    line.option("-chardev", &format!("socket,id=serial0,server=on,wait=off,path={console},logfile={log},logappend=on"));
    line.option("-serial", "chardev:serial0");
    line.option("-qmp", &format!("unix:{},server=on,wait=off", quoted(&folder.qmp_socket(&machine.name))));
}

/// A path as part of an option: QEMU reads two commas as one.
fn quoted(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn check(machine: usize, accel: Accel, expected: &str) {
        let plan = Plan { bios: 1, uefi: 1, ..Plan::default() };
        let folder = Folder::of(Path::new("/labs"), &plan.name);
        let words = arguments(&plan.machines()[machine], accel, &folder);
        let mut text = String::new();
        for word in words {
            text.push_str(if text.is_empty() {
                ""
            } else if word.starts_with('-') {
                "\n"
            } else {
                " "
            });
            text.push_str(&word);
        }
        text.push('\n');
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(expected);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&file, &text).expect("tests/expected can be written in a checkout");
        }
        let wanted = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, wanted, "{} differs: if it should, run this test with UPDATE_EXPECTED=1", file.display());
    }

    #[test]
    fn a_bios_machine_is_started_with_these_flags() {
        check(0, Accel::Tcg, "qemu-bios-tcg.txt");
    }

    #[test]
    fn a_uefi_machine_is_started_with_these_flags() {
        check(1, Accel::Tcg, "qemu-uefi-tcg.txt");
    }

    #[test]
    fn with_kvm_the_machines_get_the_computers_own_processor() {
        check(0, Accel::Kvm, "qemu-bios-kvm.txt");
        check(1, Accel::Kvm, "qemu-uefi-kvm.txt");
    }

    #[test]
    fn a_comma_in_a_path_stays_part_of_it() {
        assert_eq!(quoted(Path::new("/a,b/c")), "/a,,b/c");
    }
}
