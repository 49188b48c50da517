//! Neighbours of an installed system: what its lldpd has heard, where one runs. Nothing is started, nothing is changed.

use inventory_wire::{Facts, Gap, Neighbour, Vlan};
use serde_json::Value;
use std::process::{Command, Stdio};

/// More than a machine with a thousand ports says.
const MOST_BYTES: usize = 4 * 1024 * 1024;
const MOST_NEIGHBOURS: usize = 4096;

/// Asks lldpd, and writes what it knows into the network cards; a gap where it knows nothing.
pub fn write_into(facts: &mut Facts, gaps: &mut Vec<Gap>) {
    let known = ask();
    for nic in &mut facts.nics {
        let Some(name) = nic.name.clone() else { continue };
        let path = format!("nics.{name}.neighbours");
        gaps.retain(|gap| gap.path != path);
        let reason = match &known {
            Ok(known) => {
                nic.neighbours = known.iter().filter(|(interface, _)| *interface == name).map(|(_, it)| it.clone()).collect();
                if nic.link == Some(true) { "lldpd runs here and has heard nobody on it" } else { "there is no link" }
            }
            Err(reason) => reason,
        };
        if nic.neighbours.is_empty() {
            gaps.push(Gap { path, reason: reason.to_owned() });
        }
    }
}

fn ask() -> Result<Vec<(String, Neighbour)>, String> {
    let mut lldpcli = Command::new("lldpcli");
    lldpcli.args(["-f", "json0", "show", "neighbors", "details"]).stdin(Stdio::null()).stderr(Stdio::null());
    let answer = lldpcli.output().map_err(|_| "nobody listens for LLDP on an installed system without lldpd: install and start it")?;
    if !answer.status.success() || answer.stdout.len() > MOST_BYTES {
        return Err("lldpd did not answer: it needs to run, and to be asked as root or as a member of its group `_lldpd`".into());
    }
    parse(&answer.stdout).ok_or_else(|| "lldpcli answered what this agent does not understand".into())
}

/// Reads the form `json0` of lldpcli, in which everything that can stand more than once is a list.
pub fn parse(json: &[u8]) -> Option<Vec<(String, Neighbour)>> {
    let document: Value = serde_json::from_slice(json).ok()?;
    let interfaces = list(document.get("lldp")?).iter().flat_map(|part| list(&part["interface"]));
    let by_lldp = interfaces.filter(|interface| interface["via"].as_str() == Some("LLDP"));
    Some(
        by_lldp
            .take(MOST_NEIGHBOURS)
            .filter_map(|interface| Some((interface["name"].as_str()?.to_owned(), neighbour(interface)?)))
            .collect(),
    )
}

fn neighbour(interface: &Value) -> Option<Neighbour> {
    let (chassis, port) = (interface["chassis"].get(0)?, interface["port"].get(0)?);
    let (chassis_kind, chassis_id) = id(chassis)?;
    let (port_kind, port_id) = id(port)?;
    let capabilities = list(&chassis["capability"]).iter().filter(|one| one["enabled"] == true);
    let vlan_number = |vlan: &Value| vlan["vlan-id"].as_str()?.parse::<u16>().ok().filter(|id| (1..=4094).contains(id));
    let vlans = list(&interface["vlan"]);
    // lldpd lists the VLAN of untagged packets among the others, perhaps without a name.
    let named = vlans.iter().filter(|vlan| text(&vlan["value"]).is_some());
    let aggregate = text(&first(&port["aggregation"])["value"]).and_then(|number| number.parse().ok()).filter(|number| *number != 0);
    Some(Neighbour {
        chassis_kind: Some(chassis_kind),
        chassis: Some(chassis_id),
        port_kind: Some(port_kind),
        port: Some(port_id),
        port_description: text(&first(&port["descr"])["value"]),
        system: text(&first(&chassis["name"])["value"]),
        system_description: text(&first(&chassis["descr"])["value"]),
        management: list(&chassis["mgmt-ip"]).iter().filter_map(|address| text(&address["value"])).collect(),
        capabilities: capabilities.filter_map(|one| capability(one["type"].as_str()?)).collect(),
        vlan: vlans.iter().find(|vlan| vlan["pvid"] == true).and_then(vlan_number),
        vlans: named.map(|vlan| Vlan { id: vlan_number(vlan), name: text(&vlan["value"]), ..Vlan::default() }).collect(),
        aggregated: aggregate.map(|_: u32| true),
        aggregate,
        most_frame_bytes: text(&first(&port["mfs"])["value"]).and_then(|bytes| bytes.parse().ok()),
        ..Neighbour::default()
    })
}

/// Its kind and its text, in the words of [`super::frame`].
fn id(of: &Value) -> Option<(String, String)> {
    let id = first(&of["id"]);
    let kind = match id["type"].as_str()? {
        "mac" => "mac_address",
        "ip" => "network_address",
        "ifname" => "interface_name",
        "ifalias" => "interface_alias",
        "local" => "local",
        _ => "reserved",
    };
    Some((kind.to_owned(), text(&id["value"])?))
}

fn capability(name: &str) -> Option<String> {
    let ours = match name {
        "Wlan" => "wlan_access_point",
        "Station" => "station_only",
        "Tel" => "telephone",
        "Docsis" => "docsis",
        "Bridge" | "Router" | "Repeater" | "Other" => return Some(name.to_ascii_lowercase()),
        _ => return None,
    };
    Some(ours.to_owned())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn first(value: &Value) -> &Value {
    list(value).first().unwrap_or(&Value::Null)
}

fn text(value: &Value) -> Option<String> {
    crate::tree::text_of(value.as_str()?.as_bytes())
}
