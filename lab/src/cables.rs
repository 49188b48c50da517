//! Pulling a machine's cable, and putting it back.

use crate::create::Lab;
use crate::netns::NetnsError;
use crate::network::Network;
use crate::qmp::{Qmp, QmpError};
use domain::timeline::printable;
use serde_json::json;

/// Why a cable is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CableError {
    /// The lab has no such machine.
    #[error("the lab has no machine `{wanted}`: its machines are {}", .known.join(", "))]
    NoSuchMachine {
        /// What was asked for, made printable.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The machine has no such port.
    #[error("{machine} has {has} network ports, counted from 1: `overture lab up --server` makes machines with two")]
    NoSuchPort {
        /// Which machine.
        machine: String,
        /// How many it has.
        has: usize,
    },
    /// QEMU did not do it.
    #[error("could not change the link of {machine}: is it switched on?")]
    Machine {
        /// Which machine.
        machine: String,
        /// Why not.
        #[source]
        source: QmpError,
    },
    /// The switch did not.
    #[error("could not change the switch's port")]
    Switch(#[source] NetnsError),
}

impl Lab {
    /// Pulls the cable of one of a machine's ports, counted from 1, or puts it back. Both ends notice, as with a real one.
    pub fn cable(&self, machine: &str, port: usize, plugged_in: bool) -> Result<(), CableError> {
        let machines = self.machines();
        let Some(found) = machines.iter().find(|known| known.name == machine) else {
            let known = machines.into_iter().map(|known| known.name).collect();
            return Err(CableError::NoSuchMachine { wanted: printable(machine, 40), known });
        };
        let has = found.macs.len();
        let Some(index) = port.checked_sub(1).filter(|index| *index < has) else {
            return Err(CableError::NoSuchPort { machine: machine.to_owned(), has });
        };
        let arguments = json!({ "name": format!("nic{index}"), "up": plugged_in });
        let told = Qmp::connect(&self.folder.qmp_socket(machine)).and_then(|mut qmp| qmp.execute_with("set_link", arguments));
        told.map_err(|source| CableError::Machine { machine: machine.to_owned(), source })?;
        let state = if plugged_in { "up" } else { "down" };
        Network::of(self.name()).machines.ip(&["link", "set", &found.tap(index), state]).map_err(CableError::Switch)
    }
}
