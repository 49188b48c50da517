//! The command line of the four parts.

use crate::boot::Boot;
use crate::console::Console;
use crate::facts::{self, DRIVERS_LOADED, Findings, Place, Probes, Sources};
use crate::key::AgentKey;
use crate::run::{Deed, Machine, TellHeard};
use crate::sentences::chain;
use crate::tree::Tree;
use inventory_wire::{Agent, Report, VERSION};
use rustix::system::RebootCommand;
use std::cell::Cell;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
overture-agent looks at the hardware of a node and reports it.

  overture-agent look [--root DIR]   print what it sees as JSON; changes nothing
  overture-agent report              print a report of this installed system, for `overture nodes import`; changes nothing
      --out FILE                     write it to FILE instead
      --pretty                       in lines, for people
  overture-agent run                 report to the service that the kernel command line names, and do what it orders
      --consoles                     speak on every console of the kernel instead of standard error
      --key FILE                     keep the agent's key in FILE, so that a restarted agent has the same
  overture-agent --version
  overture-agent --help

As process 1 of the ramdisk it prepares the machine, then starts and supervises `run`.
Some facts need root; without it, look and report say what is missing and why.
";

/// How long a look that nobody repeats waits for disks.
const LONGEST_LOOK: Duration = Duration::from_secs(90);
/// How long a look that nobody repeats waits for the management controller.
const LONGEST_QUESTION: Duration = Duration::from_secs(25);

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Init,
    Look { root: Option<PathBuf> },
    Report { out: Option<PathBuf>, pretty: bool },
    Run { consoles: bool, key: Option<PathBuf> },
}

/// Runs the part that the arguments ask for.
pub fn main() -> ExitCode {
    match parse(std::env::args_os().collect(), std::process::id()) {
        Ok(Command::Help) => print(HELP.as_bytes()),
        Ok(Command::Version) => print(concat!("overture-agent ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()),
        Ok(Command::Init) => crate::init::main(),
        Ok(Command::Look { root }) => look(root.as_deref()),
        Ok(Command::Report { out, pretty }) => report(out.as_deref(), pretty),
        Ok(Command::Run { consoles, key }) => run(consoles, key.as_deref()),
        Err(mistake) => {
            eprintln!("overture-agent: {mistake}\nTry `overture-agent --help`.");
            ExitCode::from(2)
        }
    }
}

/// Process 1 is init whatever the kernel passes on from its command line; a container that starts `look` as process
/// 1 still gets `look`. Called by a name that ends in `init`, it must be process 1.
fn parse(arguments: Vec<OsString>, process: u32) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let name = arguments.next().unwrap_or_default();
    let named_init = Path::new(&name).file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b"init"));
    let mut rest = arguments.map(|argument| argument.to_string_lossy().into_owned());
    let first = rest.next();
    match (first.as_deref(), named_init, process) {
        (_, true, 1) => Ok(Command::Init),
        (_, true, _) => Err("as init I prepare a whole machine, and must be its first process".into()),
        (Some("look"), ..) => parse_look(rest),
        (Some("report"), ..) => parse_report(rest),
        (Some("run"), ..) => parse_run(rest),
        (Some("--help" | "-h" | "help"), ..) => Ok(Command::Help),
        (Some("--version" | "-V"), ..) => Ok(Command::Version),
        (_, _, 1) => Ok(Command::Init),
        (Some(other), ..) => Err(format!("there is no command `{}`", other.escape_default())),
        (None, ..) => Err("say what to do: look, report or run".into()),
    }
}

fn parse_look(mut rest: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut root = None;
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--root" => root = Some(PathBuf::from(rest.next().ok_or("--root needs a folder")?)),
            other => return Err(format!("look does not know `{}`", other.escape_default())),
        }
    }
    Ok(Command::Look { root })
}

fn parse_report(mut rest: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut out, mut pretty) = (None, false);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--out" => out = Some(PathBuf::from(rest.next().ok_or("--out needs a file")?)),
            "--pretty" => pretty = true,
            other => return Err(format!("report does not know `{}`", other.escape_default())),
        }
    }
    Ok(Command::Report { out, pretty })
}

fn parse_run(mut rest: impl Iterator<Item = String>) -> Result<Command, String> {
    let (mut consoles, mut key) = (false, None);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--consoles" => consoles = true,
            "--key" => key = Some(PathBuf::from(rest.next().ok_or("--key needs a file")?)),
            other => return Err(format!("run does not know `{}`", other.escape_default())),
        }
    }
    Ok(Command::Run { consoles, key })
}

