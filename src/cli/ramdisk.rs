//! `overture ramdisk build`.

use super::Failure;
use super::output::{bytes, print};
use clap::{Args, Subcommand, ValueEnum};
use inventory_agent_ramdisk::{KernelSource, ModuleSet, Settings, ToolSource, build, installed_busybox};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Subcommand)]
pub enum Command {
    /// Build kernel and ramdisk, if what they are made of has changed
    #[command(
        after_help = "Examples:\n  overture ramdisk build --agent target/x86_64-unknown-linux-gnu/agent/overture-agent --out boot\n  overture ramdisk build --modules full --level 19\n  overture ramdisk build --kernel-package linux-image-6.1.0-40-amd64_6.1.150-1_amd64.deb\n  overture ramdisk build --extra firmware.cpio"
    )]
    Build(Build),
}

#[derive(Args)]
pub struct Build {
    /// Folder that gets vmlinuz, ramdisk and manifest.json: the settings' `boot.files`
    #[arg(long, default_value = "/var/lib/overture/boot", value_name = "FOLDER")]
    out: PathBuf,
    /// The static agent [default: overture-agent beside this program, or where `make agent` puts it]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Which kernel modules travel
    #[arg(long, value_enum, default_value_t = Modules::Lab)]
    modules: Modules,
    /// A Debian kernel package, instead of the one that apt has for linux-image-amd64 (downloaded, never installed)
    #[arg(long, value_name = "DEB")]
    kernel_package: Option<PathBuf>,
    /// A Debian package of the tools for disks, instead of those that apt has; give all of them, each with --tool-package
    #[arg(long, value_name = "DEB", conflicts_with = "no_tools")]
    tool_package: Vec<PathBuf>,
    /// Leave the tools for disks and the names of PCI devices out: smaller by 3 MB, and reports that lack what they tell
    #[arg(long)]
    no_tools: bool,
    /// Folder for what is slow to get again
    #[arg(long, default_value = "/var/cache/overture", value_name = "FOLDER")]
    cache: PathBuf,
    /// Compression: 9 takes seconds, 19 a minute and saves a tenth
    #[arg(long, default_value_t = Settings::DEFAULT_ZSTD_LEVEL, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    /// A further cpio archive, such as firmware files; may be given several times
    #[arg(long, value_name = "FILE")]
    extra: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Modules {
    /// What virtual machines have
    Lab,
    /// What servers have
    Full,
}

pub fn run(Command::Build(asked): Command) -> Result<(), Failure> {
    let started = Instant::now();
    let settings = Settings {
        kernel: asked.kernel_package.map_or(KernelSource::Apt, KernelSource::DebianPackage),
        agent: match asked.agent {
            Some(agent) => agent,
            None => beside_this_program()?,
        },
        busybox: installed_busybox().ok_or("no busybox is installed: apt-get install busybox-static")?,
        tools: match (asked.no_tools, asked.tool_package) {
            (true, _) => ToolSource::Nowhere,
            (false, debs) if debs.is_empty() => ToolSource::Apt,
            (false, debs) => ToolSource::DebianPackages(debs),
        },
        modules: match asked.modules {
            Modules::Lab => ModuleSet::Lab,
            Modules::Full => ModuleSet::Full,
        },
        out: std::path::absolute(asked.out)?,
        cache: std::path::absolute(asked.cache)?,
        zstd_level: asked.level,
        extra: asked.extra,
    };
    let built = build(&settings, &mut |sentence| eprintln!("{sentence}"))?;
    let sizes = built.sizes;
    let how = if built.rebuilt { format!("built in {:.1} s", started.elapsed().as_secs_f64()) } else { "unchanged".to_owned() };
    print(&format!("{}  {}\n", built.vmlinuz.display(), bytes(sizes.vmlinuz)));
    print(&format!(
        "{}  {}, {} unpacked, {}, {how}\n",
        built.ramdisk.display(),
        bytes(sizes.ramdisk),
        bytes(sizes.unpacked),
        crate::count(sizes.modules, "module")
    ));
    Ok(())
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let beside = program.with_file_name("overture-agent");
    // In a checkout, `make agent` puts it into a folder of its own.
    let in_checkout = program.ancestors().nth(2).map(|target| target.join("x86_64-unknown-linux-gnu/agent/overture-agent"));
    let found = [Some(beside.clone()), in_checkout].into_iter().flatten().find(|agent| agent.exists());
    found.ok_or_else(|| {
        format!("there is no {}: in a checkout run `make agent`, elsewhere name the static agent with --agent", beside.display()).into()
    })
}
