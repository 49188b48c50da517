//! The TFTP server on loopback: with real clients, and with a client that behaves badly on purpose and shares no code
//! with the server.
#![allow(clippy::unwrap_used, missing_docs)]

mod boot_world;

use boot_world::{MAC, World, content, count, run};
use domain::site::Unknown;
use pxe::tftp::{BindError, Counts, Server, Settings, Shared};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Long enough for a slow machine; reached only when a test fails.
const LIMIT: Duration = Duration::from_secs(20);
/// Long enough for an answer to arrive, where none is expected.
const QUIET: Duration = Duration::from_millis(150);

struct Running {
    world: World,
    folder: tempfile::TempDir,
    address: SocketAddr,
    counts: Arc<Counts>,
    cancel: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
    _stop: DropGuard,
}

/// Serves `undionly.kpxe` from disk and `snponly.efi` from memory; clients on loopback count as one leased machine.
async fn serve(change: impl FnOnce(&mut Settings)) -> Running {
    let world = World::new(Unknown::Discover).await;
    world.boots_up(MAC);
    world.leases_to(MAC, HERE).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("undionly.kpxe"), content(70_085)).unwrap();
    world.files.insert_file("undionly.kpxe", folder.path().join("undionly.kpxe"));
    world.files.insert_bytes("snponly.efi", content(1_000_000));
    world.files.insert_bytes("ramdisk", vec![1]);
    let mut settings = Settings::new(SocketAddrV4::new(HERE, 0));
    change(&mut settings);
    let shared = shared(&world);
    let server = Server::bind(settings, shared).unwrap();
    let (address, counts) = (server.local_addr().into(), server.counts());
    let cancel = CancellationToken::new();
    let ended = server.run(cancel.clone());
    let ended = tokio::spawn(async move { ended.await.unwrap() });
    Running { world, folder, address, counts, _stop: cancel.clone().drop_guard(), cancel, ended }
}

fn shared(world: &World) -> Shared {
    Shared { files: world.files.clone(), boots: world.boots.clone(), leases: world.leases.clone(), clock: world.clock.clone() }
}

impl Running {
    fn count(&self, name: &str) -> u64 {
        count(&self.counts.pairs(), name)
    }

