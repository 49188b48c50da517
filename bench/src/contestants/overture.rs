//! Overture, with an empty store and a site of one network.

use super::{Contestant, Programs, Setup};
use crate::hall::{POOL, SERVER_INTERFACE, SUBNET};
use anyhow::{Context, bail};
use std::path::Path;
use std::process::Command;

/// The programme that all this is about.
pub struct Overture;

/// Where Debian's package `ipxe` puts its boot programmes.
const IPXE: &str = "/usr/lib/ipxe";

impl Contestant for Overture {
    fn name(&self) -> &'static str {
        "overture"
    }

    fn check(&self, programs: &Programs) -> anyhow::Result<()> {
        let path = &programs.overture;
        if !path.is_file() {
            bail!(
                "there is no programme {}: build it (`cargo build --profile bench-run --bin overture`), name it with --overture PATH, \
                 or leave it out with --only dnsmasq,async-tftp",
                path.display()
            );
        }
        Ok(())
    }

    fn command(&self, programs: &Programs, setup: &Setup<'_>) -> anyhow::Result<Command> {
        let at = |name: &str| setup.folder.join(name);
        let boot_files = at("boot");
        std::fs::create_dir(&boot_files).with_context(|| format!("could not make {}", boot_files.display()))?;
        std::fs::create_dir(at("site")).with_context(|| format!("could not make {}", at("site").display()))?;
        let ipxe = setup.files.unwrap_or(Path::new(IPXE));
        let settings = format!(
            "state = {:?}\nsite = {:?}\n\n[boot]\nfiles = {:?}\nipxe = {:?}\n\n[operators]\nsocket = {:?}\n",
            at("state"),
            at("site"),
            boot_files,
            ipxe,
            at("api.sock"),
        );
        let site = format!(
            "[site]\nname = \"bench\"\n\n[network.bench]\ninterface = \"{SERVER_INTERFACE}\"\nsubnet = \"{SUBNET}\"\npool = \"{}-{}\"\ndhcp = \"here\"\n",
            POOL.0, POOL.1
        );
        for (file, text) in [(at("overture.toml"), settings), (at("site").join("site.toml"), site)] {
            std::fs::write(&file, text).with_context(|| format!("could not write {}", file.display()))?;
        }
        // A relative path would be looked for on the search path.
        let programme = programs.overture.canonicalize().with_context(|| format!("could not find {}", programs.overture.display()))?;
        let mut command = Command::new(programme);
        command.arg("serve").arg("--config").arg(at("overture.toml")).arg("--bound").arg(at("bound"));
        Ok(command)
    }
}
