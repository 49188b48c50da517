//! Two network namespaces and the cable between them: a contestant in one, simulated machines in the other.

use crate::cleanup::{self, Owned, Thing};
use anyhow::Context;
use lab::netns::{End, Namespace, veth_pair};
use std::net::Ipv4Addr;

/// The contestant's interface.
pub const SERVER_INTERFACE: &str = "srv0";
/// Its address, in [`SUBNET`].
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 1);
/// The network.
pub const SUBNET: &str = "10.97.0.0/24";
/// The addresses that contestants may lease.
pub const POOL: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(10, 97, 0, 100), Ipv4Addr::new(10, 97, 0, 199));
/// The simulated machines' interface.
pub const CLIENT_INTERFACE: &str = "cli0";
/// How many addresses their side has, for what is no DHCP.
pub const MACHINES: u8 = 16;

/// The address of a machine, from 0 to below [`MACHINES`]; outside the pool.
pub fn address_of(machine: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 97, 0, 2 + machine)
}

/// A hall; gone when dropped, with every process in it.
#[derive(Debug)]
pub struct Hall {
    server: Namespace,
    client: Namespace,
    _owned: [Owned; 2],
}

impl Hall {
    /// Builds a new one.
    pub fn open() -> anyhow::Result<Self> {
        let make = |side: &str| {
            let name = cleanup::name(side);
            let owned = cleanup::own(Thing::Namespace(name.clone()));
            Namespace::create(&name).map(|namespace| (namespace, owned))
        };
        let made = make("srv").and_then(|server| Ok((server, make("cli")?)));
        let ((server, server_owned), (client, client_owned)) = made.context("could not make network namespaces")?;
        let hall = Self { server, client, _owned: [server_owned, client_owned] };
        let server_address = format!("{SERVER}/24");
        let server_end = End::new(&hall.server, SERVER_INTERFACE).with_address(&server_address);
        veth_pair(&server_end, &End::new(&hall.client, CLIENT_INTERFACE)).context("could not join the two network namespaces")?;
        Ok(hall)
    }

    /// Gives the machines' side its addresses, which DHCP does not need.
    pub fn address_machines(&self) -> anyhow::Result<()> {
        for machine in 0..MACHINES {
            let address = format!("{}/24", address_of(machine));
            self.client.ip(&["address", "add", &address, "dev", CLIENT_INTERFACE]).context("could not give addresses to machines")?;
        }
        Ok(())
    }

    /// Runs `work` on the contestant's side.
    pub fn on_server<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        self.server.enter_thread(work)?
    }

    /// Runs `work` on the machines' side.
    pub fn on_client<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        self.client.enter_thread(work)?
    }
}
