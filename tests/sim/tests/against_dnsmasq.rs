//! The simulator against a server that thousands of real machines have booted from, so that what it calls right is not
//! only its own opinion. Needs root, `ip` and `dnsmasq`; everything happens in two network namespaces.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};
use tests_sim::dhcp::{
    ARCH_BIOS, ARCH_UEFI_X86_64, ARCH_UEFI_X86_64_HTTP, BadReply, Client, ExchangeError, Kind, Load, Machine, Speaker, Timing,
};
use tests_sim::ipxe::End;
use tests_sim::{Outcome, Patience, boot, http, tftp};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 1);

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output().expect("the programme `ip`: run `make deps`");
    assert!(done.status.success(), "ip {arguments}: {} (this test needs root)", String::from_utf8_lossy(&done.stderr));
}

/// A server's and a client's namespace, joined by a cable, and dnsmasq in the first.
struct Hall {
    name: String,
    dnsmasq: Option<Child>,
    folder: tempfile::TempDir,
}

impl Hall {
    fn new(test: &str, pool: &str) -> Self {
        let name = format!("ovsim{}{test}", std::process::id());
        let mut hall = Self { name, dnsmasq: None, folder: tempfile::tempdir().unwrap() };
        let name = &hall.name;
        ip(&format!("netns add {name}s"));
        ip(&format!("netns add {name}c"));
        ip(&format!("-n {name}s link add srv type veth peer name cli netns {name}c"));
        ip(&format!("-n {name}s address add {SERVER}/24 dev srv"));
        ip(&format!("-n {name}s link set srv up"));
        ip(&format!("-n {name}c link set cli up"));
        let folder = hall.folder.path();
        std::fs::write(folder.join("undionly.kpxe"), pattern(70_000)).unwrap();
        std::fs::write(folder.join("snponly.efi"), pattern(146_800)).unwrap();
        hall.dnsmasq = Some(hall.start(folder, pool));
        hall
    }

    fn start(&self, folder: &Path, pool: &str) -> Child {
        let boot = |tag: &str, file: &str| format!("--dhcp-boot=tag:{tag}{file}");
        let arguments = [
            "--keep-in-foreground --port=0 --conf-file=/dev/null --no-resolv --no-hosts --interface=srv --no-ping --user=root",
            "--pid-file= --log-facility=- --dhcp-authoritative --enable-tftp --dhcp-userclass=set:ipxe,iPXE --dhcp-vendorclass=set:web,HTTPClient",
            "--dhcp-match=set:uefi,option:client-arch,7 --dhcp-vendorclass=set:rom,PXEClient",
        ];
        Command::new("ip")
            .args(["netns", "exec", &format!("{}s", self.name), "dnsmasq"])
            .args(arguments.iter().flat_map(|line| line.split(' ')))
            .arg(format!("--dhcp-range={pool},255.255.255.0,1h"))
            .arg(format!("--dhcp-leasefile={}", folder.join("leases").display()))
            .arg(format!("--tftp-root={}", folder.display()))
            .arg(boot("rom,tag:!ipxe,tag:!uefi", ",undionly.kpxe"))
            .arg(boot("rom,tag:!ipxe,tag:uefi", ",snponly.efi"))
            .arg(boot("web,tag:!ipxe", &format!(",http://{SERVER}/snponly.efi")))
            .arg("--dhcp-option-force=tag:web,60,HTTPClient")
            .arg(boot("ipxe", &format!(",http://{SERVER}/boot.ipxe")))
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .expect("the programme `dnsmasq`: run `make deps`")
    }

