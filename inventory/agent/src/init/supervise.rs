//! Process 1's everyday life: wait for signals, reap what has ended, start again what must run.

use super::KEY_FILE;
use crate::backoff::Backoff;
use crate::console::Console;
use crate::facts::USER_SPACE_BEGAN;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::system::{RebootCommand, reboot};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR2};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A programme that has run for so long was all right: the next start is not delayed for what happened before.
const WELL: Duration = Duration::from_secs(60);

/// Keeps programmes running.
pub struct Supervisor<'c> {
    console: &'c Console,
    children: Vec<Child>,
    signals: Option<Signals>,
    begin: Instant,
}

struct Child {
    what: &'static str,
    command: Box<dyn Fn() -> Command>,
    pid: Option<Pid>,
    /// When it was started, or is to be started.
    at: Instant,
    backoff: Backoff,
}

/// Signals wake the loop by a byte in a socket; which they were is in the flags.
struct Signals {
    wake: UnixStream,
    restart: Arc<AtomicBool>,
    switch_off: Arc<AtomicBool>,
}

impl<'c> Supervisor<'c> {
    /// Takes Ctrl-Alt-Del from the kernel, which otherwise restarts without a word.
    pub fn new(console: &'c Console) -> Self {
        let _ = reboot(RebootCommand::CadOff);
        let signals = Signals::listen().map_err(|error| console.say(&format!("cannot listen to signals: {error}"))).ok();
        Self { console, children: Vec::new(), signals, begin: Instant::now() }
    }

    /// Starts a programme now, and again whenever it ends.
    pub fn add(&mut self, what: &'static str, command: impl Fn() -> Command + 'static) {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        self.children.push(Child { what, command: Box::new(command), pid: None, at: Instant::now(), backoff });
        self.start_due();
    }

    /// Starts the agent: this very programme by another name. It is told when user space `began`, seconds after the kernel.
    pub fn add_agent(&mut self, began: String) {
        self.add("the agent", move || {
            let mut agent = Command::new("/proc/self/exe");
            agent.arg0("overture-agent").args(["run", "--consoles", "--key", KEY_FILE]).stdin(Stdio::null());
            agent.env_clear().env("PATH", "/bin:/sbin:/usr/bin:/usr/sbin").env("HOME", "/");
            agent.env(USER_SPACE_BEGAN, &began);
            agent
        });
    }

    /// For ever. `each` is called after signals and after the pause that it wants; it is told the time since the start.
    pub fn run(mut self, mut each: impl FnMut(&mut Self, Duration) -> Duration) -> ! {
        loop {
            self.reap();
            self.start_due();
            self.obey_signals();
            let elapsed = self.begin.elapsed();
            let pause = each(&mut self, elapsed);
            let due = self.children.iter().filter(|child| child.pid.is_none()).map(|child| child.at).min();
            let until_due = due.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            self.wait(pause.min(until_due));
        }
    }

    /// Until the time is over or a signal arrives.
    fn wait(&mut self, time: Duration) {
        // A timeout of zero would mean for ever.
        let time = time.max(Duration::from_millis(10));
        match &mut self.signals {
            Some(signals) if signals.wake.set_read_timeout(Some(time)).is_ok() => {
                let _ = signals.wake.read(&mut [0; 64]);
            }
            _ => std::thread::sleep(time),
        }
    }

    /// Everything whose parent died is process 1's child, too.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let Some(child) = self.children.iter_mut().find(|child| child.pid == Some(pid)) {
                let wait = child.ended(Instant::now());
                let how = how_it_ended(status);
                self.console.say(&format!("{} ended ({how}); it is started again in {} s", child.what, wait.as_secs_f64().ceil()));
            }
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for child in self.children.iter_mut().filter(|child| child.pid.is_none() && child.at <= now) {
            match (child.command)().spawn() {
                Ok(started) => {
                    child.pid = Pid::from_raw(started.id() as i32);
                    child.at = now;
                }
                Err(error) => {
                    child.at = now + child.backoff.next_wait();
                    self.console.say(&format!("{} could not be started: {error}", child.what));
                }
            }
        }
    }

    fn obey_signals(&mut self) {
        let Some(signals) = &self.signals else { return };
        let (words, command) = if signals.restart.swap(false, Ordering::Relaxed) {
            ("restarting: somebody pressed Ctrl-Alt-Del or asked process 1 to end", RebootCommand::Restart)
        } else if signals.switch_off.swap(false, Ordering::Relaxed) {
            ("switching off: somebody asked process 1 to", RebootCommand::PowerOff)
        } else {
            return;
        };
        self.console.say(words);
        rustix::fs::sync();
        if let Err(error) = reboot(command) {
            self.console.say(&format!("the machine did not do it: {error}"));
        }
    }
}

impl Child {
    /// It has ended: when to start it again.
    fn ended(&mut self, now: Instant) -> Duration {
        if now.saturating_duration_since(self.at) >= WELL {
            self.backoff.reset();
        }
        let wait = self.backoff.next_wait();
        (self.pid, self.at) = (None, now + wait);
        wait
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        let (restart, switch_off) = (Arc::default(), Arc::default());
        for (signal, flag) in [(SIGINT, &restart), (SIGTERM, &restart), (SIGUSR2, &switch_off)] {
            signal_hook::flag::register(signal, Arc::clone(flag))?;
        }
        for signal in [SIGCHLD, SIGINT, SIGTERM, SIGUSR2] {
            signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        Ok(Self { wake, restart, switch_off })
    }
}

fn how_it_ended(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "for no known reason".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_ending_is_started_ever_more_slowly_and_what_ran_well_at_once() {
        let start = Instant::now();
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut child = Child { what: "it", command: Box::new(|| Command::new("x")), pid: Pid::from_raw(7), at: start, backoff };
        let mut now = start;
        let waits: Vec<Duration> = (0..8)
            .map(|_| {
                let wait = child.ended(now);
                now += wait;
                wait
            })
            .collect();
        assert!(waits[0] <= Duration::from_secs(1) && waits[7] >= Duration::from_secs(30), "{waits:?}");
        now += WELL;
        assert!(child.ended(now) <= Duration::from_secs(1));
        assert_eq!(child.pid, None);
    }
}
