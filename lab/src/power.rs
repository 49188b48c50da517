//! The switch and the reset button of a machine.

use crate::create::Lab;
use crate::process;
use crate::qmp::{Qmp, QmpError};
use crate::start::StartError;
use std::str::FromStr;
use std::time::Duration;

/// What can be done to a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Switch it on, if it is off.
    On,
    /// Cut its power, if it is on.
    Off,
    /// Press reset, or switch it on if it is off.
    Reset,
}

impl FromStr for Power {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            "reset" => Ok(Self::Reset),
            _ => Err("give on, off or reset".into()),
        }
    }
}

/// Why a machine's power did not change.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The lab has no such machine.
    #[error("the lab has no machine `{wanted}`: its machines are {}", .known.join(", "))]
    NoSuchMachine {
        /// What was asked for, made printable.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// It did not start.
    #[error("could not switch on {machine}")]
    On {
        /// Which.
        machine: String,
        /// Why not.
        #[source]
        source: StartError,
    },
    /// It did not end.
    #[error("{0} does not end: the kernel holds it")]
    Off(String),
    /// It did not take the reset.
    #[error("could not reset {machine}")]
    Reset {
        /// Which.
        machine: String,
        /// Why not.
        #[source]
        source: QmpError,
    },
}

impl Lab {
    /// Changes the power of `machine`. What is so already stays so.
    pub fn power(&mut self, machine: &str, wanted: Power) -> Result<(), PowerError> {
        let machines = self.machines();
        let Some(found) = machines.iter().find(|known| known.name == machine) else {
            let known = machines.into_iter().map(|known| known.name).collect();
            return Err(PowerError::NoSuchMachine { wanted: domain::timeline::printable(machine, 40), known });
        };
        match (wanted, self.record.running(machine)) {
            (Power::On | Power::Reset, None) => {
                self.start_machine(found).map(drop).map_err(|source| PowerError::On { machine: machine.to_owned(), source })
            }
            (Power::On, Some(_)) | (Power::Off, None) => Ok(()),
            (Power::Off, Some(process)) => {
                let left = process::end(&[process], Duration::from_secs(5));
                if left.is_empty() { Ok(()) } else { Err(PowerError::Off(machine.to_owned())) }
            }
            (Power::Reset, Some(_)) => {
                let answer = Qmp::connect(&self.folder.qmp_socket(machine)).and_then(|mut qmp| qmp.execute("system_reset"));
                answer.map(drop).map_err(|source| PowerError::Reset { machine: machine.to_owned(), source })
            }
        }
    }
}
