//! What must not outlive a run: processes, namespaces, control groups, folders. Given back when its owner is dropped; by
//! a thread of its own when a signal ends the run; and by the next run when this one was killed.

use anyhow::Context;
use lab::netns::Namespace;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Namespaces and control groups are called this, then the number of the process that owns them.
const PREFIX: &str = "ovbench-";
/// How long a process may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something to be given back.
#[derive(Debug, Clone)]
pub enum Thing {
    /// A process that was started here.
    Process(Arc<Mutex<Child>>),
    /// A network namespace, by name.
    Namespace(String),
    /// The folder of a control group.
    ControlGroup(PathBuf),
    /// A folder with everything in it.
    Folder(PathBuf),
}

/// Gives it back when dropped.
#[derive(Debug)]
pub struct Owned(u64);

#[derive(Default)]
struct Things {
    next: u64,
    by_number: BTreeMap<u64, Thing>,
}

static THINGS: Mutex<Things> = Mutex::new(Things { next: 0, by_number: BTreeMap::new() });

/// Takes responsibility for a thing. Blocks for good once a signal has ended the run.
pub fn own(thing: Thing) -> Owned {
    let mut things = lock(&THINGS);
    things.next += 1;
    let number = things.next;
    things.by_number.insert(number, thing);
    Owned(number)
}

impl Drop for Owned {
    fn drop(&mut self) {
        let thing = lock(&THINGS).by_number.remove(&self.0);
        if let Some(thing) = thing {
            thing.give_back();
        }
    }
}

/// A new folder for whatever a contestant writes or reads; gone when dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _owned: Owned,
}

impl Folder {
    /// Makes one among the machine's temporary files.
    pub fn new() -> anyhow::Result<Self> {
        let made = tempfile::Builder::new().prefix(&name("")).tempdir().context("could not make a folder for temporary files")?;
        let path = made.keep();
        Ok(Self { _owned: own(Thing::Folder(path.clone())), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A name for a namespace or a control group of this run.
pub fn name(what: &str) -> String {
    format!("{PREFIX}{}-{what}", std::process::id())
}

/// Removes what killed runs left, and from now on cleans up when a signal ends this one. To be called before any other
/// thread is started, so that the signals reach none of them.
pub fn begin() -> anyhow::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("could not keep signals for the thread that cleans up")?;
    thread::spawn(move || {
        let Ok(signal) = signals.wait() else { return };
        eprintln!("bench: ended by {signal}, cleaning up");
        // Never unlocked again: whoever still works here cannot own anything new.
        let mut things = lock(&THINGS);
        let mut left: Vec<Thing> = std::mem::take(&mut things.by_number).into_values().collect();
        // Processes first: they use all the rest.
        left.sort_by_key(|thing| !matches!(thing, Thing::Process(_)));
        left.into_iter().for_each(Thing::give_back);
        std::process::exit(128 + signal as i32);
    });
    sweep();
    Ok(())
}

fn sweep() {
    for name in leftovers(Path::new("/run/netns")) {
        Thing::Namespace(name).give_back();
    }
    for name in leftovers(&std::env::temp_dir()) {
        Thing::Folder(std::env::temp_dir().join(name)).give_back();
    }
    for folder in crate::cpu::parents() {
        for name in leftovers(&folder) {
            Thing::ControlGroup(folder.join(name)).give_back();
        }
    }
}

/// Entries of a folder whose owner does not run any more.
fn leftovers(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_left_over(name)).collect()
}

fn is_left_over(name: &str) -> bool {
    let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
    owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

impl Thing {
    fn give_back(self) {
        match self {
            Self::Process(child) => end(&mut lock(&child)),
            Self::Namespace(name) => {
                if let Err(error) = Namespace::named(&name).remove(PATIENCE) {
                    eprintln!("bench: {:#}", anyhow::Error::new(error));
                }
            }
            Self::ControlGroup(folder) => {
                // Busy until the kernel has forgotten the processes that ended in it.
                if !soon(|| std::fs::remove_dir(&folder).is_ok() || !folder.exists()) {
                    eprintln!("bench: the control group {} could not be removed", folder.display());
                }
            }
            Self::Folder(folder) => {
                if let Err(error) = std::fs::remove_dir_all(&folder) {
                    eprintln!("bench: could not remove {}: {error}", folder.display());
                }
            }
        }
    }
}

fn end(child: &mut Child) {
    // Not waited for yet, so the number is still its own.
    if let (Ok(None), Ok(pid)) = (child.try_wait(), child.id().try_into()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if !soon(|| !matches!(child.try_wait(), Ok(None))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Whether `done` holds before patience ends.
fn soon(mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if done() {
            return true;
        }
        if began.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A lock is as good after a panic as before: what it guards is always whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_run_owned_is_left_over() {
        assert!(!is_left_over(&name("srv")));
        assert!(is_left_over("ovbench-4294967290-srv"));
        for other in ["ovbench-", "ovbench-x-srv", "ov-lab-net", "4294967290"] {
            assert!(!is_left_over(other), "{other}");
        }
    }

    #[test]
    fn a_process_ends_with_its_owner_even_if_it_does_not_want_to() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' TERM; echo; while :; do sleep 0.05; done"]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("sh");
        let mut ready = [0];
        std::io::Read::read_exact(&mut child.stdout.take().expect("its output"), &mut ready).expect("ready");
        let child = Arc::new(Mutex::new(child));
        drop(own(Thing::Process(child.clone())));
        assert!(matches!(lock(&child).try_wait(), Ok(Some(_))));
    }
}
