//! What a kernel says about its modules (`modules.dep`, `.alias`, `.softdep`, `.builtin`, `.order`), and which of them travel.
//!
//! In the ramdisk busybox's `modprobe` reads `modules.dep`, `modules.alias` and `modules.builtin` as text, so that is what
//! [`Chosen`] writes: the same lines, of the chosen modules only. A module's name has underscores where its file may have
//! dashes. It knows nothing of what a module does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::{BuildError, error};

/// Modules wanted by name, and folders (`kernel/drivers/ata/`) wanted whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) names: Vec<&'static str>,
    pub(crate) folders: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    /// Below `lib/modules/RELEASE`.
    path: String,
    /// Paths, in the order `modules.dep` has them: what is loaded first comes last.
    depends: Vec<String>,
    /// Its place in `modules.order`; those not in it come last.
    order: usize,
}

/// All modules of one kernel.
#[derive(Debug, Default)]
pub(crate) struct Index {
    modules: BTreeMap<String, Module>,
    /// The alias and the module it stands for, as `modules.alias` has them.
    aliases: Vec<(String, String)>,
    /// Module, the whole line, and the names on it.
    softdeps: Vec<(String, String, Vec<String>)>,
    /// Paths of what is in the kernel itself.
    builtin: Vec<String>,
}

/// The chosen modules of an [`Index`].
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    modules: BTreeMap<String, Module>,
    aliases: Vec<(String, String)>,
    softdeps: Vec<String>,
    builtin: Vec<String>,
}

impl Index {
    /// Reads the index files in `lib/modules/RELEASE`. `modules.dep` has to be there; the others may be absent.
    pub(crate) fn read(folder: &Path) -> Result<Self, BuildError> {
        let text = |name: &str| error::read(&folder.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let or_empty = |name: &str| if folder.join(name).exists() { text(name) } else { Ok(String::new()) };
        Ok(Self::parse(
            &text("modules.dep")?,
            &or_empty("modules.alias")?,
            &or_empty("modules.softdep")?,
            &or_empty("modules.builtin")?,
            &or_empty("modules.order")?,
        ))
    }

    fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str, order: &str) -> Self {
        let places: HashMap<&str, usize> = order.lines().zip(0..).collect();
        let mut index = Self { builtin: builtin.lines().map(str::to_owned).collect(), ..Self::default() };
        for (path, depends) in dep.lines().filter_map(|line| line.split_once(':')) {
            let module = Module {
                path: path.to_owned(),
                depends: depends.split_whitespace().map(str::to_owned).collect(),
                order: places.get(path).copied().unwrap_or(usize::MAX),
            };
            index.modules.insert(name_of(path), module);
        }
        for line in alias.lines() {
            if let ["alias", pattern, module] = line.split_whitespace().collect::<Vec<_>>()[..] {
                index.aliases.push((pattern.to_owned(), plain(module)));
            }
        }
        for line in softdep.lines() {
            if let ["softdep", module, names @ ..] = &line.split_whitespace().collect::<Vec<_>>()[..] {
                let names = names.iter().filter(|name| !matches!(**name, "pre:" | "post:")).map(|name| (*name).to_owned());
                index.softdeps.push((plain(module), line.to_owned(), names.collect()));
            }
        }
        index
    }

    pub(crate) fn len(&self) -> usize {
        self.modules.len()
    }

    /// The wanted modules, all they depend on, and what they ask for softly where this kernel has it.
    ///
    /// # Errors
    /// The names that are neither modules nor built in, and folders in which there is nothing.
    pub(crate) fn choose(&self, wanted: &Wanted) -> Result<Chosen, Vec<String>> {
        let mut missing = Vec::new();
        let mut open = Vec::new();
        for name in &wanted.names {
            match self.modules.contains_key(&plain(name)) {
                true => open.push(plain(name)),
                false if self.builtin.iter().any(|path| name_of(path) == plain(name)) => {}
                false => missing.push((*name).to_owned()),
            }
        }
        for folder in &wanted.folders {
            let before = open.len();
            open.extend(self.modules.iter().filter(|(_, module)| module.path.starts_with(folder)).map(|(name, _)| name.clone()));
            if open.len() == before && !self.builtin.iter().any(|path| path.starts_with(folder)) {
                missing.push((*folder).to_owned());
            }
        }
        let names = self.close(open, &mut missing);
        if missing.is_empty() { Ok(self.only(&names)) } else { Err(missing) }
    }

