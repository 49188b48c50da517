//! Programmes that we did not write, on network namespaces that each test makes for itself: busybox's client, and
//! dnsmasq as a relay agent. Needs root.
#![allow(clippy::unwrap_used)]

mod dhcp_support;

use dhcp_support::{HandClock, Memory, Nobody, mac, site};
use domain::lease::LeaseState;
use domain::site::Site;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pxe::boots::Boots;
use pxe::dhcp::{Counts, Server, Settings};
use pxe::leases::LeaseBook;
use std::fs::{File, read_to_string};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Nothing here takes this long unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// Namespaces of one test; gone when it ends, however it ends.
struct Namespaces(Vec<String>);

impl Namespaces {
    fn make(test: &str, parts: &[&str]) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "this test makes network namespaces: run it as root, as `make test` does");
        let mut made = Self(vec![]);
        for part in parts {
            let name = format!("ovdhcp-{}-{test}-{part}", std::process::id());
            run("ip", &["netns", "add", &name]);
            made.0.push(name);
        }
        made
    }

    fn name(&self, part: usize) -> &str {
        &self.0[part]
    }

    /// `ip` inside one of them.
    fn ip(&self, part: usize, line: &str) {
        let arguments: Vec<&str> = ["-n", self.name(part)].into_iter().chain(line.split(' ')).collect();
        run("ip", &arguments);
    }

    /// A cable between two of them; the first end gets an address.
    fn cable(&self, (here, name, address): (usize, &str, &str), (there, other): (usize, &str)) {
        self.ip(here, &format!("link add {name} type veth peer name {other} netns {}", self.name(there)));
        self.ip(here, &format!("addr add {address} dev {name}"));
        self.ip(here, &format!("link set {name} up"));
    }

    fn client_card(&self, part: usize, name: &str) {
        self.ip(part, &format!("link set {name} address {} up", mac(1)));
    }

    fn spawn(&self, part: usize, package: &str, program: &str, arguments: &[&str]) -> Process {
        assert!(on_path(program), "`{program}` is missing (package {package}): run `make deps`");
        let child = Command::new("ip")
            .args(["netns", "exec", self.name(part), program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Process(child)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            Command::new("ip").args(["netns", "del", name]).status().ok();
        }
    }
}

