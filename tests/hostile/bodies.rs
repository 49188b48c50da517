//! Reports that are cut short, too large, too slow or no reports.

use crate::support::agent::report;
use crate::support::answer::{Answer, read_all};
use crate::support::machine::{machine, power_on};
use crate::support::{Appliance, eventually};
use serde_json::json;
use std::io::Write;

/// The most that the service may grow by while it refuses a hundred megabytes.
const MOST_GROWN: u64 = 24 << 20;

fn head(running: &crate::support::machine::Running, length: &str) -> String {
    let ticket = running.agent.ticket.as_deref().unwrap_or_default();
    format!("POST /report HTTP/1.1\r\nHost: test\r\nConnection: close\r\nOverture-Ticket: {ticket}\r\n{length}\r\n\r\n")
}

#[test]
fn what_is_no_report_is_refused_with_a_reason_and_nothing_of_it_is_kept() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        let running = power_on(600);
        let whole = report(&running.machine, &running.agent.boot, 1).to_string();
        let send = |body: &[u8]| {
            let answer = running.agent.send("POST", "/report", body).unwrap();
            assert!(answer.header("content-type") == Some("application/problem+json"), "{}", answer.text());
            (answer.status, answer.problem())
        };
        // Cut at every place of its beginning, and at some of the rest.
        for length in (0..40).chain([whole.len() / 2, whole.len() - 1]) {
            assert_eq!(send(&whole.as_bytes()[..length]), (400, "malformed".into()), "{length} bytes");
        }
        let nested =
            |depth: usize| format!("{{\"report\":1,\"boot\":\"b\",\"facts\":{{\"x\":{}{}}}}}", "[".repeat(depth), "]".repeat(depth));
        let deep_objects =
            format!("{{\"report\":1,\"boot\":\"b\",\"facts\":{{\"x\":{}1{}}}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        let invalid = [
            nested(200),
            nested(1_000_000),
            "[".repeat(3_000_000),
            deep_objects,
            "null".into(),
            "[]".into(),
            "\"report\"".into(),
            "{}".into(),
            "1e999".into(),
            whole.replace("\"report\":1", "\"report\":\"1\""),
            whole.replace("\"facts\":{", "\"facts\":[{"),
            whole.replace(":536870912", ":-1"),
            format!("{whole}{whole}"),
            whole.replace("\"report\":1", "\"report\":1,\"report\":1"),
        ];
        for body in &invalid {
            assert_eq!(send(body.as_bytes()), (400, "malformed".into()), "{:.60}", body);
        }
        for bytes in [&b"\xff"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"] {
            let mut body = whole.clone().into_bytes();
            let at = whole.find("Simulated").unwrap();
            body.splice(at..at, bytes.iter().copied());
            assert_eq!(send(&body), (400, "malformed".into()), "{bytes:02x?}");
        }
        assert_eq!(send(whole.replace("\"report\":1", "\"report\":2").as_bytes()), (422, "unsupported_version".into()));
        let mut crowd = report(&running.machine, &running.agent.boot, 1);
        crowd["facts"]["nics"] = (0..2000).map(|i| json!({ "name": format!("eth{i}"), "mac": machine(i).mac.to_string() })).collect();
        assert_eq!(send(crowd.to_string().as_bytes()), (422, "too_many_items".into()));
        let mut nobody = report(&running.machine, &running.agent.boot, 1);
        nobody["facts"] = json!({ "system": { "serial": "To be filled by O.E.M.", "uuid": "00000000-0000-0000-0000-000000000000" } });
        assert_eq!(send(nobody.to_string().as_bytes()), (422, "nameless".into()));
    });
    let reasons = ["refused_malformed", "refused_version", "refused_too_large", "refused_nameless"];
    appliance.assert_counted(&before, "inventory_events", &reasons);
    assert_eq!(appliance.list("/api/v1/nodes").len(), 0);
    let explained = appliance.get(&format!("/api/v1/explain/{}", machine(600).mac)).to_string();
    assert!(explained.contains("its report was refused"), "{explained}");
    appliance.assert_good_node_is_served();
}

#[test]
fn a_report_that_breaks_off_is_counted_and_not_kept() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        let running = power_on(610);
        let whole = report(&running.machine, &running.agent.boot, 1).to_string();
        for promised in [format!("Content-Length: {}", whole.len() + 1), "Transfer-Encoding: chunked".to_owned()] {
            let mut connection = running.agent.connect().unwrap();
            let head = head(&running, &promised);
            let body = if promised.starts_with('C') { whole.clone() } else { format!("{:x}\r\n{whole}\r\n", whole.len()) };
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
            connection.flush().unwrap();
            // Dropped without a word.
        }
    });
    eventually("both were counted", || appliance.metrics().inventory("refused_malformed") >= before.inventory("refused_malformed") + 2);
    assert_eq!(appliance.list("/api/v1/nodes").len(), 0);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_hundred_megabytes_are_refused_in_bounded_memory_and_others_report_meanwhile() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    // What the first report takes once is no part of this.
    appliance.assert_good_node_is_served();
    let had = appliance.watch_memory();
    const PIECE: usize = 1 << 20;
    appliance.inside(|| {
        let senders = [power_on(620), power_on(621), power_on(622)];
        let good = power_on(623);
        std::thread::scope(|scope| {
            let sending: Vec<_> = senders
                .iter()
                .enumerate()
                .map(|(i, running)| {
                    let chunked = i == 1;
                    scope.spawn(move || {
                        let promised =
                            if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", 100 * PIECE) };
                        let mut connection = running.agent.connect().unwrap();
                        let piece = if chunked {
                            [format!("{PIECE:x}\r\n").as_bytes(), &vec![b' '; PIECE], b"\r\n"].concat()
                        } else {
                            vec![b' '; PIECE]
                        };
                        let _ = connection.write_all(head(running, &promised).as_bytes());
                        let taken = (0..100).take_while(|_| connection.write_all(&piece).is_ok()).count();
                        let _ = connection.flush();
                        (taken, Answer::parse(&read_all(&mut connection).unwrap_or_default()))
                    })
                })
                .collect();
            for number in 1..=3 {
                assert_eq!(good.agent.report(&good.machine, number).unwrap().status, 200, "others report meanwhile");
            }
            for (i, sender) in sending.into_iter().enumerate() {
                let (taken, answer) = sender.join().unwrap();
                // Refused with 413, or the connection was closed on a sender that would not listen.
                assert!(answer.as_ref().is_none_or(|answer| answer.status == 413), "{i}: {answer:?}");
                assert!(answer.is_some() || taken < 100, "sender {i} was heard to the end and not answered");
            }
        });
    });
    let grown = appliance.memory_peak().saturating_sub(had);
    assert!(grown < MOST_GROWN, "three reports of 100 MB made the service grow by {grown} bytes");
    appliance.assert_counted(&before, "inventory_events", &["refused_too_large"]);
    appliance.assert_good_node_is_served();
}
