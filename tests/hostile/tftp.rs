//! TFTP requests that want more than a boot file.

use crate::support::machine::{machine, server_mac};
use crate::support::waiting::eventually_within;
use crate::support::{Appliance, STRANGER, at, eventually, pattern};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tests_sim::dhcp::Client as Card;
use tests_sim::tftp::{self, Options};

fn socket(from: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// The code of the error that a packet gets.
fn refusal(bytes: &[u8]) -> (u16, SocketAddr) {
    let socket = socket(STRANGER);
    socket.send_to(bytes, at(69)).unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap_or_else(|error| panic!("no answer to {bytes:02x?}: {error}"));
    assert_eq!(buffer[..2], [0, 5], "not refused: {:02x?}", &buffer[..length.min(40)]);
    (u16::from_be_bytes([buffer[2], buffer[3]]), from)
}

fn read_request(name: &[u8]) -> Vec<u8> {
    [&[0, 1], name, b"\0octet\0"].concat()
}

#[test]
fn nothing_outside_the_table_is_read_and_nothing_is_written() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let secret = appliance.folder().join("state/authority.key").display().to_string();
    appliance.inside(|| {
        for name in [
            &b"../overture.toml"[..],
            b"../../etc/passwd",
            b"/../../../etc/shadow",
            b"..\\..\\state\\authority.key",
            b"a/../undionly.kpxe",
            b"undionly.kpxe\x01",
            b"\xc0\xae\xc0\xae/x",
            b"\xff\xfeabc",
        ] {
            assert_eq!(refusal(&read_request(name)).0, 2, "{}", name.escape_ascii());
        }
        let absolute = secret.clone().into_bytes();
        for name in [
            &b"nothing"[..],
            b"/etc/passwd",
            b"%2e%2e%2fetc%2fpasswd",
            b"",
            b"/",
            b".",
            b"vmlinuz",
            b"ramdisk",
            b"authority.pem",
            &absolute,
            &[b'a'; 400],
        ] {
            assert_eq!(refusal(&read_request(name)).0, 1, "{}", name.escape_ascii());
        }
        // What follows a NUL is no part of the name.
        let (code, _) = refusal(b"\0\x01../secret\0undionly.kpxe\0octet\0");
        assert!(matches!(code, 2 | 4), "{code}");
        for name in ["undionly.kpxe", "new", "../x"] {
            assert_eq!(refusal(&tftp::write_request(name, "octet", &[])).0, 2, "{name}");
        }
    });
    appliance.assert_counted(&before, "tftp_events", &["unknown_file", "forbidden_name", "write_refused"]);
    assert_eq!(std::fs::read(appliance.folder().join("undionly.kpxe")).unwrap(), pattern(70_000));
    appliance.assert_good_node_is_served();
}

#[test]
fn malformed_requests_are_refused_and_what_is_no_request_gets_silence() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        for bytes in [
            &b"\0\x01"[..],
            b"\0\x01undionly.kpxe",
            b"\0\x01undionly.kpxe\0",
            b"\0\x01undionly.kpxe\0octet",
            b"\0\x01undionly.kpxe\0postscript\0",
        ] {
            assert_eq!(refusal(bytes).0, 4, "{}", bytes.escape_ascii());
        }
        // Two servers that answer errors with errors would do so for ever (CVE-2024-2169).
        let silent = socket(STRANGER);
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x03\0\x01data",
            b"\0\x04\0\x01",
            b"\0\x05\0\x00x\0",
            b"\0\x06blksize\x00512\0",
            b"\0\x09",
            b"\xff\xff\xff\xff",
        ] {
            silent.send_to(bytes, at(69)).unwrap();
        }
        silent.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        assert!(silent.recv_from(&mut [0; 64]).is_err(), "what is no request was answered");
    });
    appliance.assert_counted(&before, "tftp_events", &["malformed_request", "not_a_request"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_strangers_packets_do_not_move_a_transfer() {
    let appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        let (reader, stranger) = (socket(STRANGER), socket(Ipv4Addr::new(10, 77, 128, 9)));
        reader.send_to(&read_request(b"undionly.kpxe"), at(69)).unwrap();
        let (mut buffer, mut file) = ([0; 2048], vec![]);
        loop {
            let (length, from) = reader.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..2], [0, 3]);
            let block = u16::from_be_bytes([buffer[2], buffer[3]]);
            if usize::from(block) == file.len() / 512 + 1 {
                file.extend_from_slice(&buffer[4..length]);
            }
            if block % 16 == 1 {
                stranger.send_to(&tftp::acknowledge(block), from).unwrap();
                stranger.send_to(&tftp::error(0, "go away"), from).unwrap();
            }
            reader.send_to(&tftp::acknowledge(block), from).unwrap();
            if length < 516 {
                break;
            }
        }
        assert_eq!(file, pattern(70_000));
    });
    appliance.assert_counted(&before, "tftp_events", &["strangers"]);
}

#[test]
fn half_open_transfers_are_bounded_and_a_good_machine_still_reads() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.watch_memory();
    let peak = appliance.memory_peak();
    appliance.inside(|| {
        // One machine that asks from port after port, and a thousand that never existed.
        let greedy = socket(STRANGER);
        for _ in 0..40 {
            socket(STRANGER).send_to(&read_request(b"snponly.efi"), at(69)).unwrap();
        }
        greedy.send_to(&read_request(b"snponly.efi"), at(69)).unwrap();
        let mut card = Card::bind(crate::support::CARD).unwrap();
        let to_mac = server_mac();
        let request = [&read_request(b"snponly.efi")[..], b"blksize\x0065464\0windowsize\x0065535\0"].concat();
        for number in 0..1000u32 {
            let from = std::net::SocketAddrV4::new(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 77, 130, 0)) + number), 4000);
            let mac = machine(number).mac;
            let header = tests_sim::dhcp::Header::default();
            card.send_datagram(&tests_sim::dhcp::Datagram { from_mac: mac, to_mac, from, to: at(69), header, payload: &request }).unwrap();
        }
    });
    appliance.assert_counted(&before, "tftp_events", &["too_many_of_client"]);
    // Those that never answer make room within moments, and long before they are given up.
    let read = || {
        let good = tftp::Client { source: Ipv4Addr::new(10, 77, 128, 77), ..tftp::Client::new(at(69)) };
        good.read("undionly.kpxe", Options { blksize: Some(1456), windowsize: None, tsize: true })
    };
    let good_machine_reads = || appliance.inside(read).is_ok_and(|read| read.bytes == pattern(70_000));
    eventually_within(Duration::from_secs(4), "a good machine reads", &mut { good_machine_reads });
    assert!(appliance.metrics().tftp("half_open") > 0);
    let grown = appliance.memory_peak().saturating_sub(peak);
    assert!(grown < 32 << 20, "half-open transfers took {grown} bytes");
    eventually("the packets were counted", || appliance.metrics().tftp("packets") >= before.tftp("packets") + 1000);
    appliance.assert_good_node_is_served();
}
