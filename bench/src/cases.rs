//! What is measured; one file a case.

mod cold_start;
mod idle_memory;
mod inventory;
mod tftp;

use crate::contestants::{Contestant, Programs};
use crate::report::{Goal, Sample};

/// Something to be measured.
pub trait Case {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What it measures, one line.
    fn about(&self) -> &'static str;
    /// Who can take part, by name.
    fn contestants(&self) -> &'static [&'static str];
    /// What is to be reached.
    fn goals(&self) -> Vec<Goal> {
        Vec::new()
    }
    /// One turn of one contestant; rounds count from 0. A measure may get several values, or none where it makes no sense.
    fn round(&self, programs: &Programs, contestant: &dyn Contestant, round: u32) -> anyhow::Result<Vec<Sample>>;
}

/// Every case.
pub fn all() -> Vec<Box<dyn Case>> {
    vec![
        Box::new(cold_start::ColdStart),
        Box::new(idle_memory::IdleMemory),
        Box::new(tftp::Tftp),
        inventory_of(1000),
        inventory_of(100_000),
    ]
}

/// The large hall is filled once, whatever the number of rounds: that takes minutes.
fn inventory_of(machines: u64) -> Box<dyn Case> {
    let large = machines > 10_000;
    let (name, about) = if large {
        ("inventory_large", "100,000 machines report; ten unchanged reports more of a thousand; pages, searches, single nodes")
    } else {
        ("inventory", "1,000 machines report; ten unchanged reports more of each; pages, searches, single nodes")
    };
    Box::new(inventory::OfMachines { machines, name, about, rounds: if large { 1 } else { u32::MAX } })
}
