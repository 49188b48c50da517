//! The real parts of this machine.

use super::disks::{self, Device};
use super::network::{self, Line};
use super::{Finding, Kind, Limits, Outcome, Parts, cpu, memory};
use crate::sentences::chain;
use crate::service::{AskError, Service};
use crate::tree::Tree;
use inventory_wire::Disk;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A disk that does not end a read so long after the time was over does not answer any more. The kernel gives a
/// command 30 s, and tries it again.
const DISK_PATIENCE: Duration = Duration::from_secs(90);
const SMART_PATIENCE: Duration = Duration::from_secs(20);
const MOST_OF_SMART: usize = 256 * 1024;

/// What is tested when a person orders it.
pub struct ThisHardware {
    tree: Tree,
    disks: Vec<Disk>,
    service: Arc<Service>,
}

impl ThisHardware {
    /// `disks` are those that were reported.
    pub fn new(tree: Tree, disks: Vec<Disk>, service: Arc<Service>) -> Self {
        Self { tree, disks, service }
    }
}

impl Parts for ThisHardware {
    fn test(&self, kind: Kind, limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
        match kind {
            Kind::Memory => memory::test(&self.tree, limits, tell),
            Kind::Cpu => cpu::test(&self.tree, limits, tell),
            Kind::Disks => test_disks(&self.disks, limits, tell),
            Kind::Network => {
                let line = ToService { service: &self.service, lacks: AtomicBool::new(false) };
                network::test(&self.tree, &line, limits, tell);
            }
        }
    }
}