    fn close(&self, mut open: Vec<String>, missing: &mut Vec<String>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        while let Some(name) = open.pop() {
            if names.contains(&name) {
                continue;
            }
            let Some(module) = self.modules.get(&name) else {
                missing.push(name);
                continue;
            };
            open.extend(module.depends.iter().map(|path| name_of(path)));
            open.extend(self.softdeps_of(&name));
            names.insert(name);
        }
        names
    }

    /// Names or aliases; one that this kernel does not have is not asked for, which is what makes it soft.
    fn softdeps_of(&self, name: &str) -> Vec<String> {
        let asked = self.softdeps.iter().filter(|(module, ..)| module == name).flat_map(|(.., names)| names).map(|asked| plain(asked));
        let mut found = Vec::new();
        for asked in asked {
            if self.modules.contains_key(&asked) {
                found.push(asked);
            } else {
                let stands_for = self.aliases.iter().filter(|(pattern, _)| plain(pattern) == asked).map(|(_, module)| module);
                found.extend(stands_for.filter(|module| self.modules.contains_key(*module)).cloned());
            }
        }
        found
    }

    fn only(&self, names: &BTreeSet<String>) -> Chosen {
        let modules: BTreeMap<_, _> =
            self.modules.iter().filter(|(name, _)| names.contains(*name)).map(|(n, m)| (n.clone(), m.clone())).collect();
        let mut aliases: Vec<_> = self.aliases.iter().filter(|(_, module)| names.contains(module)).cloned().collect();
        // Of several modules with the same alias, the kernel prefers the one that modules.order names first (a chipset's own
        // driver before the generic one). busybox loads the last line that fits first, hence the reverse.
        aliases.sort_by_key(|(_, module)| std::cmp::Reverse(modules[module].order));
        Chosen {
            modules,
            aliases,
            softdeps: self.softdeps.iter().filter(|(module, ..)| names.contains(module)).map(|(_, line, _)| line.clone()).collect(),
            builtin: self.builtin.clone(),
        }
    }
}

impl Chosen {
    pub(crate) fn len(&self) -> usize {
        self.modules.len()
    }

    /// Name and path below `lib/modules/RELEASE` of each.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules.iter().map(|(name, module)| (name.as_str(), module.path.as_str()))
    }

    /// The files `modprobe` reads, by name.
    pub(crate) fn index_files(&self) -> [(&'static str, String); 4] {
        let dep = self.modules.values().map(|module| match module.depends.is_empty() {
            true => format!("{}:\n", module.path),
            false => format!("{}: {}\n", module.path, module.depends.join(" ")),
        });
        [
            ("modules.dep", dep.collect()),
            ("modules.alias", self.aliases.iter().map(|(pattern, module)| format!("alias {pattern} {module}\n")).collect()),
            ("modules.softdep", self.softdeps.iter().map(|line| format!("{line}\n")).collect()),
            ("modules.builtin", self.builtin.iter().map(|path| format!("{path}\n")).collect()),
        ]
    }
}

/// A module's name by its file: `kernel/drivers/md/dm-mod.ko` is `dm_mod`.
pub(crate) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    plain(file.split(".ko").next().unwrap_or(file))
}

