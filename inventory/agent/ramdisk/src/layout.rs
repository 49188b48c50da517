//! What stands where in the ramdisk:
//!
//! ```text
//! /init -> bin/overture-agent        the kernel starts it as process 1
//! /bin/overture-agent, /bin/busybox  and links to busybox: /bin/sh, /sbin/modprobe, …
//! /etc/overture/modules              modules to load by name, one a line
//! /etc/overture/udhcpc.sh            what udhcpc calls with a lease
//! /etc/modprobe.d/overture.conf      options of modules
//! /sbin/blkid, /sbin/wipefs          Debian's tools for disks, /usr/sbin/smartctl too,
//! /lib/x86_64-linux-gnu, /lib64      and their libraries
//! /usr/share/misc/pci.ids            names of PCI devices
//! /lib/modules/RELEASE/              modules and their index
//! /dev/console, /dev/null            until the agent mounts devtmpfs
//! /proc /sys /run /tmp …             to mount on
//! ```
//!
//! It knows nothing of what the agent does with it.

use std::path::Path;

use crate::cpio::{Archive, Entry};
use crate::elf::{Linkage, linkage};
use crate::kernel::ModuleFile;
use crate::module_index::Chosen;
use crate::tools::Tools;
use crate::{BuildError, Digest, ModuleSet, error};

/// To be raised when the same inputs come to be written in another way.
const BUILDER: &str = concat!("overture ", env!("CARGO_PKG_VERSION"), " ramdisk 2");

const AGENT: &str = "bin/overture-agent";
const BUSYBOX: &str = "bin/busybox";
const FOLDERS: [&str; 6] = ["dev", "mnt", "proc", "root", "run", "sys"];
/// For the agent, which calls them by path, and for a person at the console. busybox's own shell finds the rest by itself.
const IN_BIN: [&str; 13] = ["cat", "dmesg", "ip", "ls", "lsmod", "mount", "ping", "ps", "sh", "sleep", "udhcpc", "umount", "vi"];
/// The kernel itself calls /sbin/modprobe when it needs a file system, a cipher or a PHY.
const IN_SBIN: [&str; 6] = ["ip", "modprobe", "poweroff", "reboot", "rmmod", "udhcpc"];

const UDHCPC: &str = include_str!("../../files/udhcpc.sh");
/// By default bonding makes a bond0 as soon as it is loaded, which would look like a network card.
const MODULE_OPTIONS: &str = "options bonding max_bonds=0\n";

/// A program of the ramdisk.
pub(crate) struct Program {
    content: Vec<u8>,
    pub(crate) digest: Digest,
}

/// The two programs of the ramdisk.
pub(crate) struct Programs {
    pub(crate) agent: Program,
    pub(crate) busybox: Program,
}

impl Programs {
    /// Reads both and checks that they run without libraries.
    pub(crate) fn read(agent: &Path, busybox: &Path) -> Result<Self, BuildError> {
        let agent = Program::read(
            "agent",
            agent,
            "build it with RUSTFLAGS=\"-C target-feature=+crt-static\" and --target x86_64-unknown-linux-gnu (`make agent`)",
        )?;
        Ok(Self { agent, busybox: Program::read("busybox", busybox, "install the package busybox-static")? })
    }
}

impl Program {
    fn read(what: &'static str, path: &Path, mend: &'static str) -> Result<Self, BuildError> {
        if !path.is_file() {
            return Err(BuildError::NoProgram { what, path: path.to_owned(), mend });
        }
        let content = error::read(path)?;
        match linkage(&content) {
            Linkage::Static => Ok(Self { digest: Digest::of(&content), content }),
            Linkage::Unusable(found) => Err(BuildError::NotStatic { what, path: path.to_owned(), found, mend }),
        }
    }

    fn entry(&self) -> Entry {
        Entry::File { mode: 0o755, content: self.content.clone() }
    }
}

