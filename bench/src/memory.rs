//! How much memory a process holds.

use anyhow::Context;
use std::thread;
use std::time::{Duration, Instant};

/// Memory of one process, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident (`VmRSS`): everything that is mapped and in memory.
    pub resident: u64,
    /// Proportional (`Pss`): shared pages divided among those who share them.
    pub proportional: u64,
}

/// How far values may differ and still count as the same, bytes.
const STEADY: u64 = 64 * 1024;
/// For how long they have to.
const STEADY_FOR: Duration = Duration::from_secs(2);
/// When to take what there is.
const LIMIT: Duration = Duration::from_secs(15);

/// What a process holds now.
pub fn of(pid: u32) -> anyhow::Result<Memory> {
    let resident = field(pid, "status", "VmRSS:")?;
    let proportional = field(pid, "smaps_rollup", "Pss:")?;
    Ok(Memory { resident, proportional })
}

/// What a process holds when it has come to rest.
pub fn at_rest(pid: u32) -> anyhow::Result<Memory> {
    let began = Instant::now();
    let (mut since, mut first) = (Instant::now(), of(pid)?);
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = of(pid)?;
        if now.resident.abs_diff(first.resident) > STEADY {
            (since, first) = (Instant::now(), now);
        }
        if since.elapsed() >= STEADY_FOR || began.elapsed() >= LIMIT {
            return Ok(now);
        }
    }
}

fn field(pid: u32, file: &str, name: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/{file}");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(value.with_context(|| format!("{path} has no {name}"))? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_this_process_is_plausible() {
        let own = of(std::process::id()).expect("this process");
        assert!(own.resident > 500_000 && own.proportional <= own.resident, "{own:?}");
    }
}
