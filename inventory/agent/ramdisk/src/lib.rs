//! Builds what a node boots into memory: a kernel and a ramdisk with the agent, busybox, the modules servers need, and Debian's
//! tools for disks.
//!
//! ```text
//! tools' packages ─unpack─► libraries ─────────┐
//! kernel package ─unpack─► module index ─choose─► archive tree ─newc─► zstd ─► ramdisk
//!                    └────────────────────────────────────────────────────────► vmlinuz
//!                                                          every digest of it ► manifest.json
//! ```
//!
//! Same inputs, same bytes: nothing of the machine that builds (clock, user, umask, order of a folder) enters the ramdisk.
//! Nothing is installed on that machine, and nothing out of the packages is run.
//!
//! It deliberately does not know how the agent is built, who serves the files, or what the agent does with the modules.

mod apt;
#[cfg(test)]
mod build_tests;
mod command;
mod compress;
mod cpio;
mod digest;
mod elf;
mod error;
mod inspect;
mod kernel;
mod layout;
mod manifest;
mod module_index;
mod output;
mod sets;
mod tools;
#[cfg(test)]
mod tools_tests;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use digest::Digest;
pub use error::BuildError;
pub use manifest::{FileRecord, Inputs, KernelRecord, Manifest, ManifestError, ModuleRecord, PackageRecord, RamdiskRecord};
pub use sets::{ModuleSet, UnknownModuleSet};

use kernel::{Package, Tree};
use layout::Programs;
use module_index::{Chosen, Index};
use tools::{Packages, Tools};

/// Where the kernel and its modules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// A kernel package of Debian (`linux-image-…_amd64.deb`) as a file. It is unpacked into the cache, never installed.
    DebianPackage(PathBuf),
    /// The kernel that `linux-image-amd64` depends on, fetched by `apt-get download` into the cache, never installed.
    Apt,
    /// An unpacked tree with `boot/vmlinuz-RELEASE` and `lib/modules/RELEASE`, one release only. It is only read.
    Tree {
        /// The folder that stands for `/`.
        root: PathBuf,
    },
}

/// Where the tools come from by which the agent asks disks for their health and content (blkid, wipefs, smartctl), and the list
/// of the names of PCI devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolSource {
    /// Debian's packages, fetched by `apt-get download` into the cache, never installed.
    Apt,
    /// The same packages as files. They are unpacked into the cache, never installed.
    DebianPackages(Vec<PathBuf>),
    /// No tools: the agent reports what the kernel knows, and gaps for the rest.
    Nowhere,
}

/// What to build, from what, into which folder.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the kernel comes from.
    pub kernel: KernelSource,
    /// The agent: a static x86-64 executable, which becomes `/init`.
    pub agent: PathBuf,
    /// A static busybox; [`installed_busybox`] knows where Debian's `busybox-static` puts it.
    pub busybox: PathBuf,
    /// Where the tools for disks come from.
    pub tools: ToolSource,
    /// Which modules travel.
    pub modules: ModuleSet,
    /// The folder that gets `vmlinuz`, `ramdisk` and `manifest.json`. Made when absent.
    pub out: PathBuf,
    /// The folder for what is slow to get again: the kernel package, and its files (400 MB). Made when absent, safe to delete.
    pub cache: PathBuf,
    /// zstd's level, 1 to 22. 9 takes seconds, 19 a minute and saves a tenth.
    pub zstd_level: i32,
    /// Archives that follow ours in the ramdisk, in this order: firmware files, a site's own additions. Each is a cpio archive
    /// (newc), plain or compressed in a way the kernel knows. Later files replace earlier ones of the same name.
    pub extra: Vec<PathBuf>,
}

impl Settings {
    /// [`Settings::zstd_level`] unless somebody says otherwise.
    pub const DEFAULT_ZSTD_LEVEL: i32 = 9;
}

/// Sizes of what was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// `vmlinuz`, bytes.
    pub vmlinuz: u64,
    /// `ramdisk`, bytes, with the extra archives.
    pub ramdisk: u64,
    /// Our archive before compression, bytes: about what it takes of the node's memory.
    pub unpacked: u64,
    /// Number of kernel modules in it.
    pub modules: usize,
}

/// What [`build`] left in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The kernel.
    pub vmlinuz: PathBuf,
    /// The initial ramdisk.
    pub ramdisk: PathBuf,
    /// What the two were made of; [`Manifest::read`] reads it.
    pub manifest: PathBuf,
    /// How big they are.
    pub sizes: Sizes,
    /// Whether anything was written; `false` when the inputs had not changed.
    pub rebuilt: bool,
}

/// The busybox that Debian's `busybox-static` installs, if it is there. Whether it is static is for [`build`] to check.
pub fn installed_busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(PathBuf::from).find(|path| path.is_file())
}

/// Builds kernel, ramdisk and manifest into `settings.out`, or finds that they are already what the inputs make.
///
/// `say` gets one plain sentence for each thing that takes time. Files are written beside their place and renamed, so a
/// build that fails leaves the old ones. Two builds with one cache wait for each other.
///
/// # Errors
/// See [`BuildError`]: each says what is missing and what brings it.
pub fn build(settings: &Settings, say: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    compress::check_level(settings.zstd_level)?;
    for folder in [&settings.out, &settings.cache] {
        fs::create_dir_all(folder).map_err(|source| BuildError::Write { path: folder.clone(), source })?;
    }
    let _lock = lock(&settings.cache, say)?;
    let programs = Programs::read(&settings.agent, &settings.busybox)?;
    let extra = settings.extra.iter().map(|path| compress::ExtraArchive::read(path)).collect::<Result<Vec<_>, _>>()?;
    let tools = match &settings.tools {
        ToolSource::Apt => apt::tool_packages(&settings.cache, say)?,
        ToolSource::DebianPackages(debs) => Packages::describe(debs)?,
        ToolSource::Nowhere => Packages::default(),
    };
    let job = Job { settings, programs, tools, extra };
    match &settings.kernel {
        KernelSource::DebianPackage(deb) => job.build_from_package(&kernel::describe(deb)?, say),
        KernelSource::Apt => job.build_from_package(&apt::kernel_package(&settings.cache, say)?, say),
        KernelSource::Tree { root } => job.build_from_tree(&Tree::open(root)?, None, say),
    }
}

