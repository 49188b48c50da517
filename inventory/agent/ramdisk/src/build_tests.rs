//! Whole builds from small made-up kernels. The real Debian kernel is built and booted by the appliance's own tests.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::command::DPKG_DEB;
use crate::cpio::{Archive, Entry};
use crate::{BuildError, Built, Digest, KernelSource, Manifest, ModuleSet, Settings, ToolSource, build, compress, elf};

const RELEASE: &str = "6.1.0-1-amd64";

/// A folder with all that a build needs.
pub(crate) struct Workshop {
    pub(crate) folder: tempfile::TempDir,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().unwrap() };
        workshop.put("agent", &elf::stand_in(b"agent"));
        workshop.put("busybox", &elf::stand_in(b"busybox"));
        let modules = format!("tree/lib/modules/{RELEASE}");
        let mut dep = String::new();
        for name in ModuleSet::Lab.wanted().names {
            let path = if name == "virtio_net" { "kernel/drivers/net/virtio_net.ko".to_owned() } else { format!("kernel/all/{name}.ko") };
            workshop.put(&format!("{modules}/{path}"), format!("module {name}").as_bytes());
            let depends = if name == "virtio_net" { " kernel/all/failover.ko" } else { "" };
            dep += &format!("{path}:{depends}\n");
        }
        for name in ["failover", "unwanted"] {
            workshop.put(&format!("{modules}/kernel/all/{name}.ko"), format!("module {name}").as_bytes());
            dep += &format!("kernel/all/{name}.ko:\n");
        }
        workshop.put(&format!("{modules}/modules.dep"), dep.as_bytes());
        workshop.put(&format!("{modules}/modules.alias"), b"alias virtio:d00000001v* virtio_net\nalias x unwanted\n");
        workshop.put(&format!("tree/boot/vmlinuz-{RELEASE}"), b"kernel");
        workshop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            kernel: KernelSource::Tree { root: self.path("tree") },
            agent: self.path("agent"),
            busybox: self.path("busybox"),
            tools: ToolSource::Nowhere,
            modules: ModuleSet::Lab,
            out: self.path("out"),
            cache: self.path("cache"),
            zstd_level: 1,
            extra: Vec::new(),
        }
    }

    pub(crate) fn build(&self) -> Built {
        quietly(&self.settings()).unwrap()
    }

    /// The workshop goes with its folder, so whoever looks at the result keeps it.
    fn build_and_keep(self) -> (Self, Built) {
        let built = self.build();
        (self, built)
    }

    /// Packs the tree as a kernel package.
    fn package(&self, version: &str) -> PathBuf {
        self.pack("tree", "linux-image-test", version)
    }

    /// Packs a folder as a package.
    pub(crate) fn pack(&self, folder: &str, name: &str, version: &str) -> PathBuf {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\nDescription: none\n");
        self.put(&format!("{folder}/DEBIAN/control"), control.as_bytes());
        let deb = self.path(&format!("{name}_{version}.deb"));
        DPKG_DEB.run("pack", self.folder.path(), &["--root-owner-group", "-b", folder, &deb.to_string_lossy()]).unwrap();
        deb
    }
}

pub(crate) fn quietly(settings: &Settings) -> Result<Built, BuildError> {
    build(settings, &mut |_| {})
}

pub(crate) fn unpacked(ramdisk: &Path) -> Archive {
    Archive::parse(&compress::first_archive(&fs::read(ramdisk).unwrap()).unwrap()).unwrap()
}

pub(crate) fn text(archive: &Archive, name: &str) -> String {
    match archive.get(name) {
        Some(Entry::File { content, .. }) => String::from_utf8(content.clone()).unwrap(),
        other => panic!("{name}: {other:?}"),
    }
}

fn age(path: &Path) {
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            age(&entry.path());
            fs::set_permissions(entry.path(), Permissions::from_mode(0o700)).unwrap();
        } else {
            let file = File::options().append(true).open(entry.path()).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600)).unwrap();
        }
    }
}

#[test]
fn the_ramdisk_has_the_network_cards_module_where_modprobe_looks() {
    let (_workshop, built) = Workshop::new().build_and_keep();
    let archive = unpacked(&built.ramdisk);
    let modules = format!("lib/modules/{RELEASE}");
    assert_eq!(text(&archive, &format!("{modules}/kernel/drivers/net/virtio_net.ko")), "module virtio_net");
    assert_eq!(text(&archive, &format!("{modules}/kernel/all/failover.ko")), "module failover");
    let dep = text(&archive, &format!("{modules}/modules.dep"));
    assert!(dep.lines().any(|line| line == "kernel/drivers/net/virtio_net.ko: kernel/all/failover.ko"), "{dep}");
    assert_eq!(text(&archive, &format!("{modules}/modules.alias")), "alias virtio:d00000001v* virtio_net\n");
    assert_eq!(archive.get(&format!("{modules}/kernel/all/unwanted.ko")), None);
    assert_eq!(archive.get("init"), Some(&Entry::Link { target: "bin/overture-agent".into() }));
    assert!(text(&archive, "etc/overture/modules").lines().any(|name| name == "bonding"));
}

