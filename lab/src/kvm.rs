//! Whether `/dev/kvm` is any good. It may exist and refuse the processor, hang, or be slower than translating (all
//! seen inside rented virtual machines), so it is believed only after a guest has done real work in good time.

use crate::plan::{Accel, AccelWish};
use crate::process::{self, ProcessId};
use crate::programs;
use crate::qemu;
use domain::timeline::printable;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the processors of a lab run on, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccelChoice {
    /// The choice.
    pub accel: Accel,
    /// Why, as the end of the sentence "emulated, because …" or "KVM, because …".
    pub why: String,
}

/// A trial of an accelerator: a guest counts down `turns` and says so, `attempts` times in a row.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// What is tried.
    pub accel: Accel,
    /// How far the guest counts: two instructions a turn.
    pub turns: u32,
    /// How long one attempt may take.
    pub limit: Duration,
    /// How often it must succeed.
    pub attempts: u32,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// Each attempt did its work; the slowest took this long.
    Works(Duration),
    /// The accelerator cannot be used: what QEMU or the kernel said.
    Refused(String),
    /// It did not finish within the limit.
    TooSlow(Duration),
}

/// A thousand million turns are a third of a second on a processor's own support and three and a half seconds
/// translated: what needs longer than the limit is no gain.
const KVM: Probe = Probe { accel: Accel::Kvm, turns: 1_000_000_000, limit: Duration::from_secs(3), attempts: 2 };

/// What the guest writes to the exit device, and what QEMU's exit status becomes by it: `value << 1 | 1`.
const DONE: u8 = 0x2a;
const DONE_STATUS: i32 = (DONE as i32) << 1 | 1;

/// Chooses what the machines of a lab run on. `scratch` is a file that may be overwritten.
pub(crate) fn choose(wish: AccelWish, scratch: &Path) -> AccelChoice {
    let (accel, why) = match wish {
        AccelWish::Tcg => (Accel::Tcg, "it was asked for".to_owned()),
        AccelWish::Kvm => (Accel::Kvm, "it was asked for".to_owned()),
        AccelWish::Auto => judge(open_kvm().map_or_else(ProbeOutcome::Refused, |()| KVM.run(scratch))),
    };
    AccelChoice { accel, why }
}

fn judge(outcome: ProbeOutcome) -> (Accel, String) {
    match outcome {
        ProbeOutcome::Works(took) => (Accel::Kvm, format!("a trial guest did its work in {} ms", took.as_millis())),
        ProbeOutcome::Refused(why) => (Accel::Tcg, format!("KVM cannot be used here: {why}")),
        ProbeOutcome::TooSlow(limit) => {
            (Accel::Tcg, format!("KVM hangs or is slower than emulation here: a trial guest needed over {} s", limit.as_secs_f32()))
        }
    }
}

fn open_kvm() -> Result<(), String> {
    OpenOptions::new().read(true).write(true).open("/dev/kvm").map(drop).map_err(|e| format!("/dev/kvm: {e}"))
}

impl Probe {
    /// Runs the trial. Takes at most `limit` an attempt and some seconds more where the kernel holds on to QEMU.
    pub fn run(&self, scratch: &Path) -> ProbeOutcome {
        if let Err(e) = std::fs::write(scratch, boot_disk(self.turns)) {
            return ProbeOutcome::Refused(format!("{} could not be written: {e}", scratch.display()));
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..self.attempts {
            match self.attempt(scratch) {
                ProbeOutcome::Works(took) => slowest = slowest.max(took),
                other => return other,
            }
        }
        ProbeOutcome::Works(slowest)
    }

    fn attempt(&self, scratch: &Path) -> ProbeOutcome {
        let started = Instant::now();
        match self.start(scratch) {
            Ok(mut child) => self.watch(&mut child, started),
            Err(e) => ProbeOutcome::Refused(format!("{} could not be started: {e}", qemu::PROGRAM)),
        }
    }

    fn start(&self, scratch: &Path) -> io::Result<Child> {
        let mut command = Command::new(programs::path_of(qemu::PROGRAM));
        command.args(["-accel", qemu::accelerator(self.accel), "-nodefaults", "-no-user-config", "-display", "none", "-m", "16"]);
        command.args(qemu::bios_board(self.accel).into_iter().flat_map(|(name, value)| [name, value]));
        command.args(["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01", "-drive"]);
        command.arg(format!("if=ide,format=raw,file={}", scratch.to_string_lossy().replace(',', ",,")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }

    fn watch(&self, child: &mut Child, started: Instant) -> ProbeOutcome {
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.code() == Some(DONE_STATUS) => return ProbeOutcome::Works(started.elapsed()),
                Ok(Some(status)) => return ProbeOutcome::Refused(complaint(child).unwrap_or_else(|| format!("QEMU ended with {status}"))),
                Err(e) => return ProbeOutcome::Refused(e.to_string()),
                Ok(None) if started.elapsed() > self.limit => break,
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        // Not Child::wait: a guest that hangs in the kernel might never let go.
        if let Some(process) = ProcessId::of(child.id()) {
            process::end(&[process], Duration::ZERO);
        }
        let _ = child.try_wait();
        ProbeOutcome::TooSlow(self.limit)
    }
}

/// The last thing that a QEMU which has ended said.
fn complaint(child: &mut Child) -> Option<String> {
    let mut said = Vec::new();
    child.stderr.take()?.take(4096).read_to_end(&mut said).ok()?;
    String::from_utf8_lossy(&said).lines().find(|line| line.contains("error") || line.contains("failed")).map(|line| printable(line, 200))
}

/// A disk whose boot sector counts down and leaves through the exit device.
fn boot_disk(turns: u32) -> Vec<u8> {
    let mut code = vec![0xfa, 0x66, 0xb9]; //  cli; mov ecx, turns
    code.extend(turns.to_le_bytes());
    code.extend([0x66, 0x49, 0x75, 0xfc]); //  again: dec ecx; jnz again
    code.extend([0xb0, DONE, 0xe6, 0xf4]); //  mov al, DONE; out 0xf4, al
    code.extend([0xf4, 0xeb, 0xfd]); //        stop: hlt; jmp stop
    code.resize(510, 0);
    code.extend([0x55, 0xaa]);
    code.resize(1 << 20, 0);
    code
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_guest_does_its_work_where_the_accelerator_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        let probe = Probe { accel: Accel::Tcg, turns: 1_000_000, limit: Duration::from_secs(60), attempts: 2 };
        assert!(matches!(probe.run(&folder.path().join("disk")), ProbeOutcome::Works(_)));
    }

    #[test]
    fn a_guest_that_does_not_finish_is_given_up_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let limit = Duration::from_millis(300);
        let probe = Probe { accel: Accel::Tcg, turns: u32::MAX, limit, attempts: 2 };
        let started = Instant::now();
        assert_eq!(probe.run(&folder.path().join("disk")), ProbeOutcome::TooSlow(limit));
        assert!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
    }

    #[test]
    fn choosing_by_itself_always_comes_to_an_answer_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let choice = choose(AccelWish::Auto, &folder.path().join("disk"));
        assert!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
        assert!(!choice.why.is_empty());
    }

    #[test]
    fn only_a_trial_that_succeeded_speaks_for_kvm() {
        assert_eq!(judge(ProbeOutcome::Works(Duration::from_millis(700))).0, Accel::Kvm);
        assert_eq!(judge(ProbeOutcome::Refused("no".into())).0, Accel::Tcg);
        assert_eq!(judge(ProbeOutcome::TooSlow(Duration::from_secs(3))).0, Accel::Tcg);
    }
}
