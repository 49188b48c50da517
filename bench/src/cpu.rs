//! The processor time of a contestant: from a control group of its own, version 1 (cpuacct) or 2, whichever this machine
//! lets be made; else from `/proc`, whose steps are 10 ms, and that is said.

use crate::cleanup::{self, Owned, Thing};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where processor time is read.
#[derive(Debug)]
pub enum Meter {
    /// A control group.
    Group {
        /// Its folder.
        folder: PathBuf,
        /// Whether version 2.
        second: bool,
        /// Removes it.
        _owned: Owned,
    },
    /// `/proc/PID/stat`.
    Process(u32),
}

impl Meter {
    /// A meter of a process that has just been started, and of its children to come.
    pub fn attach(pid: u32) -> Self {
        groups().into_iter().find_map(|(parent, second)| group(&parent, second, pid)).unwrap_or(Self::Process(pid))
    }

    /// Where the numbers come from, for people.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Group { second: false, .. } => "control group (cpuacct)",
            Self::Group { second: true, .. } => "control group (version 2)",
            Self::Process(_) => "/proc/PID/stat in steps of 10 ms, because no control group could be made",
        }
    }

    /// Processor time used so far.
    pub fn used(&self) -> anyhow::Result<Duration> {
        match self {
            Self::Group { folder, second: false, .. } => Ok(Duration::from_nanos(read(&folder.join("cpuacct.usage"))?.trim().parse()?)),
            Self::Group { folder, second: true, .. } => {
                let text = read(&folder.join("cpu.stat"))?;
                let line = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).context("cpu.stat has no usage_usec")?;
                Ok(Duration::from_micros(line.trim().parse()?))
            }
            Self::Process(pid) => ticks(&read(Path::new(&format!("/proc/{pid}/stat")))?),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))
}

/// utime and stime, fields 14 and 15; the name in field 2 may hold anything, so counting begins behind its bracket.
fn ticks(stat: &str) -> anyhow::Result<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(')').context("/proc/PID/stat has no name")?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    let (user, system) = field(14).zip(field(15)).context("/proc/PID/stat has no times")?;
    // A tick is 10 ms on every Linux that this runs on (USER_HZ is part of the kernel's interface).
    Ok(Duration::from_millis(10 * (user + system)))
}

fn group(parent: &Path, second: bool, pid: u32) -> Option<Meter> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let folder = parent.join(cleanup::name(&NUMBER.fetch_add(1, Ordering::Relaxed).to_string()));
    let owned = cleanup::own(Thing::ControlGroup(folder.clone()));
    std::fs::create_dir(&folder).ok()?;
    std::fs::write(folder.join("cgroup.procs"), pid.to_string()).ok()?;
    let meter = Meter::Group { folder, second, _owned: owned };
    meter.used().is_ok().then_some(meter)
}

/// The groups that this process is in: folder, and whether version 2. Those of version 1 count in nanoseconds and come first.
fn groups() -> Vec<(PathBuf, bool)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut found = found_groups(&mounts, &own);
    found.sort_by_key(|(_, second)| *second);
    found
}

fn found_groups(mounts: &str, own: &str) -> Vec<(PathBuf, bool)> {
    let mut found = Vec::new();
    for mount in mounts.lines() {
        let [_, point, kind, options, ..] = mount.split(' ').collect::<Vec<_>>()[..] else { continue };
        let first = kind == "cgroup" && options.split(',').any(|option| option == "cpuacct");
        if !first && kind != "cgroup2" {
            continue;
        }
        let path = own.lines().find_map(|line| {
            let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { return None };
            let ours = if first { controllers.split(',').any(|name| name == "cpuacct") } else { controllers.is_empty() };
            ours.then_some(path)
        });
        found.push((Path::new(point).join(path.unwrap_or("/").trim_start_matches('/')), !first));
    }
    found
}

/// Where control groups of this run, and of earlier ones, may lie.
pub fn parents() -> Vec<PathBuf> {
    groups().into_iter().map(|(folder, _)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::{Arc, Mutex};

    #[test]
    fn groups_are_found_of_either_version() {
        let first =
            "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0";
        assert_eq!(found_groups(first, "4:memory:/m\n3:cpu,cpuacct:/a/b"), [(PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/a/b"), false)]);
        let second = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\ntmpfs /tmp tmpfs rw 0 0";
        assert_eq!(found_groups(second, "0::/user.slice"), [(PathBuf::from("/sys/fs/cgroup/user.slice"), true)]);
        assert_eq!(found_groups("", ""), []);
    }

    #[test]
    fn the_time_of_a_busy_process_is_counted_by_every_meter() {
        let child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        let pid = child.id();
        let _owned = cleanup::own(Thing::Process(Arc::new(Mutex::new(child))));
        for meter in [Meter::attach(pid), Meter::Process(pid)] {
            let before = meter.used().expect("a time");
            while meter.used().expect("a time") <= before + Duration::from_millis(20) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn ticks_are_read_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat).expect("times"), Duration::from_millis(420));
    }
}
