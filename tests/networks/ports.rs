//! Every port 0: what was bound is told, and machines are sent there.

use crate::hall::{SECOND, apply, first, second};
use crate::support::agent::{Agent, Key};
use crate::support::machine::{machine, web, words};
use crate::support::{Appliance, CARD, PATIENCE, SERVER, Side, Wishes, eventually, pattern};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;
use tests_sim::Mac;
use tests_sim::dhcp::{Client, Datagram, Header, Kind, Lease, Packet, Reply, Speaker, fresh_xid};
use tests_sim::http::Url;
use tests_sim::tftp;

/// Sends a message to a server that listens elsewhere than others do, until it is answered.
fn ask(port: u16, packet: &Packet) -> Reply {
    let mut card = Client::bind(CARD).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        card.send_datagram(&Datagram {
            from_mac: packet.mac,
            to_mac: Mac::BROADCAST,
            from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
            to: SocketAddrV4::new(Ipv4Addr::BROADCAST, port),
            header: Header::default(),
            payload: &packet.emit(),
        })
        .unwrap();
        while let Some(heard) = card.hear(Instant::now() + PATIENCE / 20).unwrap() {
            if let Ok(reply) = Reply::parse(&heard.bytes)
                && reply.xid == packet.xid
            {
                return reply;
            }
        }
    }
    panic!("nobody answers on port {port}")
}

/// What `--bound` says of a network.
fn bound(appliance: &Appliance, name: &str) -> Option<Value> {
    appliance.bound()["networks"].as_array().unwrap().iter().find(|network| network["network"] == name).cloned()
}

fn address(bound: &Value, what: &str) -> SocketAddrV4 {
    bound[what].as_str().unwrap().parse().unwrap()
}

/// A machine finds its way through all four servers.
fn assert_served(side: &Side, bound: &Value, number: u32) {
    let [dhcp, file, boot, agents] = ["dhcp", "tftp", "boot", "agents"].map(|what| address(bound, what));
    assert!([dhcp, file, boot, agents].iter().all(|at| at.port() > 1023 && at.ip() == dhcp.ip()), "{bound}");
    side.inside(|| {
        let ipxe = machine(number).running(Speaker::Ipxe);
        let offer = ask(dhcp.port(), &ipxe.discover(fresh_xid(), 0));
        assert_eq!(offer.kind, Kind::Offer);
        let lease = Lease::of(&ask(dhcp.port(), &ipxe.request(fresh_xid(), 0, offer.yiaddr, *dhcp.ip()))).expect("an ACK");
        let first: Url = lease.boot_file.as_deref().expect("a script").parse().unwrap();
        assert_eq!(first, Url::new(boot, "/boot.ipxe").unwrap());
        let script = web(lease.address).get(&first).unwrap();
        assert!(script.status == 200 && script.text().starts_with("#!ipxe"), "{}", script.text());
        let script = web(lease.address).get(&Url::new(boot, &format!("/ipxe?mac={}", ipxe.mac)).unwrap()).unwrap();
        let words = words(&script.text());
        assert_eq!((&words["url"], &words["ca"]), (&format!("https://{agents}"), &format!("http://{boot}/boot/authority.pem")));
        let agent = Agent::new(lease.address, &words, &Key::fresh());
        assert_eq!(agent.report(&ipxe, 1).unwrap().status, 200);
        let client = tftp::Client { source: lease.address, ..tftp::Client::new(file) };
        let read = client.read("undionly.kpxe", tftp::Options { blksize: Some(1456), windowsize: None, tsize: true }).unwrap();
        assert_eq!(read.bytes, pattern(70_000));
    });
}

#[test]
fn with_every_port_0_it_is_told_what_was_bound_and_machines_are_sent_there() {
    let mut appliance = Appliance::prepare(Wishes::default());
    let settings = std::fs::read_to_string(appliance.config()).unwrap().replace("[boot]\n", "[boot]\nport = 0\n");
    let more = "[dhcp]\nport = 0\n[tftp]\nport = 0\n[agents]\nport = 0\n";
    std::fs::write(appliance.config(), format!("{settings}{more}")).unwrap();
    appliance.resume();

    let told = bound(&appliance, "provision").expect("the network is bound");
    let [dhcp, tftp, boot, agents] = ["dhcp", "tftp", "boot", "agents"].map(|what| address(&told, what));
    let line = format!("network provision on prov0: DHCP {dhcp}, TFTP {tftp}, boot HTTP {boot}, agents' HTTPS {agents}\n");
    assert!(appliance.said().contains(&line), "{}", appliance.said());
    assert_eq!((appliance.bound()["pid"].as_u64(), dhcp.ip()), (Some(appliance.pid().into()), &SERVER));
    assert_served(&appliance.side(), &told, 10);

    // A network that comes later gets ports of its own, which are told too.
    let side = appliance.cable("prov1", 88, SECOND);
    apply(&appliance, &[first(), second()]);
    eventually("the second network stands in the file", || bound(&appliance, "second").is_some());
    assert_served(&side, &bound(&appliance, "second").unwrap(), SECOND);
    assert_eq!(bound(&appliance, "provision"), Some(told));
    apply(&appliance, &[first()]);
    eventually("the second network stands no longer in the file", || bound(&appliance, "second").is_none());
    appliance.stop();
}
