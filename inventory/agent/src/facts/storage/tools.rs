//! Runs Debian's tools for disks, each within bounds: of time, of what it may write, with a clean environment.
//!
//! It does not know what they are asked for or what their answers mean.

use rustix::process::{Pid, Signal, kill_process_group, setpriority_process};
use std::io::{ErrorKind, Read, sink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Where Debian puts them; an ordinary user's `PATH` lacks half of it.
const FOLDERS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The most of its complaints that is kept, bytes.
const MOST_SAID: u64 = 2048;
/// How long a killed tool may take to be gone before nobody waits for it any more.
const LONGEST_DYING: Duration = Duration::from_secs(1);
/// Behind the report in the queue for the processor (`nice`).
const PATIENT: i32 = 19;

/// A tool and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

/// What one run may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest that it may take.
    pub time: Duration,
    /// The most that it may write to standard output, bytes.
    pub bytes: u64,
}

/// What a tool that ended by itself left.
#[derive(Debug)]
pub struct Said {
    /// Its standard output, whole.
    pub output: Vec<u8>,
    /// The beginning of its standard error.
    pub complaint: String,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
}

/// Why there is no answer of a tool.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not there.
    #[error("{name} is not installed: apt install {package}")]
    NotInstalled {
        /// The tool.
        name: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// It is there and could not be started.
    #[error("{name} could not be started")]
    Start {
        /// The tool.
        name: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It took too long, and was killed.
    #[error("{name} did not answer within {} s", time.as_secs_f64())]
    TooLong {
        /// The tool.
        name: &'static str,
        /// The limit.
        time: Duration,
    },
    /// It wrote too much, and was killed.
    #[error("{name} wrote more than {bytes} bytes")]
    TooMuch {
        /// The tool.
        name: &'static str,
        /// The limit.
        bytes: u64,
    },
}

impl Tool {
    /// Runs it to its end, or to its limits.
    pub fn run(self, arguments: &[&str], limits: Limits) -> Result<Said, ToolError> {
        let program = self.find().ok_or(ToolError::NotInstalled { name: self.name, package: self.package })?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", FOLDERS).env("LC_ALL", "C.UTF-8").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().map_err(|source| ToolError::Start { name: self.name, source })?;
        let _ = setpriority_process(pid_of(&child), PATIENT);
        self.attend(child, limits)
    }

    fn find(self) -> Option<PathBuf> {
        let path = std::env::var("PATH").unwrap_or_default();
        let folders = path.split(':').chain(FOLDERS.split(':')).filter(|folder| folder.starts_with('/'));
        folders.map(|folder| PathBuf::from(folder).join(self.name)).find(|program| program.is_file())
    }

    fn attend(self, mut child: Child, limits: Limits) -> Result<Said, ToolError> {
        let begin = Instant::now();
        let output = reading(child.stdout.take(), limits.bytes + 1);
        let complaint = reading(child.stderr.take(), MOST_SAID);
        let left = || limits.time.saturating_sub(begin.elapsed());
        let too_long = ToolError::TooLong { name: self.name, time: limits.time };
        let Some(output) = receive(&output, left()) else {
            end(child);
            return Err(too_long);
        };
        if output.len() as u64 > limits.bytes {
            end(child);
            return Err(ToolError::TooMuch { name: self.name, bytes: limits.bytes });
        }
        let Some(status) = wait(&mut child, left()) else {
            end(child);
            return Err(too_long);
        };
        let complaint = receive(&complaint, left().min(LONGEST_DYING)).unwrap_or_default();
        let code = if status.signal().is_some() { None } else { status.code() };
        Ok(Said { output, complaint: String::from_utf8_lossy(&complaint).trim().to_owned(), code })
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Reads `most` bytes in a thread of its own. The rest is read too, so that the writer does not stop, unless it is of
/// the kind for which more is too much: then the pipe is closed.
fn reading(pipe: Option<impl Read + Send + 'static>, most: u64) -> Receiver<Vec<u8>> {
    let (send, receive) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read before an error is judged like a cut answer.
            let _ = pipe.by_ref().take(most).read_to_end(&mut bytes);
            let over = bytes.len() as u64 >= most;
            let _ = send.send(bytes);
            if over && most == MOST_SAID {
                let _ = std::io::copy(&mut pipe, &mut sink());
            }
        }
    });
    receive
}

fn receive(from: &Receiver<Vec<u8>>, time: Duration) -> Option<Vec<u8>> {
    match from.recv_timeout(time) {
        Ok(bytes) => Some(bytes),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Vec::new()),
    }
}

fn wait(child: &mut Child, time: Duration) -> Option<ExitStatus> {
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Err(error) if error.kind() != ErrorKind::Interrupted => return None,
            _ if begin.elapsed() >= time => return None,
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Kills it and whatever it started. One that waits for a dead disk inside the kernel does not die; it is then left to a
/// thread that has nothing else to do.
fn end(mut child: Child) {
    if let Some(group) = pid_of(&child) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    if wait(&mut child, LONGEST_DYING).is_none() {
        std::thread::spawn(move || child.wait());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SH: Tool = Tool { name: "sh", package: "dash" };

    fn limits(time: Duration, bytes: u64) -> Limits {
        Limits { time, bytes }
    }

    fn shell(script: &str, time: Duration, bytes: u64) -> Result<Said, ToolError> {
        SH.run(&["-c", script], limits(time, bytes))
    }

    #[test]
    fn what_a_tool_says_is_kept_with_its_exit_code() {
        let said = shell("echo out; echo err >&2; exit 3", Duration::from_secs(60), 100).unwrap();
        assert_eq!((said.output.as_slice(), said.complaint.as_str(), said.code), (b"out\n".as_slice(), "err", Some(3)));
        assert_eq!(shell("kill -9 $$", Duration::from_secs(60), 100).unwrap().code, None);
    }

    #[test]
    fn the_environment_is_clean() {
        let said = shell("env | cut -d = -f 1 | sort", Duration::from_secs(60), 1000).unwrap();
        assert_eq!(String::from_utf8(said.output).unwrap(), "LC_ALL\nPATH\nPWD\n");
    }

    #[test]
    fn a_tool_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", mark.display());
        let begin = Instant::now();
        let error = shell(&script, Duration::from_millis(500), 100).unwrap_err();
        assert_eq!(error.to_string(), "sh did not answer within 0.5 s");
        assert!(begin.elapsed() < Duration::from_secs(60));
        let child: i32 = std::fs::read_to_string(mark).unwrap().trim().parse().unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() {
            assert!(begin.elapsed() < Duration::from_secs(60), "the tool's own child lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_tool_that_talks_without_end_is_killed() {
        let error = shell("while :; do echo 0123456789; done", Duration::from_secs(60), 1000).unwrap_err();
        assert_eq!(error.to_string(), "sh wrote more than 1000 bytes");
        let said = shell("i=0; while [ $i -lt 3000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo done", Duration::from_secs(60), 10);
        assert_eq!(said.unwrap().output, b"done\n", "complaints are cut, not waited for");
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let error = Tool { name: "no-such-tool-here", package: "smartmontools" }.run(&[], limits(Duration::from_secs(1), 1)).unwrap_err();
        assert_eq!(error.to_string(), "no-such-tool-here is not installed: apt install smartmontools");
    }
}