/// A programme that ends with its test.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|folder| folder.join(program).is_file())
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}: run `make deps`"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server on a thread that has gone into a namespace, with its own runtime, so that all of it stays there.
struct Running {
    counts: Arc<Counts>,
    store: Arc<Memory>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(namespace: &str, interface: &str, site: Site) -> Self {
        let (counts, store, cancel) = (Arc::new(Counts::default()), Arc::new(Memory::default()), CancellationToken::new());
        let door = File::open(Path::new("/var/run/netns").join(namespace)).unwrap();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (its_counts, its_store, its_cancel, interface) = (counts.clone(), store.clone(), cancel.clone(), interface.to_owned());
        let thread = std::thread::spawn(move || {
            setns(door, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (_site, site) = watch::channel(Arc::new(site));
                let clock = Arc::new(HandClock::default());
                let address = nix::ifaddrs::getifaddrs()
                    .unwrap()
                    .filter(|found| found.interface_name == interface)
                    .find_map(|found| Some(found.address?.as_sockaddr_in()?.ip()))
                    .expect("the interface has an address");
                let settings = Settings {
                    interface,
                    address,
                    port: 67,
                    http_port: 80,
                    site,
                    directory: Arc::new(Nobody),
                    boots: Arc::new(Boots::restore(its_store.clone(), clock.clone()).await.unwrap()),
                    leases: Arc::new(LeaseBook::restore(its_store, domain::clock::Clock::now(&*clock)).await.unwrap()),
                    clock,
                    counts: its_counts,
                };
                let server = Server::bind(settings).unwrap();
                ready.send(()).unwrap();
                server.run(its_cancel).await.unwrap();
            });
        });
        is_ready.recv_timeout(LIMIT).expect("the server is bound");
        Self { counts, store, cancel, thread: Some(thread) }
    }

    fn count(&self, name: &str) -> u64 {
        self.counts.pairs().into_iter().find(|(known, _)| *known == name).unwrap().1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// What udhcpc calls: keeps what it was told, and sets the address.
fn script(folder: &TempDir) -> (PathBuf, PathBuf) {
    let (script, told) = (folder.path().join("script"), folder.path().join("told"));
    let text = format!(
        "#!/bin/sh\n[ -n \"$ip\" ] && ip addr replace $ip/$mask dev $interface\nexport EVENT=$1\nenv > {0}.new\nmv {0}.new {0}.$1\n",
        told.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    (script, told)
}

/// Waits until the client says that `event` happened, and what it was told then.
fn told(told: &Path, event: &str) -> Vec<String> {
    let file = told.with_extension(event);
    until(&format!("the client says `{event}`"), || file.exists());
    read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn assert_told(lines: &[String], expected: &[&str]) {
    for wanted in expected {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} is missing in {lines:#?}");
    }
}

#[test]
fn a_real_client_gets_renews_and_gives_back_its_lease() {
    let spaces = Namespaces::make("life", &["server", "client"]);
    spaces.cable((0, "veth0", "10.77.0.1/24"), (1, "eth0"));
    spaces.client_card(1, "eth0");
    let running = Running::start(spaces.name(0), "veth0", site("veth0"));
    let folder = tempfile::tempdir().unwrap();
    let (script, file) = script(&folder);
    let udhcpc = ["udhcpc", "-f", "-i", "eth0", "-T", "1", "-t", "20", "-s", script.to_str().unwrap()];
    let client = spaces.spawn(1, "busybox-static", "busybox", &udhcpc);
    let lines = told(&file, "bound");
    assert_told(&lines, &["ip=10.77.0.100", "mask=24", "router=10.77.0.254", "dns=10.77.0.1 10.77.0.2", "lease=3600"]);
    assert_told(&lines, &["domain=hall1.example", "ntpsrv=10.77.0.3", "serverid=10.77.0.1", "broadcast=10.77.0.255"]);
    assert_eq!(running.store.leases.lock().unwrap()[0].mac, mac(1));
    client.signal(Signal::SIGUSR1);
    assert_told(&told(&file, "renew"), &["ip=10.77.0.100", "lease=3600"]);
    assert!(running.count("acknowledged") >= 2);
    client.signal(Signal::SIGUSR2);
    until("the lease is given back", || running.count("released") == 1);
    assert_eq!(running.store.leases.lock().unwrap()[0].state, LeaseState::Released);
}

#[test]
fn a_client_that_speaks_like_uefi_firmware_is_told_what_to_load() {
    let spaces = Namespaces::make("pxe", &["server", "client"]);
    spaces.cable((0, "veth0", "10.77.0.1/24"), (1, "eth0"));
    spaces.client_card(1, "eth0");
    let _running = Running::start(spaces.name(0), "veth0", site("veth0"));
    let folder = tempfile::tempdir().unwrap();
    let (script, file) = script(&folder);
    let firmware = ["-V", "PXEClient:Arch:00007:UNDI:003000", "-x", "0x5d:0007", "-O", "tftp", "-O", "bootfile"];
    let udhcpc = ["udhcpc", "-f", "-q", "-i", "eth0", "-T", "1", "-t", "20", "-s", script.to_str().unwrap()];
    let _client = spaces.spawn(1, "busybox-static", "busybox", &[&udhcpc[..], &firmware].concat());
    let lines = told(&file, "bound");
    assert_told(&lines, &["siaddr=10.77.0.1", "boot_file=snponly.efi", "bootfile=snponly.efi", "tftp=10.77.0.1", "ip=10.77.0.100"]);
}

#[test]
fn a_client_behind_a_real_relay_agent_gets_an_address_of_its_own_network() {
    let spaces = Namespaces::make("relay", &["server", "relay", "client"]);
    spaces.cable((0, "veth0", "10.77.0.1/24"), (1, "up0"));
    spaces.cable((1, "down0", "10.88.0.1/24"), (2, "eth0"));
    spaces.ip(1, "addr add 10.77.0.2/24 dev up0");
    spaces.ip(1, "link set up0 up");
    spaces.ip(0, "route add 10.88.0.0/24 via 10.77.0.2");
    spaces.client_card(2, "eth0");
    let mut site = site("veth0");
    let mut far = site.networks["n"].clone();
    (far.interface, far.subnet) = ("elsewhere".into(), "10.88.0.0/24".parse().unwrap());
    (far.pool, far.gateway) = ("10.88.0.100-10.88.0.199".parse().unwrap(), Some(Ipv4Addr::new(10, 88, 0, 1)));
    site.networks.insert("far".into(), far);
    let running = Running::start(spaces.name(0), "veth0", site);
    let folder = tempfile::tempdir().unwrap();
    let (script, file) = script(&folder);
    let agent = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file=", "--dhcp-relay=10.88.0.1,10.77.0.1"];
    let _agent = spaces.spawn(1, "dnsmasq-base", "dnsmasq", &agent);
    let udhcpc = ["udhcpc", "-f", "-q", "-i", "eth0", "-T", "1", "-t", "20", "-s", script.to_str().unwrap()];
    let _client = spaces.spawn(2, "busybox-static", "busybox", &udhcpc);
    assert_told(&told(&file, "bound"), &["ip=10.88.0.100", "router=10.88.0.1", "serverid=10.77.0.1"]);
    assert!(running.store.told()[0].contains("through the relay agent 10.88.0.1"), "{:?}", running.store.told());
    assert_eq!(running.count("no_network"), 0);
}
