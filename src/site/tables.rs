//! Each kind of table of a site, key by key.

use crate::files::Reader;
use domain::hardware::Firmware;
use domain::history::TestKind;
use domain::site::{
    DEFAULT_LEASE_SECONDS, DeclaredBmc, DeclaredNode, Expects, HIGHEST_UNIT, LONGEST_LEASE_SECONDS, Network, Profile, Rack,
    SHORTEST_LEASE_SECONDS, Site, Switch, Unknown,
};

pub(super) fn read_site(table: &mut Reader<'_, '_>, site: &mut Site) {
    table.require("name", "\"hall-1\"");
    site.name = table.text("name").unwrap_or_default();
    site.domain = table.text("domain");
    site.ntp = table.list("ntp", "an IPv4 address");
}

pub(super) fn read_network(table: &mut Reader<'_, '_>) -> Option<Network> {
    for (name, example) in [("interface", "\"br0\""), ("subnet", "\"10.20.0.0/24\""), ("pool", "\"10.20.0.100-10.20.0.199\"")] {
        table.require(name, example);
    }
    let interface = table.text("interface");
    let subnet = table.parsed_as("subnet", "a network: write address/prefix, such as 10.20.0.0/24");
    let gateway = table.parsed_as("gateway", "an IPv4 address");
    let dns = table.list("dns", "an IPv4 address");
    table.one_of("dhcp", &[("here", ())]);
    let pool = table.parsed("pool");
    let fixed = table.parsed("static");
    let unknown = table.one_of("unknown", &Unknown::SPELLINGS);
    let lease_seconds = table.integer("lease_seconds", i64::from(SHORTEST_LEASE_SECONDS)..=i64::from(LONGEST_LEASE_SECONDS));
    // What cannot be read has had its complaint; a stand-in lets the rest of the network be judged all the same.
    let subnet: ipnet::Ipv4Net = subnet?;
    let anywhere = domain::address::AddressRange::new(subnet.network(), subnet.network()).ok()?;
    Some(Network {
        interface: interface.unwrap_or_default(),
        subnet,
        gateway,
        dns,
        pool: pool.unwrap_or(anywhere),
        fixed,
        unknown: unknown.unwrap_or_default(),
        lease_seconds: lease_seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_LEASE_SECONDS),
    })
}

pub(super) fn read_profile(table: &mut Reader<'_, '_>) -> Profile {
    let kinds = [("memory", TestKind::Memory), ("cpu", TestKind::Cpu), ("disks", TestKind::Disks), ("network", TestKind::Network)];
    Profile {
        expects: table.table("expects", read_expects).unwrap_or_default(),
        tests: table.each_of("tests", &kinds).into_iter().collect(),
    }
}

fn read_expects(table: &mut Reader<'_, '_>) -> Expects {
    Expects {
        memory: table.parsed("memory"),
        dimms: table.parsed("dimms"),
        sockets: table.parsed("sockets"),
        cores: table.parsed("cores"),
        cpus: table.parsed("cpus"),
        disks: table.parsed("disks"),
        disk: table.parsed("disk"),
        nics: table.parsed("nics"),
        nic_speed: table.parsed("nic_speed"),
        gpus: table.parsed("gpus"),
        vendor: table.text("vendor"),
        model: table.text("model"),
        boot: table.one_of("boot", &[("bios", Firmware::Bios), ("uefi", Firmware::Uefi)]),
        firmware: table.parsed("firmware"),
        bmc_firmware: table.parsed("bmc_firmware"),
        tpm: table.parsed("tpm"),
    }
}

pub(super) fn read_switch(table: &mut Reader<'_, '_>) -> Switch {
    table.require("name", "\"sw1\"");
    let switch = Switch { name: table.text("name").unwrap_or_default(), pair: table.text("pair"), lldp: table.text("lldp") };
    table.one_of("driver", &[("manual", ())]);
    switch
}

pub(super) fn read_rack(table: &mut Reader<'_, '_>) -> Rack {
    Rack {
        profile: table.text("profile"),
        switches: table.list("switches", "the name of a switch"),
        cabling: table.parsed("cabling"),
        nodes: table.text("nodes"),
    }
}

pub(super) fn read_node(table: &mut Reader<'_, '_>) -> DeclaredNode {
    table.require("name", "\"w1\"");
    let unit = table.integer("unit", 1..=i64::from(HIGHEST_UNIT));
    DeclaredNode {
        name: table.text("name").unwrap_or_default(),
        serial: table.text("serial"),
        uuid: table.parsed_as("uuid", "a UUID, such as 4c4c4544-0042-3510-8058-b4c04f4e3232"),
        mac: table.parsed("mac"),
        address: table.parsed_as("address", "an IPv4 address"),
        rack: table.text("rack"),
        unit: unit.and_then(|unit| u32::try_from(unit).ok()),
        profile: table.text("profile"),
        bmc: table.table("bmc", read_bmc),
        owner: table.text("owner"),
        tags: table.list("tags", "a word").into_iter().collect(),
        expects: table.table("expects", read_expects).unwrap_or_default(),
        cabling: table.each("cabling").into_iter().collect(),
    }
}

fn read_bmc(table: &mut Reader<'_, '_>) -> DeclaredBmc {
    DeclaredBmc {
        url: table.text("url"),
        address: table.parsed_as("address", "an IP address, such as 10.20.1.11"),
        secret: table.text("secret"),
    }
}