#[test]
fn the_same_inputs_make_the_same_bytes_in_another_folder_at_another_time() {
    let (one, two) = (Workshop::new(), Workshop::new());
    age(two.folder.path());
    let (first, second) = (one.build(), two.build());
    for (a, b) in [(&first.vmlinuz, &second.vmlinuz), (&first.ramdisk, &second.ramdisk), (&first.manifest, &second.manifest)] {
        assert_eq!(Digest::of_file(a).unwrap(), Digest::of_file(b).unwrap(), "{}", a.display());
    }
}

#[test]
fn the_manifest_tells_what_was_built() {
    let (_workshop, built) = Workshop::new().build_and_keep();
    let manifest = Manifest::read(&built.manifest).unwrap();
    assert_eq!(manifest.kernel.release, RELEASE);
    assert_eq!(manifest.ramdisk.file.sha256, Digest::of_file(&built.ramdisk).unwrap());
    assert_eq!(manifest.vmlinuz.bytes, 6);
    let virtio_net = manifest.modules.iter().find(|module| module.name == "virtio_net").unwrap();
    assert_eq!(virtio_net.path, "kernel/drivers/net/virtio_net.ko");
    assert_eq!(virtio_net.sha256, Digest::of(b"module virtio_net"));
    assert_eq!(built.sizes.modules, ModuleSet::Lab.wanted().names.len() + 1);
}

#[test]
fn nothing_is_rebuilt_while_nothing_changes() {
    let workshop = Workshop::new();
    assert!(workshop.build().rebuilt);
    let again = workshop.build();
    assert!(!again.rebuilt);
    assert_eq!(again.sizes.modules, ModuleSet::Lab.wanted().names.len() + 1);
    age(&workshop.path("tree"));
    assert!(!workshop.build().rebuilt, "times and permissions are no inputs");
    workshop.put(&format!("tree/lib/modules/{RELEASE}/kernel/all/unwanted.ko"), b"changed");
    assert!(!workshop.build().rebuilt, "what does not travel is no input");
}

#[test]
fn each_input_that_changes_and_each_output_that_is_damaged_is_noticed() {
    let workshop = Workshop::new();
    workshop.build();
    let changes: [(&str, &dyn Fn()); 8] = [
        ("agent", &|| workshop.put("agent", &elf::stand_in(b"newer agent"))),
        ("busybox", &|| workshop.put("busybox", &elf::stand_in(b"newer busybox"))),
        ("kernel", &|| workshop.put(&format!("tree/boot/vmlinuz-{RELEASE}"), b"another kernel")),
        ("module", &|| workshop.put(&format!("tree/lib/modules/{RELEASE}/kernel/all/failover.ko"), b"another module")),
        ("alias", &|| workshop.put(&format!("tree/lib/modules/{RELEASE}/modules.alias"), b"alias virtio:* virtio_net\n")),
        ("ramdisk", &|| workshop.put("out/ramdisk", b"damaged")),
        ("vmlinuz", &|| fs::remove_file(workshop.path("out/vmlinuz")).unwrap()),
        ("manifest", &|| workshop.put("out/manifest.json", b"{\"format\": 0}")),
    ];
    for (what, change) in changes {
        assert!(!workshop.build().rebuilt, "before {what}");
        change();
        assert!(workshop.build().rebuilt, "{what}");
    }
    let level = Settings { zstd_level: 2, ..workshop.settings() };
    assert!(quietly(&level).unwrap().rebuilt);
}

#[test]
fn extra_archives_follow_ours_and_are_inputs() {
    let workshop = Workshop::new();
    let mut own = Archive::default();
    own.put("lib/firmware/card.bin", Entry::File { mode: 0o644, content: b"firmware".to_vec() }).unwrap();
    workshop.put("firmware.cpio", &own.emit());
    let settings = Settings { extra: vec![workshop.path("firmware.cpio")], ..workshop.settings() };
    let plain = fs::read(workshop.build().ramdisk).unwrap();
    let built = quietly(&settings).unwrap();
    assert!(built.rebuilt);
    let longer = fs::read(&built.ramdisk).unwrap();
    assert!(longer.starts_with(&plain));
    assert!(longer.ends_with(&own.emit()));
    assert_eq!((longer.len() - own.emit().len()) % 4, 0);
    assert!(!quietly(&settings).unwrap().rebuilt);
}

#[test]
fn a_build_that_fails_says_why_and_leaves_what_was_there() {
    let workshop = Workshop::new();
    let built = workshop.build();
    let before = Digest::of_file(&built.ramdisk).unwrap();
    let dep = workshop.path(&format!("tree/lib/modules/{RELEASE}/modules.dep"));
    let without: String =
        fs::read_to_string(&dep).unwrap().lines().filter(|line| !line.contains("/e1000")).map(|line| line.to_owned() + "\n").collect();
    fs::write(&dep, without).unwrap();
    let failed = quietly(&workshop.settings()).unwrap_err();
    assert_eq!(
        failed.to_string(),
        format!("kernel {RELEASE} has no e1000, e1000e: use another kernel, or take them out of the module set")
    );
    assert_eq!(Digest::of_file(&built.ramdisk).unwrap(), before);
    let mut names: Vec<_> = fs::read_dir(workshop.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["manifest.json", "ramdisk", "vmlinuz"], "no temporary file stays");
}

