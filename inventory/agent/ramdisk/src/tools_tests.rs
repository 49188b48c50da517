//! Ramdisks with tools, out of small made-up packages.

#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::build_tests::{Workshop, quietly, text, unpacked};
use crate::cpio::Entry;
use crate::tools::PROGRAMS;
use crate::{Manifest, Settings, ToolSource, elf};

impl Workshop {
    /// Packages of tools that need libraries, one of which needs another.
    fn tools(&self) -> Vec<PathBuf> {
        self.put("smart/usr/sbin/smartctl", &elf::linked(&["libsmart.so.1", "libc.so.6"]));
        self.put("smart/usr/lib/x86_64-linux-gnu/libsmart.so.1.2.3", &elf::linked(&["libdeep.so.2"]));
        std::os::unix::fs::symlink("libsmart.so.1.2.3", self.path("smart/usr/lib/x86_64-linux-gnu/libsmart.so.1")).unwrap();
        self.put("smart/lib/x86_64-linux-gnu/libdeep.so.2", &elf::linked(&["libc.so.6"]));
        self.put("smart/lib/x86_64-linux-gnu/libnobody.so.1", &elf::linked(&[]));
        for program in PROGRAMS.iter().filter(|program| !program.ends_with("smartctl")) {
            self.put(&format!("util/{program}"), &elf::linked(&["libc.so.6"]));
        }
        self.put("util/sbin/mkfs", &elf::linked(&["libc.so.6"]));
        self.put("util/usr/share/misc/pci.ids", b"1af4  Red Hat, Inc.\n");
        self.put("libc/lib/x86_64-linux-gnu/libc.so.6", &elf::linked(&["ld-linux-x86-64.so.2"]));
        self.put("libc/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &elf::linked(&[]));
        fs::set_permissions(self.path("smart/usr/sbin/smartctl"), Permissions::from_mode(0o755)).unwrap();
        vec![self.pack("util", "util-linux", "1"), self.pack("smart", "smartmontools", "7"), self.pack("libc", "libc6", "2")]
    }
}

#[test]
fn tools_travel_with_the_libraries_they_name_and_nothing_else() {
    let workshop = Workshop::new();
    let settings = Settings { tools: ToolSource::DebianPackages(workshop.tools()), ..workshop.settings() };
    let built = quietly(&settings).unwrap();
    let archive = unpacked(&built.ramdisk);
    let program = |name: &str| matches!(archive.get(name), Some(Entry::File { mode: 0o755, .. }));
    for name in PROGRAMS.into_iter().chain(["lib64/ld-linux-x86-64.so.2"]) {
        assert!(program(name), "{name}");
    }
    for name in ["libc.so.6", "libdeep.so.2", "libsmart.so.1"] {
        let place = format!("lib/x86_64-linux-gnu/{name}");
        assert!(matches!(archive.get(&place), Some(Entry::File { mode: 0o644, .. })), "{place}");
    }
    assert_eq!(text(&archive, "usr/share/misc/pci.ids"), "1af4  Red Hat, Inc.\n");
    for name in ["sbin/mkfs", "lib/x86_64-linux-gnu/libnobody.so.1", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"] {
        assert_eq!(archive.get(name), None, "{name}");
    }
    let manifest = Manifest::read(&built.manifest).unwrap();
    let packages: Vec<String> = manifest.inputs.tools.iter().map(|tool| format!("{} {}", tool.name, tool.version)).collect();
    assert_eq!(packages, ["libc6 2", "smartmontools 7", "util-linux 1"]);
    assert_eq!(
        archive,
        unpacked(&{
            let other = Workshop::new();
            let mut debs = other.tools();
            debs.reverse();
            let settings = Settings { tools: ToolSource::DebianPackages(debs), ..other.settings() };
            let ramdisk = quietly(&settings).unwrap().ramdisk;
            let kept = workshop.path("other-ramdisk");
            fs::copy(ramdisk, &kept).unwrap();
            kept
        }),
        "elsewhere, and named in another order"
    );
}

#[test]
fn tools_are_rebuilt_when_a_package_changes_and_the_cache_does_not_grow() {
    let workshop = Workshop::new();
    let first = Settings { tools: ToolSource::DebianPackages(workshop.tools()), ..workshop.settings() };
    assert!(quietly(&first).unwrap().rebuilt);
    assert!(!quietly(&first).unwrap().rebuilt);
    workshop.put("util/sbin/blkid", &elf::linked(&["libdeep.so.2"]));
    let ToolSource::DebianPackages(mut debs) = first.tools.clone() else { panic!("packages") };
    debs[0] = workshop.pack("util", "util-linux", "2");
    let newer = Settings { tools: ToolSource::DebianPackages(debs), ..workshop.settings() };
    assert!(quietly(&newer).unwrap().rebuilt);
    let folders = fs::read_dir(workshop.path("cache")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(folders, 1);
    assert!(workshop.build().rebuilt, "without tools it is another ramdisk");
}

#[test]
fn a_library_that_no_package_brings_is_named() {
    let workshop = Workshop::new();
    let mut debs = workshop.tools();
    debs.pop();
    let settings = Settings { tools: ToolSource::DebianPackages(debs), ..workshop.settings() };
    let refused = quietly(&settings).unwrap_err().to_string();
    assert!(refused.starts_with("the ramdisk cannot have libc.so.6: ") && refused.contains("give all packages"), "{refused}");
    workshop.put("util/sbin/wipefs", b"#!/bin/sh\n");
    let settings = Settings { tools: ToolSource::DebianPackages(vec![workshop.pack("util", "util-linux", "3")]), ..workshop.settings() };
    let refused = quietly(&settings).unwrap_err().to_string();
    assert!(refused.starts_with("the ramdisk cannot have sbin/wipefs: it is no x86-64 program"), "{refused}");
}

#[test]
fn a_link_out_of_the_packages_is_not_followed() {
    let workshop = Workshop::new();
    workshop.tools();
    fs::remove_file(workshop.path("util/sbin/blkid")).unwrap();
    let outside = workshop.path("outside");
    fs::write(&outside, elf::linked(&["libc.so.6"])).unwrap();
    std::os::unix::fs::symlink("../../../outside", workshop.path("util/sbin/blkid")).unwrap();
    let debs =
        vec![workshop.pack("util", "util-linux", "4"), workshop.pack("smart", "smartmontools", "7"), workshop.pack("libc", "libc6", "2")];
    let refused = quietly(&Settings { tools: ToolSource::DebianPackages(debs), ..workshop.settings() }).unwrap_err().to_string();
    assert!(refused.starts_with("the ramdisk cannot have sbin/blkid: "), "{refused}");
}