fn print(bytes: &[u8]) -> ExitCode {
    // A closed pipe (`look | head`) is no reason to panic.
    if std::io::stdout().write_all(bytes).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn look(root: Option<&Path>) -> ExitCode {
    let tree = root.map_or_else(Tree::live, Tree::copy);
    if !tree.exists("sys") && !tree.exists("proc") {
        eprintln!("overture-agent: there is neither sys nor proc in {}", root.unwrap_or(Path::new("/")).display());
        return ExitCode::FAILURE;
    }
    let Findings { facts, gaps } = if tree.is_live() { look_once(&tree, None) } else { facts::look(&tree, &[]) };
    let document = serde_json::json!({ "facts": facts, "gaps": gaps });
    print(format!("{document:#}\n").as_bytes())
}

/// Looks at this machine and waits for what answers slowly: nobody looks again.
fn look_once(tree: &Tree, place: Option<Place>) -> Findings {
    let answers = Sources::of_this_machine(place, LONGEST_QUESTION).ask(tree);
    let mut findings = facts::look_and_ask(tree, &answers, &Probes::of_this_machine(LONGEST_LOOK));
    crate::lldp::installed::write_into(&mut findings.facts, &mut findings.gaps);
    findings
}

/// A report that belongs to no boot: an operator brings it to the service.
fn report(out: Option<&Path>, pretty: bool) -> ExitCode {
    let Findings { facts, gaps } = look_once(&Tree::live(), Some(Place::Installed));
    let report = Report { report: VERSION, boot: None, amends: false, facts, gaps, other: Default::default() };
    let text = if pretty { serde_json::to_string_pretty(&report) } else { serde_json::to_string(&report) };
    let text = match text {
        Ok(text) => text + "\n",
        Err(error) => {
            eprintln!("overture-agent: the report cannot be written as JSON: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Some(out) = out else { return print(text.as_bytes()) };
    match std::fs::write(out, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("overture-agent: the report could not be written to {}: {error}", out.display());
            ExitCode::FAILURE
        }
    }
}

fn run(consoles: bool, key: Option<&Path>) -> ExitCode {
    let console = if consoles { Console::of_the_kernel() } else { Console::StandardError };
    let command_line = Tree::live().bytes("proc/cmdline", 16 * 1024).unwrap_or_default();
    let boot = match Boot::parse(&String::from_utf8_lossy(&command_line)) {
        Ok(boot) => boot,
        Err(error) => {
            console.say(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    // It looks again and again, and need not wait for what answers slowly.
    let machine = ThisMachine {
        probes: Probes::of_this_machine(Duration::ZERO),
        sources: Sources::of_this_machine(Some(Place::Ramdisk), Duration::ZERO),
        begun: Cell::new(None),
    };
    match key.map_or_else(AgentKey::make, AgentKey::kept_in) {
        Ok(key) => crate::run::run(&boot, &key, &machine, &console),
        Err(error) => {
            console.say(&chain(&error));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The real one. It is looked at again and again, and what its disks answered is kept.
struct ThisMachine {
    probes: Probes,
    sources: Sources,
    /// Whether all that was there has been asked, and whether all drivers had been loaded then.
    begun: Cell<Option<bool>>,
}

impl Machine for ThisMachine {
    fn look(&self) -> Findings {
        let tree = Tree::live();
        facts::look_and_ask(&tree, &self.sources.ask(&tree), &self.probes)
    }

    fn glance(&self) -> Option<Findings> {
        let tree = Tree::live();
        Some(facts::look_and_ask(&tree, &self.sources.glance(&tree), &self.probes.later()))
    }

    fn still_asking(&self) -> bool {
        let loaded = Tree::live().exists(DRIVERS_LOADED);
        // Looking begins to ask; devices that have come since the last look are asked, too.
        if self.begun.get() != Some(loaded) {
            self.begun.set(Some(loaded));
            self.look();
        }
        !loaded || self.probes.are_asking() || self.sources.are_asking()
    }

    fn tell_time(&self, agent: &mut Agent) {
        let (uptime, user_space) = self.sources.uptimes(&Tree::live());
        (agent.uptime_seconds, agent.user_space_seconds) = (uptime.or(agent.uptime_seconds), user_space.or(agent.user_space_seconds));
    }

    fn has_network(&self) -> bool {
        let routes = Tree::live().bytes("proc/net/route", 16 * 1024).unwrap_or_default();
        let routes = String::from_utf8_lossy(&routes);
        routes.lines().skip(1).any(|line| !line.starts_with("lo\t") && !line.trim().is_empty())
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn listen(&self, tell: TellHeard) -> Result<(), String> {
        crate::lldp::listen(tell).map_err(|error| chain(&error))
    }

    /// A file that outlives the agent, and not the boot.
    fn begins(&self, order: &str) -> bool {
        let name: String = order.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
        let begun = std::fs::File::create_new(format!("/run/overture/begun.{name}"));
        !begun.is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists)
    }

    fn act(&self, deed: Deed) -> std::io::Result<()> {
        rustix::fs::sync();
        rustix::system::reboot(match deed {
            Deed::Restart => RebootCommand::Restart,
            Deed::SwitchOff => RebootCommand::PowerOff,
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(process: u32, arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from).collect(), process)
    }

    #[test]
    fn process_1_is_init_and_nobody_else() {
        assert_eq!(parsed(1, &["/init"]), Ok(Command::Init));
        assert_eq!(parsed(1, &["/init", "look"]), Ok(Command::Init));
        assert_eq!(parsed(1, &["/bin/overture-agent", "splash"]), Ok(Command::Init));
        assert_eq!(parsed(1, &["overture-agent", "look"]), Ok(Command::Look { root: None }));
        assert!(parsed(77, &["/sbin/init"]).is_err());
        assert!(parsed(77, &["overture-agent"]).is_err());
        assert!(parsed(77, &["overture-agent", "initialise"]).is_err());
    }

    #[test]
    fn options_are_understood_and_mistakes_named() {
        assert_eq!(parsed(9, &["x", "look", "--root", "/t"]), Ok(Command::Look { root: Some("/t".into()) }));
        let run = Command::Run { consoles: true, key: Some("/run/k".into()) };
        assert_eq!(parsed(9, &["x", "run", "--key", "/run/k", "--consoles"]), Ok(run));
        let report = Command::Report { out: Some("/t/r".into()), pretty: true };
        assert_eq!(parsed(9, &["x", "report", "--out", "/t/r", "--pretty"]), Ok(report));
        assert_eq!(parsed(9, &["x", "report", "--out"]), Err("--out needs a file".into()));
        assert_eq!(parsed(9, &["x", "look", "--root"]), Err("--root needs a folder".into()));
        assert_eq!(parsed(9, &["x", "run", "--root"]), Err("run does not know `--root`".into()));
    }
}
