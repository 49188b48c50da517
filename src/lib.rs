//! Overture: from power-on to an inventory, in one binary. This crate wires the others together: settings, start and
//! stop, the operators' API, the command line. Deciding is `domain`'s.

mod agent_tls;
pub mod api;
mod authority;
pub mod cli;
mod clock;
pub mod counters;
pub mod export;
pub mod files;
mod listen;
mod moment;
mod networks;
mod service;
pub mod settings;
pub mod site;
mod sites;
mod transfers;

/// An error with all its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// `1 mistake`, `2 mistakes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
