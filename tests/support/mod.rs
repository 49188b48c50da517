//! An appliance of its own for each test: the real binary in a network namespace, joined by a cable to a second namespace
//! where machines are simulated. Nothing of the host's network is touched, and everything goes when the value is dropped,
//! also when a test panics.
//!
//! ```text
//! namespace ov…s                              namespace ov…n
//!   overture serve ── prov0 10.77.0.1/16 ═══ eth0 10.77.0.2/16 ── simulated machines
//!   api.sock, state, log in a folder            every address of 10.77.128.0/17, where the pool lies
//! ```
//!
//! It does not know what is tested. Needs root, `ip` and `ethtool`.
#![allow(dead_code)] // each test program uses its own part of it

pub mod agent;
pub mod answer;
pub mod disk;
pub mod machine;
pub mod metrics;
pub mod operators;
pub mod random;
pub mod waiting;

pub use metrics::Metrics;
pub use operators::Operators;
pub use waiting::eventually;

use lab::netns::{End, Namespace, NetnsError, veth_pair};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tests_sim::Mac;

/// The appliance's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// An address of the machines' side that nobody leased.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The machines' interface.
pub const CARD: &str = "eth0";
/// The machine whose MAC address the interface has: the one that whole boots are done with.
pub const WHOLE: u32 = 1;
/// How long anything may take that should happen soon: a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a service that was told to stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What differs from test to test.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Addresses to lease, within 10.77.128.0/17.
    pub pool: &'static str,
    /// The lease time.
    pub lease_seconds: u32,
    /// The state folder; one of the appliance's own when not said.
    pub state: Option<PathBuf>,
    /// Length of the file that is served as `ramdisk`.
    pub ramdisk_bytes: usize,
    /// More text for the site's file: `[[node]]` blocks.
    pub more_site: String,
    /// How many files and sockets the service may have open; as many as the test when not said.
    pub descriptors: Option<u32>,
}

impl Default for Wishes {
    fn default() -> Self {
        let pool = "10.77.128.1-10.77.128.200";
        Self { pool, lease_seconds: 3600, state: None, ramdisk_bytes: 300_000, more_site: String::new(), descriptors: None }
    }
}

/// A service with a cable to simulated machines.
#[derive(Debug)]
pub struct Appliance {
    child: Option<Child>,
    operators: Operators,
    wishes: Wishes,
    // Dropped after the process, in this order.
    servers: Namespace,
    side: Side,
    folder: tempfile::TempDir,
}

/// The machines' side of the cable.
#[derive(Debug, Clone)]
pub struct Side(Arc<Namespace>);

impl Side {
    /// Runs `work` on a thread on the machines' side of the cable.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.enter_thread(work).expect("a thread enters a namespace")
    }
}

/// Everything that can be asked of the operators' API.
impl Deref for Appliance {
    type Target = Operators;
    fn deref(&self) -> &Operators {
        &self.operators
    }
}

impl Appliance {
    /// Starts one as most tests want it, and waits until everything is bound.
    pub fn start() -> Self {
        Self::start_as(Wishes::default())
    }

    /// Starts one, and waits until everything is bound.
    pub fn start_as(wishes: Wishes) -> Self {
        let mut appliance = Self::prepare(wishes);
        appliance.resume();
        appliance
    }

