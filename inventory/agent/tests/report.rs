//! `overture-agent report` on the machine that the tests run on.

#![allow(clippy::unwrap_used)]

use inventory_wire::Report;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

const AGENT: &str = env!("CARGO_BIN_EXE_overture-agent");

fn agent(arguments: &[&str]) -> Output {
    Command::new(AGENT).args(arguments).output().unwrap()
}

/// What must hold of every report.
fn checked(text: &[u8]) -> Report {
    let report: Report = serde_json::from_slice(text).unwrap();
    assert_eq!((report.report, report.boot.clone(), report.amends), (inventory_wire::VERSION, None, false));
    let agent = report.facts.agent.clone().unwrap();
    assert_eq!(agent.place.as_deref(), Some("installed"));
    assert!(report.facts.kernel.is_some() && report.facts.cpu.is_some());
    assert!(report.gaps.iter().all(|gap| !gap.path.is_empty() && !gap.reason.is_empty()));
    report
}

#[test]
fn a_report_of_an_installed_system_belongs_to_no_boot() {
    let output = agent(&["report"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    checked(text.as_bytes());
}

#[test]
fn a_report_can_be_written_to_a_file_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w1.json");
    let output = agent(&["report", "--pretty", "--out", &file.to_string_lossy()]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let text = std::fs::read(&file).unwrap();
    assert!(text.iter().filter(|byte| **byte == b'\n').count() > 10);
    checked(&text);
    let output = agent(&["report", "--out", "/no/such/folder/w1.json"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written to /no/such/folder/w1.json"));
}

#[test]
fn without_root_the_report_is_made_all_the_same_and_says_what_needs_it() {
    // Nobody may not enter the folder that the agent was built in.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("overture-agent");
    std::fs::copy(AGENT, &copy).unwrap();
    let mut command = match rustix::process::geteuid().is_root() {
        true => Command::new("setpriv"),
        false => Command::new(&copy),
    };
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    }
    let output = command.arg("report").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = checked(&output.stdout);
    let tables = std::path::Path::new("/sys/firmware/dmi/tables/DMI");
    let needs_root = report.gaps.iter().any(|gap| gap.path == "system.serial" && gap.reason.contains("needs root: run it with sudo"));
    assert_eq!(needs_root, tables.exists(), "{:#?}", report.gaps);
}