    /// Runs `work` in one of the two namespaces, on a thread of its own.
    fn inside<T: Send + 'static>(&self, side: char, work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
        let file = std::fs::File::open(format!("/run/netns/{}{side}", self.name)).unwrap();
        thread::spawn(move || {
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    fn client<T: Send + 'static>(&self, work: impl FnOnce(Client) -> T + Send + 'static) -> T {
        let timing = Timing { first: Duration::from_millis(300), tries: 6 };
        self.inside('c', move || work(Client::bind("cli").unwrap().with_timing(timing))).join().unwrap()
    }

    /// Serves some files by HTTP on port 80, for as many requests as are given.
    fn serve(&self, files: Vec<(&'static str, Vec<u8>)>, requests: usize) -> thread::JoinHandle<Vec<String>> {
        let (ready, wait) = std::sync::mpsc::channel();
        let thread = self.inside('s', move || {
            let listener = TcpListener::bind((SERVER, 80)).unwrap();
            ready.send(()).unwrap();
            (0..requests).map(|_| answer(&listener, &files)).collect()
        });
        wait.recv().unwrap();
        thread
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        if let Some(mut dnsmasq) = self.dnsmasq.take() {
            let _ = dnsmasq.kill();
            let _ = dnsmasq.wait();
        }
        if thread::panicking() {
            eprintln!("dnsmasq said:\n{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
        for side in ['s', 'c'] {
            let _ = Command::new("ip").args(["netns", "delete", &format!("{}{side}", self.name)]).status();
        }
    }
}

fn pattern(length: u32) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

fn answer(listener: &TcpListener, files: &[(&str, Vec<u8>)]) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let target = request.split(' ').nth(1).unwrap().to_owned();
    let (status, body) = match files.iter().find(|(path, _)| target.starts_with(path)) {
        Some((_, body)) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", &b""[..]),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    if !request.starts_with("HEAD") {
        stream.write_all(body).unwrap();
    }
    request
}

fn must_be_root() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| assert!(nix::unistd::geteuid().is_root(), "this test makes network namespaces: run it as root"));
}

#[test]
fn every_speaker_gets_a_lease_and_its_own_boot_file() {
    must_be_root();
    let hall = Hall::new("a", "10.98.0.100,10.98.0.120");
    hall.client(|mut client| {
        let script = format!("http://{SERVER}/boot.ipxe");
        let web = format!("http://{SERVER}/snponly.efi");
        let cases = [
            (1, ARCH_BIOS, Speaker::Firmware, Some("undionly.kpxe")),
            (2, ARCH_UEFI_X86_64, Speaker::Firmware, Some("snponly.efi")),
            (3, ARCH_UEFI_X86_64_HTTP, Speaker::HttpBoot, Some(web.as_str())),
            (4, ARCH_BIOS, Speaker::Ipxe, Some(script.as_str())),
            (5, ARCH_BIOS, Speaker::System, None),
        ];
        for (number, arch, speaker, file) in cases {
            let machine = Machine::numbered(number, arch).running(speaker);
            let lease = client.lease(&machine).unwrap();
            assert_eq!(lease.boot_file.as_deref(), file, "{speaker:?}");
            assert_eq!((lease.server, lease.next_server, lease.prefix, lease.seconds), (SERVER, SERVER, 24, 3600), "{speaker:?}");
            assert_eq!(client.verify(&machine, lease.address).unwrap().kind, Kind::Ack);
            assert_eq!(client.renew(&machine, &lease).unwrap().yiaddr, lease.address);
            match client.inform(&machine, lease.address, lease.server) {
                Ok(told) => assert_eq!((told.kind, told.yiaddr), (Kind::Ack, Ipv4Addr::UNSPECIFIED)),
                // dnsmasq adds a lease time to some of these answers, which RFC 2131, 4.3.5 forbids.
                Err(error) => assert!(matches!(error, ExchangeError::Malformed { source: BadReply::Address { .. }, .. }), "{error:?}"),
            }
            client.release(&machine, lease.address, lease.server).unwrap();
            let elsewhere = client.request(&machine, Ipv4Addr::new(10, 98, 0, 250), SERVER);
            assert!(matches!(elsewhere, Err(ExchangeError::Nak { .. })), "{elsewhere:?}");
        }
        assert_eq!(client.offers(&Machine::numbered(9, ARCH_BIOS), Duration::from_millis(300)).unwrap().len(), 1);
    });
}

#[test]
fn many_machines_at_once_get_different_addresses() {
    must_be_root();
    let hall = Hall::new("b", "10.98.0.50,10.98.0.249");
    let result = hall.client(|mut client| {
        let machines = (0..150).map(|number| Machine::numbered(number, ARCH_BIOS)).collect();
        client.discover(&Machine::numbered(500, ARCH_BIOS)).unwrap(); // dnsmasq is up
        client.load(&Load::once(machines, 16)).unwrap()
    });
    assert_eq!((result.completed, result.failed, result.malformed), (150, 0, 0));
    assert_eq!((result.addresses.len(), result.given_twice()), (150, vec![]));
    assert!(result.rate() > 1.0 && result.latency(0.5) <= result.latency(0.99));
}

#[test]
fn silence_is_reported_with_who_asked_and_for_how_long() {
    must_be_root();
    let mut hall = Hall::new("c", "10.98.0.100,10.98.0.120");
    let mut dnsmasq = hall.dnsmasq.take().unwrap();
    dnsmasq.kill().unwrap();
    dnsmasq.wait().unwrap();
    hall.client(|client| {
        let timing = Timing { first: Duration::from_millis(50), tries: 3 };
        let mut client = client.with_timing(timing);
        let began = Instant::now();
        let silence = client.lease(&Machine::numbered(1, ARCH_BIOS));
        assert!(matches!(silence, Err(ExchangeError::Silence { kind: Kind::Discover, tries: 3, .. })), "{silence:?}");
        assert!(began.elapsed() >= Duration::from_millis(350));
        let result = client.load(&Load {
            repeat_after: Duration::from_millis(20),
            tries: 3,
            ..Load::once(vec![Machine::numbered(1, ARCH_BIOS), Machine::numbered(2, ARCH_BIOS)], 2)
        });
        let result = result.unwrap();
        assert_eq!((result.completed, result.failed, result.retransmissions), (0, 2, 4));
    });
}

#[test]
fn files_are_read_by_tftp() {
    must_be_root();
    let hall = Hall::new("d", "10.98.0.100,10.98.0.120");
    hall.client(|mut client| {
        let machine = Machine::numbered(1, ARCH_BIOS);
        let lease = client.lease(&machine).unwrap();
        let _address = tests_sim::interface::Interface::find("cli").unwrap().hold(lease.address, 24).unwrap();
        let client = tftp::Client::new(SocketAddrV4::new(SERVER, 69));
        assert_eq!(client.size("snponly.efi").unwrap(), 146_800);
        for blksize in [None, Some(1468), Some(1400)] {
            // 146,800 is a hundred blocks of 1,468: the last, empty one is needed.
            let got = client.read("snponly.efi", tftp::Options { blksize, windowsize: None, tsize: true }).unwrap();
            assert!(got.bytes == pattern(146_800), "blksize {blksize:?}");
            assert_eq!(got.blksize, blksize.map_or(512, usize::from));
        }
        let missing = client.read("nothing", tftp::Options::default());
        assert!(matches!(missing, Err(tftp::TftpError::Refused { code: 1, .. })), "{missing:?}");
    });
}

#[test]
fn machines_of_each_kind_boot_to_the_ramdisk_or_where_the_script_sends_them() {
    must_be_root();
    let hall = Hall::new("e", "10.98.0.100,10.98.0.120");
    let boots = |machine: Machine, files: Vec<(&'static str, Vec<u8>)>, requests: usize| {
        let web = hall.serve(files, requests);
        ip(&format!("-n {}c link set cli address {}", hall.name, machine.mac));
        let booted = hall.inside('c', move || boot("cli", &machine, Patience::default())).join().unwrap().unwrap();
        (booted, web.join().unwrap())
    };
    let first = b"#!ipxe\nchain --replace ipxe?mac=${net0/mac:hexhyp}&serial=${serial:uristring}".to_vec();
    let second = b"#!ipxe\nkernel vmlinuz quiet overture.ticket=t1 overture.server=https://10.98.0.1:8444\ninitrd ramdisk\nboot".to_vec();
    let files = || {
        vec![
            ("/boot.ipxe", first.clone()),
            ("/ipxe?mac=52-54-00-00-00-01&serial=SIM-000001", second.clone()),
            ("/vmlinuz", pattern(9)),
            ("/ramdisk", pattern(99)),
        ]
    };
    let (booted, requests) = boots(Machine::numbered(1, ARCH_BIOS), files(), 4);
    let Outcome::Ramdisk { words, kernel, initrds, lease, .. } = &booted.outcome else { panic!("{:?}", booted.outcome) };
    assert_eq!((words["ticket"].as_str(), words["server"].as_str()), ("t1", "https://10.98.0.1:8444"));
    assert_eq!((kernel.bytes.len(), initrds[0].bytes.len(), requests.len()), (9, 99, 4));
    assert_eq!(booted.firmware.as_ref().unwrap().programme, pattern(70_000));
    assert_eq!((booted.ipxe.address, lease.address), (booted.firmware.as_ref().unwrap().lease.address, booted.address.address()));
    drop(booted);

    let disk = vec![("/boot.ipxe", b"#!ipxe\nsanboot --drive 0x80".to_vec()), ("/snponly.efi", pattern(5000))];
    let (booted, _) = boots(Machine::numbered(2, ARCH_UEFI_X86_64_HTTP), disk, 3);
    assert_eq!(booted.firmware.as_ref().unwrap().programme, pattern(5000));
    assert!(matches!(&booted.outcome, Outcome::Other(End::LocalDisk(_))), "{:?}", booted.outcome);
    drop(booted);

    let nothing = Machine::numbered(3, ARCH_UEFI_X86_64);
    let (booted, _) = boots(nothing, vec![], 1);
    assert_eq!(booted.firmware.as_ref().unwrap().programme, pattern(146_800));
    assert!(matches!(&booted.outcome, Outcome::Other(End::Failed { .. })), "{:?}", booted.outcome);
    let other = hall.inside('c', || boot("cli", &Machine::numbered(4, ARCH_BIOS), Patience::default())).join().unwrap();
    assert!(other.unwrap_err().to_string().contains("ip link set cli address 52:54:00:00:00:04"));
}

#[test]
fn bytes_that_are_no_http_are_exchanged_as_they_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let std::net::SocketAddr::V4(server) = listener.local_addr().unwrap() else { panic!("IPv4") };
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = [0; 4];
        stream.read_exact(&mut got).unwrap();
        stream.write_all(&got).unwrap();
    });
    assert_eq!(http::Client::default().exchange_bytes(server, b"\0\xff\r\n").unwrap(), b"\0\xff\r\n");
    thread.join().unwrap();
}
