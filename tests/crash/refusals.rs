//! Starts that must be refused, with a sentence that says why and what to do.

use crate::support::{Appliance, SERVER, bytes_of, eventually, machine::client, machine::machine, opened};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

fn assert_says(said: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(said.contains(wanted), "`{wanted}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Settings of a second service beside the first.
fn second(appliance: &Appliance, state: &str, socket: &str) -> PathBuf {
    let folder = appliance.folder();
    let config = folder.join("second.toml");
    std::fs::write(&config, appliance.settings(&folder.join(state), &folder.join(socket))).unwrap();
    config
}

#[test]
fn a_second_service_is_refused_and_told_what_to_do() {
    let mut appliance = Appliance::start();
    let me = format!("(process {})", appliance.pid());
    let state = appliance.state().display().to_string();
    let said = appliance.refusal(&second(&appliance, "state", "second.sock"));
    assert_says(&said, &["another overture service is using", &state, "stop it", "--state"]);
    let said = appliance.refusal(&second(&appliance, "second", "second.sock"));
    assert_says(&said, &["overture", &me, "stop it"]);
    assert!(appliance.socket().exists());
    // Nothing of the first was touched.
    appliance.assert_good_node_is_served();
    appliance.restart();
    appliance.assert_good_node_is_served();
}

struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_taken_port_is_refused_with_the_name_of_its_holder() {
    let mut appliance = Appliance::prepare(crate::support::Wishes::default());
    let me = format!("(process {})", std::process::id());
    for (port, what) in [(80, "boot HTTP"), (8444, "agents' HTTPS")] {
        let _held = appliance.servers().enter_thread(|| TcpListener::bind((SERVER, port))).unwrap().unwrap();
        assert_says(&appliance.refusal(&appliance.config()), &[what, &format!(":{port}"), &me, "stop it"]);
    }
    for (port, what) in [(67, "DHCP"), (69, "TFTP")] {
        let _held = appliance.servers().enter_thread(|| UdpSocket::bind(("0.0.0.0", port))).unwrap().unwrap();
        assert_says(&appliance.refusal(&appliance.config()), &[&port.to_string(), &me, "stop it"]);
        let _ = what;
    }
    {
        let mut dnsmasq = appliance.servers().command("dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--port=0",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--interface=prov0",
            "--no-ping",
            "--user=root",
            "--pid-file=",
        ]);
        dnsmasq
            .args(["--dhcp-range=10.77.200.1,10.77.200.9,255.255.0.0,1h"])
            .arg(format!("--dhcp-leasefile={}", appliance.folder().join("dnsmasq.leases").display()));
        let child =
            dnsmasq.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("`dnsmasq` starts: run `make deps`");
        let holder = Holder(child);
        let pid = holder.0.id();
        // Port 67 in the table of its namespace.
        eventually("dnsmasq has port 67", || {
            std::fs::read_to_string(format!("/proc/{pid}/net/udp")).is_ok_and(|table| table.contains(":0043 "))
        });
        assert_says(&appliance.refusal(&appliance.config()), &["67", &format!("dnsmasq (process {pid})"), "stop it"]);
    }
    // What was bound before the refusal is free again.
    appliance.resume();
    appliance.assert_good_node_is_served();
}

#[test]
fn a_store_that_is_damaged_foreign_or_newer_is_refused_and_left_as_it_is() {
    let mut appliance = Appliance::start();
    appliance.inside(|| client().lease(&machine(30)).unwrap());
    appliance.stop();
    let database = appliance.state().join("overture.db");
    let sound = bytes_of(&database);
    let refused = |what: &str, bytes: &[u8], wanted: &[&str]| {
        std::fs::write(&database, bytes).unwrap();
        let said = appliance.refusal(&appliance.config());
        assert_says(&said, wanted);
        assert_says(&said, &["overture.db"]);
        assert!(bytes_of(&database) == bytes, "{what}: the file was changed");
        let beside: Vec<_> =
            std::fs::read_dir(appliance.state()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(
            !beside
                .iter()
                .any(|name| name.starts_with("overture.db") && name != "overture.db" && !name.ends_with("-shm") && !name.ends_with("-wal")),
            "{what}: {beside:?}"
        );
    };
    refused("garbage", &[b'x'; 20_000], &["is not a store of Overture", "move the file away"]);
    refused("a text file", b"hello", &["is not a store of Overture"]);
    refused("cut off", &sound[..sound.len() - 5000], &["is cut off", "backup"]);
    refused("a header only", &sound[..100], &["is cut off"]);
    let with = |at: usize, value: &[u8]| {
        let mut bytes = sound.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    // The header's fields for the schema's version and for the application.
    refused("newer", &with(60, &77u32.to_be_bytes()), &["newer Overture", "schema 77", "backup"]);
    refused("another program's", &with(68, b"ABCD"), &["another program"]);
    // Every page but the first is noise.
    let mut noise = sound.clone();
    noise[4096..].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 7 + i / 256) as u8);
    refused("noise behind a sound header", &noise, &["malformed", "backup"]);
    std::fs::write(&database, &sound).unwrap();
    appliance.resume();
    assert_eq!(appliance.list("/api/v1/leases").len(), 1);
    appliance.assert_good_node_is_served();
}

#[test]
fn half_an_authority_is_refused_and_left_as_it_is() {
    let mut appliance = Appliance::start();
    appliance.stop();
    let key = appliance.state().join("authority.key");
    let bytes = bytes_of(&key);
    std::fs::remove_file(&key).unwrap();
    assert_says(&appliance.refusal(&appliance.config()), &["authority.key", "is missing", "backup"]);
    std::fs::write(&key, &bytes).unwrap();
    opened(&key).write_at(b"-----BEGIN NOTHING----", 0).unwrap();
    assert_says(&appliance.refusal(&appliance.config()), &["authority.key", "does not hold a private key"]);
    std::fs::write(&key, &bytes).unwrap();
    appliance.resume();
    appliance.assert_good_node_is_served();
}

#[test]
fn mistakes_in_settings_and_site_are_told_all_at_once_with_their_places() {
    let appliance = Appliance::prepare(crate::support::Wishes::default());
    let broken = appliance
        .site("[[node]]\nname = \"w1\"\n[[node]]\nname = \"w1\"\nserial = \"S\"\n")
        .replace("10.77.128.1-10.77.128.200", "10.99.0.1-10.99.0.9");
    std::fs::write(appliance.folder().join("site/site.toml"), broken).unwrap();
    let said = appliance.refusal(&appliance.config());
    assert_says(&said, &["site.toml", "pool", "w1"]);
    std::fs::write(appliance.config(), "stat = 1\n[dhcp]\nport = 99999\n").unwrap();
    assert_says(&appliance.refusal(&appliance.config()), &["stat", "port"]);
}
