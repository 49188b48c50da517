//! Process 1 of the ramdisk: prepares the machine, starts the agent and keeps it alive. Never ends, because the
//! kernel panics without it; what fails is said on the console, and the rest goes on.
//!
//! ```text
//! mount ─► modules, until nothing new appears ─► links up ─► address (udhcpc) ─┐
//!                                                                              ├─► reap, restart, look for late devices
//!                                                            agent (`run`) ────┘
//! ```
//!
//! Programmes of the ramdisk that it uses: `/bin/busybox` (modprobe, udhcpc) and `/etc/overture/udhcpc.sh`.

mod modules;
mod mounts;
mod network;
mod supervise;

use crate::boot::value_of;
use crate::console::Console;
use crate::tree::Tree;
use modules::Modules;
use network::Network;
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

/// Devices that take longer are found later, and reported then.
const LONGEST_SETTLING: Duration = Duration::from_secs(3);
/// How often devices are looked for that appear late.
const LATE_DEVICES: Duration = Duration::from_secs(1);
/// When nothing new has appeared for so long, the machine has settled.
const QUIET: Duration = Duration::from_millis(300);

/// The whole of it.
pub fn main() -> ! {
    let failures = mounts::mount_all();
    let tree = Tree::live();
    let console = Console::of_the_kernel();
    console.say(concat!("overture-agent ", env!("CARGO_PKG_VERSION"), " prepares this machine"));
    failures.iter().for_each(|failure| console.say(failure));
    let command_line = tree.bytes("proc/cmdline", 16 * 1024).unwrap_or_default();
    let mac = value_of(&String::from_utf8_lossy(&command_line), "overture.mac").and_then(crate::boot::mac_of);

    let mut supervisor = Supervisor::new(&console);
    let mut modules = Modules::new(&tree, &console);
    let mut network = Network::new(&tree, &console, mac);
    mounts::mount_uefi_variables(&tree);
    settle(&tree, &mut modules, &mut network, &mut supervisor);
    supervisor.add_agent();
    // Nothing of the list is needed to look and to report.
    modules.want_listed();
    let mut looked = Instant::now();
    supervisor.run(|supervisor, elapsed| {
        // Controllers with many disks, and cards that are plugged in, take their time. Looking costs time, too.
        if looked.elapsed() >= LATE_DEVICES {
            looked = Instant::now();
            modules.load_wanted();
            network.look(supervisor);
        } else if !network.is_asking() {
            network.look(supervisor);
        }
        network.tell(elapsed);
    })
}

/// Loads modules until no new device asks for one; the address is asked for as soon as its card is there.
fn settle(tree: &Tree, modules: &mut Modules<'_>, network: &mut Network<'_>, supervisor: &mut Supervisor<'_>) {
    let begin = Instant::now();
    let (mut last_change, mut disks) = (begin, 0);
    loop {
        let loading = modules.load_wanted();
        let disks_now = tree.names("sys/block").len();
        if loading || disks_now != disks {
            (last_change, disks) = (Instant::now(), disks_now);
        }
        network.look(supervisor);
        let settled = last_change.elapsed() >= QUIET && network.is_asking();
        if settled || begin.elapsed() >= LONGEST_SETTLING {
            return;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
}
