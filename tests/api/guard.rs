//! Who may use the API, and what it bears. Needs root, to be somebody else for a moment.

use crate::problems::problem;
use crate::service::answer::{Answer, read_all};
use crate::service::{PATIENCE, Service, node, overture};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

/// `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}

fn as_nobody(mut command: Command) -> Output {
    assert!(nix::unistd::geteuid().is_root(), "this test becomes another user: run it as root");
    command.uid(NOBODY).gid(NOBODY).output().unwrap()
}

#[test]
fn files_are_private_whatever_the_umask() {
    for umask in ["000", "077"] {
        let mut service = Service::prepare();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_overture")]).args(service.arguments());
        service.resume_by(&mut command);
        assert_eq!(service.apply("[site]\nname = \"one\"\n").status, 201);
        let state = service.path("state");
        assert_eq!((mode(&service.socket()), mode(&state)), (0o660, 0o700), "umask {umask}");
        for name in ["overture.db", "overture.db-wal", "overture.db-shm", "authority.key", "authority.pem"] {
            assert_eq!(mode(&state.join(name)), 0o600, "{name}, umask {umask}");
        }
    }
}

#[test]
fn a_socket_that_a_crash_left_is_replaced_and_a_stop_removes_it() {
    let mut service = Service::start();
    service.crash();
    assert!(fs::metadata(service.socket()).unwrap().file_type().is_socket());
    service.resume();
    assert_eq!(service.get("/healthz").status, 200);
    assert!(service.stop().success());
    assert!(!service.socket().exists() && !service.path("bound.json").exists());
}

#[test]
fn a_socket_that_somebody_answers_at_is_left_alone() {
    let service = Service::prepare();
    let listener = UnixListener::bind(service.socket()).unwrap();
    let output = service.command().output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("another service answers at") && told.contains("--socket"), "{told}");
    assert!(UnixStream::connect(service.socket()).is_ok());
    drop(listener);
}

#[test]
fn two_services_never_share_a_state_folder() {
    let service = Service::start();
    let other = service.path("other.sock");
    let output = overture(service.folder()).args(service.arguments()).arg("--socket").arg(&other).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("another overture service is using") && told.contains("--state"), "{told}");
    assert_eq!(service.get("/healthz").status, 200);
    assert!(!other.exists());
}

#[test]
fn a_revision_says_who_applied_it() {
    let service = Service::start();
    assert_eq!(service.apply("[site]\nname = \"one\"\n").json()["revision"]["by"], "uid 0");
    // As an operator of the socket's group would: the kernel, not the request, says who that is.
    fs::set_permissions(service.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(service.socket(), None, Some(NOBODY)).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--unix-socket"]).arg(service.socket()).args(["--request", "PUT", "--header", "x-uid: 0", "--data"]);
    curl.arg(json!({"files": {"site.toml": "[site]\nname = \"two\"\n"}}).to_string()).arg("http://overture/api/v1/site");
    let output = as_nobody(curl);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("\"number\":2"), "{told} {output:?}");
    let by: Vec<_> = service.get("/api/v1/site/revisions").json()["items"].as_array().unwrap().iter().map(|r| r["by"].clone()).collect();
    assert_eq!(by, ["uid 65534", "uid 0"]);
}

#[test]
fn who_is_not_of_the_group_is_told_what_to_do() {
    let service = Service::start();
    fs::set_permissions(service.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    // The build may lie where nobody else can read.
    let program = service.path("overture");
    fs::copy(env!("CARGO_BIN_EXE_overture"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["nodes", "list", "--socket"]).arg(service.socket()).current_dir("/");
    let output = as_nobody(command);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("user 65534 may not use") && told.contains("join the group `overture`"), "{told}");
}

/// Sends a request whose body is too large and reads what comes back, however far it got.
fn sent(service: &Service, head: &str, body: impl Fn(&mut UnixStream) -> std::io::Result<()>) -> Answer {
    let mut stream = UnixStream::connect(service.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").unwrap();
    let _ = body(&mut stream);
    Answer::parse(&read_all(&mut stream).unwrap()).unwrap()
}

#[test]
fn a_body_over_the_bound_is_refused_and_harms_nobody() {
    let service = Service::with_nodes([node(1)]);
    let chunked = |stream: &mut UnixStream| {
        stream.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
        let chunk = [b"100000\r\n".as_slice(), &[b' '; 1 << 20], b"\r\n"].concat();
        (0..40).try_for_each(|_| stream.write_all(&chunk))?;
        stream.write_all(b"0\r\n\r\n")
    };
    for key in ["", "idempotency-key: large\r\n"] {
        let announced = sent(&service, "PUT /api/v1/site", |stream| write!(stream, "{key}content-length: 100000000\r\n\r\n"));
        assert_eq!((announced.status, problem(&announced).as_str()), (413, "too_large"), "announced");
        let endless = sent(&service, "PUT /api/v1/site", |stream| stream.write_all(key.as_bytes()).and_then(|()| chunked(stream)));
        assert_eq!((endless.status, problem(&endless).as_str()), (413, "too_large"), "chunked");
    }
    let site = service.apply(&format!("# {}\n[site]\nname = \"one\"\n", "x".repeat(16 << 20)));
    assert_eq!((site.status, problem(&site).as_str()), (413, "too_large"));
    assert_eq!(service.get("/api/v1/site").status, 404);
    assert_eq!(service.get("/api/v1/nodes/VM-0001").status, 200);
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let service = Service::with_nodes([node(1)]);
    let answer = sent(&service, "PATCH /api/v1/nodes/VM-0001", |stream| {
        write!(stream, "content-length: 100\r\n\r\n{{\"name\": \"w1\"}}")?;
        stream.shutdown(std::net::Shutdown::Write)
    });
    assert_eq!((answer.status, problem(&answer).as_str()), (400, "bad_body"));
    assert_eq!(service.get("/api/v1/nodes/VM-0001").json()["version"], 1);
}
