//! A Postgres server of Debian's, reached through a socket in its own folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

/// Where Debian puts the server's programs, by version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// The superuser of each server.
const USER: &str = "overture";
/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// The server in the background of a shell that ends it when its input ends: when this process does, however it does.
const SUPERVISED: &str = r#"exec 3<&0; "$@" </dev/null & server=$!; read -r _ <&3; kill -QUIT "$server" 2>/dev/null; wait "$server""#;

/// A running server, which ends when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    settings: Vec<String>,
    /// Removed after the server has ended.
    _whole: Option<tempfile::TempDir>,
    /// So that the next server need not make it anew.
    _template: Arc<tempfile::TempDir>,
    shell: Option<Child>,
}

impl Postgres {
    /// Starts one with an empty database. Panics with what to do when that is not possible.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings: `listen_addresses=127.0.0.1`.
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder in the system's place for temporary files");
        let mut server = Self::start_in(folder.path(), settings);
        server._whole = Some(folder);
        server
    }

    /// The same in an empty folder, which stays.
    pub fn start_in(folder: &Path, settings: &[&str]) -> Self {
        give_away(folder);
        let template = template();
        run(Command::new("cp").arg("-a").arg(template.path().join("data")).arg(folder.join("data")));
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { folder: folder.to_owned(), settings, _whole: None, _template: template, shell: None };
        server.restart();
        server
    }

    /// How a client reaches a database of it, over the socket.
    pub fn url(&self, database: &str) -> String {
        let host = self.folder.to_str().expect("a temporary folder's name is text").replace('/', "%2F");
        format!("postgres://{USER}@{host}/{database}")
    }

    /// Where its data is, to see how large it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database that each server has.
    pub fn default_url(&self) -> String {
        self.url("postgres")
    }

    /// Runs SQL as the superuser, in a database; yields what it printed, unaligned and without headings.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = run(Command::new(program("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "-U", USER, "-d", database, "-c", sql])
            .arg("-h")
            .arg(&self.folder));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The file that says who may connect, and how. Its changes count after [`Self::reload`].
    pub fn admission(&self) -> PathBuf {
        self.data().join("pg_hba.conf")
    }

    /// Has the server read its files again.
    pub fn reload(&self) {
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// What it wrote about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Kills every process of it at once, as a power failure would, and waits until they are gone.
    pub fn kill9(&mut self) {
        if let Some(first) = self.pid() {
            // Stopped first, so that it has no new children meanwhile, and none learns that another has died.
            signal(first, Signal::SIGSTOP);
            let all: Vec<Pid> = children(first).into_iter().chain([first]).collect();
            all.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
            wait_until("the server's processes are gone", || all.iter().all(|pid| !is_alive(*pid)));
        }
        self.end();
    }

    /// Ends it at once, as when a machine is switched off in order: sessions are cut, nothing is lost.
    pub fn stop(&mut self) {
        if let Some(first) = self.pid() {
            signal(first, Signal::SIGINT);
            wait_until("the server has ended", || !is_alive(first));
        }
        self.end();
    }

    /// Starts it again after it was killed or stopped, and waits until it takes connections.
    pub fn restart(&mut self) {
        self.start_again();
        let started = Instant::now();
        while !self.is_ready() {
            assert!(started.elapsed() < PATIENCE, "Postgres did not start:\n{}", self.log());
            let ended = self.shell.as_mut().is_some_and(|shell| shell.try_wait().is_ok_and(|status| status.is_some()));
            // After a crash, processes of the old server may still be about to notice.
            if ended {
                self.start_again();
            }
            sleep(Duration::from_millis(10));
        }
    }

    fn start_again(&mut self) {
        self.end();
        let log = fs::File::options().create(true).append(true).open(self.log_file()).expect("a log");
        let mut command = as_somebody("sh");
        command.args(["-c", SUPERVISED, "sh"]).arg(program("postgres")).arg("-D").arg(self.data());
        command.args(["-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "max_connections=40"]);
        command.args(["-c", &format!("unix_socket_directories={}", self.folder.display())]);
        self.settings.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        let log_too = log.try_clone().expect("a log");
        self.shell = Some(command.stdin(Stdio::piped()).stdout(log).stderr(log_too).spawn().expect("a shell"));
    }

    fn end(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The first process; it writes itself down.
    fn pid(&self) -> Option<Pid> {
        let written = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        Some(Pid::from_raw(written.lines().next()?.parse().ok()?))
    }

    fn is_ready(&self) -> bool {
        let written = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        written.lines().nth(7).is_some_and(|state| state.trim() == "ready")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// A fresh server's data, made once for all servers that live at a time; its folder goes with the last of them.
fn template() -> Arc<tempfile::TempDir> {
    static TEMPLATE: Mutex<Weak<tempfile::TempDir>> = Mutex::new(Weak::new());
    // Held while it is made: whoever comes meanwhile would only make another.
    let mut kept = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(template) = kept.upgrade() {
        return template;
    }
    let folder = tempfile::tempdir().expect("a folder in the system's place for temporary files");
    give_away(folder.path());
    let mut command = as_somebody(program("initdb"));
    command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1", "--no-instructions"]);
    run(command.args(["--username", USER, "-D"]).arg(folder.path().join("data")));
    let made = Arc::new(folder);
    *kept = Arc::downgrade(&made);
    made
}

/// The newest version's.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir(INSTALLED).into_iter().flatten().flatten().map(|entry| entry.path().join("bin").join(name));
    let newest = versions.filter(|path| path.exists()).max_by_key(|path| {
        let version = path.iter().nth_back(2).and_then(|version| version.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    newest.unwrap_or_else(|| panic!("there is no {INSTALLED}/*/bin/{name}: run `make deps`, which installs Debian's package postgresql"))
}

/// The server refuses to run as root.
fn as_somebody(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Some(nobody) = somebody() {
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    }
    // The folder that a test runs in may be closed to others.
    command.current_dir("/");
    command
}

/// Who runs the servers, when this is root.
fn somebody() -> Option<User> {
    geteuid().is_root().then(|| User::from_name("nobody").ok().flatten().expect("every Debian has the user nobody"))
}

fn give_away(folder: &Path) {
    if let Some(nobody) = somebody() {
        chown(folder, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).expect("root gives folders away");
    }
}

/// Runs a program to its end, which must be good.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if !output.status.success() {
        let _ = std::io::stderr().write_all(&output.stderr);
        panic!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    output
}

/// A process that is gone meanwhile needs no signal.
fn signal(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

fn children(of: Pid) -> Vec<Pid> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Neither gone, nor dead and only not yet taken notice of.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited too long until {what}");
        sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_killed_starts_again_with_what_was_committed() {
        let mut server = Postgres::start();
        server.sql("postgres", "CREATE TABLE t (x int)");
        server.sql("postgres", "INSERT INTO t VALUES (7)");
        server.kill9();
        server.restart();
        assert_eq!(server.sql("postgres", "SELECT x FROM t"), "7");
        server.stop();
        server.restart();
        assert_eq!(server.sql("postgres", "SELECT x FROM t"), "7");
        let first = server.pid().expect("a process");
        drop(server);
        wait_until("it is gone with its owner", || !is_alive(first));
    }
}
