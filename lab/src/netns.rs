//! Network namespaces: made, entered, joined by a virtual cable, removed with everything in them.
//!
//! Also for tests and benchmarks that speak DHCP and must not do so on a real network:
//!
//! ```no_run
//! # fn main() -> Result<(), lab::netns::NetnsError> {
//! use lab::netns::{End, Namespace, veth_pair};
//! let server = Namespace::create("test-server")?;
//! let client = Namespace::create("test-client")?;
//! let (s, c) = (End::new(&server, "prov0").with_address("10.20.0.1/24"), End::new(&client, "eth0"));
//! veth_pair(&s, &c)?;
//! let socket = server.enter_thread(|| std::net::UdpSocket::bind("10.20.0.1:67"))?;
//! # Ok(()) }
//! ```
//!
//! A socket stays in the namespace in which it was opened, whatever thread uses it later.

use crate::process::{self, ProcessId};
use crate::programs;
use domain::timeline::printable;
use nix::sched::{CloneFlags, setns};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Why something about a namespace failed.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// A program could not be started at all.
    #[error("could not start `{command}`: run `make deps`")]
    Start {
        /// The command line.
        command: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A program said no.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// The command line.
        command: String,
        /// What it wrote to standard error.
        said: String,
    },
    /// A thread could not enter a namespace.
    #[error("could not enter the network namespace {name}")]
    Enter {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Processes inside would not end.
    #[error("{count} processes in the network namespace {name} did not end: look at them with `ip netns pids {name}`")]
    StillInUse {
        /// Its name.
        name: String,
        /// How many.
        count: usize,
    },
}

/// A named network namespace. One that was created here is removed when this value is dropped, with every process
/// in it, unless it was told to stay.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    remove_on_drop: bool,
}

impl Namespace {
    /// Makes it, with its loopback up. Names are those of files in `/run/netns`: short, no slash.
    pub fn create(name: &str) -> Result<Self, NetnsError> {
        run(Command::new(programs::path_of("ip")).args(["netns", "add", name]))?;
        let namespace = Self { name: name.to_owned(), remove_on_drop: true };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// One that exists already, or may; nothing is done, and nothing when this value is dropped.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), remove_on_drop: false }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lets it stay when this value is dropped.
    pub fn stay(&mut self) {
        self.remove_on_drop = false;
    }

    /// Whether a namespace of this name exists.
    pub fn exists(&self) -> bool {
        self.file().exists()
    }

    fn file(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that will run inside: `ip netns exec NAME PROGRAM`, which becomes PROGRAM, so its process number is
    /// the program's.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(programs::path_of("ip"));
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `ip` with these arguments inside and waits for it.
    pub fn ip(&self, arguments: &[&str]) -> Result<(), NetnsError> {
        run(Command::new(programs::path_of("ip")).args(["-n", &self.name]).args(arguments))
    }

    /// Runs `work` on a new thread inside the namespace and waits for it. Only that thread enters: sockets opened
    /// by it stay inside, threads started by it are inside too.
    pub fn enter_thread<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let file = File::open(self.file()).map_err(|source| self.not_entered(source))?;
        let entered = move || setns(file, CloneFlags::CLONE_NEWNET).map(|()| work());
        let outcome = std::thread::scope(|scope| scope.spawn(entered).join());
        match outcome {
            Ok(result) => result.map_err(|errno| self.not_entered(errno.into())),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn not_entered(&self, source: io::Error) -> NetnsError {
        NetnsError::Enter { name: self.name.clone(), source }
    }

    /// The processes inside, whoever started them.
    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        let output = Command::new(programs::path_of("ip")).args(["netns", "pids", &self.name]).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(|line| ProcessId::of(line.trim().parse().ok()?)).collect()
    }

    /// Ends every process inside, then removes the namespace with its interfaces (and so the other ends of its
    /// cables). Without effect when it does not exist.
    pub fn remove(&self, patience: Duration) -> Result<(), NetnsError> {
        if !self.exists() {
            return Ok(());
        }
        // A process may start another one while it is being ended; whoever still does so the third time wins.
        let mut left = self.processes();
        for _ in 0..3 {
            process::end(&left, patience);
            left = self.processes();
            left.retain(|process| process.pid != std::process::id());
            if left.is_empty() {
                return run(Command::new(programs::path_of("ip")).args(["netns", "delete", &self.name]));
            }
        }
        Err(NetnsError::StillInUse { name: self.name.clone(), count: left.len() })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.remove_on_drop {
            let _ = self.remove(Duration::from_millis(500)); // nobody is left to tell
        }
    }
}

/// One end of a virtual cable.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    namespace: &'a Namespace,
    interface: &'a str,
    address: Option<&'a str>,
}

impl<'a> End<'a> {
    /// The interface `interface` (at most 15 bytes) in `namespace`.
    pub fn new(namespace: &'a Namespace, interface: &'a str) -> Self {
        Self { namespace, interface, address: None }
    }

    /// The same with an address and its prefix length: `10.20.0.1/24`.
    pub fn with_address(self, address: &'a str) -> Self {
        Self { address: Some(address), ..self }
    }
}

/// Joins two namespaces by a cable. Both ends come up, with their checksums finished before they leave: a server
/// that reads UDP from a raw socket would otherwise see unfinished ones.
pub fn veth_pair(a: &End<'_>, b: &End<'_>) -> Result<(), NetnsError> {
    a.namespace.ip(&["link", "add", a.interface, "type", "veth", "peer", "name", b.interface, "netns", b.namespace.name()])?;
    for end in [a, b] {
        if let Some(address) = end.address {
            end.namespace.ip(&["address", "add", address, "dev", end.interface])?;
        }
        run(end.namespace.command(programs::path_of("ethtool")).args(["-K", end.interface, "tx", "off"]))?;
        end.namespace.ip(&["link", "set", end.interface, "up"])?;
    }
    Ok(())
}

/// Runs a command to its end; what it complained about becomes the error.
fn run(command: &mut Command) -> Result<(), NetnsError> {
    let line = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let line = line();
    let output = command.output().map_err(|source| NetnsError::Start { command: line.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(NetnsError::Refused { command: line, said: printable(String::from_utf8_lossy(&output.stderr).trim(), 300) })
}
