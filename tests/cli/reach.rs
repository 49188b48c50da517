//! Finding the service, wrong usage, and the environment.

use crate::journal::Journal;
use crate::service::{Service, node, overture};
use std::process::{Command, Stdio};

#[test]
fn without_a_service_the_way_on_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::create_dir(folder.path().join("site")).unwrap();
    std::fs::write(folder.path().join("site/site.toml"), "[site]\nname = \"one\"\n").unwrap();
    let mut journal = Journal::new();
    for arguments in [
        "nodes list --socket none.sock",
        "nodes list --socket file",
        "apply site --socket none.sock",
        "site show --socket none.sock",
        "explain 52:54:00:00:00:01 --socket none.sock",
        "leases --socket none.sock",
    ] {
        let output = journal.run(overture(folder.path()), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}");
    }
    journal.expect("cli/no_service.txt", str::to_owned);
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::new();
    for arguments in [
        "",
        "node list",
        "nodes name VM-0001",
        "nodes name VM-0001 w1 --remove",
        "nodes order VM-0001 explode",
        "nodes list --output yaml",
        "explain w1 --boots 0",
        "explain w1 --boots 21",
        "check",
        "apply",
    ] {
        let output = journal.run(overture(folder.path()), arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments}");
    }
    journal.expect("cli/usage.txt", str::to_owned);
}

#[test]
fn the_socket_is_named_by_flag_before_environment() {
    let service = Service::with_nodes([node(1)]);
    let at = |flag: Option<&str>, environment: Option<&str>| {
        let mut command = overture(service.folder());
        command.args(["nodes", "show", "VM-0001"]);
        flag.map(|flag| command.args(["--socket", flag]));
        environment.map(|environment| command.env("OVERTURE_SOCKET", environment));
        command.output().unwrap().status.code()
    };
    assert_eq!(at(Some("api.sock"), None), Some(0));
    assert_eq!(at(None, Some("api.sock")), Some(0));
    assert_eq!(at(Some("api.sock"), Some("none.sock")), Some(0));
    assert_eq!(at(Some("none.sock"), Some("api.sock")), Some(1));
}

#[test]
fn the_settings_are_named_by_the_environment_too_and_flags_win_over_them() {
    let mut service = Service::prepare();
    let (state, socket) = (service.path("elsewhere"), service.path("other.sock"));
    let mut command = overture(service.folder());
    command.args(["serve", "--bound", "bound.json"]).env("OVERTURE_CONFIG", "overture.toml").env("OVERTURE_STATE", &state).env("PATH", "");
    command.args(["--socket".as_ref(), socket.as_os_str()]);
    service.resume_by(&mut command);
    assert!(state.join("overture.db").exists() && socket.exists());
    assert!(!service.path("state").exists() && !service.socket().exists());
}

#[test]
fn serve_says_what_is_wrong_before_it_does_anything() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wrong.toml"), "stat = \"state\"\n[dhcp]\nport = 70000\n").unwrap();
    std::fs::write(
        folder.path().join("nosite.toml"),
        "state = \"state\"\nsite = \"site\"\n[boot]\nfiles = \"boot\"\nipxe = \"ipxe\"\n[operators]\nsocket = \"api.sock\"\n",
    )
    .unwrap();
    let mut journal = Journal::new();
    for arguments in ["serve --config none.toml", "serve --config wrong.toml", "serve --config nosite.toml"] {
        assert_eq!(journal.run(overture(folder.path()), arguments).status.code(), Some(1), "{arguments}");
    }
    assert!(!folder.path().join("api.sock").exists());
    journal.expect("cli/serve.txt", without_times);
}

/// Log lines with `TIME` where the time stands.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.split_once("Z  WARN ") {
        Some((_, said)) => format!("! TIME  WARN {said}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let service = Service::with_nodes((1..=100).map(node));
    for arguments in [&["openapi"][..], &["nodes", "list"], &["nodes", "list", "--output", "json"]] {
        let mut command: Command = overture(service.folder());
        command.env("OVERTURE_SOCKET", service.socket()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}
