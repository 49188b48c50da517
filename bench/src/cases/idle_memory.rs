//! Memory of a server that has answered once and has nothing to do.

use super::Case;
use super::cold_start::Asking;
use crate::contestants::{Contestant, Programs};
use crate::hall::Hall;
use crate::memory;
use crate::report::{Goal, Sample};
use crate::running::Running;

/// A server at rest.
pub struct IdleMemory;

impl Case for IdleMemory {
    fn name(&self) -> &'static str {
        "idle_memory"
    }

    fn about(&self) -> &'static str {
        "memory of the server after its first answer, when it has come to rest"
    }

    fn contestants(&self) -> &'static [&'static str] {
        &["overture", "dnsmasq"]
    }

    fn goals(&self) -> Vec<Goal> {
        vec![Goal { contestant: "overture", measure: "resident (VmRSS)", below: 30.0, unit: "MiB" }]
    }

    fn round(&self, programs: &Programs, contestant: &dyn Contestant, _: u32) -> anyhow::Result<Vec<Sample>> {
        let hall = Hall::open()?;
        let mut machine = Asking::new(&hall)?;
        let running = Running::start(contestant, programs, &hall, None)?;
        running.await_answer("a DHCPDISCOVER", || machine.ask())?;
        let held = memory::at_rest(running.pid())?;
        let mebibytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        Ok(vec![
            Sample::new("resident (VmRSS)", "MiB", mebibytes(held.resident)),
            Sample::new("proportional (PSS)", "MiB", mebibytes(held.proportional)),
        ])
    }
}
