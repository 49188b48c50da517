//! Namespaces and the router advertiser, in namespaces of their own.

#![allow(clippy::unwrap_used)]

use lab::netns::{End, Namespace, veth_pair};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::Read;
use std::net::{SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

fn namespace(what: &str) -> Namespace {
    Namespace::create(&format!("ov-test-{}-{what}", std::process::id())).unwrap()
}

#[test]
fn a_socket_opened_inside_talks_over_the_cable_and_not_to_the_host() {
    let (a, b) = (namespace("udp-a"), namespace("udp-b"));
    let (left, right) = (End::new(&a, "eth0").with_address("192.0.2.1/24"), End::new(&b, "eth0").with_address("192.0.2.2/24"));
    veth_pair(&left, &right).unwrap();
    let server = a.enter_thread(|| UdpSocket::bind("192.0.2.1:67")).unwrap().unwrap();
    let client = b.enter_thread(|| UdpSocket::bind("192.0.2.2:0")).unwrap().unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.send_to(b"hello", "192.0.2.1:67").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(server.recv_from(&mut buffer).unwrap().0, 5);
    assert!(UdpSocket::bind("192.0.2.1:0").is_err(), "this thread is still outside");
}

#[test]
fn a_dropped_namespace_takes_its_processes_with_it() {
    let namespace = namespace("drop");
    let file = format!("/run/netns/{}", namespace.name());
    let mut child = namespace.command("sleep").arg("600").spawn().unwrap();
    let inside =
        || std::fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|exe| exe.ends_with("sleep") || exe.ends_with("coreutils"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !inside() {
        assert!(Instant::now() < deadline, "sleep never started");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(namespace);
    assert!(!child.wait().unwrap().success(), "it was ended, it did not sleep its time");
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn a_namespace_that_was_told_to_stay_stays() {
    let mut namespace = namespace("stay");
    let name = namespace.name().to_owned();
    namespace.stay();
    drop(namespace);
    let again = Namespace::named(&name);
    assert!(again.exists());
    again.remove(Duration::from_secs(1)).unwrap();
    assert!(!again.exists());
}

#[test]
fn what_ip_complains_about_is_in_the_error() {
    let error = namespace("error").ip(&["link", "set", "nonesuch", "up"]).unwrap_err();
    assert!(error.to_string().contains("nonesuch"), "{error}");
}

#[test]
fn whoever_solicits_a_router_learns_that_there_is_none() {
    let (router, host) = (namespace("ra-a"), namespace("ra-b"));
    veth_pair(&End::new(&router, "prov0"), &End::new(&host, "eth0")).unwrap();
    // The thread that the closure starts is inside as well; it ends with this process.
    router.enter_thread(|| drop(std::thread::spawn(|| lab::run_router_advertiser("prov0")))).unwrap();
    let (socket, everybody) = host
        .enter_thread(|| {
            let index = nix::net::if_::if_nametoindex("eth0").unwrap();
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
            socket.set_multicast_hops_v6(255).unwrap();
            (socket, SockAddr::from(SocketAddrV6::new("ff02::2".parse().unwrap(), 0, 0, index)))
        })
        .unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let answer = loop {
        assert!(Instant::now() < deadline, "nobody answered in 30 s");
        // Refused until the addresses of both ends are ready; asked again as a real host does.
        let _ = socket.send_to(&[133, 0, 0, 0, 0, 0, 0, 0], &everybody);
        let mut packet = [0; 256];
        match (&socket).read(&mut packet) {
            Ok(length) if packet[0] == 134 => break packet[..length].to_vec(),
            _ => {}
        }
    };
    assert_eq!(answer.len(), 16, "no prefix, no option");
    assert_eq!((answer[5], &answer[6..8]), (0, [0, 0].as_slice()), "no flags, lifetime 0");
}

#[test]
fn a_missing_interface_is_named() {
    let namespace = namespace("none");
    let error = namespace.enter_thread(|| lab::run_router_advertiser("nonesuch").unwrap_err().to_string()).unwrap();
    assert!(error.contains("nonesuch"), "{error}");
}