/// One build, its small inputs read and checked.
struct Job<'a> {
    settings: &'a Settings,
    programs: Programs,
    tools: Packages,
    extra: Vec<compress::ExtraArchive>,
}

/// All that enters the ramdisk beside the programs.
struct Parts<'a> {
    kernel: KernelRecord,
    inputs: Inputs,
    vmlinuz: &'a [u8],
    chosen: &'a Chosen,
    files: Vec<kernel::ModuleFile>,
    tools: &'a Tools,
}

impl Job<'_> {
    fn build_from_package(&self, package: &Package, say: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
        if let Some(built) = self.unchanged(&self.inputs(package.digest), say) {
            return Ok(built);
        }
        let tree = kernel::unpack(package, &self.settings.cache, say)?;
        self.build_from_tree(&tree, Some(package), say)
    }

    fn build_from_tree(&self, tree: &Tree, package: Option<&Package>, say: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
        let index = Index::read(&tree.modules)?;
        let chosen = index
            .choose(&self.settings.modules.wanted())
            .map_err(|names| BuildError::MissingModules { release: tree.release.clone(), names })?;
        let files = kernel::read_modules(tree, &chosen)?;
        let vmlinuz = error::read(&tree.vmlinuz)?;
        let inputs = match package {
            Some(package) => self.inputs(package.digest),
            None => {
                let inputs = self.inputs(kernel::digest_of_tree(&vmlinuz, &chosen, &files));
                if let Some(built) = self.unchanged(&inputs, say) {
                    return Ok(built);
                }
                inputs
            }
        };
        let tools = self.tools.tools(&self.settings.cache, say)?;
        say(&format!("chose {} of the {} modules of kernel {}", chosen.len(), index.len(), tree.release));
        let kernel = KernelRecord {
            release: tree.release.clone(),
            package: package.map(|package| package.name.clone()),
            version: package.map(|package| package.version.clone()),
        };
        self.write(Parts { kernel, inputs, vmlinuz: &vmlinuz, chosen: &chosen, files, tools: &tools }, say)
    }

    fn write(&self, parts: Parts<'_>, say: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
        let Parts { kernel, inputs, vmlinuz, chosen, files, tools } = parts;
        let modules = files.iter().map(kernel::ModuleFile::record).collect();
        let archive = layout::compose(self.settings.modules, &kernel.release, &self.programs, tools, chosen, files)?;
        let raw = archive.emit();
        say(&format!("compressing {} of archive with zstd -{}", mebibytes(raw.len() as u64), self.settings.zstd_level));
        let ramdisk = compress::ramdisk(&raw, self.settings.zstd_level, &self.extra)?;
        inspect::inspect(&ramdisk, &kernel.release, chosen, tools)?;
        let manifest = Manifest {
            format: manifest::FORMAT,
            kernel,
            inputs,
            vmlinuz: FileRecord::of(vmlinuz),
            ramdisk: RamdiskRecord { file: FileRecord::of(&ramdisk), unpacked_bytes: raw.len() as u64 },
            modules,
        };
        output::write(&self.settings.out, vmlinuz, &ramdisk, &manifest)?;
        let built = built(&self.settings.out, &manifest, true);
        say(&format!("wrote kernel ({}) and ramdisk ({})", mebibytes(built.sizes.vmlinuz), mebibytes(built.sizes.ramdisk)));
        Ok(built)
    }

    fn inputs(&self, kernel: Digest) -> Inputs {
        Inputs {
            kernel,
            agent: self.programs.agent.digest,
            busybox: self.programs.busybox.digest,
            tools: self.tools.records(),
            extra: self.extra.iter().map(|extra| extra.digest).collect(),
            set: self.settings.modules,
            recipe: layout::recipe(self.settings.modules),
            zstd: zstd::zstd_safe::version_string().to_owned(),
            zstd_level: self.settings.zstd_level,
        }
    }

    fn unchanged(&self, inputs: &Inputs, say: &mut dyn FnMut(&str)) -> Option<Built> {
        let manifest = output::unchanged(&self.settings.out, inputs)?;
        say("kernel and ramdisk are up to date");
        Some(built(&self.settings.out, &manifest, false))
    }
}

fn built(out: &Path, manifest: &Manifest, rebuilt: bool) -> Built {
    Built {
        vmlinuz: out.join(output::VMLINUZ),
        ramdisk: out.join(output::RAMDISK),
        manifest: out.join(output::MANIFEST),
        sizes: Sizes {
            vmlinuz: manifest.vmlinuz.bytes,
            ramdisk: manifest.ramdisk.file.bytes,
            unpacked: manifest.ramdisk.unpacked_bytes,
            modules: manifest.modules.len(),
        },
        rebuilt,
    }
}

/// Holds the cache for this build until the file is dropped.
fn lock(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<File, BuildError> {
    let path = cache.join("lock");
    let fail = |source| BuildError::Write { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
    if file.try_lock().is_err() {
        say("waiting for another build that uses the same cache");
        file.lock().map_err(fail)?;
    }
    Ok(file)
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
