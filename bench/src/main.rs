//! Measures Overture beside other servers that do the same, in the same run, on the same machine.
//!
//! ```text
//!   ovbench-PID-srv                    ovbench-PID-cli
//!   ┌──────────────────────┐   veth    ┌─────────────────────────────┐
//!   │ the contestant  srv0 ┼───────────┼ cli0  simulated machines    │
//!   └──────────────────────┘           └─────────────────────────────┘
//! ```
//!
//! Contestants take turns in rounds, so that a machine that grows slower meanwhile is slower for all; results are
//! medians with the least and the greatest value. A case is one file in `cases/`, a contestant one in `contestants/`.
//! What a result means for the product is not known here, but for the goals that a case names.

mod cases;
mod cleanup;
mod contestants;
mod cpu;
mod fleet;
mod hall;
mod memory;
mod report;
mod running;
mod table;

use anyhow::{Context, bail};
use cases::Case;
use clap::{Parser, Subcommand};
use contestants::{Contestant, Programs};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Overture beside other servers. Needs root: contestants run in network namespaces of their own.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    internal: Option<Internal>,
    /// What to measure; everything when left out.
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only these contestants, such as dnsmasq.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// The overture programme; the one beside this programme when left out.
    #[arg(long, value_name = "PATH")]
    overture: Option<PathBuf>,
    /// Writes every single value to this file too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fails when a goal is missed.
    #[arg(long)]
    check: bool,
    /// Lists cases and contestants, and does nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Subcommand)]
enum Internal {
    /// Serves a folder by the crate async-tftp: a contestant.
    #[command(name = "peer-tftp", hide = true)]
    PeerTftp { folder: PathBuf, port: u16 },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.internal {
        Some(Internal::PeerTftp { folder, port }) => contestants::async_tftp::serve(folder, *port).map(|()| true),
        None => measure(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; whether all is well, as far as that was asked too.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let cases = chosen_cases(&arguments.cases)?;
    if arguments.list {
        for case in &cases {
            println!("{:<12} {} [{}]", case.name(), case.about(), case.contestants().join(", "));
        }
        return Ok(true);
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("this makes network namespaces and control groups: run it as root");
    }
    let contestants = chosen_contestants(&cases, &arguments.only)?;
    let programs = Programs::find(arguments.overture.as_deref())?;
    for contestant in &contestants {
        contestant.check(&programs)?;
    }
    cleanup::begin()?;
    let mut report = Report::new(arguments.rounds);
    for case in &cases {
        let taking_part: Vec<_> =
            contestants.iter().copied().filter(|contestant| case.contestants().contains(&contestant.name())).collect();
        if taking_part.is_empty() {
            eprintln!("{}: left out, for none of its contestants is chosen", case.name());
            continue;
        }
        run_case(case.as_ref(), &taking_part, &programs, arguments.rounds, &mut report)?;
        print!("{}", table::of(&report, case.as_ref()));
    }
    if let Some(file) = &arguments.json {
        report.write(file)?;
    }
    let missed = report.missed_goals();
    for goal in &missed {
        eprintln!("missed: {goal}");
    }
    Ok(missed.is_empty() || !arguments.check)
}

/// Rounds outside, contestants inside, and nobody always first.
fn run_case(
    case: &dyn Case,
    contestants: &[&'static dyn Contestant],
    programs: &Programs,
    rounds: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.begin(case);
    for round in 0..rounds {
        let mut order = contestants.to_vec();
        order.rotate_left(round as usize % contestants.len());
        for contestant in order {
            let name = contestant.name();
            eprintln!("{}: round {} of {rounds}, {name}", case.name(), round + 1);
            let samples = case.round(programs, contestant, round).with_context(|| format!("case {}, contestant {name}", case.name()))?;
            report.add(case, name, samples);
        }
    }
    Ok(())
}

fn chosen_cases(names: &[String]) -> anyhow::Result<Vec<Box<dyn Case>>> {
    let known: Vec<_> = cases::all().iter().map(|case| case.name()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no case `{unknown}`: choose among {}", known.join(", "));
    }
    Ok(cases::all().into_iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name())).collect())
}

fn chosen_contestants(cases: &[Box<dyn Case>], only: &[String]) -> anyhow::Result<Vec<&'static dyn Contestant>> {
    let known: Vec<_> = contestants::ALL.iter().map(|contestant| contestant.name()).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no contestant `{unknown}`: choose among {}", known.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|other| other == name);
    let needed = |name: &str| cases.iter().any(|case| case.contestants().contains(&name));
    Ok(contestants::ALL.iter().copied().filter(|contestant| wanted(contestant.name()) && needed(contestant.name())).collect())
}