/// A digest of all that this program decides by itself about a ramdisk with this set.
pub(crate) fn recipe(set: ModuleSet) -> Digest {
    let wanted = set.wanted();
    let fixed = fixed(set).expect("fixed names are plain").emit();
    let names = wanted.names.join(" ");
    let folders = wanted.folders.join(" ");
    Digest::of_pieces([BUILDER.as_bytes(), &fixed, names.as_bytes(), folders.as_bytes()])
}

/// The whole tree.
pub(crate) fn compose(
    set: ModuleSet,
    release: &str,
    programs: &Programs,
    tools: &Tools,
    chosen: &Chosen,
    files: Vec<ModuleFile>,
) -> Result<Archive, BuildError> {
    let mut archive = fixed(set)?;
    archive.put(AGENT, programs.agent.entry())?;
    archive.put(BUSYBOX, programs.busybox.entry())?;
    tools.put_into(&mut archive)?;
    let folder = format!("lib/modules/{release}");
    for file in files {
        archive.put(&format!("{folder}/{}", file.path), Entry::File { mode: 0o644, content: file.content })?;
    }
    for (name, text) in chosen.index_files() {
        archive.put(&format!("{folder}/{name}"), text_file(0o644, &text))?;
    }
    Ok(archive)
}

/// All that does not come from the inputs.
fn fixed(set: ModuleSet) -> Result<Archive, BuildError> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.put(folder, Entry::Folder { mode: 0o755 })?;
    }
    archive.put("tmp", Entry::Folder { mode: 0o1777 })?;
    archive.put("init", link(AGENT))?;
    for applet in IN_BIN {
        archive.put(&format!("bin/{applet}"), link("busybox"))?;
    }
    for applet in IN_SBIN {
        archive.put(&format!("sbin/{applet}"), link("../bin/busybox"))?;
    }
    archive.put("dev/console", Entry::CharacterDevice { mode: 0o600, major: 5, minor: 1 })?;
    archive.put("dev/null", Entry::CharacterDevice { mode: 0o666, major: 1, minor: 3 })?;
    let by_name: String = set.by_name().iter().map(|name| format!("{name}\n")).collect();
    archive.put("etc/overture/modules", text_file(0o644, &by_name))?;
    archive.put("etc/overture/udhcpc.sh", text_file(0o755, UDHCPC))?;
    archive.put("etc/modprobe.d/overture.conf", text_file(0o644, MODULE_OPTIONS))?;
    Ok(archive)
}

fn link(target: &str) -> Entry {
    Entry::Link { target: target.to_owned() }
}

fn text_file(mode: u32, text: &str) -> Entry {
    Entry::File { mode, content: text.as_bytes().to_vec() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_by_name_travels_with_the_set() {
        for set in [ModuleSet::Lab, ModuleSet::Full] {
            let wanted = set.wanted();
            let by_folder = ["coretemp", "md_mod"];
            for name in set.by_name() {
                assert!(wanted.names.contains(&name) || by_folder.contains(&name), "{name}");
            }
        }
    }

    #[test]
    fn another_set_is_another_recipe() {
        assert_ne!(recipe(ModuleSet::Lab), recipe(ModuleSet::Full));
        assert_eq!(recipe(ModuleSet::Lab), recipe(ModuleSet::Lab));
    }

    #[test]
    fn a_program_that_is_missing_or_needs_libraries_is_refused_with_a_mend() {
        let agent = std::env::current_exe().unwrap();
        let refused = Programs::read(&agent, Path::new("/bin/busybox")).err().unwrap().to_string();
        assert!(refused.contains("it is linked to shared libraries, not a static x86-64 program; build it with"), "{refused}");
        let missing = Program::read("busybox", Path::new("/nonexistent/busybox"), "install the package busybox-static").err().unwrap();
        assert_eq!(missing.to_string(), "there is no busybox at /nonexistent/busybox: install the package busybox-static");
    }
}
