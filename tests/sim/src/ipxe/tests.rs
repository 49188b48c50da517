use super::*;
use crate::dhcp::{ARCH_BIOS, ARCH_UEFI_X86_64, Datagram, Lease, Reply};
use crate::pcap;
use std::collections::BTreeMap;

fn settings(arch: u16, serial: &str) -> Settings {
    let recording = pcap::frames(include_bytes!("../../../fixtures/ipxe-bios.pcap")).expect("a recording");
    let ack = Reply::parse(Datagram::parse(recording[3]).expect("UDP").payload).expect("an ACK");
    let machine = crate::dhcp::Machine { serial: serial.into(), ..crate::dhcp::Machine::numbered(7, arch) };
    Settings::of(&machine, &Lease::of(&ack).expect("a lease"))
}

/// Runs `first` at `http://10.0.0.1/boot.ipxe` with these files beside it.
fn run(first: &str, files: &[(&str, &str)], settings: Settings) -> (End, Vec<String>, Vec<String>) {
    let mut all: BTreeMap<String, String> =
        files.iter().map(|(path, text)| (format!("http://10.0.0.1{path}"), (*text).to_owned())).collect();
    all.insert("http://10.0.0.1/boot.ipxe".into(), format!("#!ipxe\n{first}"));
    let load = move |url: &Url| all.get(&url.to_string()).map(|text| text.clone().into_bytes()).ok_or_else(|| "404".to_owned());
    let mut machine = Machine::new(settings, Instant::now() + Duration::from_secs(5), Box::new(load));
    let end = machine.start(&"http://10.0.0.1/boot.ipxe".parse().expect("a URL"));
    (end, machine.scripts.iter().map(|script| script.url.to_string()).collect(), machine.said)
}

#[test]
fn a_script_chains_with_its_identity_and_starts_a_kernel() {
    let first = "chain --replace ipxe?mac=${net0/mac:hexhyp}&uuid=${uuid}&serial=${serial:uristring}&arch=${buildarch} || shell";
    let path = "/ipxe?mac=52-54-00-00-00-07&uuid=77000000-0000-4000-8000-000000000007&serial=a%20b%26c&arch=i386";
    let second = "#!ipxe\nkernel /boot/vmlinuz initrd=ramdisk console=ttyS0 overture.ticket=abc\ninitrd --name ramdisk boot/ramdisk\nboot";
    let files = [(path, second), ("/boot/vmlinuz", "KERNEL"), ("/boot/ramdisk", "RAMDISK")];
    let (end, scripts, _) = run(first, &files, settings(ARCH_BIOS, "a b&c"));
    let End::Kernel { kernel, initrds } = end else { panic!("{end:?}") };
    assert_eq!(kernel.arguments, "initrd=ramdisk console=ttyS0 overture.ticket=abc");
    assert_eq!((kernel.bytes.as_slice(), initrds[0].bytes.as_slice()), (&b"KERNEL"[..], &b"RAMDISK"[..]));
    assert_eq!(scripts, ["http://10.0.0.1/boot.ipxe".to_owned(), format!("http://10.0.0.1{path}")]);
}

#[test]
fn conditions_and_jumps_lead_where_ipxe_would_go() {
    let disk = |command: &str| End::LocalDisk(command.into());
    let failed = |line: &str, why: &str| End::Failed { line: line.into(), why: why.into() };
    let by_platform = "iseq ${platform} efi && goto efi ||\nsanboot --no-describe --drive 0x80\n:efi\nexit 1";
    let cases = [
        (ARCH_BIOS, by_platform, disk("sanboot --no-describe --drive 0x80")),
        (ARCH_UEFI_X86_64, by_platform, End::Exit(1)),
        (ARCH_BIOS, "isset ${nothing} || goto out\nshell\n:out\nreboot", End::Reboot),
        (ARCH_BIOS, "isset ${uuid} && poweroff || shell", End::PowerOff),
        (ARCH_BIOS, "chain nowhere || exit 3", End::Exit(3)),
        (ARCH_BIOS, "kernel nowhere\nboot", failed("kernel nowhere", "404")),
        (ARCH_BIOS, "boot", failed("boot", "no kernel was loaded")),
        (ARCH_BIOS, "frobnicate", failed("frobnicate", "`frobnicate` is no command, or has not these arguments")),
        (ARCH_BIOS, ":a\ngoto a", failed("goto a", "the script does not come to an end")),
        (ARCH_BIOS, "chain boot.ipxe", failed("chain boot.ipxe", "")),
        (ARCH_BIOS, "goto nowhere", failed("goto nowhere", "there is no label `nowhere`")),
        (ARCH_BIOS, "set n:int32 2\n:a\ninc n ${n}\niseq ${n} 32 || goto a\ninc n\nexit ${n}", End::Exit(33)),
        (ARCH_BIOS, "inc n x || exit 4", End::Exit(4)),
        (ARCH_BIOS, "# nothing\n\n  ", End::Exit(0)),
    ];
    for (arch, script, expected) in cases {
        let (mut end, ..) = run(script, &[], settings(arch, "s"));
        // How the nesting is told does not matter.
        if let End::Failed { line, why } = &mut end
            && line == "chain boot.ipxe"
        {
            assert!(why.contains("nested too deeply"), "{why}");
            why.clear();
        }
        assert_eq!(end, expected, "{script}");
    }
}

#[test]
fn a_machines_own_text_becomes_a_command_where_a_script_lets_it() {
    let (end, ..) = run("echo serial ${serial}\nexit", &[], settings(ARCH_BIOS, "x ; shell"));
    assert_eq!(end, End::Shell);
    let (_, _, said) = run("echo ${serial}", &[], settings(ARCH_BIOS, "${uuid:hexraw}"));
    assert_eq!(said, ["77000000000040008000000000000007"]);
    let (end, _, said) = run("echo ${serial:uristring}", &[], settings(ARCH_BIOS, "x ; shell ${uuid}"));
    assert_eq!((end, said), (End::Exit(0), vec!["x%20%3B%20shell%20%24%7Buuid%7D".to_owned()]));
}

#[test]
fn expansion_is_bounded() {
    let mut settings = settings(ARCH_BIOS, "s");
    settings.set("a", "${a}");
    assert!(settings.expand("${a}").is_err());
    settings.set("a", "${b}${b}${b}${b}${b}${b}${b}${b}");
    settings.set("b", &"x".repeat(20_000));
    assert!(settings.expand("${a}").is_err());
    assert_eq!(settings.expand("} ${nothing} ${ma${nothing}c:hexraw} ${").as_deref(), Ok("}  525400000007 ${"));
}
