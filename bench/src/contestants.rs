//! Who can be measured.

pub mod async_tftp;
mod dnsmasq;
mod overture;
mod stores;

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server that can be started.
pub trait Contestant: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Fails with advice when it cannot be started on this machine.
    fn check(&self, programs: &Programs) -> anyhow::Result<()>;
    /// Writes its configuration and says how to start it, so that it serves the hall's network.
    fn command(&self, programs: &Programs, setup: &Setup<'_>) -> anyhow::Result<Command>;
}

/// Every contestant.
pub const ALL: [&dyn Contestant; 6] =
    [&overture::Overture, &dnsmasq::Dnsmasq, &async_tftp::AsyncTftp, &stores::OnSqlite, &stores::OnPostgres, &stores::SqliteAlone];

/// What a contestant is given.
pub struct Setup<'a> {
    /// An empty folder for whatever it writes.
    pub folder: &'a Path,
    /// Boot programmes for TFTP, where the case needs them.
    pub files: Option<&'a Path>,
}

/// Where programmes lie.
pub struct Programs {
    /// Overture.
    pub overture: PathBuf,
    /// This programme.
    pub bench: PathBuf,
}

impl Programs {
    /// Overture as told, or beside this programme: both were built with the same profile then.
    pub fn find(overture: Option<&Path>) -> anyhow::Result<Self> {
        let bench = std::env::current_exe().context("could not find out where this programme lies")?;
        Ok(Self { overture: overture.map_or_else(|| bench.with_file_name("overture"), Path::to_path_buf), bench })
    }
}

/// The file of a programme, as a shell would find it; services live in `sbin`, which not every shell looks at.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    match folders.map(|folder| folder.join(name)).find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => bail!("the programme `{name}` is not installed: run `make deps`"),
    }
}