    async fn counted(&self, name: &str, least: u64) {
        let reached = async {
            while self.count(name) < least {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(LIMIT, reached).await.is_err() {
            panic!("{name} stays below {least}: {:?}", self.counts.pairs());
        }
    }

    async fn client(&self) -> Client {
        Client { socket: UdpSocket::bind((HERE, 0)).await.unwrap(), server: self.address }
    }

    /// A client that has sent a request.
    async fn reader(&self, parts: &[&str]) -> Client {
        let client = self.client().await;
        client.send(&request(parts)).await;
        client
    }
}

struct Client {
    socket: UdpSocket,
    server: SocketAddr,
}

fn request(parts: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn ack(block: u16) -> Vec<u8> {
    [&[0, 4], &block.to_be_bytes()[..]].concat()
}

fn number_of(data: &[u8]) -> u16 {
    assert_eq!(data[..2], [0, 3], "not DATA: {data:?}");
    u16::from_be_bytes([data[2], data[3]])
}

impl Client {
    async fn send(&self, bytes: &[u8]) {
        self.send_to(bytes, self.server).await;
    }

    async fn send_to(&self, bytes: &[u8], to: SocketAddr) {
        self.socket.send_to(bytes, to).await.unwrap();
    }

    async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 70_000];
        let (length, from) = timeout(LIMIT, self.socket.recv_from(&mut buffer)).await.expect("an answer").unwrap();
        buffer.truncate(length);
        (buffer, from)
    }

    async fn hears_nothing(&self) -> bool {
        timeout(QUIET, self.socket.recv_from(&mut [0; 2000])).await.is_err()
    }

    async fn hears_error(&self, code: u8) {
        let (answer, _) = self.receive().await;
        assert_eq!(answer[..4], [0, 5, 0, code], "{:?}", String::from_utf8_lossy(&answer));
        assert_eq!(answer.last(), Some(&0));
    }

    /// Reads to the end, as a plain lock-step or windowed client; `drops` says which packets are lost on the way here.
    async fn read_on(&self, block: usize, window: u16, mut have: u64, drops: impl Fn(u64) -> bool) -> Vec<u8> {
        let (mut got, mut count, mut in_window) = (Vec::new(), 0, 0);
        loop {
            let (data, from) = self.receive().await;
            count += 1;
            if drops(count) {
                continue;
            }
            let in_order = number_of(&data) == (have + 1) as u16;
            in_window += 1;
            if in_order {
                have += 1;
                got.extend_from_slice(&data[4..]);
            }
            let last = in_order && data.len() - 4 < block;
            if last || !in_order || in_window >= window {
                in_window = 0;
                self.send_to(&ack(have as u16), from).await;
            }
            if last {
                return got;
            }
        }
    }
}

// --- real clients ---

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tftp_hpa_reads_a_file_and_is_told_what_it_may_not() {
    let running = serve(|_| ()).await;
    let port = running.address.port().to_string();
    let out = running.folder.path().join("read");
    let (ok, text) = run("tftp", &["-m", "octet", "127.0.0.1", &port, "-c", "get", "undionly.kpxe", out.to_str().unwrap()]).await;
    assert!(ok, "{text}");
    assert!(std::fs::read(&out).unwrap() == content(70_085));
    let (_, text) = run("tftp", &["127.0.0.1", &port, "-c", "get", "nothing", out.to_str().unwrap()]).await;
    assert!(text.contains("no such file"), "{text}");
    let (_, text) = run("tftp", &["-m", "octet", "127.0.0.1", &port, "-c", "put", out.to_str().unwrap(), "undionly.kpxe"]).await;
    assert!(text.contains("read-only"), "{text}");
    assert!(std::fs::read(running.folder.path().join("undionly.kpxe")).unwrap() == content(70_085));
    let note = running.world.noted("read undionly.kpxe").await;
    assert!(note.starts_with("file: read undionly.kpxe, 68 KiB in "), "{note}");
    running.world.noted("refused: asked for nothing, which is not served — TFTP: no such file").await;
    running.world.noted("refused: tried to write a file").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_reads_with_every_block_size() {
    let running = serve(|_| ()).await;
    let url = format!("tftp://{}/snponly.efi", running.address);
    let out = running.folder.path().join("read");
    for block in ["8", "512", "1468", "65464"] {
        let name = if block == "8" { url.replace("snponly.efi", "undionly.kpxe") } else { url.clone() };
        let expected = content(if block == "8" { 70_085 } else { 1_000_000 });
        let (ok, text) = run("curl", &["-sS", "--tftp-blksize", block, "-o", out.to_str().unwrap(), &name]).await;
        assert!(ok, "{block}: {text}");
        assert!(std::fs::read(&out).unwrap() == expected, "{block}");
    }
    let (ok, text) = run("curl", &["-sS", &url.replace("snponly.efi", "nothing")]).await;
    // 68 is curl's "file not found on TFTP server"; its words depend on its version.
    assert!(!ok && text.contains("(68)"), "{text}");
    running.counted("completed", 4).await;
    assert_eq!(running.count("unknown_file"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rack_that_starts_at_once_is_served() {
    let running = serve(|settings| settings.of_one_client_most = 64).await;
    let mut machines = tokio::task::JoinSet::new();
    for _ in 0..48 {
        let client = running.reader(&["undionly.kpxe", "octet", "blksize", "1468"]).await;
        machines.spawn(async move {
            let (_, from) = client.receive().await;
            client.send_to(&ack(0), from).await;
            client.read_on(1468, 1, 0, |_| false).await
        });
    }
    while let Some(got) = machines.join_next().await {
        assert!(got.unwrap() == content(70_085));
    }
    running.counted("completed", 48).await;
}

// --- a client that tries everything ---

#[tokio::test]
async fn options_are_acknowledged_as_agreed_and_the_file_follows() {
    let running = serve(|_| ()).await;
    let client = running
        .reader(&["/snponly.efi", "octet", "tsize", "0", "blksize", "65464", "windowsize", "4", "timeout", "3", "unheard-of", "1"])
        .await;
    let (options, from) = client.receive().await;
    assert_eq!(options, b"\0\x06tsize\x001000000\0blksize\x001468\0timeout\x003\0windowsize\x004\0");
    assert_ne!(from.port(), running.address.port(), "each transfer has a port of its own");
    client.send_to(&ack(0), from).await;
    assert!(client.read_on(1468, 4, 0, |_| false).await == content(1_000_000));
    running.counted("completed", 1).await;
    assert_eq!(running.count("retransmissions"), 0);
}

#[tokio::test]
async fn block_numbers_roll_over_in_a_large_file() {
    let running = serve(|settings| settings.names.push("large".into())).await;
    running.world.files.insert_bytes("large", content(600_000));
    let client = running.reader(&["large", "octet", "blksize", "8", "windowsize", "64"]).await;
    let (_, from) = client.receive().await;
    client.send_to(&ack(0), from).await;
    assert!(client.read_on(8, 64, 0, |_| false).await == content(600_000));
}

#[tokio::test]
async fn what_is_lost_is_sent_again() {
    let running = serve(|settings| settings.first_timeout = Duration::from_millis(40)).await;
    for (window, lost) in [(1u16, 7u64), (8, 5), (64, 31)] {
        let client = running.reader(&["undionly.kpxe", "octet", "blksize", "1468", "windowsize", &window.to_string()]).await;
        let (_, from) = client.receive().await;
        client.send_to(&ack(0), from).await;
        let got = client.read_on(1468, window, 0, |count| count * 2_654_435_761 % 97 % lost == 0).await;
        assert!(got == content(70_085), "window {window}");
    }
    assert!(running.count("retransmissions") > 0);
}

#[tokio::test]
async fn a_lost_option_acknowledgement_is_sent_again() {
    let running = serve(|settings| settings.first_timeout = Duration::from_millis(30)).await;
    let client = running.reader(&["undionly.kpxe", "octet", "tsize", "0"]).await;
    let (first, _) = client.receive().await;
    let (second, from) = client.receive().await;
    assert_eq!(first, second);
    client.send_to(&ack(0), from).await;
    // Late: the OACK may have been sent a third time meanwhile.
    let data = loop {
        let (packet, _) = client.receive().await;
        if packet != first {
            break packet;
        }
    };
    assert_eq!(number_of(&data), 1);
}

#[tokio::test]
async fn a_duplicate_acknowledgement_is_not_answered() {
    let running = serve(|settings| settings.first_timeout = Duration::from_secs(60)).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    let (data, from) = client.receive().await;
    assert_eq!(number_of(&data), 1);
    for _ in 0..5 {
        client.send_to(&ack(1), from).await;
    }
    assert_eq!(number_of(&client.receive().await.0), 2);
    assert!(client.hears_nothing().await, "one block for five equal acknowledgements");
    assert!(client.read_on_from(from, 2).await == content(70_085)[1024..]);
}

impl Client {
    /// Acknowledges a block that is already here, and reads the rest.
    async fn read_on_from(&self, transfer: SocketAddr, have: u16) -> Vec<u8> {
        self.send_to(&ack(have), transfer).await;
        self.read_on(512, 1, have.into(), |_| false).await
    }
}

#[tokio::test]
async fn a_stranger_is_told_so_and_does_not_disturb() {
    let running = serve(|settings| settings.first_timeout = Duration::from_secs(60)).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    let (data, from) = client.receive().await;
    assert_eq!(number_of(&data), 1);
    let stranger = running.client().await;
    stranger.send_to(&ack(1), from).await;
    stranger.hears_error(5).await;
    stranger.send_to(b"\0\x05\0\0stop\0", from).await;
    assert!(stranger.hears_nothing().await, "an error is never answered with an error");
    assert!(client.hears_nothing().await, "the stranger's acknowledgement was not taken for the client's");
    assert!(client.read_on_from(from, 1).await == content(70_085)[512..]);
    running.counted("completed", 1).await;
    assert_eq!(running.count("strangers"), 2);
}

#[tokio::test]
async fn a_clients_error_ends_its_transfer_at_once() {
    let running = serve(|settings| settings.first_timeout = Duration::from_millis(50)).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    let (_, from) = client.receive().await;
    client.send_to(&ack(1), from).await;
    client.receive().await;
    client.send_to(b"\0\x05\0\x03disk\x1b full\0", from).await;
    running.counted("given_up_by_client", 1).await;
    while !client.hears_nothing().await {}
    assert!(client.hears_nothing().await, "nothing is sent again");
    running.world.noted("aborted: gave up reading undionly.kpxe after 512 bytes of 68 KiB: error 3 `disk\\u{1b} full`").await;
}

#[tokio::test]
async fn a_question_for_the_size_is_noted_as_one() {
    let running = serve(|_| ()).await;
    let client = running.reader(&["snponly.efi", "octet", "tsize", "0", "blksize", "1468"]).await;
    let (_, from) = client.receive().await;
    client.send_to(b"\0\x05\0\x08User aborted the transfer\0", from).await;
    running.counted("size_queries", 1).await;
    running.world.noted("size: asked for the size of snponly.efi, 977 KiB").await;
}

#[tokio::test]
async fn a_client_that_falls_silent_is_given_up() {
    let running = serve(|settings| (settings.first_timeout, settings.tries) = (Duration::from_millis(20), 3)).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    running.counted("silent_client", 1).await;
    for _ in 0..4 {
        assert_eq!(number_of(&client.receive().await.0), 1, "once, and three times again");
    }
    assert!(client.hears_nothing().await);
    running.world.noted("aborted: fell silent while reading undionly.kpxe after 0 bytes of 68 KiB").await;
}

#[tokio::test]
async fn a_request_sent_again_does_not_start_a_second_transfer() {
    let running = serve(|settings| settings.first_timeout = Duration::from_secs(60)).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    let (_, from) = client.receive().await;
    client.send(&request(&["undionly.kpxe", "octet"])).await;
    running.counted("repeated_request", 1).await;
    assert!(client.hears_nothing().await);
    assert!(client.read_on_from(from, 1).await == content(70_085)[512..]);
}

#[tokio::test]
async fn a_new_request_of_the_same_port_replaces_the_transfer() {
    let running = serve(|settings| settings.first_timeout = Duration::from_secs(60)).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    let (_, old) = client.receive().await;
    client.send(&request(&["snponly.efi", "octet"])).await;
    let (data, new) = client.receive().await;
    assert_eq!(data[4..], content(1_000_000)[..512]);
    assert_ne!(old, new);
    running.counted("stopped", 1).await;
}

#[tokio::test]
async fn each_bad_request_gets_its_proper_answer_or_silence() {
    let running = serve(|_| ()).await;
    for (name, code) in [
        ("nothing", 1),
        ("", 1),
        ("ramdisk", 1),
        ("boot/undionly.kpxe", 1),
        ("/etc/passwd", 1),
        ("%2e%2e%2fetc%2fpasswd", 1),
        ("../etc/passwd", 2),
        ("/../../etc/passwd", 2),
        ("boot/../../etc/passwd", 2),
        ("..\\..\\windows\\win.ini", 2),
        ("undionly.kpxe\n", 2),
    ] {
        running.reader(&[name, "octet"]).await.hears_error(code).await;
    }
    let client = running.client().await;
    for (bytes, code) in [
        (&b"\0\x02undionly.kpxe\0octet\0"[..], 2),
        (b"\0\x01undionly.kpxe\0mail\0", 4),
        (b"\0\x01undionly.kpxe\0oct", 4),
        (b"\0\x01undionly.kpxe", 4),
        (b"\0\x01undionly\0.kpxe\0octet\0", 4),
        (&request(&[&"a".repeat(5000), "octet"]), 4),
    ] {
        client.send(bytes).await;
        client.hears_error(code).await;
    }
    for silent in [&b""[..], b"\0", b"\0\x03\0\x01data", b"\0\x04\0\0", b"\0\x05\0\x01no\0", b"\0\x06blksize\x008\0", b"\xff\xff\0\0"] {
        client.send(silent).await;
    }
    assert!(client.hears_nothing().await);
    assert!(running.world.notes().iter().all(|note| !note.contains(char::is_control)));
    let counts = ["unknown_file", "forbidden_name", "write_refused", "malformed_request", "not_a_request"];
    assert_eq!(counts.map(|name| running.count(name)), [6, 5, 1, 5, 7]);
    let (data, _) = running.reader(&["undionly.kpxe", "octet"]).await.receive().await;
    assert_eq!(number_of(&data), 1, "and still serves");
}

#[tokio::test]
async fn transfers_are_bounded_and_old_work_goes_on() {
    let patient = |settings: &mut Settings| settings.first_timeout = Duration::from_secs(60);
    let running = serve(|settings| {
        patient(settings);
        settings.of_one_client_most = 3;
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = running.reader(&["undionly.kpxe", "octet"]).await;
        let (_, from) = client.receive().await;
        clients.push((client, from));
    }
    running.reader(&["undionly.kpxe", "octet"]).await.hears_error(0).await;
    assert_eq!(running.count("too_many_of_client"), 1);
    let (client, from) = clients.pop().unwrap();
    assert!(client.read_on_from(from, 1).await == content(70_085)[512..]);
    running.counted("completed", 1).await;
    let again = running.reader(&["undionly.kpxe", "octet"]).await;
    let (answer, _) = again.receive().await;
    // The place is free as soon as the server has seen the end, which may be after the next request.
    assert!(answer[1] == 3 || answer[1] == 5);

    let running = serve(|settings| {
        patient(settings);
        settings.transfers_most = 2;
    })
    .await;
    for _ in 0..2 {
        running.reader(&["undionly.kpxe", "octet"]).await.receive().await;
    }
    running.reader(&["undionly.kpxe", "octet"]).await.hears_error(0).await;
    assert_eq!(running.count("too_many_transfers"), 1);
}

#[tokio::test]
async fn a_missing_file_is_answered_at_once_and_served_when_it_comes() {
    let running = serve(|_| ()).await;
    let path = running.folder.path().join("undionly.kpxe");
    std::fs::remove_file(&path).unwrap();
    running.reader(&["undionly.kpxe", "octet"]).await.hears_error(1).await;
    running.world.noted("refused: asked for undionly.kpxe, which is missing").await;
    std::fs::write(&path, b"new").unwrap();
    let (data, _) = running.reader(&["undionly.kpxe", "octet"]).await.receive().await;
    assert_eq!(data, b"\0\x03\0\x01new");
}

#[tokio::test]
async fn a_taken_port_is_refused_with_its_holder() {
    let running = serve(|_| ()).await;
    let SocketAddr::V4(address) = running.address else { panic!("IPv4") };
    let Err(taken) = Server::bind(Settings::new(address), shared(&running.world)) else { panic!("the port is taken") };
    assert!(matches!(taken, BindError::Taken { .. }));
    let (port, me) = (address.port().to_string(), format!("(process {})", std::process::id()));
    let text = taken.to_string();
    assert!(text.contains(&port) && text.contains(&me), "{text}");
    let elsewhere = Settings { interface: Some("none-such".into()), ..Settings::new(SocketAddrV4::new(HERE, 0)) };
    let Err(refused) = Server::bind(elsewhere, shared(&running.world)) else { panic!("there is no such interface") };
    assert!(refused.to_string().contains("none-such"), "{refused}");
}

#[tokio::test]
async fn stopping_lets_a_transfer_end_and_takes_no_new_one() {
    let running = serve(|settings| settings.drain = LIMIT).await;
    let client = running.reader(&["undionly.kpxe", "octet"]).await;
    let (_, from) = client.receive().await;
    running.cancel.cancel();
    let late = running.reader(&["undionly.kpxe", "octet"]).await;
    assert!(client.read_on_from(from, 1).await == content(70_085)[512..]);
    timeout(LIMIT, running.ended).await.expect("it ends").unwrap();
    assert!(late.hears_nothing().await);

    let running = serve(|settings| settings.drain = Duration::from_millis(50)).await;
    running.reader(&["undionly.kpxe", "octet"]).await.receive().await;
    running.cancel.cancel();
    timeout(LIMIT, running.ended).await.expect("it ends").unwrap();
    assert_eq!(count(&running.counts.pairs(), "stopped"), 1);
}
