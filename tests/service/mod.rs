//! A service without any network, for tests of the operators' API and the command line: the real binary in a folder of
//! its own, whose store can be filled beforehand. It binds nothing but its socket, so it needs no namespace.
#![allow(dead_code)] // each test program uses its own part of it

#[path = "../support/answer.rs"]
pub mod answer;

pub use answer::Answer;

use domain::document::{Digest, Document, Gap};
use domain::hardware::{DiskBrief, Firmware, NicBrief, Summary};
use domain::history::KeptReport;
use domain::identity::Identity;
use domain::node::{Labels, Node, Stage};
use domain::ticket::KeyFingerprint;
use domain::{BootId, MacAddr, NodeId, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::Digest as _;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use store::sqlite::SqliteStore;
use uuid::Uuid;

/// How long anything may take that should happen soon: a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A service, stopped when it is dropped.
#[derive(Debug)]
pub struct Service {
    child: Option<Child>,
    folder: tempfile::TempDir,
}

impl Service {
    /// A running service with an empty store.
    pub fn start() -> Self {
        let mut service = Self::prepare();
        service.resume();
        service
    }

    /// A running service that knows some nodes.
    pub fn with_nodes(nodes: impl IntoIterator<Item = impl Into<Known>>) -> Self {
        let mut service = Self::prepare();
        service.fill(nodes);
        service.resume();
        service
    }

    /// Everything but the running service.
    pub fn prepare() -> Self {
        let folder = tempfile::Builder::new().prefix("overture-test-").tempdir().expect("a folder");
        fs::write(folder.path().join("overture.toml"), "state = \"state\"\n[operators]\nsocket = \"api.sock\"\n").expect("settings");
        Self { child: None, folder }
    }

    /// Starts the service, and waits until it has bound its socket.
    pub fn resume(&mut self) {
        let mut command = self.command();
        self.resume_by(&mut command);
    }

    /// What starts the service.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overture"));
        command.args(self.arguments());
        command
    }

    /// The service's command line, without the program.
    pub fn arguments(&self) -> Vec<PathBuf> {
        vec!["serve".into(), "--config".into(), self.path("overture.toml"), "--bound".into(), self.path("bound.json")]
    }

    /// The same by a command of the test's own.
    pub fn resume_by(&mut self, command: &mut Command) {
        assert!(self.child.is_none(), "the service runs");
        let log = fs::File::create(self.path("log")).expect("a log");
        let child =
            command.env_remove("OVERTURE_SOCKET").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("a service");
        self.child = Some(child);
        wait_until("the service has bound its socket", || {
            let child = self.child.as_mut().expect("started above");
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the service ended at once ({status}):\n{}", self.log());
            }
            self.path("bound.json").exists()
        });
    }

    /// Stops the service as an operator does, and says how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the service runs");
        let pid = i32::try_from(child.id()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it can be told");
        child.wait().expect("it ends")
    }

    /// Ends the service without a word, as a crash does.
    pub fn crash(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let _ = fs::remove_file(self.path("bound.json"));
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The operators' socket.
    pub fn socket(&self) -> PathBuf {
        self.path("api.sock")
    }

    /// What the service logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Opens the store from outside, beside the service or before it.
    pub fn fill(&self, nodes: impl IntoIterator<Item = impl Into<Known>>) {
        let state = self.path("state");
        fs::create_dir_all(&state).expect("a state folder");
        in_store(&state, async |store| {
            use domain::ports::NodeStore;
            let mut work = tokio::task::JoinSet::new();
            for known in nodes {
                let (store, known) = (store.clone(), known.into());
                work.spawn(async move { store.keep_report(&known.node, &known.report()).await.expect("kept") });
            }
            work.join_all().await;
        });
    }

    /// Sends a request.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(self.socket()).expect("the service listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        answer::ask(&mut stream, method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// Reads.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], &[])
    }

    /// Writes, without a key.
    pub fn write(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(method, path, &[], body.to_string().as_bytes())
    }

    /// Imports what the machine of such a node says of itself, which makes it known.
    pub fn import(&self, node: &Node) -> Answer {
        let mac = node.identity.macs.first().expect("it has a card");
        let number = u16::from_be_bytes([mac.0[4], mac.0[5]]);
        self.report(&report(number))
    }

    /// Imports a report, which must be taken in.
    pub fn report(&self, report: &Value) -> Answer {
        let answer = self.write("POST", "/api/v1/reports", report);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Applies a site of one file.
    pub fn apply(&self, text: &str) -> Answer {
        self.write("PUT", "/api/v1/site", &json!({"files": {"site.toml": text}}))
    }

    /// Runs `overture` against this service, without colours or settings of the person who runs the tests.
    pub fn overture(&self, arguments: &[&str]) -> Output {
        overture(self.folder()).env("OVERTURE_SOCKET", self.socket()).args(arguments).output().expect("overture runs")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the service's log\n{}", self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `overture` in a folder, without anything from the environment of whoever runs the tests.
pub fn overture(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overture"));
    command.current_dir(folder).env("OVERTURE_LAB_DIR", folder.join("labs")).env("COLUMNS", "100").env_remove("NO_COLOR");
    for name in ["OVERTURE_SOCKET", "OVERTURE_CONFIG", "OVERTURE_STATE", "OVERTURE_SITE", "OVERTURE_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Works with a store and closes it.
pub fn in_store(state: &Path, work: impl AsyncFnOnce(&SqliteStore)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(&state.join("overture.db")).await.expect("a store");
        work(&store).await;
        store.close().await;
    });
}

/// Waits for a condition.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in {PATIENCE:?} it did not come true that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A node with its document.
#[derive(Debug, Clone)]
pub struct Known {
    /// The node.
    pub node: Node,
    /// What its last report said.
    pub document: Document,
}

/// With the document of such a machine.
impl From<Node> for Known {
    fn from(node: Node) -> Self {
        let number = node.identity.macs.first().map_or(0, |mac| u16::from_be_bytes([mac.0[4], mac.0[5]]));
        Self { node, document: document(number) }
    }
}

impl Known {
    /// Its report, as the store keeps it.
    pub fn report(&self) -> KeptReport {
        let json = serde_json::to_string(&self.document).expect("JSON");
        KeptReport {
            at: self.node.last_seen,
            boot: self.node.boot,
            address: self.node.address,
            amends: false,
            digest: Digest(sha2::Sha256::digest(json.as_bytes()).into()),
            document: Some(json),
            readings: Value::Null,
        }
    }
}

/// What a machine by a number says of itself.
pub fn document(number: u16) -> Document {
    let [high, low] = number.to_be_bytes();
    Document {
        facts: json!({
            "disks": [{"name": "vda", "size_bytes": 4u64 << 30, "transport": "virtio", "serial": format!("DISK-{number:04}")}],
            "nics": [{"name": "eth0", "permanent_mac": format!("52:54:00:00:{high:02x}:{low:02x}"), "driver": "virtio_net", "link": true, "speed_mbit": 1000}],
        }),
        gaps: vec![Gap { path: "disks.vda.wwn".into(), reason: "the disk has none".into() }],
        other: Default::default(),
    }
}

/// The report of the same machine when it is installed.
pub fn report(number: u16) -> Value {
    let uuid = Uuid::from_u128(0x1111_2222_3333_4444_5555_0000_0000_0000 | u128::from(number));
    let Document { mut facts, gaps, .. } = document(number);
    facts["system"] =
        json!({"manufacturer": "QEMU", "product": "Standard PC", "serial": format!("VM-{number:04}"), "uuid": uuid.to_string()});
    facts["cpu"] = json!({"model": "QEMU Virtual CPU", "threads": 2});
    facts["memory"] = json!({"usable_bytes": 512 << 20});
    facts["firmware"] = json!({"kind": "bios"});
    json!({"report": 1, "facts": facts, "gaps": gaps})
}

/// A machine by a number, as it looks after its first report a minute ago.
pub fn node(number: u16) -> Node {
    let [high, low] = number.to_be_bytes();
    let uuid = Uuid::from_u128(0x1111_2222_3333_4444_5555_0000_0000_0000 | u128::from(number));
    let mac = MacAddr([0x52, 0x54, 0, 0, high, low]);
    let seen = Timestamp::now() - jiff::SignedDuration::from_secs(60);
    Node {
        id: NodeId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(number) << 32)),
        name: None,
        stage: Stage::Discovered,
        identity: Identity::new(Some(uuid), Some(&format!("VM-{number:04}")), [mac]),
        summary: Summary {
            vendor: Some("QEMU".into()),
            product: Some("Standard PC".into()),
            cpu_model: Some("QEMU Virtual CPU".into()),
            cpu_threads: Some(2),
            memory_bytes: Some(512 << 20),
            disks: Some(1),
            disk_bytes: Some(4 << 30),
            nics: Some(1),
            firmware: Some(Firmware::Bios),
            each_disk: vec![DiskBrief {
                name: "vda".into(),
                serial: Some(format!("DISK-{number:04}")),
                size_bytes: Some(4 << 30),
                ..DiskBrief::default()
            }],
            each_nic: vec![NicBrief {
                name: "eth0".into(),
                mac: Some(mac),
                driver: Some("virtio_net".into()),
                link: Some(true),
                speed_mbit: Some(1000),
                ..NicBrief::default()
            }],
            ..Summary::default()
        },
        labels: Labels::default(),
        digest: None,
        first_seen: seen,
        last_seen: seen,
        reports: 1,
        boot: Some(BootId(Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 | u128::from(number)))),
        key: Some(KeyFingerprint("ab".repeat(32))),
        address: Some([10, 20, high, low].into()),
        order: None,
        version: 1,
    }
}
