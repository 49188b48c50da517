//! Agents with the wrong ticket, the wrong key or the wrong address.

use crate::support::agent::{Agent, Key, report};
use crate::support::machine::{machine, power_on};
use crate::support::{Appliance, STRANGER};

fn count_of(appliance: &Appliance, serial: &str) -> usize {
    appliance.list("/api/v1/nodes").iter().filter(|node| node["serial"] == serial).count()
}

#[test]
fn a_report_without_its_own_ticket_is_refused() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    appliance.inside(|| {
        let (victim, thief) = (power_on(500), power_on(501));
        let status = |agent: &Agent| {
            let answer = agent.report(&victim.machine, 1).unwrap();
            (answer.status, answer.problem())
        };
        assert_eq!(status(&victim.agent.with_ticket(None)), (401, "ticket_missing".into()));
        for malformed in
            ["", "x", "0123456789abcdef", "ABCDEF0123456789ABCDEF0123456789", &"a".repeat(3000), "0123456789abcdef0123456789abcde'"]
        {
            assert_eq!(status(&victim.agent.with_ticket(Some(malformed))), (400, "ticket_malformed".into()), "{malformed:.40}");
        }
        let invented = "00112233445566778899aabbccddeeff";
        assert_eq!(status(&victim.agent.with_ticket(Some(invented))), (403, "ticket_refused".into()));
        // The victim's ticket from the thief's address and from one that nobody leased.
        let stolen = victim.agent.ticket.as_deref();
        assert_eq!(status(&thief.agent.with_ticket(stolen)), (403, "ticket_refused".into()));
        assert_eq!(status(&thief.agent.with_ticket(stolen).at(STRANGER)), (403, "ticket_refused".into()));
        // The thief's own ticket, naming the victim's boot.
        let other_boot = thief.agent.of_boot(&victim.agent.boot);
        assert_eq!(status(&other_boot), (400, "other_boot".into()));
        for (method, path) in [("GET", "/orders"), ("POST", "/progress"), ("POST", "/report")] {
            assert_eq!(victim.agent.with_ticket(None).send(method, path, b"{}").unwrap().status, 401, "{method} {path}");
            assert_eq!(thief.agent.with_ticket(stolen).send(method, path, b"{}").unwrap().status, 403, "{method} {path}");
        }
        // None of this has spent the ticket.
        assert_eq!(victim.agent.report(&victim.machine, 2).unwrap().status, 200);
    });
    let reasons = ["refused_no_ticket", "refused_bad_ticket", "refused_unknown_ticket", "refused_wrong_address", "refused_other_boot"];
    appliance.assert_counted(&before, "inventory_events", &reasons);
    assert_eq!(appliance.list("/api/v1/nodes").len(), 1, "only the victim's own report was kept");
    appliance.assert_good_node_is_served();
}

#[test]
fn a_second_key_voids_the_ticket_and_explain_shows_the_alarm() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let serial = machine(510).serial;
    appliance.inside(|| {
        let victim = power_on(510);
        assert_eq!(victim.agent.report(&victim.machine, 1).unwrap().status, 200);
        // Somebody who took over the machine's address, and its ticket from the network.
        let words = [("ca", "http://10.77.0.1/boot/authority.pem"), ("url", "https://10.77.0.1:8444"), ("pin", &victim.words["pin"])];
        let words = words.into_iter().chain([("ticket", victim.words["ticket"].as_str()), ("boot", victim.words["boot"].as_str())]);
        let words = words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let thief = Agent::new(victim.lease.address, &words, &Key::fresh());
        let refused = thief.report(&victim.machine, 666).unwrap();
        assert_eq!((refused.status, refused.problem()), (409, "second_key".into()));
        // Nobody can tell any more which of the two is the machine: both are out, for good.
        for agent in [&victim.agent, &thief] {
            let refused = agent.report(&victim.machine, 667).unwrap();
            assert_eq!((refused.status, refused.problem()), (403, "ticket_refused".into()));
        }
    });
    appliance.assert_counted(&before, "inventory_events", &["refused_second_key", "refused_unknown_ticket"]);
    let explained = appliance.get(&format!("/api/v1/explain/{serial}"));
    assert_eq!(explained["boots"][0]["revoked"], "two keys claimed it", "{explained}");
    assert!(explained.to_string().contains("another key has used this ticket before"), "{explained}");
    let shown = appliance.cli(&["explain", &serial]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("two keys"), "{}", String::from_utf8_lossy(&shown.stdout));
    assert!(appliance.log().contains("another key has used this ticket"), "{}", appliance.log());
    let node = appliance.get(&format!("/api/v1/nodes/{serial}"));
    assert_eq!((node["reports"].as_u64(), node["facts"]["agent"]["uptime_seconds"].as_u64()), (Some(1), Some(1)), "nothing of it was kept");

    // The alarm outlives the service, and the machine's next boot begins anew.
    appliance.restart();
    assert_eq!(appliance.get(&format!("/api/v1/explain/{serial}"))["boots"][0]["revoked"], "two keys claimed it");
    appliance.inside(|| {
        let victim = power_on(510);
        assert_eq!(victim.agent.report(&victim.machine, 2).unwrap().status, 200);
    });
    assert_eq!(count_of(&appliance, &serial), 1);
    appliance.assert_good_node_is_served();
}

#[test]
fn the_ticket_of_an_earlier_boot_opens_nothing() {
    let mut appliance = Appliance::start();
    appliance.inside(|| {
        let earlier = power_on(520);
        assert_eq!(earlier.agent.report(&earlier.machine, 1).unwrap().status, 200);
        let later = power_on(520);
        assert_ne!(earlier.words["ticket"], later.words["ticket"]);
        assert_eq!(earlier.agent.report(&earlier.machine, 2).unwrap().status, 403);
        assert_eq!(later.agent.report(&later.machine, 3).unwrap().status, 200);
        assert_eq!(earlier.agent.send("GET", "/orders", b"").unwrap().status, 403);
    });
    let node = appliance.get(&format!("/api/v1/nodes/{}", machine(520).serial));
    assert_eq!(node["facts"]["agent"]["uptime_seconds"], 3);
    appliance.assert_good_node_is_served();
}

#[test]
fn without_a_key_there_is_no_conversation_and_plain_text_gets_none() {
    let mut appliance = Appliance::start();
    appliance.inside(|| {
        let running = power_on(530);
        let refused = running.agent.without_key().report(&running.machine, 1);
        assert!(refused.is_err(), "an agent without a key was answered: {refused:?}");
        for bytes in [&b"POST /report HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff, 1], &[0; 4000]] {
            let mut stream = crate::support::agent::connect(STRANGER, crate::support::at(8444)).unwrap();
            let _ = std::io::Write::write_all(&mut stream, bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let answer = crate::support::answer::read_all(&mut stream).unwrap();
            assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
        }
        assert_eq!(running.agent.report(&running.machine, 1).unwrap().status, 200);
    });
    appliance.assert_good_node_is_served();
}

#[test]
fn an_agent_reaches_nothing_of_the_operators() {
    let appliance = Appliance::start();
    appliance.inside(|| {
        let running = power_on(540);
        for (method, path) in [
            ("GET", "/api/v1/nodes"),
            ("PUT", "/api/v1/site"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/report"),
            ("DELETE", "/report"),
            ("GET", "//report"),
            ("POST", "/report/../api/v1/nodes"),
        ] {
            let answer = running.agent.send(method, path, report(&running.machine, &running.agent.boot, 1).to_string().as_bytes()).unwrap();
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
        }
    });
    assert_eq!(appliance.list("/api/v1/nodes").len(), 0);
}
