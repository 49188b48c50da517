//! Process 1 of the ramdisk: prepares the machine, starts the agent and keeps it alive. Never ends, because the
//! kernel panics without it; what fails is said on the console, and the rest goes on.
//!
//! ```text
//! mount ─► modules of network cards ─► links up ─► address (udhcpc) ─┐
//!                                                   agent (`run`) ────┼─► reap, restart, look for late devices
//!                                        modules of all other devices ┘
//! ```
//!
//! Programmes of the ramdisk that it uses: `/bin/busybox` (modprobe, udhcpc) and `/etc/overture/udhcpc.sh`.

mod modules;
mod mounts;
mod network;
mod supervise;

use crate::boot::value_of;
use crate::console::Console;
use crate::facts::DRIVERS_LOADED;
use crate::tree::Tree;
use modules::Modules;
use network::Network;
use std::path::Path;
use std::time::{Duration, Instant};
use supervise::Supervisor;

/// Everything that the ramdisk borrows from busybox.
pub const BUSYBOX: &str = "/bin/busybox";
/// What udhcpc calls with each change of the lease; `files/udhcpc.sh` of this crate.
pub const UDHCPC_SCRIPT: &str = "/etc/overture/udhcpc.sh";
/// Modules to load although no device asks for them, one name a line; `#` starts a comment.
pub const MODULES_FILE: &str = "etc/overture/modules";
/// Where the agent keeps its key: in memory.
pub const KEY_FILE: &str = "/run/overture/agent.key";

/// Without a network there is nothing to report to, but people look at the console, so the agent starts after this.
const LONGEST_WITHOUT_NETWORK: Duration = Duration::from_secs(3);
/// A driver that takes longer is waited for no more, and what it finds is reported later.
const LONGEST_LOADING: Duration = Duration::from_secs(15);
/// How often devices are looked for that appear late.
const LATE_DEVICES: Duration = Duration::from_secs(1);
/// When nothing new has appeared for so long, all is there.
const QUIET: Duration = Duration::from_millis(300);
/// How often is looked until then.
const WHILE_LOADING: Duration = Duration::from_millis(30);

/// The whole of it.
pub fn main() -> ! {
    let failures = mounts::mount_all();
    let tree = Tree::live();
    let console = Console::of_the_kernel();
    console.say(concat!("overture-agent ", env!("CARGO_PKG_VERSION"), " prepares this machine"));
    failures.iter().for_each(|failure| console.say(failure));
    let began = tree.text("proc/uptime").and_then(|text| Some(text.split_once(' ')?.0.to_owned()));
    let command_line = tree.bytes("proc/cmdline", 16 * 1024).unwrap_or_default();
    let mac = value_of(&String::from_utf8_lossy(&command_line), "overture.mac").and_then(crate::boot::mac_of);

    let mut supervisor = Supervisor::new(&console);
    let mut modules = Modules::new(&tree, &console);
    let mut network = Network::new(&tree, &console, mac);
    mounts::mount_uefi_variables(&tree);
    bring_up(&mut modules, &mut network, &mut supervisor);
    supervisor.add_agent(began.unwrap_or_default());
    modules.want_all();
    let mut loading = Some(Loading::begin(&tree));
    let mut looked = Instant::now();
    supervisor.run(|supervisor, elapsed| {
        // Controllers with many disks, and cards that are plugged in, take their time. Looking costs time, too.
        if loading.is_some() || looked.elapsed() >= LATE_DEVICES {
            looked = Instant::now();
            let is_loading = modules.load_wanted();
            loading = loading.take().and_then(|so_far| so_far.goes_on(is_loading, &tree));
            network.look(supervisor);
        } else if !network.is_asking() {
            network.look(supervisor);
        }
        network.tell(elapsed);
        match elapsed.as_secs() {
            _ if loading.is_some() => WHILE_LOADING,
            ..10 => Duration::from_millis(200),
            10..60 => Duration::from_secs(1),
            60.. => Duration::from_secs(30),
        }
    })
}

/// Loads the modules of network cards; the address is asked for as soon as the card is there.
fn bring_up(modules: &mut Modules<'_>, network: &mut Network<'_>, supervisor: &mut Supervisor<'_>) {
    let begin = Instant::now();
    while !network.is_asking() && begin.elapsed() < LONGEST_WITHOUT_NETWORK {
        modules.load_wanted();
        network.look(supervisor);
        modules.wait(WHILE_LOADING);
    }
}

/// Until all drivers are loaded and no more disks appear.
struct Loading {
    begin: Instant,
    last_change: Instant,
    disks: usize,
}

impl Loading {
    fn begin(tree: &Tree) -> Self {
        Self { begin: Instant::now(), last_change: Instant::now(), disks: disks(tree) }
    }

    /// `None` when it is over, which the agent is told.
    fn goes_on(mut self, is_loading: bool, tree: &Tree) -> Option<Self> {
        let disks = disks(tree);
        if is_loading || disks != self.disks {
            (self.last_change, self.disks) = (Instant::now(), disks);
        }
        if self.last_change.elapsed() < QUIET && self.begin.elapsed() < LONGEST_LOADING {
            return Some(self);
        }
        // Without the file the agent says of its reports that more may come.
        let _ = std::fs::write(Path::new("/").join(DRIVERS_LOADED), "");
        None
    }
}

fn disks(tree: &Tree) -> usize {
    tree.names("sys/block").len()
}