fn plain(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/net/virtio_net.ko: kernel/net/failover.ko kernel/virtio/virtio-ring.ko\n\
        kernel/net/failover.ko: kernel/virtio/virtio-ring.ko\n\
        kernel/virtio/virtio-ring.ko:\n\
        kernel/fs/ext4.ko: kernel/lib/crc16.ko\n\
        kernel/lib/crc16.ko:\n\
        kernel/crypto/crc32c_generic.ko:\n\
        kernel/crypto/crc32c-intel.ko:\n\
        kernel/ata/ahci.ko:\n\
        kernel/ata/generic.ko:\n";
    const ALIAS: &str = "# Aliases extracted from modules themselves.\n\
        alias pci:v1* virtio_net\n\
        alias pci:bc01* ahci\n\
        alias pci:bc* generic\n\
        alias crypto-crc32c crc32c_generic\n\
        alias crypto-crc32c crc32c_intel\n\
        alias fs-ext4 ext4\n";
    const SOFTDEP: &str = "softdep ext4 pre: crypto-crc32c not-there\n";
    const ORDER: &str = "kernel/ata/ahci.ko\nkernel/ata/generic.ko\n";

    fn index() -> Index {
        Index::parse(DEP, ALIAS, SOFTDEP, "kernel/net/packet/af-packet.ko\nkernel/tty/serial.ko\n", ORDER)
    }

    fn chosen(names: &[&'static str], folders: &[&'static str]) -> Result<Vec<String>, Vec<String>> {
        let wanted = Wanted { names: names.to_vec(), folders: folders.to_vec() };
        Ok(index().choose(&wanted)?.paths().map(|(name, _)| name.to_owned()).collect())
    }

    fn file(wanted: &Wanted, name: &str) -> String {
        let files = index().choose(wanted).unwrap().index_files();
        files.into_iter().find(|(each, _)| *each == name).unwrap().1
    }

    #[test]
    fn what_a_module_needs_comes_with_it() {
        assert_eq!(chosen(&["virtio_net"], &[]).unwrap(), ["failover", "virtio_net", "virtio_ring"]);
    }

    #[test]
    fn soft_dependencies_come_by_alias_and_may_be_absent() {
        assert_eq!(chosen(&["ext4"], &[]).unwrap(), ["crc16", "crc32c_generic", "crc32c_intel", "ext4"]);
    }

    #[test]
    fn a_folder_brings_all_in_it() {
        assert_eq!(chosen(&[], &["kernel/ata/"]).unwrap(), ["ahci", "generic"]);
    }

    #[test]
    fn dashes_and_underscores_are_the_same_and_what_is_built_in_is_there() {
        assert_eq!(chosen(&["virtio-ring", "crc32c_intel", "af_packet"], &["kernel/tty/"]).unwrap(), ["crc32c_intel", "virtio_ring"]);
    }

    #[test]
    fn everything_missing_is_named_at_once() {
        assert_eq!(chosen(&["e1000", "ext4", "floppy"], &["kernel/scsi/"]).unwrap_err(), ["e1000", "floppy", "kernel/scsi/"]);
    }

    #[test]
    fn a_dependency_without_a_line_of_its_own_is_missing() {
        let index = Index::parse("kernel/a.ko: kernel/b.ko\n", "", "", "", "");
        assert_eq!(index.choose(&Wanted { names: vec!["a"], folders: vec![] }).unwrap_err(), ["b"]);
    }

    #[test]
    fn a_cycle_of_soft_dependencies_ends() {
        let index = Index::parse("kernel/a.ko:\nkernel/b.ko:\n", "", "softdep a post: b\nsoftdep b pre: a\n", "", "");
        assert_eq!(index.choose(&Wanted { names: vec!["a"], folders: vec![] }).unwrap().len(), 2);
    }

    #[test]
    fn the_index_files_hold_the_chosen_modules_only() {
        let wanted = Wanted { names: vec!["ext4"], folders: vec![] };
        assert_eq!(
            file(&wanted, "modules.dep"),
            "kernel/lib/crc16.ko:\nkernel/crypto/crc32c_generic.ko:\nkernel/crypto/crc32c-intel.ko:\nkernel/fs/ext4.ko: kernel/lib/crc16.ko\n"
        );
        assert_eq!(
            file(&wanted, "modules.alias"),
            "alias crypto-crc32c crc32c_generic\nalias crypto-crc32c crc32c_intel\nalias fs-ext4 ext4\n"
        );
        assert_eq!(file(&wanted, "modules.softdep"), SOFTDEP);
        assert_eq!(file(&wanted, "modules.builtin"), "kernel/net/packet/af-packet.ko\nkernel/tty/serial.ko\n");
    }

    #[test]
    fn the_preferred_driver_stands_last_because_busybox_loads_that_first() {
        let wanted = Wanted { names: vec![], folders: vec!["kernel/ata/"] };
        assert_eq!(file(&wanted, "modules.alias"), "alias pci:bc* generic\nalias pci:bc01* ahci\n");
    }
}
