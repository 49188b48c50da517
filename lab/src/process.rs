//! Processes that outlive the command that started them: started apart from its terminal, known again by number and
//! start time, ended within a limit.

use crate::netns::Namespace;
use crate::programs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One process of this boot of the computer, not to be confused with a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started: clock ticks since the computer did (`/proc/PID/stat`, field 22).
    pub started: u64,
}

impl ProcessId {
    /// The process that has this number now, if it still runs.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let started = running_since(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        Some(Self { pid, started })
    }

    /// Whether this very process still runs. One that ended and was not waited for does not.
    pub(crate) fn is_running(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// A handle that stays with this process even if its number is given to another one.
    fn handle(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(self.pid.try_into().ok()?)?, PidfdFlags::empty()).ok()?;
        // Asked after the handle was taken: who has the number now is who the handle means.
        self.is_running().then_some(handle)
    }
}

/// Field 22 of a line of `/proc/PID/stat`, unless the process has ended (Z, X). The name in field 2 may contain
/// blanks and brackets, so counting starts behind the last bracket.
fn running_since(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

/// Asks all of them to end, waits up to `patience`, ends those that did not; answers with those that still run after
/// that (none, unless the kernel holds one).
pub(crate) fn end(processes: &[ProcessId], patience: Duration) -> Vec<ProcessId> {
    let own = std::process::id();
    let mut handles: Vec<_> = processes.iter().filter(|p| p.pid != own).filter_map(|process| Some((*process, process.handle()?))).collect();
    for (signal, limit) in [(Signal::TERM, patience), (Signal::KILL, Duration::from_secs(5))] {
        for (_, handle) in &handles {
            let _ = pidfd_send_signal(handle, signal); // it may have ended in between
        }
        let deadline = Instant::now() + limit;
        handles.retain(|(_, handle)| !ended_by(handle, deadline));
    }
    handles.into_iter().map(|(process, _)| process).collect()
}

/// Waits until the process has ended, at most until `deadline`.
fn ended_by(handle: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(handle.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// Processes whose program's name begins with `program` and which have an argument that contains `text`.
pub(crate) fn found_by_command_line(program: &str, text: &str) -> Vec<ProcessId> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command_line_matches(&String::from_utf8_lossy(&line), program, text)
    })
    .filter_map(ProcessId::of)
    .collect()
}

fn command_line_matches(line: &str, program: &str, text: &str) -> bool {
    let mut arguments = line.split('\0');
    let name = arguments.next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    name.starts_with(program) && arguments.any(|argument| argument.contains(text))
}

/// Starts `command` inside `namespace`, in a session of its own so that neither Ctrl-C nor the end of the terminal
/// reaches it; what it says goes to the end of `log`.
///
/// The number is the program's own: `setsid` and `ip netns exec` both become what they start. A thread waits for the
/// process, so that it leaves no zombie while this process lives.
pub(crate) fn start_detached(namespace: &Namespace, command: &Command, log: &Path) -> io::Result<ProcessId> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let mut outer = Command::new(programs::path_of("setsid"));
    let inner = namespace.command(command.get_program());
    outer.arg(inner.get_program()).args(inner.get_args()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.current_dir(command.get_current_dir().unwrap_or(Path::new("/")));
    let mut child = outer.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let pid = child.id();
    let process = ProcessId::of(pid).ok_or_else(|| io::Error::other("it ended at once"));
    std::thread::Builder::new().name(format!("wait for {pid}")).spawn(move || child.wait())?;
    process
}

/// Which boot of the computer this is: numbers and start times of an earlier one mean nothing.
pub(crate) fn boot_of_this_computer() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_process_named_like_a_stat_line_does_not_confuse_its_start_time() {
        let fields = |state: &str| format!("7 (a) Z 1 2) {state} 1 7 7 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 1 0 4711 10 11\n");
        assert_eq!(running_since(&fields("S")), Some(4711));
        assert_eq!(running_since(&fields("Z")), None, "a process that ended does not run");
        assert_eq!(running_since("7 (cut"), None);
    }

    #[test]
    fn a_recycled_number_is_not_taken_for_the_old_process() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let now = ProcessId::of(child.id()).unwrap();
        let before = ProcessId { started: now.started - 1, ..now };
        assert!(now.is_running() && !before.is_running());
        assert_eq!(end(&[before], Duration::from_secs(1)), vec![]);
        assert!(child.try_wait().unwrap().is_none(), "the other process was left alone");
        assert_eq!(end(&[now], Duration::from_secs(5)), vec![]);
        child.wait().unwrap();
        assert!(!now.is_running());
    }

    #[test]
    fn one_that_does_not_listen_is_ended_all_the_same() {
        let mut child =
            Command::new("sh").args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]).stdout(Stdio::piped()).spawn().unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 5]).unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        assert_eq!(end(&[process], Duration::from_millis(50)), vec![]);
        child.wait().unwrap();
    }

    #[test]
    fn this_process_never_ends_itself() {
        assert_eq!(end(&[ProcessId::of(std::process::id()).unwrap()], Duration::ZERO), vec![]);
    }

    #[test]
    fn a_command_line_is_a_labs_only_by_program_and_folder() {
        let line = "/usr/bin/qemu-system-x86_64\0-qmp\0unix:/lab/a/nodes/vm1/qmp.sock\0";
        assert!(command_line_matches(line, "qemu-system-", "/lab/a/nodes/"));
        assert!(!command_line_matches(line, "qemu-system-", "/lab/b/nodes/"));
        assert!(!command_line_matches("tail\0-f\0/lab/a/nodes/vm1/serial.log\0", "qemu-system-", "/lab/a/nodes/"));
    }
}
