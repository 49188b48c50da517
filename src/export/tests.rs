//! Each form, whole.
#![allow(clippy::unwrap_used)]

use super::*;
use domain::hardware::{DiskBrief, Firmware, NicBrief, Summary};
use domain::identity::Identity;
use domain::ids::NodeId;
use domain::node::{Labels, Stage};
use domain::site::{DeclaredNode, Profile, Rack, Site};
use domain::{MacAddr, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

fn layout() -> Layout {
    let declared = DeclaredNode {
        name: "w1".into(),
        serial: Some("A1".into()),
        rack: Some("r1".into()),
        unit: Some(12),
        owner: Some("storage".into()),
        tags: ["ssd".into()].into(),
        ..DeclaredNode::default()
    };
    let rack = Rack { profile: Some("worker".into()), ..Rack::default() };
    Layout::new(Arc::new(Site {
        name: "hall-1".into(),
        profiles: BTreeMap::from([("worker".into(), Profile::default())]),
        racks: BTreeMap::from([("r1".into(), rack)]),
        nodes: vec![declared],
        ..Site::default()
    }))
}

fn nodes() -> [Node; 3] {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mac = |last| MacAddr([0x52, 0x54, 0, 0, 0, last]);
    let w1 = Node {
        id: NodeId(Uuid::from_u128(1)),
        name: Some("w1".into()),
        stage: Stage::Discovered,
        identity: Identity::new(Some(Uuid::from_u128(0xab << 64 | 1)), Some("A1"), [mac(1), mac(2)]),
        summary: Summary {
            vendor: Some("Dell Inc.".into()),
            product: Some("PowerEdge R650".into()),
            cpu_model: Some("=cmd|' /C calc'!A0".into()),
            cpu_threads: Some(64),
            cpu_cores: Some(32),
            cpu_sockets: Some(2),
            memory_bytes: Some(16_500_000_000),
            memory_installed_bytes: Some(17_179_869_184),
            dimms: Some(4),
            disks: Some(1),
            disk_bytes: Some(960_197_124_096),
            nics: Some(2),
            firmware: Some(Firmware::Uefi),
            firmware_version: Some("2.14.1".into()),
            bmc_address: "10.20.1.12".parse().ok(),
            bmc_firmware: Some("6.10.30.00".into()),
            asset_tag: Some("-7".into()),
            each_disk: vec![DiskBrief { name: "sda".into(), size_bytes: Some(960_197_124_096), ..DiskBrief::default() }],
            each_nic: vec![
                NicBrief {
                    name: "eth0".into(),
                    names: vec!["eno1".into()],
                    mac: Some(mac(1)),
                    most_speed_mbit: Some(25_000),
                    switch: Some("sw1".into()),
                    port: Some("Ethernet1/12".into()),
                    ..NicBrief::default()
                },
                NicBrief { name: "eth1".into(), mac: Some(mac(2)), speed_mbit: Some(1_000), ..NicBrief::default() },
            ],
            ..Summary::default()
        },
        labels: Labels { owner: None, tags: ["GPU Node".into()].into(), note: Some("says \"hum\",\nloudly".into()) },
        digest: None,
        first_seen: at(1_000_000_000),
        last_seen: at(1_000_000_060),
        reports: 3,
        boot: None,
        key: None,
        address: "10.20.0.101".parse().ok(),
        order: None,
        version: 1,
    };
    let stranger = Node {
        id: NodeId(Uuid::from_u128(2)),
        name: None,
        identity: Identity::new(None, Some("B2"), []),
        summary: Summary::default(),
        labels: Labels::default(),
        last_seen: at(1_000_000_000),
        ..w1.clone()
    };
    let unreached =
        Node { id: NodeId(Uuid::from_u128(3)), identity: Identity::new(None, None, [mac(3)]), address: None, ..stranger.clone() };
    [w1, stranger, unreached]
}

fn text(write: impl FnOnce(&Layout, &[Node], &mut Vec<u8>) -> io::Result<()>) -> String {
    let mut out = vec![];
    write(&layout(), &nodes(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_table_has_a_line_for_each_node_and_starts_no_formula() {
    assert_eq!(
        text(|layout, nodes, out| table(layout, nodes, out)),
        "\"name\",\"id\",\"stage\",\"serial\",\"uuid\",\"vendor\",\"model\",\"rack\",\"unit\",\"place_from\",\"profile\",\"owner\",\"tags\",\"note\",\"address\",\"bmc_address\",\"firmware\",\"firmware_version\",\"bmc_firmware\",\"cpu_model\",\"sockets\",\"cores\",\"cpus\",\"memory_bytes\",\"memory_installed_bytes\",\"dimms\",\"disks\",\"disk_bytes\",\"nics\",\"macs\",\"asset_tag\",\"first_seen\",\"last_seen\",\"reports\"\n\
         \"w1\",\"00000000-0000-0000-0000-000000000001\",\"discovered\",\"A1\",\"00000000-0000-00ab-0000-000000000001\",\"Dell Inc.\",\"PowerEdge R650\",\"r1\",\"12\",\"declared\",\"worker\",\"storage\",\"GPU Node ssd\",\"says \"\"hum\"\",\nloudly\",\"10.20.0.101\",\"10.20.1.12\",\"uefi\",\"2.14.1\",\"6.10.30.00\",\"'=cmd|' /C calc'!A0\",\"2\",\"32\",\"64\",\"16500000000\",\"17179869184\",\"4\",\"1\",\"960197124096\",\"2\",\"52:54:00:00:00:01 52:54:00:00:00:02\",\"'-7\",\"2001-09-09T01:46:40Z\",\"2001-09-09T01:47:40Z\",\"3\"\n\
         \"\",\"00000000-0000-0000-0000-000000000002\",\"discovered\",\"B2\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"10.20.0.101\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"2001-09-09T01:46:40Z\",\"2001-09-09T01:46:40Z\",\"3\"\n\
         \"\",\"00000000-0000-0000-0000-000000000003\",\"discovered\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"52:54:00:00:00:03\",\"\",\"2001-09-09T01:46:40Z\",\"2001-09-09T01:46:40Z\",\"3\"\n"
    );
}

#[test]
fn json_has_an_object_a_line() {
    let lines = text(|layout, nodes, out| json_lines(layout, nodes, out));
    let values: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 3);
    assert_eq!(values[0]["rack"], "r1");
    assert_eq!(values[0]["hardware"]["each_nic"][0]["port"], "Ethernet1/12");
    assert_eq!(values[1].get("rack"), None, "what is not known is absent");
    assert_eq!(values[1]["serial"], "B2");
}

#[test]
fn netbox_gets_devices_interfaces_and_their_addresses() {
    let options = netbox::Options { site: Some("Hall 1".into()), ..netbox::Options::default() };
    assert_eq!(
        text(|layout, nodes, out| netbox::devices(layout, &nodes[..2], &options, out)),
        "\"name\",\"role\",\"manufacturer\",\"device_type\",\"serial\",\"asset_tag\",\"status\",\"site\",\"rack\",\"position\",\"face\",\"tenant\",\"tags\",\"comments\"\n\
         \"w1\",\"Server\",\"Dell Inc.\",\"PowerEdge R650\",\"A1\",\"'-7\",\"staged\",\"Hall 1\",\"r1\",\"12\",\"front\",\"storage\",\"gpu-node,ssd\",\"says \"\"hum\"\",\nloudly\"\n\
         \"B2\",\"Server\",\"Unknown\",\"Unknown\",\"B2\",\"\",\"staged\",\"Hall 1\",\"\",\"\",\"\",\"\",\"\",\"\"\n"
    );
    assert_eq!(
        text(|layout, nodes, out| netbox::interfaces(layout, nodes, out)),
        "\"device\",\"name\",\"type\",\"enabled\",\"speed\",\"description\"\n\
         \"w1\",\"eno1\",\"25gbase-x-sfp28\",\"true\",\"25000000\",\"sw1 Ethernet1/12\"\n\
         \"w1\",\"eth1\",\"other\",\"true\",\"1000000\",\"\"\n"
    );
    assert_eq!(
        text(|layout, nodes, out| netbox::mac_addresses(layout, nodes, out)),
        "\"mac_address\",\"device\",\"interface\",\"is_primary\"\n\
         \"52:54:00:00:00:01\",\"w1\",\"eno1\",\"true\"\n\
         \"52:54:00:00:00:02\",\"w1\",\"eth1\",\"true\"\n"
    );
    assert!(
        text(|layout, nodes, out| netbox::devices(layout, nodes, &netbox::Options::default(), out))
            .contains(r#","staged","hall-1","r1","12","front","#)
    );
}

#[test]
fn prometheus_gets_a_group_for_each_node_that_it_can_reach() {
    assert_eq!(
        text(|layout, nodes, out| prometheus::targets(layout, nodes, prometheus::NODE_EXPORTER, out)),
        r#"[
  {
    "targets": [
      "10.20.0.101:9100"
    ],
    "labels": {
      "__meta_overture_bmc": "10.20.1.12",
      "__meta_overture_id": "00000000-0000-0000-0000-000000000001",
      "__meta_overture_model": "PowerEdge R650",
      "__meta_overture_serial": "A1",
      "__meta_overture_tags": ",GPU Node,ssd,",
      "__meta_overture_vendor": "Dell Inc.",
      "node": "w1",
      "owner": "storage",
      "profile": "worker",
      "rack": "r1",
      "stage": "discovered",
      "unit": "12"
    }
  }
]
"#
    );
    assert_eq!(text(|layout, _, out| prometheus::targets(layout, [], 1, out)), "[]\n");
}
