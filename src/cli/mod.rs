//! The command line. Everything about nodes goes through the operators' API, as for any other client.

mod client;
mod db;
mod explain;
mod lab;
mod nodes;
mod output;
mod ramdisk;
mod site;

use crate::service;
use crate::settings::{Overrides, Settings};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

pub use client::ClientError;

/// Bare-metal provisioning in one binary: DHCP, TFTP, iPXE, and an inventory of what answered.
#[derive(Parser)]
#[command(
    name = "overture",
    version,
    propagate_version = true,
    max_term_width = 110,
    after_help = "Start with a laboratory of virtual machines:\n  make ramdisk                                          (in a checkout)\n  overture lab up --nodes 3 --boot-files target/boot\n\nExit codes: 0 done, 1 refused or failed, 2 wrong usage."
)]
struct Cli {
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    command: Command,
}

/// How to reach the service.
#[derive(Args, Clone, Debug)]
pub struct Reach {
    /// The service's local socket [default: for `serve` what the settings say, else /run/overture/api.sock or that of the only running lab]
    #[arg(long, global = true, env = "OVERTURE_SOCKET", value_name = "PATH", display_order = 900)]
    socket: Option<PathBuf>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// What the API answered.
    Json,
}

/// The option that every listing has.
#[derive(Args, Clone, Copy, Debug)]
pub struct Format {
    /// How to write the result
    #[arg(long, short, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service until it is told to stop (SIGTERM, SIGINT)
    Serve(Serve),
    /// Check settings (overture.toml) or a site without a service, and tell every mistake at once
    Check {
        /// A site's folder, one of its files, or settings (a file named overture.toml)
        path: PathBuf,
    },
    /// Send a site to the service, which keeps it as a revision
    Apply {
        /// The site's folder
        site: PathBuf,
        /// Say what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Show the site in force and the revisions before it
    #[command(subcommand)]
    Site(site::Command),
    /// Nodes: find, show, compare, name, label, order, test, export, forget
    #[command(subcommand)]
    Nodes(nodes::Command),
    /// All nodes at once: what changed, and how they were
    #[command(subcommand)]
    Inventory(nodes::InventoryCommand),
    /// Tell what a machine was sent, and by which rule, from its first DHCP packet on
    Explain(explain::Explain),
    /// List DHCP leases
    Leases {
        #[command(flatten)]
        format: Format,
    },
    /// The store as a whole: back up, restore, move to Postgres
    #[command(subcommand)]
    Db(db::Command),
    /// Build the discovery ramdisk from Debian's kernel package and the agent
    #[command(subcommand)]
    Ramdisk(ramdisk::Command),
    /// Virtual machines on an isolated network of this computer, booted by a service of their own
    #[command(subcommand)]
    Lab(lab::Command),
    /// Print the description of the operators' API (OpenAPI 3.1)
    Openapi,
}

#[derive(Args)]
struct Serve {
    /// The settings [default: /etc/overture/overture.toml; without that file, the defaults of every key]
    #[arg(long, short, env = "OVERTURE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the database and the keys, instead of the settings' `state`
    #[arg(long, env = "OVERTURE_STATE", value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// The site that an empty store loads, instead of the settings' `site`
    #[arg(long, env = "OVERTURE_SITE", value_name = "FOLDER")]
    site: Option<PathBuf>,
    /// Write what was bound to this file, as JSON, once all of it is
    #[arg(long, value_name = "FILE")]
    bound: Option<PathBuf>,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("overture: {}", crate::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(serve) => {
            log_to_stderr()?;
            let overrides = Overrides { state: serve.state, site: serve.site, socket: cli.reach.socket };
            let settings = Settings::find(serve.config.as_deref(), overrides)?;
            service::run_to_the_end(settings, serve.bound)?;
        }
        Command::Check { path } => return site::check(&path),
        Command::Openapi => output::print(crate::api::openapi()),
        Command::Db(command) => return db::run(&cli.reach, command),
        Command::Ramdisk(command) => ramdisk::run(command)?,
        Command::Lab(command) => return lab::run(command),
        Command::Apply { site, dry_run, format } => return asking(site::apply(&cli.reach, &site, dry_run, format)),
        Command::Site(command) => return asking(site::run(&cli.reach, command)),
        Command::Nodes(command) => return asking(nodes::run(&cli.reach, command)),
        Command::Inventory(command) => return asking(nodes::inventory(&cli.reach, command)),
        Command::Explain(explain) => return asking(explain::run(&cli.reach, explain)),
        Command::Leases { format } => return asking(explain::leases(&cli.reach, format)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that asks the service.
fn asking(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn log_to_stderr() -> Result<(), Failure> {
    let wanted = std::env::var("OVERTURE_LOG").unwrap_or_else(|_| "info,sqlx=warn".into());
    let filter = tracing_subscriber::EnvFilter::try_new(&wanted)
        .map_err(|error| format!("OVERTURE_LOG={wanted} cannot be read ({error}): write error, warn, info, debug or trace"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(output::colours()).with_target(false).init();
    Ok(())
}