    /// Everything but the running service.
    pub fn prepare(wishes: Wishes) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "this test makes network namespaces: run it as root");
        let name = format!("ov{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let servers = Namespace::create(&format!("{name}s")).expect("a network namespace");
        let side = cable(&servers, Namespace::create(&format!("{name}n")), "prov0", 77, WHOLE);
        let folder = tempfile::Builder::new().prefix("overture-test-").tempdir().expect("a folder");
        let operators = Operators::at(folder.path().join("api.sock"));
        let appliance = Self { child: None, operators, wishes, servers, side, folder };
        appliance.write_files();
        appliance
    }

    /// One more interface of the service's namespace, `10.N.0.1/16`, with a cable to the card of a machine, `10.N.0.2/16`.
    /// Every address of `10.N.128.0/17` is the machines'.
    pub fn cable(&self, interface: &str, n: u8, machine: u32) -> Side {
        cable(&self.servers, Namespace::create(&format!("{}{n}", self.servers.name())), interface, n, machine)
    }

    fn write_files(&self) {
        let folder = self.folder();
        for (name, bytes) in [
            ("vmlinuz", pattern(200_000)),
            ("ramdisk", pattern(self.wishes.ramdisk_bytes)),
            ("undionly.kpxe", pattern(70_000)),
            ("snponly.efi", pattern(146_800)),
        ] {
            fs::write(folder.join(name), bytes).expect("a boot file");
        }
        fs::create_dir_all(folder.join("site")).expect("a folder");
        fs::write(folder.join("site/site.toml"), self.site("")).expect("the site");
        fs::write(self.config(), self.settings(&self.state(), self.operators.socket())).expect("the settings");
    }

    /// The site's only file, with more text at its end.
    pub fn site(&self, more: &str) -> String {
        let Wishes { pool, lease_seconds, more_site, .. } = &self.wishes;
        format!(
            "[site]\nname = \"hall-1\"\n\n[network.provision]\ninterface = \"prov0\"\nsubnet = \"10.77.0.0/16\"\ngateway = \"{SERVER}\"\n\
             dhcp = \"here\"\npool = \"{pool}\"\nlease_seconds = {lease_seconds}\nunknown = \"discover\"\n\n{more_site}\n{more}"
        )
    }

    /// An `overture.toml` with the usual ports.
    pub fn settings(&self, state: &Path, socket: &Path) -> String {
        let folder = self.folder().display();
        let (state, socket) = (state.display(), socket.display());
        format!(
            "state = \"{state}\"\nsite = \"{folder}/site\"\n[boot]\nfiles = \"{folder}\"\nipxe = \"{folder}\"\n[operators]\nsocket = \"{socket}\"\n"
        )
    }

    /// The folder with everything in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The settings' file.
    pub fn config(&self) -> PathBuf {
        self.folder().join("overture.toml")
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.wishes.state.clone().unwrap_or_else(|| self.folder().join("state"))
    }

    /// The namespace of the service.
    pub fn servers(&self) -> &Namespace {
        &self.servers
    }

    /// The process that runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the service was started").id()
    }

    fn bound_file(&self) -> PathBuf {
        self.folder().join("bound.json")
    }

    /// The command `overture serve` in the service's namespace.
    pub fn serve(&self, config: &Path, bound: Option<&Path>) -> Command {
        let overture = env!("CARGO_BIN_EXE_overture");
        let mut command = match self.wishes.descriptors {
            None => self.servers.command(overture),
            Some(most) => {
                let mut limited = self.servers.command("prlimit");
                limited.args([&format!("--nofile={most}:{most}"), overture]);
                limited
            }
        };
        command
            .args(["serve", "--config"])
            .arg(config)
            .env_remove("OVERTURE_SOCKET")
            .env_remove("OVERTURE_STATE")
            .env_remove("OVERTURE_SITE");
        if let Some(bound) = bound {
            command.arg("--bound").arg(bound);
        }
        command
    }

    /// Starts the service on what is there, and does not wait.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the service runs already");
        let _ = fs::remove_file(self.bound_file());
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("a log");
        let mut command = self.serve(&self.config(), Some(&self.bound_file()));
        let said = File::create(self.said_file()).expect("a file");
        self.child = Some(command.stdin(Stdio::null()).stdout(said).stderr(log).spawn().expect("`ip` starts: run `make deps`"));
    }

    /// Starts the service on what is there, and waits until everything is bound.
    pub fn resume(&mut self) {
        self.spawn();
        let deadline = Instant::now() + PATIENCE;
        while !self.bound_file().exists() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "the service ended at its start ({ended:?}):\n{}", self.log());
            assert!(Instant::now() < deadline, "the service is not ready after {PATIENCE:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts a service that must refuse to run, and returns what it says.
    pub fn refusal(&self, config: &Path) -> String {
        let said = File::create(self.folder().join("refusal.log")).expect("a file");
        let mut child = self.serve(config, None).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().expect("`ip` starts");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break Some(status);
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let said = fs::read_to_string(self.folder().join("refusal.log")).expect("text");
        assert_eq!(status.and_then(|status| status.code()), Some(1), "it should have refused to start:\n{said}");
        said
    }

    /// Kills the service as a power cut would (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// Kills the service and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.resume();
    }

    /// Tells the service to stop (SIGTERM); it must end in time, and well.
    pub fn stop(&mut self) {
        let (status, took) = self.terminate();
        assert!(status.success(), "the service ended with {status} after SIGTERM:\n{}", self.log());
        assert!(took < STOP_WITHIN, "the service took {took:?} to stop:\n{}", self.log());
    }

    /// Tells the service to stop and waits for it.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let mut child = self.child.take().expect("the service was started");
        let began = Instant::now();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("a child can be told to stop");
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return (status, began.elapsed());
            }
            if began.elapsed() > 2 * STOP_WITHIN {
                self.child = Some(child);
                panic!("the service does not stop:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The command line of the same binary, pointed at this service.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overture"));
        command.args(arguments).env("OVERTURE_SOCKET", self.operators.socket()).output().expect("the binary starts")
    }

    /// Runs `work` on a thread on the machines' side of the cable.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.side.inside(work)
    }

    /// The machines' side, for threads that outlast a call.
    pub fn side(&self) -> Side {
        self.side.clone()
    }

    /// The operators' API, for threads that outlast a call.
    pub fn operators(&self) -> Operators {
        self.operators.clone()
    }

    /// What the service said on its standard output since it was started last.
    pub fn said(&self) -> String {
        fs::read_to_string(self.said_file()).unwrap_or_default()
    }

    fn said_file(&self) -> PathBuf {
        self.folder().join("service.out")
    }

    /// What is bound, as the service wrote it.
    pub fn bound(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.bound_file()).expect("it was written")).expect("JSON")
    }

    /// What the service said, from all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log_bytes()).into_owned()
    }

    /// What the service said, unchanged.
    pub fn log_bytes(&self) -> Vec<u8> {
        fs::read(self.log_file()).unwrap_or_default()
    }

    /// Where it says so.
    pub fn log_file(&self) -> PathBuf {
        self.folder().join("service.log")
    }

    /// Begins to watch how much memory the service has at most, bytes; what it has now.
    pub fn watch_memory(&self) -> u64 {
        // proc(5): 5 resets the peak to what is resident now.
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("the peak can be reset");
        self.memory("VmRSS")
    }

    /// The most memory that the service has had since it was watched, bytes.
    pub fn memory_peak(&self) -> u64 {
        self.memory("VmHWM")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the service lives");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib: u64 = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).expect("an amount in kB");
        kib << 10
    }

    /// Fails unless the process that was started first still runs.
    pub fn assert_alive(&mut self) {
        let child = self.child.as_mut().expect("the service was started");
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "the service has ended ({ended:?}):\n{}", self.log());
        assert!(!self.log().contains("panicked at"), "the service has panicked:\n{}", self.log());
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(6000).map_or(0, |(at, _)| at);
            eprintln!("--- the end of the service's log ---\n{}", &log[from..]);
        }
    }
}

fn cable(servers: &Namespace, nodes: Result<Namespace, NetnsError>, interface: &str, n: u8, machine: u32) -> Side {
    let nodes = nodes.expect("a network namespace");
    let [here, there] = [1, 2].map(|last| format!("10.{n}.0.{last}/16"));
    let (prov, card) = (End::new(servers, interface).with_address(&here), End::new(&nodes, CARD).with_address(&there));
    veth_pair(&prov, &card).expect("a cable");
    nodes.ip(&["link", "set", CARD, "address", &Mac::numbered(machine).to_string()]).expect("a MAC address");
    // Whatever address of the pool a machine is given, a socket can have it without further ado.
    nodes.ip(&["route", "add", "local", &format!("10.{n}.128.0/17"), "dev", "lo"]).expect("a route");
    Side(Arc::new(nodes))
}

/// A port of the appliance.
pub fn at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(SERVER, port)
}

/// Whether the longer tests are wanted, which `make test-all` does.
pub fn is_long() -> bool {
    std::env::var_os("OVERTURE_LONG").is_some_and(|value| !value.is_empty())
}

/// Bytes that no two places have alike.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A file's bytes, for a look at whether it was touched.
pub fn bytes_of(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Opens a file for changing some of its bytes.
pub fn opened(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
