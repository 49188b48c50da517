//! The crate async-tftp, served by this programme itself: what Overture's TFTP could have been built on.

use super::{Contestant, Programs, Setup};
use crate::hall::SERVER;
use anyhow::Context;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// async-tftp with the defaults of its builder.
pub struct AsyncTftp;

impl Contestant for AsyncTftp {
    fn name(&self) -> &'static str {
        "async-tftp"
    }

    fn check(&self, _: &Programs) -> anyhow::Result<()> {
        Ok(())
    }

    fn command(&self, programs: &Programs, setup: &Setup<'_>) -> anyhow::Result<Command> {
        let mut command = Command::new(&programs.bench);
        command.arg("peer-tftp").arg(setup.files.context("async-tftp serves nothing but files")?).arg("69");
        Ok(command)
    }
}

/// Serves a folder until the process is ended.
pub fn serve(folder: &Path, port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("could not start a runtime")?;
    let serving = async {
        let builder = async_tftp::server::TftpServerBuilder::with_dir_ro(folder)?;
        builder.bind(SocketAddr::from((SERVER, port))).build().await?.serve().await
    };
    runtime.block_on(serving).with_context(|| format!("async-tftp could not serve {} on port {port}", folder.display()))
}