/// All at once, each in a thread that nobody waits for longer than patience lasts.
fn test_disks(disks: &[Disk], limits: &Limits, tell: &(dyn Fn(Finding) + Sync)) {
    let (send, findings) = channel();
    let named = disks.iter().filter_map(|disk| Some((disk.name.clone()?, disk.size_bytes)));
    let mut running: Vec<String> = Vec::new();
    for (name, size) in named {
        let (send, limits, told) = (send.clone(), limits.clone(), name.clone());
        let thread = std::thread::Builder::new().name("disk".into());
        let run = move || send.send(test_disk(&told, size, &limits)).unwrap_or_default();
        match thread.spawn(run) {
            Ok(_) => running.push(name),
            Err(error) => tell(Finding { part: Some(name), outcome: Outcome::Skipped, detail: format!("could not be tested: {error}") }),
        }
    }
    drop(send);
    if disks.is_empty() {
        tell(Finding { part: None, outcome: Outcome::Skipped, detail: "there is no disk".into() });
    }
    while !running.is_empty() {
        let patience = if limits.stopped() { Duration::from_secs(2) } else { limits.left() + DISK_PATIENCE };
        match findings.recv_timeout(patience.min(Duration::from_secs(2))) {
            Ok(finding) => {
                running.retain(|name| Some(name) != finding.part.as_ref());
                tell(finding);
            }
            Err(RecvTimeoutError::Timeout) if limits.stopped() || Instant::now() >= limits.until + DISK_PATIENCE => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for name in running {
        let (outcome, detail) = match limits.stopped() {
            true => (Outcome::Skipped, "the test was stopped while a read of this disk had not ended".to_owned()),
            false => {
                (Outcome::Failed, format!("a read has not ended {} s after the time was over: the disk hangs", DISK_PATIENCE.as_secs()))
            }
        };
        tell(Finding { part: Some(name), outcome, detail });
    }
}

fn test_disk(name: &str, size: Option<u64>, limits: &Limits) -> Finding {
    let failed = |detail| Finding { part: Some(name.to_owned()), outcome: Outcome::Failed, detail };
    let opened = Device::open(&PathBuf::from("/dev").join(name), size.unwrap_or(0));
    let finding = match opened {
        Ok(mut device) => disks::test(name, &mut device, limits),
        Err(error) => return failed(format!("could not be opened for reading: {error}")),
    };
    with_verdict(finding, smart_verdict(name).as_ref())
}

/// The disk's own verdict counts as much as what was seen.
fn with_verdict(finding: Finding, verdict: Option<&bool>) -> Finding {
    match verdict {
        Some(true) => Finding { detail: format!("{}; by SMART it is sound", finding.detail), ..finding },
        Some(false) => {
            let detail = format!("by SMART it expects to fail soon; {}", finding.detail);
            Finding { outcome: Outcome::Failed, detail, ..finding }
        }
        None => Finding { detail: format!("{}; no verdict by SMART", finding.detail), ..finding },
    }
}

/// `smartctl -H` reads, and starts nothing.
fn smart_verdict(name: &str) -> Option<bool> {
    let mut smartctl = Command::new("smartctl");
    smartctl.args(["--json=c", "--health", &format!("/dev/{name}")]);
    let mut child = smartctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let begin = Instant::now();
    while begin.elapsed() < SMART_PATIENCE {
        // Its answer is far smaller than what a pipe holds.
        match child.try_wait() {
            Ok(Some(_)) => {
                let mut answer = Vec::new();
                let out = std::io::Read::take(child.stdout.take()?, MOST_OF_SMART as u64);
                std::io::copy(&mut { out }, &mut answer).ok()?;
                return verdict_in(&answer);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return None,
        }
    }
    let _ = child.kill();
    None
}

fn verdict_in(answer: &[u8]) -> Option<bool> {
    let document: serde_json::Value = serde_json::from_slice(answer).ok()?;
    document.get("smart_status")?.get("passed")?.as_bool()
}

struct ToService<'s> {
    service: &'s Service,
    lacks: AtomicBool,
}

impl Line for ToService<'_> {
    fn fetch(&self, amount: u64, limits: &Limits) -> Result<u64, String> {
        self.service.test_data(amount, limits.left(), &|| limits.over()).map_err(|error| {
            let lacks = !matches!(error, AskError::Unreachable { .. } | AskError::Busy { .. });
            self.lacks.fetch_or(lacks, Ordering::Relaxed);
            chain(&error)
        })
    }

    fn offers(&self) -> bool {
        !self.lacks.load(Ordering::Relaxed)
    }

    fn address(&self) -> Option<Ipv4Addr> {
        let host = self.service.url().strip_prefix("https://")?;
        host.parse::<SocketAddrV4>().map(|address| *address.ip()).or_else(|_| host.parse()).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn the_disks_own_verdict_counts() {
        let finding = || Finding { part: Some("sda".into()), outcome: Outcome::Passed, detail: "no error".into() };
        assert_eq!(verdict_in(br#"{"smart_status":{"passed":false}}"#), Some(false));
        assert_eq!(verdict_in(br#"{"device":{}}"#), None);
        assert_eq!(verdict_in(b"smartctl: command line option"), None);
        let failing = with_verdict(finding(), Some(&false));
        assert!(failing.outcome == Outcome::Failed && failing.detail.starts_with("by SMART it expects to fail soon"));
        assert_eq!(with_verdict(finding(), Some(&true)).outcome, Outcome::Passed);
        assert_eq!(with_verdict(finding(), None).detail, "no error; no verdict by SMART");
    }

    #[test]
    fn a_disk_that_is_not_there_fails_by_name_and_no_disk_at_all_is_skipped() {
        let told = Mutex::new(vec![]);
        let limits = Limits::new(Duration::from_secs(5), Arc::default());
        let tell = |finding| told.lock().unwrap().push(finding);
        let disk = Disk { name: Some("no-such-disk".into()), size_bytes: Some(1 << 30), ..Disk::default() };
        test_disks(&[disk], &limits, &tell);
        test_disks(&[], &limits, &tell);
        let told = told.into_inner().unwrap();
        assert_eq!((told[0].part.as_deref(), told[0].outcome), (Some("no-such-disk"), Outcome::Failed));
        assert_eq!((told[1].part.as_deref(), told[1].outcome), (None, Outcome::Skipped));
    }
}
