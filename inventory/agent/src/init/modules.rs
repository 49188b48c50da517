//! Drivers: each device says which modules it wants, modprobe knows which they are.
//!
//! Devices are asked by their `uevent`, which has the alias on every bus, and not by a file `modalias`, which some
//! lack. modprobe reads its tables anew each time it is called, so many aliases share a call.

use super::{BUSYBOX, MODULES_FILE};
use crate::console::Console;
use crate::tree::Tree;
use rustix::process::{Pid, setpriority_process};
use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far below the kernel's limit for arguments; an alias has at most some hundred bytes, but one processor's has 2,000.
const MOST_BYTES_A_CALL: usize = 60_000;
const MOST_DEVICES: usize = 50_000;
/// Behind the report in the queue for the processor (`nice`).
const LATER: i32 = 10;

/// What was loaded so far. One modprobe runs at a time, and nobody waits for it: a driver that needs a minute for its
/// hardware, or never comes back, must not keep the machine from reporting.
pub struct Modules<'t> {
    tree: &'t Tree,
    console: &'t Console,
    asked: BTreeSet<String>,
    running: Option<Child>,
    also: Vec<String>,
    /// Whether more than what a network card needs is wanted.
    all: bool,
}

impl<'t> Modules<'t> {
    /// Nothing was loaded yet.
    pub fn new(tree: &'t Tree, console: &'t Console) -> Self {
        Self { tree, console, asked: BTreeSet::new(), running: None, also: Vec::new(), all: false }
    }

    /// From now on loads what all devices want, and what [`MODULES_FILE`] lists.
    pub fn want_all(&mut self) {
        self.all = true;
        self.also = listed(&String::from_utf8_lossy(&self.tree.bytes(MODULES_FILE, 64 * 1024).unwrap_or_default()));
    }

    /// Loads what devices want that have appeared since the last time, and what was added. Whether there is something to
    /// wait for.
    pub fn load_wanted(&mut self) -> bool {
        if let Some(modprobe) = &mut self.running
            && matches!(modprobe.try_wait(), Ok(None))
        {
            return true;
        }
        self.running = None;
        let new = |wanted: Vec<String>| wanted.into_iter().filter(|alias| !self.asked.contains(alias)).collect::<Vec<_>>();
        let (first, rest) = aliases(self.tree);
        let mut new_ones = new(first);
        if new_ones.is_empty() && self.all {
            new_ones = new(rest.into_iter().chain(self.also.iter().cloned()).collect());
        }
        let batch = first_batch(&new_ones);
        if batch.is_empty() {
            return false;
        }
        match modprobe(batch) {
            Ok(started) => {
                // The report does not wait for the other drivers, so they wait for it where there is one processor for both.
                let _ = setpriority_process(i32::try_from(started.id()).ok().and_then(Pid::from_raw), if self.all { LATER } else { 0 });
                self.running = Some(started);
            }
            Err(error) => self.console.say(&format!("modprobe could not be started, drivers will be missing: {error}")),
        }
        self.asked.extend(batch.iter().cloned());
        true
    }
}

impl Modules<'_> {
    /// Waits for what is being loaded, at most so long.
    pub fn wait(&mut self, most: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < most {
            if self.running.as_mut().is_none_or(|modprobe| !matches!(modprobe.try_wait(), Ok(None))) && self.running.take().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// Starts to load modules by name or alias. A module that does not exist is no failure: most aliases have none.
pub fn modprobe(names: &[String]) -> std::io::Result<Child> {
    let mut modprobe = Command::new(BUSYBOX);
    modprobe.args(["modprobe", "-q", "-a", "--"]).args(names);
    modprobe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// The aliases of every device on every bus: those of network cards, then all others.
fn aliases(tree: &Tree) -> (Vec<String>, Vec<String>) {
    let mut found = BTreeSet::new();
    let buses = tree.names("sys/bus").into_iter().map(|bus| format!("sys/bus/{bus}/devices"));
    let devices = buses.flat_map(|folder| tree.names(&folder).into_iter().map(move |device| format!("{folder}/{device}/uevent")));
    for uevent in devices.take(MOST_DEVICES) {
        let text = tree.bytes(&uevent, 8192).unwrap_or_default();
        found.extend(alias_in(&String::from_utf8_lossy(&text)).map(str::to_owned));
    }
    found.into_iter().partition(|alias| is_first(alias))
}

/// A PCI device of class 02, a network controller, or what is behind a virtual one. The address is then asked for while
/// the modules of all other devices still load.
fn is_first(alias: &str) -> bool {
    alias.starts_with("virtio:") || (alias.starts_with("pci:") && alias.contains("bc02"))
}

/// The line `MODALIAS=` of a uevent.
fn alias_in(uevent: &str) -> Option<&str> {
    let alias = uevent.lines().find_map(|line| line.strip_prefix("MODALIAS="))?.trim();
    (!alias.is_empty() && !alias.starts_with('-')).then_some(alias)
}

fn listed(text: &str) -> Vec<String> {
    let words = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    words.filter(|name| !name.is_empty() && !name.starts_with('-')).map(str::to_owned).collect()
}

/// As many as fit in one call.
fn first_batch(names: &[String]) -> &[String] {
    let mut bytes = 0;
    let fitting = names.iter().take_while(|name| {
        bytes += name.len() + 1;
        bytes <= MOST_BYTES_A_CALL
    });
    let count = fitting.count().max(1);
    names.get(..count).unwrap_or(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_device_asks_once() {
        let folder = tempfile::tempdir().unwrap();
        let device = |path: &str, text: &str| {
            let path = folder.path().join("sys/bus").join(path);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("uevent"), text).unwrap();
        };
        device("pci/devices/0000:00:03.0", "PCI_ID=1AF4:1000\nMODALIAS=pci:v00001AF4d00001000bc02sc00i00\n");
        device("pci/devices/0000:00:04.0", "MODALIAS=pci:v00001AF4d00001000bc02sc00i00\n");
        device("virtio/devices/virtio0", "MODALIAS=virtio:d00000001v00001AF4\n");
        device("cpu/devices/cpu0", "DRIVER=processor\n");
        device("pci/devices/0000:00:01.1", "MODALIAS=pci:v00008086d00007010bc01sc01i80\n");
        device("platform/devices/pcspkr", "MODALIAS=platform:pcspkr\n");
        let tree = Tree::copy(folder.path());
        let (first, rest) = aliases(&tree);
        assert_eq!(first, ["pci:v00001AF4d00001000bc02sc00i00", "virtio:d00000001v00001AF4"]);
        assert_eq!(rest, ["pci:v00008086d00007010bc01sc01i80", "platform:pcspkr"]);
    }

    #[test]
    fn the_list_has_comments_and_no_options() {
        assert_eq!(listed("bonding # for later\n\n# nothing\n  8021q\n-r\n"), ["bonding", "8021q"]);
        assert_eq!(alias_in("MODALIAS=-r\n"), None);
    }

    #[test]
    fn a_call_is_not_longer_than_the_kernel_takes() {
        let names: Vec<String> = (0..100).map(|i| format!("{i:02000}")).collect();
        let batch = first_batch(&names);
        assert!(batch.len() > 1 && batch.concat().len() <= MOST_BYTES_A_CALL);
        assert_eq!(batch, &names[..batch.len()]);
        assert_eq!(first_batch(&[]).len(), 0);
        assert_eq!(first_batch(&["a".repeat(MOST_BYTES_A_CALL)]).len(), 1, "not for ever the same");
    }
}
