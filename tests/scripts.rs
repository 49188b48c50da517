//! What `make` says on a machine that lacks something. Nothing is installed; one test makes `policy-rc.d` and a file beside it, and sees them go.
#![allow(missing_docs, clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

fn script(name: &str, path: &Path) -> Command {
    let mut command = Command::new("/bin/bash");
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name))
        .env("PATH", path)
        .env_remove("SUDO_USER")
        .env("WHAT", "make demo");
    command
}

/// A folder with the programs that every Debian has, and with `more`, which are scripts.
fn programs(more: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in [
        "sed",
        "head",
        "dirname",
        "cut",
        "sort",
        "grep",
        "uname",
        "id",
        "mktemp",
        "tail",
        "rm",
        "cat",
        "chmod",
        "mkdir",
        "rmdir",
        "dpkg-query",
        "apt-get",
        "apt-cache",
        "ip",
    ] {
        let real =
            ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
        symlink(real.unwrap_or_else(|| panic!("no {program} on this machine")), folder.path().join(program)).unwrap();
    }
    for (program, text) in more {
        let path = folder.path().join(program);
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
}

const TOOLS: [(&str, &str); 3] = [("cargo", "exit 0"), ("cargo-fmt", "exit 0"), ("cargo-clippy", "exit 0")];
const NEW_RUST: (&str, &str) = ("rustc", "echo rustc 1.999.0");

#[test]
fn a_machine_without_rust_or_with_an_old_one_is_told_what_to_install() {
    let none = programs(&[]);
    refused(&script("deps.sh", none.path()).output().unwrap(), &["no Rust toolchain", "rustup"]);
    let old = programs(&[TOOLS[0], ("rustc", "echo rustc 1.63.0")]);
    refused(&script("deps.sh", old.path()).output().unwrap(), &["Rust 1.63.0 is too old", "rustup update"]);
    let bare = programs(&[TOOLS[0], NEW_RUST]);
    refused(&script("deps.sh", bare.path()).arg("lint").output().unwrap(), &["cargo-fmt is missing", "rustup component add"]);
}

#[test]
fn who_is_not_root_is_told_which_packages_are_missing() {
    let missing = [TOOLS[0], TOOLS[1], TOOLS[2], NEW_RUST, ("dpkg-query", "exit 1"), ("id", "echo 1000")];
    let folder = programs(&missing);
    refused(&script("deps.sh", folder.path()).output().unwrap(), &["qemu-system-x86", "busybox-static", "run as root"]);
}

#[test]
fn nothing_is_done_when_nothing_is_missing() {
    let folder = programs(&[
        TOOLS[0],
        TOOLS[1],
        TOOLS[2],
        NEW_RUST,
        ("dpkg-query", "echo install ok installed"),
        ("apt-cache", "exit 0"),
        ("apt-get", "exit 99"),
    ]);
    let output = script("deps.sh", folder.path()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn no_service_is_started_by_an_installation_and_no_trace_of_that_stays() {
    let policy = "/usr/sbin/policy-rc.d";
    let was_there = Path::new(policy).exists();
    let cluster = "/etc/postgresql-common/createcluster.d/overture.conf";
    let log = tempfile::NamedTempFile::new().unwrap();
    let apt = format!("[ \"$1\" = install ] && {policy} service start; echo \"$1 $? $(cat {cluster})\" >> {}", log.path().display());
    let folder = programs(&[TOOLS[0], TOOLS[1], TOOLS[2], NEW_RUST, ("dpkg-query", "exit 1"), ("apt-get", &apt), ("id", "echo 0")]);
    let output = script("deps.sh", folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = std::fs::read_to_string(log.path()).unwrap();
    assert!(was_there || said.contains("install 101"), "a package's service would have been started: {said}");
    assert!(said.contains("create_main_cluster = false"), "a cluster would have been made: {said}");
    assert_eq!((Path::new(policy).exists(), Path::new(cluster).exists()), (was_there, false));
}

#[test]
fn a_machine_that_forbids_the_lab_says_what_to_do() {
    let user = programs(&[("id", "echo 1000")]);
    refused(&script("ready.sh", user.path()).output().unwrap(), &["make demo: network namespaces and taps need root", "sudo -E"]);
    let container =
        programs(&[("id", "echo 0"), ("ip", "echo mount --make-shared /run/netns failed: Operation not permitted >&2; exit 1")]);
    refused(
        &script("ready.sh", container.path()).output().unwrap(),
        &["forbids network namespaces", "Operation not permitted", "--privileged"],
    );
}
