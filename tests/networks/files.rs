//! Files that change while the service runs, and what a restart takes from the store rather than from a file.

use crate::hall::{assert_boots, network, site};
use crate::support::machine::{client, get, machine, power_on, script, try_get, words};
use crate::support::{Appliance, STRANGER, WHOLE, Wishes, at, pattern};
use std::io::{Read, Write};
use std::path::Path;
use tests_sim::dhcp::Speaker;
use tests_sim::tftp;

/// Puts a file in the place of another as an installer does: written beside, renamed.
fn replace(folder: &Path, name: &str, bytes: &[u8]) {
    let new = folder.join(format!("{name}.new"));
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

fn tag(name: &str) -> String {
    get(STRANGER, &format!("/boot/{name}")).header("etag").expect("an ETag").to_owned()
}

#[test]
fn a_ramdisk_that_is_replaced_is_what_the_next_boot_gets() {
    const LARGE: usize = 8 << 20;
    let mut appliance = Appliance::start_as(Wishes { ramdisk_bytes: LARGE, ..Wishes::default() });
    assert_eq!(assert_boots(&appliance.side(), WHOLE, 77).ramdisk, pattern(LARGE));
    let (before, mut download) = appliance.inside(|| {
        let mut download = crate::support::agent::connect(STRANGER, at(80)).unwrap();
        download.write_all(b"GET /boot/ramdisk HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut begun = vec![0; 1000];
        download.read_exact(&mut begun).unwrap();
        (["ramdisk", "vmlinuz", "undionly.kpxe"].map(tag), download)
    });
    let new: Vec<u8> = pattern(LARGE - 1).into_iter().rev().collect();
    for name in ["ramdisk", "vmlinuz", "undionly.kpxe"] {
        replace(appliance.folder(), name, &new[..70_001.max(if name == "ramdisk" { new.len() } else { 0 })]);
    }
    assert_eq!(assert_boots(&appliance.side(), WHOLE, 77).ramdisk, new);
    appliance.inside(|| {
        for (name, before) in ["ramdisk", "vmlinuz", "undionly.kpxe"].into_iter().zip(&before) {
            assert_ne!(tag(name), *before, "{name}");
        }
        let client = tftp::Client { source: STRANGER, ..tftp::Client::new(at(69)) };
        let read = client.read("undionly.kpxe", tftp::Options { blksize: Some(1456), windowsize: None, tsize: true }).unwrap();
        assert!(read.bytes == new[..70_001], "TFTP gave the old file");
        // Who had begun before gets the old file whole, not half of each.
        let mut rest = vec![];
        download.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(&pattern(LARGE)[LARGE - 100_000..]), "a download was spoilt");
    });
    appliance.assert_alive();
}

#[test]
fn without_a_ramdisk_machines_are_told_so_and_it_is_served_once_it_is_there() {
    let mut appliance = Appliance::prepare(Wishes::default());
    for name in ["ramdisk", "vmlinuz"] {
        std::fs::remove_file(appliance.folder().join(name)).unwrap();
    }
    appliance.resume();
    let log = appliance.log();
    assert!(log.contains("ramdisk cannot be given to machines") && log.contains("overture ramdisk build"), "{log}");
    appliance.inside(|| {
        let machine = machine(10);
        client().lease(&machine).unwrap();
        let lease = client().lease(&machine.running(Speaker::Ipxe)).unwrap();
        let told = script(machine.mac, lease.address);
        assert!(words(&told).is_empty() && told.contains("overture ramdisk build"), "{told}");
        assert_eq!(try_get(STRANGER, "/boot/ramdisk").unwrap().status, 404);
    });
    assert!(appliance.metrics().http("no_ramdisk") > 0);
    // One without the other is none.
    replace(appliance.folder(), "vmlinuz", &pattern(200_000));
    appliance.inside(|| assert!(words(&script(machine(10).mac, STRANGER)).is_empty()));
    replace(appliance.folder(), "ramdisk", &pattern(300_000));
    appliance.inside(|| drop(power_on(11)));
    assert_eq!(assert_boots(&appliance.side(), WHOLE, 77).ramdisk, pattern(300_000));
    appliance.assert_good_node_is_served();
}

#[test]
fn a_restart_keeps_the_site_of_the_store_whatever_folder_the_settings_name() {
    let mut appliance = Appliance::start();
    let before = appliance.get("/api/v1/site");
    let lease = appliance.inside(|| client().lease(&machine(10)).unwrap());
    appliance.stop();
    let other = appliance.folder().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("site.toml"), site(&[network("else", "prov7", 66, "")])).unwrap();
    let settings = std::fs::read_to_string(appliance.config()).unwrap().replace("/site\"", "/other\"");
    std::fs::write(appliance.config(), settings).unwrap();
    appliance.resume();
    assert_eq!(appliance.get("/api/v1/site"), before);
    let said = format!("only an empty store loads {0}: `overture apply {0}`", other.display());
    assert!(appliance.log().contains(&said), "{}", appliance.log());
    let again = appliance.inside(|| client().renew(&machine(10), &lease).unwrap());
    assert_eq!(again.yiaddr, lease.address);
    // The folder need not even be there any more.
    appliance.stop();
    std::fs::remove_dir_all(&other).unwrap();
    appliance.resume();
    assert_eq!(appliance.get("/api/v1/site"), before);
    appliance.assert_good_node_is_served();
}
