//! The listener against Debian's lldpd as the switch, over a pair of virtual cables in network namespaces of their own.
//!
//! Needs root, `lldpd`, `ip` and `nsenter`; the namespaces end with the processes and threads that live in them.

#![allow(clippy::unwrap_used)]

use inventory_agent::lldp::{Heard, installed, listen};
use inventory_agent::netlink;
use inventory_wire::{Neighbour, Vlan};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// An lldpd in a network namespace of its own.
struct Lldpd {
    child: Child,
    socket: PathBuf,
}

impl Lldpd {
    fn start(folder: &Path, name: &str, interface: &str) -> Self {
        let socket = folder.join(format!("{name}.sock"));
        let log = std::fs::File::create(folder.join(format!("{name}.log"))).unwrap();
        // -O: none of this machine's configuration.
        let child = Command::new("unshare")
            .args(["--net", "--", "lldpd", "-d", "-k", "-S", "a switch of the tests", "-I", interface, "-O", "/dev/null", "-u"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("unshare can be started");
        let lldpd = Self { child, socket };
        until("lldpd listens", || lldpd.socket.exists());
        lldpd
    }

    fn configure(&self, words: &[&str]) {
        let done = Command::new("lldpcli").arg("-u").arg(&self.socket).arg("configure").args(words).stdout(Stdio::null()).status();
        assert!(done.unwrap().success(), "lldpcli configure {words:?}");
    }

    fn ask(&self, words: &[&str]) -> Vec<u8> {
        Command::new("lldpcli").arg("-u").arg(&self.socket).args(words).output().unwrap().stdout
    }

    fn inside(&self, program: &[&str]) {
        let process = self.child.id().to_string();
        done(Command::new("nsenter").args(["--net", "-t", &process]).args(program));
    }
}

impl Drop for Lldpd {
    fn drop(&mut self) {
        // Asked to end, it ends its second process, too; its child is gone with the pipe between them.
        if let Some(process) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn until(what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn heard(frames: &Receiver<Heard>, what: &str, fits: impl Fn(&Heard) -> bool) -> Heard {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let heard = frames.recv_timeout(left).unwrap_or_else(|_| panic!("{what} within {PATIENCE:?}"));
        if fits(&heard) {
            return heard;
        }
    }
}

/// Gives this thread, and those that it starts, a network namespace of its own.
fn leave() {
    let flags = nix::sched::CloneFlags::CLONE_NEWNET;
    nix::sched::unshare(flags).expect("this test needs root: it makes network namespaces");
}

#[test]
fn a_real_lldpd_is_heard_with_all_that_it_says_and_when_it_says_goodbye() {
    leave();
    let folder = tempfile::tempdir().unwrap();
    // Its unprivileged half must reach the socket.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let switch = Lldpd::start(folder.path(), "switch", "sw14");
    let peer = switch.child.id().to_string();
    done(Command::new("ip").args(["link", "add", "eth7", "type", "veth", "peer", "name", "sw14", "netns", &peer]));
    switch.inside(&["ip", "link", "set", "sw14", "address", "52:54:00:ab:00:0e", "up"]);
    // The cable's other end is switched on by what init does with each card of a node.
    let link = netlink::links().unwrap().into_iter().find(|link| link.name == "eth7").unwrap();
    netlink::switch_on(&link).unwrap();
    let shown = Command::new("ip").args(["-o", "link", "show", "eth7"]).output().unwrap().stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("ALLMULTI") && shown.contains(",UP"), "the card takes what is sent to groups: {shown}");
    let (tell, frames) = channel();
    listen(move |heard| tell.send(heard).is_ok()).unwrap();

    switch.configure(&["system", "hostname", "sw1.example"]);
    switch.configure(&["system", "ip", "management", "pattern", "10.20.0.2"]);
    switch.inside(&["ip", "address", "add", "10.20.0.2/24", "dev", "sw14"]);
    switch.configure(&["ports", "sw14", "lldp", "portidsubtype", "local", "Ethernet1/14"]);
    switch.configure(&["ports", "sw14", "lldp", "portdescription", "to w7: eno2"]);
    // Its own VLANs and aggregates would need modules that this kernel may lack.
    let tlv = |oui: &str, kind: &str, bytes: &str| {
        switch.configure(&["ports", "sw14", "lldp", "custom-tlv", "add", "oui", oui, "subtype", kind, "oui-info", bytes]);
    };
    tlv("00,80,c2", "1", "00,28");
    tlv("00,80,c2", "3", "00,28,07,63,6c,75,73,74,65,72");
    tlv("00,80,c2", "7", "03,00,00,00,0e");
    tlv("00,12,0f", "4", "24,00");
    tlv("00,01,42", "1", "00,00");
    switch.configure(&["lldp", "tx-hold", "3"]);
    switch.configure(&["lldp", "tx-interval", "1"]);

    let last = |heard: &Heard| heard.said.neighbour.management == ["10.20.0.2"] && heard.said.time_to_live == Duration::from_secs(3);
    let Heard { interface, said } = heard(&frames, "a whole frame", last);
    assert_eq!(interface, "eth7");
    let expected = Neighbour {
        chassis_kind: Some("mac_address".into()),
        chassis: said.neighbour.chassis.clone(),
        port_kind: Some("local".into()),
        port: Some("Ethernet1/14".into()),
        port_description: Some("to w7: eno2".into()),
        system: Some("sw1.example".into()),
        system_description: Some("a switch of the tests".into()),
        management: vec!["10.20.0.2".into()],
        capabilities: vec!["station_only".into()],
        vlan: Some(40),
        vlans: vec![Vlan { id: Some(40), name: Some("cluster".into()), ..Vlan::default() }],
        aggregation_capable: Some(true),
        aggregated: Some(true),
        aggregate: Some(14),
        most_frame_bytes: Some(9216),
        ..Neighbour::default()
    };
    assert_eq!(said.neighbour, expected);
    assert!(said.neighbour.chassis.is_some_and(|mac| mac.len() == 17));
    drop(switch);
    let goodbye = heard(&frames, "a goodbye", |heard| heard.said.time_to_live.is_zero());
    assert_eq!(goodbye.said.neighbour.port.as_deref(), Some("Ethernet1/14"));
}

#[test]
fn what_a_real_lldpd_of_an_installed_system_has_heard_is_read_from_it() {
    leave();
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let switch = Lldpd::start(folder.path(), "switch", "sw14");
    let node = Lldpd::start(folder.path(), "node", "eth7");
    let [a, b] = [&node, &switch].map(|lldpd| lldpd.child.id().to_string());
    done(Command::new("ip").args(["link", "add", "eth7", "netns", &a, "type", "veth", "peer", "name", "sw14", "netns", &b]));
    switch.inside(&["ip", "link", "set", "sw14", "up"]);
    node.inside(&["ip", "link", "set", "eth7", "up"]);
    switch.configure(&["system", "hostname", "sw1.example"]);
    switch.configure(&["ports", "sw14", "lldp", "portdescription", "to w7: eno2"]);
    let tlv = |kind: &str, bytes: &str| {
        let words = ["ports", "sw14", "lldp", "custom-tlv", "add", "oui", "00,80,c2", "subtype", kind, "oui-info", bytes];
        switch.configure(&words);
    };
    tlv("1", "00,28");
    tlv("3", "00,28,07,63,6c,75,73,74,65,72");
    switch.configure(&["lldp", "tx-interval", "1"]);
    let read = || installed::parse(&node.ask(&["-f", "json0", "show", "neighbors", "details"])).unwrap();
    until("the node's lldpd hears the switch", || read().iter().any(|(_, it)| !it.vlans.is_empty()));
    let (interface, it) = read().remove(0);
    assert_eq!(interface, "eth7");
    assert_eq!((it.system.as_deref(), it.port_description.as_deref()), (Some("sw1.example"), Some("to w7: eno2")));
    assert_eq!((it.chassis_kind.as_deref(), it.port_kind.as_deref()), (Some("mac_address"), Some("mac_address")));
    assert_eq!((it.vlan, it.vlans), (Some(40), vec![Vlan { id: Some(40), name: Some("cluster".into()), ..Vlan::default() }]));
}
