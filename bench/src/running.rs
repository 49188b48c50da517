//! A contestant that was started.

use crate::cleanup::{self, Folder, Owned, Thing, lock};
use crate::contestants::{Contestant, Programs, Setup};
use crate::cpu::Meter;
use crate::hall::Hall;
use anyhow::{Context, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a contestant may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of its log an error shows, bytes.
const TAIL: usize = 2_000;

/// A contestant; ended when dropped.
pub struct Running {
    name: &'static str,
    child: Arc<Mutex<Child>>,
    pid: u32,
    log: PathBuf,
    started: Instant,
    // Dropped in this order: a control group can only be removed when its process has ended.
    _process: Owned,
    meter: Meter,
    _folder: Folder,
}

impl Running {
    /// Starts a contestant on its side of the hall, with a new empty folder for all that it writes.
    pub fn start(contestant: &dyn Contestant, programs: &Programs, hall: &Hall, files: Option<&Path>) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let log = folder.path().join("log");
        let mut command = contestant.command(programs, &Setup { folder: folder.path(), files })?;
        let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = output.with_context(|| format!("could not write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let (started, child) = hall.on_server(|| {
            let started = Instant::now();
            let child = command.spawn().with_context(|| format!("could not start {}", command.get_program().display()))?;
            Ok((started, child))
        })?;
        let pid = child.id();
        let child = Arc::new(Mutex::new(child));
        let process = cleanup::own(Thing::Process(child.clone()));
        Ok(Self { name: contestant.name(), child, pid, log, started, _process: process, meter: Meter::attach(pid), _folder: folder })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Just before it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its processor time.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Asks again and again until there is an answer; fails when the contestant ends before, or takes too long.
    pub fn await_answer<T>(&self, what: &str, mut ask: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
        loop {
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if let Ok(Some(status)) = lock(&self.child).try_wait() {
                bail!("{} ended ({status}) before it answered {what}; it said:\n{}", self.name, self.log_tail());
            }
            if self.started.elapsed() > PATIENCE {
                bail!("{} did not answer {what} within {PATIENCE:?}; it said:\n{}", self.name, self.log_tail());
            }
        }
    }

    /// The end of what it wrote.
    fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).trim().to_owned();
        if tail.is_empty() { "(nothing)".to_owned() } else { tail }
    }
}