#[test]
fn compressed_modules_are_refused_because_busybox_would_not_load_them() {
    let workshop = Workshop::new();
    let dep = workshop.path(&format!("tree/lib/modules/{RELEASE}/modules.dep"));
    fs::write(&dep, fs::read_to_string(&dep).unwrap().replace(".ko", ".ko.xz")).unwrap();
    let refused = quietly(&workshop.settings()).unwrap_err().to_string();
    assert!(refused.contains("its modules are compressed (kernel/all/"), "{refused}");
}

#[test]
fn a_kernel_package_is_unpacked_once_and_a_newer_one_takes_its_place() {
    let workshop = Workshop::new();
    let from = |deb: PathBuf| Settings { kernel: KernelSource::DebianPackage(deb), ..workshop.settings() };
    let unpackings = |settings: &Settings| {
        let mut count = 0;
        build(settings, &mut |line| count += usize::from(line.starts_with("unpacking "))).unwrap();
        count
    };
    let first = from(workshop.package("6.1-1"));
    assert_eq!(unpackings(&first), 1);
    assert_eq!(unpackings(&first), 0, "nothing changed");
    workshop.put("agent", &elf::stand_in(b"newer"));
    assert_eq!(unpackings(&first), 0, "the cache holds the kernel");
    let manifest = Manifest::read(&workshop.path("out/manifest.json")).unwrap();
    assert_eq!(manifest.kernel.version.as_deref(), Some("6.1-1"));
    assert_eq!(manifest.inputs.kernel, Digest::of_file(&workshop.path("linux-image-test_6.1-1.deb")).unwrap());
    assert_eq!(unpackings(&from(workshop.package("6.1-2"))), 1);
    let kernels = fs::read_dir(workshop.path("cache")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(kernels, 1, "the cache does not grow with every kernel");
}

#[test]
fn a_package_that_is_no_kernel_is_named() {
    let workshop = Workshop::new();
    fs::remove_dir_all(workshop.path("tree/lib")).unwrap();
    let deb = workshop.package("6.1-1");
    let settings = Settings { kernel: KernelSource::DebianPackage(deb.clone()), ..workshop.settings() };
    let refused = quietly(&settings).unwrap_err().to_string();
    assert_eq!(refused, format!("{} is no kernel tree: it has no lib/modules", deb.display()));
}

#[test]
fn two_builds_with_one_cache_wait_for_each_other() {
    let workshop = Workshop::new();
    fs::create_dir_all(workshop.path("cache")).unwrap();
    let holder = File::create(workshop.path("cache/lock")).unwrap();
    holder.lock().unwrap();
    let mut holder = Some(holder);
    let mut said = Vec::new();
    build(&workshop.settings(), &mut |line| {
        said.push(line.to_owned());
        // The other build ends once this one has said that it waits.
        drop(holder.take());
    })
    .unwrap();
    assert_eq!(said[0], "waiting for another build that uses the same cache");
}

#[test]
fn a_ramdisk_with_its_modules_in_the_wrong_folder_is_not_let_out() {
    let workshop = Workshop::new();
    let settings = workshop.settings();
    let tree = crate::kernel::Tree::open(&workshop.path("tree")).unwrap();
    let chosen = crate::module_index::Index::read(&tree.modules).unwrap().choose(&ModuleSet::Lab.wanted()).unwrap();
    let programs = crate::layout::Programs::read(&settings.agent, &settings.busybox).unwrap();
    let ramdisk = |release: &str, skip: usize| {
        let files = crate::kernel::read_modules(&tree, &chosen).unwrap().into_iter().skip(skip).collect();
        let archive = crate::layout::compose(ModuleSet::Lab, release, &programs, &Default::default(), &chosen, files).unwrap();
        compress::ramdisk(&archive.emit(), 1, &[]).unwrap()
    };
    let inspected = |bytes: &[u8]| crate::inspect::inspect(bytes, RELEASE, &chosen, &Default::default()).map_err(|error| error.to_string());
    assert_eq!(inspected(&ramdisk(RELEASE, 0)), Ok(()));
    let wrong = inspected(&ramdisk("6.1.0-2-amd64", 0)).unwrap_err();
    assert!(wrong.contains(&format!("it has no lib/modules/{RELEASE}/modules.dep")), "{wrong}");
    let short = inspected(&ramdisk(RELEASE, 1)).unwrap_err();
    assert!(short.contains(&format!("it has no lib/modules/{RELEASE}/kernel/all/8021q.ko")), "{short}");
    let mut cut = ramdisk(RELEASE, 0);
    cut.truncate(cut.len() / 2);
    assert!(inspected(&cut).unwrap_err().contains("it does not unpack"));
}
