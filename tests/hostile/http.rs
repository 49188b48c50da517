//! Boot HTTP: requests that want what is not served, and requests that are none.

use crate::support::agent::connect;
use crate::support::answer::read_all;
use crate::support::machine::{get, web};
use crate::support::{Appliance, SERVER, STRANGER, Wishes, at, eventually, pattern};
use std::io::Write;
use std::net::Shutdown;
use tests_sim::http::Url;

/// Sends bytes to boot HTTP and reads until it closes, which nothing else makes it do than what it reads.
fn raw(bytes: &[u8]) -> String {
    let mut stream = connect(STRANGER, at(80)).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    String::from_utf8_lossy(&read_all(&mut stream).unwrap()).into_owned()
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ").or(answer.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
}

/// How many answers there are in what came; boot files hold no such text.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[test]
fn nothing_but_the_table_is_served_by_whatever_path() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let paths = [
        "/boot/../overture.toml",
        "/boot/..%2foverture.toml",
        "/boot/%2e%2e/overture.toml",
        "/boot/%2e%2e%2foverture.toml",
        "/boot/%252e%252e%252foverture.toml",
        "/boot/..\\overture.toml",
        "/boot/..%5coverture.toml",
        "/boot/..%c0%af..%c0%afetc/passwd",
        "/boot/%00",
        "/boot/vmlinuz%00.txt",
        "/boot/vmlinuz/",
        "/boot/vmlinuz/x",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/boot//etc/passwd",
        "/boot/state/overture.db",
        "/boot/authority.key",
        "/boot/overture.db",
        "/boot/",
        "/boot",
        "/",
        "/.",
        "/index.html",
        "/api/v1/nodes",
        "/metrics",
        "/healthz",
        "/report",
        "/boot.ipxe/..",
        "/images/x/y/z",
        "/boot/VMLINUZ",
        "/boot/vmlinuz;a=b",
        "/%62oot/vmlinuz",
    ];
    // A trailing slash and a doubled one name the same file, as firmware does.
    let harmless = ["/boot/vmlinuz/"];
    let found = appliance.inside(|| {
        let mut found = vec![];
        for path in paths {
            let answer = raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
            let wanted = if harmless.contains(&path) { 200 } else { 404 };
            let got = status(&answer);
            if got != Some(wanted) && !(wanted == 404 && got == Some(400)) {
                found.push(format!("{path}: {got:?}"));
            }
            assert!(!answer.contains("state =") && !answer.contains("PRIVATE KEY") && !answer.contains("root:"), "{path}: {answer}");
        }
        found
    });
    assert_eq!(found, [""; 0]);
    appliance.assert_counted(&before, "boot_http_events", &["not_found"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn odd_methods_targets_and_versions_are_refused() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X"] {
            let answer = raw(format!("{method} /boot.ipxe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Mark: seen\r\n\r\n").as_bytes());
            assert_eq!(status(&answer), Some(405), "{method}: {answer}");
            assert!(answer.to_lowercase().contains("allow: get, head") && !answer.contains("seen"), "{method}: {answer}");
        }
        let heads = [
            "CONNECT 192.0.2.1:25 HTTP/1.1\r\nHost: 192.0.2.1:25\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "GET http://192.0.2.1/secret HTTP/1.1\r\nHost: 192.0.2.1\r\nConnection: close\r\n\r\n",
            "GET /boot.ipxe\r\n",
            "GET /boot.ipxe HTTP/9.9\r\n\r\n",
            "\0\0\0\0",
            "\r\n\r\n\r\n\r\n",
            "GET /boot.ipxe HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET /boot.ipxe HTTP/1.1\r\n folded: x\r\n\r\n",
            "GET  /boot.ipxe  HTTP/1.1\r\n\r\n",
            "GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03",
        ];
        for head in heads {
            let answer = raw(head.as_bytes());
            assert!(matches!(status(&answer), None | Some(400..=499 | 505)), "{head:?}: {answer}");
        }
    });
    appliance.assert_counted(&before, "boot_http_events", &["bad_methods"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_request_with_two_lengths_ends_its_connection_and_what_it_hides_is_not_answered() {
    let mut appliance = Appliance::start();
    let hidden = "GET /boot/authority.pem HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    let length = hidden.len();
    let cases = [
        // The length ends before what is hidden, the chunks after it, and the other way round.
        format!(
            "GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            5 + length
        ),
        format!(
            "POST /boot.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n"
        ),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: 0, {length}\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: +{length}\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{hidden}"),
    ];
    let smuggled = appliance.inside(|| {
        let mut smuggled = vec![];
        for case in &cases {
            let answer = raw(case.as_bytes());
            if answers(&answer) > 1 || answer.contains("BEGIN CERTIFICATE") {
                smuggled.push(format!("{case}\n=> {answer}"));
            }
        }
        // Two honest requests on one connection still get two answers.
        let honest = raw(b"GET /boot.ipxe HTTP/1.1\r\nHost: x\r\n\r\nGET /boot/authority.pem HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((answers(&honest), honest.contains("BEGIN CERTIFICATE")), (2, true), "{honest}");
        smuggled
    });
    assert!(smuggled.is_empty(), "{}", smuggled.join("\n\n"));
    appliance.assert_good_node_is_served();
}

#[test]
fn huge_heads_are_refused_in_bounded_memory() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let had = appliance.watch_memory();
    appliance.inside(|| {
        let long = "a".repeat(60_000);
        let endless = format!("GET / HTTP/1.1\r\n{}", format!("X-Filler: {}\r\n", "b".repeat(1000)).repeat(20_000));
        let many = format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(5000));
        for (what, head) in [
            ("one long header", format!("GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nX: {long}{long}\r\n\r\n")),
            ("endless headers", endless),
            ("many headers", many),
            ("a long path", format!("GET /{long}{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        ] {
            let answer = raw(head.as_bytes());
            assert!(matches!(status(&answer), None | Some(400 | 414 | 431)), "{what}: {:.200}", answer);
        }
        for path in [format!("/boot/{}", "a".repeat(4000)), format!("/ipxe?mac=52:54:00:00:00:01&serial={}", "a".repeat(4000))] {
            assert_eq!(get(STRANGER, &path).status, 414);
        }
    });
    let grown = appliance.memory_peak().saturating_sub(had);
    assert!(grown < 16 << 20, "huge heads took {grown} bytes");
    appliance.assert_counted(&before, "boot_http_events", &["too_long"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn ranges_never_cost_more_than_the_file() {
    let mut appliance = Appliance::start_as(Wishes { ramdisk_bytes: 1 << 20, ..Wishes::default() });
    let before = appliance.metrics();
    let had = appliance.watch_memory();
    let file = pattern(1 << 20);
    appliance.inside(|| {
        let url = Url::new(at(80), "/boot/ramdisk").unwrap();
        let ask = |range: &str| web(STRANGER).connect(at(80)).unwrap().request("GET", &url, &[("Range", range)], b"").unwrap();
        let overlapping = format!("bytes={}", vec!["0-"; 1300].join(","));
        let steps = format!("bytes={}", (0..1000).map(|i| format!("{i}-")).collect::<Vec<_>>().join(","));
        for range in
            [overlapping.as_str(), &steps, "bytes=0-,0-", "bytes=5-2", "bytes=--5", "bytes=0x10-", "bytes=-", "octets=1-2", "bytes=1-2;3"]
        {
            let response = ask(range);
            assert_eq!((response.status, response.body.len()), (200, file.len()), "{range:.60}");
        }
        for range in ["bytes=18446744073709551615-", "bytes=99999999999999999999999-", "bytes=1048576-", "bytes=-0"] {
            let response = ask(range);
            assert_eq!((response.status, response.header("content-range")), (416, Some("bytes */1048576")), "{range}");
        }
        for (range, first, last) in
            [("bytes=0-18446744073709551615", 0, 1_048_575), ("bytes=-18446744073709551616", 0, 1_048_575), ("bytes=7-7", 7, 7)]
        {
            let response = ask(range);
            assert_eq!(response.status, 206, "{range}");
            assert_eq!(response.header("content-range"), Some(format!("bytes {first}-{last}/1048576").as_str()));
            assert!(response.body == file[first..=last], "{range}");
        }
    });
    let grown = appliance.memory_peak().saturating_sub(had);
    assert!(grown < 16 << 20, "ranges took {grown} bytes");
    appliance.assert_counted(&before, "boot_http_events", &["bad_ranges"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn what_a_client_says_in_its_headers_does_not_come_back() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        for target in ["/boot.ipxe", "/ipxe?mac=52:54:00:00:00:99", "/ipxe?mac=x", "/nothing", "/boot/vmlinuz", "/boot//authority.pem"] {
            let head = format!(
                "GET {target} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-For: 10.77.128.1\r\nForwarded: host=evil.example\r\n\
                 Referer: http://evil.example/\r\nOrigin: http://evil.example\r\nUser-Agent: evil.example\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(head.as_bytes());
            assert!(status(&answer).is_some(), "{target}: {answer}");
            assert!(!answer.contains("evil") && !answer.to_lowercase().contains("access-control"), "{target}: {answer}");
        }
        let other_server = format!("GET /boot.ipxe HTTP/1.1\r\nHost: {SERVER}.evil\r\nHost: evil\r\nConnection: close\r\n\r\n");
        assert!(!raw(other_server.as_bytes()).contains("evil"));
    });
}

#[test]
fn bodies_that_nobody_asked_for_are_not_kept() {
    let mut appliance = Appliance::start();
    let had = appliance.watch_memory();
    appliance.inside(|| {
        for head in [
            "GET /boot.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
            "POST /boot.ipxe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let mut stream = connect(STRANGER, at(80)).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            let piece = [b"10000\r\n".to_vec(), vec![0; 65_536], b"\r\n".to_vec()].concat();
            // Until it has enough of this.
            let sent = (0..1600).take_while(|_| stream.write_all(&piece).is_ok()).count();
            assert!(sent < 1600, "a hundred megabytes were taken");
        }
    });
    eventually("memory is bounded", || appliance.memory_peak().saturating_sub(had) < 8 << 20);
    appliance.assert_good_node_is_served();
}
