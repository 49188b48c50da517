//! What a class of nodes is to have.

use crate::hardware::Firmware;
use crate::history::TestKind;
use crate::quantity::{Bytes, Count, Limit, Rate, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a class of nodes is to have before it is approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// What was ordered.
    pub expects: Expects,
    /// The tests of the hardware that must have passed.
    pub tests: BTreeSet<TestKind>,
}

macro_rules! expects {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// What a machine is to have. What is not said is not checked.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Expects {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        impl Expects {
            /// This, and where it says nothing the other.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }

            /// Whether it says nothing at all.
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

expects!(
    /// Memory that is plugged in.
    memory: Limit<Bytes>,
    /// Memory modules.
    dimms: Limit<Count>,
    /// Processor packages.
    sockets: Limit<Count>,
    /// Cores of all packages.
    cores: Limit<Count>,
    /// Logical processors of all packages.
    cpus: Limit<Count>,
    /// Disks that could hold a system.
    disks: Limit<Count>,
    /// The size of each of them.
    disk: Limit<Bytes>,
    /// Network interfaces.
    nics: Limit<Count>,
    /// The highest speed of each port that is to be plugged in somewhere; of each port where no cabling is declared.
    nic_speed: Limit<Rate>,
    /// Accelerators.
    gpus: Limit<Count>,
    /// Who made it, case aside.
    vendor: String,
    /// The model, case aside.
    model: String,
    /// How it is started.
    boot: Firmware,
    /// Version of the firmware.
    firmware: Limit<Version>,
    /// Version of the management controller's firmware.
    bmc_firmware: Limit<Version>,
    /// Version of the trusted platform module.
    tpm: Limit<Version>,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_what_its_profile_does_not() {
        let own = Expects { memory: "= 64 GiB".parse().ok(), ..Expects::default() };
        let profile = Expects { memory: ">= 16 GiB".parse().ok(), disks: ">= 2".parse().ok(), ..Expects::default() };
        let both = own.clone().or(profile);
        assert_eq!(serde_json::to_string(&both).ok().as_deref(), Some(r#"{"memory":"= 64 GiB","disks":">= 2"}"#));
        assert_eq!(serde_json::from_str::<Expects>(r#"{"memory":"= 64 GiB"}"#).ok(), Some(own));
        assert!(Expects::default().is_empty() && !both.is_empty());
    }
}
