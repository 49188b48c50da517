//! The network of a lab: two namespaces, one cable, one bridge, one tap for each machine.

use crate::netns::{End, Namespace, NetnsError, veth_pair};
use crate::plan::{LabName, Machine};
use std::net::Ipv4Addr;

/// The appliance's address in every lab. Labs do not see each other, so all may use the same.
pub const APPLIANCE: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

/// The length of the network's prefix.
pub const PREFIX_LENGTH: u8 = 24;

/// The appliance's interface.
pub const APPLIANCE_INTERFACE: &str = "prov0";

const UPLINK: &str = "uplink";
const BRIDGE: &str = "br0";

/// The names of a lab's namespaces: where the appliance runs, where the switch and the machines run.
pub fn namespace_names(lab: &LabName) -> [String; 2] {
    [format!("ov-{lab}-svc"), format!("ov-{lab}-net")]
}

/// The two namespaces of a lab.
#[derive(Debug)]
pub(crate) struct Network {
    pub service: Namespace,
    pub machines: Namespace,
}

impl Network {
    /// Those of the lab `name`, whether they exist or not.
    pub fn of(name: &LabName) -> Self {
        let [service, machines] = namespace_names(name);
        Self { service: Namespace::named(&service), machines: Namespace::named(&machines) }
    }

    /// Makes them, with the switch and a socket in it for each machine. What was made is removed if a step fails.
    pub fn create(name: &LabName, machines: &[Machine]) -> Result<Self, NetnsError> {
        let [service_name, machines_name] = namespace_names(name);
        let mut network = Self { service: Namespace::create(&service_name)?, machines: Namespace::create(&machines_name)? };
        calm_ipv6(&network)?;
        plug_in_appliance(&network)?;
        plug_in_machines(&network.machines, machines)?;
        network.service.stay();
        network.machines.stay();
        Ok(network)
    }
}

/// The switch has no use for IPv6 of its own. The appliance needs a link-local address at once, without the second
/// that asking for duplicates takes: nobody else can have it, and the router advertiser sends from it.
fn calm_ipv6(network: &Network) -> Result<(), NetnsError> {
    // Without these files IPv6 is switched off on the whole computer, which is as well.
    let set = |key: &str, value: &str| drop(std::fs::write(format!("/proc/sys/net/ipv6/conf/{key}"), value));
    network.machines.enter_thread(|| {
        set("all/disable_ipv6", "1");
        set("default/disable_ipv6", "1");
    })?;
    network.service.enter_thread(|| {
        set("default/accept_dad", "0");
        set("default/accept_ra", "0");
    })
}

fn plug_in_appliance(network: &Network) -> Result<(), NetnsError> {
    let address = format!("{APPLIANCE}/{PREFIX_LENGTH}");
    let appliance = End::new(&network.service, APPLIANCE_INTERFACE).with_address(&address);
    veth_pair(&appliance, &End::new(&network.machines, UPLINK))?;
    // Forwarding starts at once and multicast goes everywhere, but LLDP: each port hears its own switch only.
    let switch = &network.machines;
    let properties = ["forward_delay", "0", "mcast_snooping", "0"];
    switch.ip(&[&["link", "add", BRIDGE, "type", "bridge"], properties.as_slice()].concat())?;
    switch.ip(&["link", "set", BRIDGE, "up"])?;
    switch.ip(&["link", "set", UPLINK, "master", BRIDGE])
}

fn plug_in_machines(switch: &Namespace, machines: &[Machine]) -> Result<(), NetnsError> {
    for machine in machines {
        for tap in (0..machine.macs.len()).map(|port| machine.tap(port)) {
            switch.ip(&["tuntap", "add", "dev", &tap, "mode", "tap"])?;
            switch.ip(&["link", "set", &tap, "master", BRIDGE, "up"])?;
        }
    }
    Ok(())
}
