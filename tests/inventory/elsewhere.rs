//! The inventory in other programs' forms, read by what reads those.

use crate::server::{facts, report};
use crate::service::Service;
use serde_json::{Value, json};

const SITE: &str = "[site]\nname = \"hall-1\"\n\n[profile.worker.expects]\ndisks = \">= 1\"\n\n[rack.r1]\n\n[[node]]\nname = \"w7\"\n\
    serial = \"SIM-000007\"\nrack = \"r1\"\nunit = 7\nprofile = \"worker\"\nowner = \"storage\"\ntags = [\"spare\"]\n";
/// What a spreadsheet would take for a formula.
const FORMULA: &str = "=HYPERLINK(\"http://evil\"),\"x\"\r\n@SUM(A1)";

fn hall() -> Service {
    let service = Service::start();
    assert_eq!(service.apply(SITE).status, 201);
    service.report(&report(None, facts(7)));
    let mut evil = facts(8);
    evil["system"]["product"] = json!(FORMULA);
    evil["cpu"]["model"] = json!("+1+1");
    evil["nics"][0]["neighbours"][0]["system"] = json!("-2+3");
    service.report(&report(None, evil));
    assert_eq!(service.write("PATCH", "/api/v1/nodes/SIM-000008", &json!({"note": "@cmd"})).status, 200);
    service
}

fn export(service: &Service, arguments: &[&str]) -> String {
    let output = service.overture(&[&["nodes", "export"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Header and rows.
fn csv(text: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    (header, rows)
}

#[test]
fn tables_are_read_back_by_a_csv_reader_and_hold_no_formula() {
    let service = hall();
    for format in ["csv", "netbox-devices", "netbox-interfaces", "netbox-mac-addresses"] {
        let (header, rows) = csv(&export(&service, &["--format", format]));
        assert!(rows.len() >= 2 && rows.iter().all(|row| row.len() == header.len()), "{format}: {rows:?}");
        for cell in rows.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{format}: {cell:?}");
            assert!(!cell.contains(|c: char| c.is_control()), "{format}: {cell:?}");
        }
    }
    let (header, rows) = csv(&export(&service, &["--format", "csv", "rack = r1"]));
    assert_eq!(rows.len(), 1);
    let cell = |name: &str| rows[0][header.iter().position(|column| column == name).unwrap()].as_str();
    assert_eq!((cell("name"), cell("serial"), cell("rack"), cell("unit")), ("w7", "SIM-000007", "r1", "7"));
    assert_eq!((cell("owner"), cell("tags"), cell("dimms"), cell("address")), ("storage", "spare", "2", ""));
    assert_eq!(cell("memory_installed_bytes"), (64u64 << 30).to_string());
}

#[test]
fn netbox_gets_the_columns_of_its_import_forms() {
    let service = hall();
    let (header, rows) = csv(&export(&service, &["--format", "netbox-devices", "serial = SIM-000007"]));
    assert_eq!(header[..5], ["name", "role", "manufacturer", "device_type", "serial"]);
    assert_eq!(rows[0][..5], ["w7", "Server", "Oak Systems", "R7240", "SIM-000007"]);
    let named = |name: &str| rows[0][header.iter().position(|column| column == name).unwrap()].as_str();
    assert_eq!((named("site"), named("rack"), named("position"), named("face")), ("hall-1", "r1", "7", "front"));
    let (header, rows) = csv(&export(&service, &["--format", "netbox-interfaces", "serial = SIM-000007"]));
    assert_eq!(header, ["device", "name", "type", "enabled", "speed", "description"]);
    assert_eq!(rows[0], ["w7", "eno1", "25gbase-x-sfp28", "true", "25000000", "sw1 Ethernet1/7"]);
    let (header, rows) = csv(&export(&service, &["--format", "netbox-mac-addresses", "serial = SIM-000007"]));
    assert_eq!((header[0].as_str(), rows.len(), rows[0][1].as_str(), rows[0][2].as_str()), ("mac_address", 2, "w7", "eno1"));
}

#[test]
fn json_is_a_node_a_line_and_prometheus_gets_targets() {
    let service = hall();
    let lines = export(&service, &["--format", "json"]);
    let nodes: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((nodes.len(), &nodes[0]["serial"], &nodes[0]["name"]), (2, &json!("SIM-000007"), &json!("w7")));
    assert!(nodes[1].to_string().contains("HYPERLINK"), "for programs, text is text");
    // An imported node has no address that anything could be scraped at.
    assert_eq!(export(&service, &["--format", "prometheus"]).trim(), "[]");
    let service = Service::with_nodes([crate::service::node(1), crate::service::node(2)]);
    let targets: Value = serde_json::from_str(&export(&service, &["--format", "prometheus", "--port", "9182"])).unwrap();
    assert_eq!(targets[0]["targets"], json!(["10.20.0.1:9182"]));
    let labels = &targets[0]["labels"];
    assert_eq!(
        (&labels["node"], &labels["stage"], &labels["__meta_overture_serial"]),
        (&json!("VM-0001"), &json!("discovered"), &json!("VM-0001"))
    );
    assert!(labels.as_object().unwrap().values().all(Value::is_string), "{labels}");
    let served = service.get("/api/v1/prometheus-targets?filter=serial%20%3D%20VM-0002");
    assert!(served.header("content-type").unwrap().starts_with("application/json"));
    let served = served.json();
    assert_eq!((served.as_array().unwrap().len(), &served[0]["targets"]), (1, &json!(["10.20.0.2:9100"])));
}

#[test]
fn every_page_of_a_large_hall_is_exported() {
    let service = Service::with_nodes((1..=2300).map(crate::service::node));
    for filter in [&[][..], &["vendor = QEMU"]] {
        let (_, rows) = csv(&export(&service, &[&["--format", "csv"], filter].concat()));
        assert_eq!(rows.len(), 2300, "{filter:?}");
    }
}
