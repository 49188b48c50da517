//! What files do not tell and the running machine is asked for: the kernel by netlink, drivers by Debian's `ethtool`, the
//! management controller by IPMI.
//!
//! A copy of a machine has no answers; each fact that needs one is then a gap.

use super::drivers::{Card, DriverInfo, Drivers};
use crate::generic_netlink::{card_firmware, is_unknown_family, most_speeds};
use crate::ipmi::{Answer, Asking};
use crate::netlink::{Link, NetlinkError, links};
use crate::tree::Tree;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where `init` tells the agent how many seconds after the kernel user space began.
pub const USER_SPACE_BEGAN: &str = "OVERTURE_USER_SPACE_BEGAN";
/// Where `init` tells that the drivers of all devices were loaded; below the root.
pub const DRIVERS_LOADED: &str = "run/overture/drivers-loaded";

/// Where the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the discovery ramdisk.
    Ramdisk,
    /// On an installed system.
    Installed,
}

/// The answers of one look.
#[derive(Debug, Clone)]
pub struct Answers {
    /// What route netlink says of the network interfaces; empty where it cannot be asked.
    pub links: Vec<Link>,
    /// The highest speeds of interfaces by their names, Mbit/s; or why they are not known.
    pub speeds: Result<BTreeMap<String, u32>, String>,
    /// The firmware of cards by their PCI addresses, by devlink; or why it is not known.
    pub firmware: Result<BTreeMap<String, String>, String>,
    /// What drivers say of themselves and their cards, by the names of interfaces; or why not.
    pub drivers: BTreeMap<String, Result<DriverInfo, String>>,
    /// The management controller.
    pub bmc: Answer,
    /// Whether this look is made in haste: the long list of PCI names is left for the next one.
    pub in_haste: bool,
    /// Where the agent runs.
    pub place: Option<Place>,
    /// When user space began, seconds after the kernel.
    pub user_space_began: Option<f64>,
}

impl Answers {
    /// None: for a copy of a machine.
    pub fn none() -> Self {
        const COPY: &str = "only the machine itself can be asked";
        Self {
            links: Vec::new(),
            speeds: Err(COPY.into()),
            firmware: Err(COPY.into()),
            drivers: BTreeMap::new(),
            bmc: Answer::NotAsked,
            in_haste: false,
            place: None,
            user_space_began: None,
        }
    }
}

/// Who is asked. Keep one of these to look again: what does not change is asked once.
#[derive(Debug)]
pub struct Sources {
    place: Option<Place>,
    /// The longest that a look waits for the management controller.
    patience: Duration,
    controller: Asking,
    drivers: Drivers,
    user_space_began: Option<f64>,
}

impl Sources {
    /// The running machine.
    pub fn of_this_machine(place: Option<Place>, patience: Duration) -> Self {
        let began = std::env::var(USER_SPACE_BEGAN).ok().and_then(|seconds| seconds.parse().ok());
        Self { place, patience, controller: Asking::default(), drivers: Drivers::default(), user_space_began: began }
    }

    /// Asks. Takes no longer than twice the patience.
    pub fn ask(&self, tree: &Tree) -> Answers {
        self.answers(tree, false)
    }

    /// Takes what the kernel knows at once, and asks nobody else.
    pub fn glance(&self, tree: &Tree) -> Answers {
        self.answers(tree, true)
    }

    /// Seconds since the start of the kernel, and since the start of user space where that is known.
    pub fn uptimes(&self, tree: &Tree) -> (Option<u64>, Option<u64>) {
        super::uptimes(tree, self.user_space_began)
    }

    /// Whether somebody is being asked who has not answered yet.
    pub fn are_asking(&self) -> bool {
        self.drivers.are_asked() || self.controller.is_asking()
    }

    fn answers(&self, tree: &Tree, in_haste: bool) -> Answers {
        let links = links().unwrap_or_default();
        let firmware = told(card_firmware(), "devlink");
        let hardware = links.iter().filter(|link| tree.exists(&format!("sys/class/net/{}/device", link.name)));
        let cards: Vec<Card> = hardware.map(|link| (link.name.clone(), link.permanent_mac)).collect();
        Answers {
            drivers: if in_haste { self.drivers.known(&cards) } else { self.drivers.answers(&cards, self.patience) },
            speeds: told(most_speeds(), "ethtool netlink"),
            firmware,
            bmc: if in_haste { Answer::Pending } else { self.controller.answer(self.patience) },
            in_haste,
            place: self.place,
            user_space_began: self.user_space_began,
            links,
        }
    }
}

fn told<T>(answer: Result<T, NetlinkError>, what: &str) -> Result<T, String> {
    answer.map_err(|error| match is_unknown_family(&error) {
        true => format!("the kernel has no {what}"),
        false => super::whole(&error),
    })
}
