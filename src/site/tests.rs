//! Sites as text, sound and wrong.
#![allow(clippy::unwrap_used)]

use super::*;
use domain::site::Unknown;

fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

const SOUND: &str = r#"
[site]
name = "hall-1"
domain = "hall1.example"
ntp = ["10.20.0.1"]

[network.provision]
interface = "br0"
subnet = "10.20.0.0/24"
gateway = "10.20.0.1"
dns = ["10.20.0.1"]
dhcp = "here"
pool = "10.20.0.100-10.20.0.199"
static = "10.20.0.20-10.20.0.99"
unknown = "discover"

[[node]]
name = "w1"
serial = "VM-0001"
"#;

#[test]
fn a_site_is_read_from_several_files() {
    let second = "[[node]]\nname = \"w2\"\nmac = \"52:54:00:00:00:02\"\naddress = \"10.20.0.21\"\n";
    let site = parse(&files(&[("a.toml", SOUND), ("racks/r1.toml", second)]), "").expect("sound");
    assert_eq!(site.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["w1", "w2"]);
    assert_eq!(site.networks["provision"].unknown, Unknown::Discover);
    assert_eq!(site.networks["provision"].lease_seconds, 3600);
}

#[test]
fn every_mistake_is_told_at_once_with_its_line() {
    let text = SOUND
        .replace("subnet = \"10.20.0.0/24\"", "subnet = \"10.20.0.0\"")
        .replace("unknown = \"discover\"", "unknown = \"discovery\"")
        .replace("serial =", "serail =")
        .replace("dhcp = \"here\"", "dhcp = 3");
    let complaints = parse(&files(&[("site.toml", &text)]), "site/").expect_err("mistakes");
    let told: Vec<_> =
        complaints.located().into_iter().map(|l| (l.file.unwrap_or_default(), l.line.unwrap_or_default(), l.message)).collect();
    let lines: Vec<_> = told.iter().map(|(_, line, _)| *line).collect();
    assert_eq!(lines, [9, 12, 15, 19], "{told:#?}");
    assert!(told.iter().all(|(file, _, _)| file == "site/site.toml"));
    assert!(told[2].2.contains("did you mean \"discover\"?"), "{}", told[2].2);
    assert!(told[3].2.contains("did you mean `serial`?"), "{}", told[3].2);
}

#[test]
fn broken_rules_are_told_beside_mistakes_in_the_writing_and_nothing_is_told_twice() {
    let text = SOUND
        .replace("unknown = \"discover\"", "unknown = \"discovery\"")
        .replace("10.20.0.100-10.20.0.199", "10.20.0.199-10.20.0.100")
        .replace("10.20.0.0/24", "10.20.0.1/24")
        .replace("serial = \"VM-0001\"", "mac = \"52:54\"\naddress = \"10.20.0.21\"");
    let complaints = parse(&files(&[("site.toml", &text)]), "").expect_err("mistakes");
    let lines: Vec<_> = complaints.located().into_iter().filter_map(|l| l.line).collect();
    assert_eq!(lines, [9, 13, 15, 19], "{complaints}");
}

#[test]
fn broken_rules_stand_at_their_keys() {
    let text = SOUND.replace("10.20.0.199", "10.20.1.199");
    let complaints = parse(&files(&[("site.toml", &text)]), "").expect_err("mistakes");
    let told = complaints.located();
    assert_eq!((told.len(), told[0].line), (1, Some(13)));
    assert!(complaints.to_string().contains("pool = \"10.20.0.100-10.20.1.199\""), "{complaints}");
}

#[test]
fn what_is_not_toml_is_told_and_nothing_panics() {
    for text in [
        "[site",
        "site = 3",
        "[[site]]",
        "network = \"x\"",
        "[network]\nx = 1",
        "[node]\nname = 1",
        "\u{0}",
        "node = [1, 2]",
        "[site]\nname = \"a\"\n[site]\n",
    ] {
        assert!(parse(&files(&[("x.toml", text)]), "").is_err(), "{text:?}");
    }
}

#[test]
fn a_site_needs_its_name_table() {
    let complaints = parse(&files(&[("x.toml", "")]), "").expect_err("mistakes");
    assert_eq!(complaints.located()[0].file, None);
}

const RACKED: &str = r#"
[profile.worker]
tests = ["memory", "disks"]

[profile.worker.expects]
memory = ">= 16 GiB"
disk = ">= 1 TB"
nic_speed = ">= 10 Gbit/s"
firmware = ">= 2.14"
boot = "uefi"
model = "PowerEdge R650"

[[switch]]
name = "sw1"
pair = "sw2"
driver = "manual"

[[switch]]
name = "sw2"
pair = "sw1"
lldp = "52:54:00:00:00:aa"

[rack.r1]
profile = "worker"
switches = ["sw1", "sw2"]
cabling = "unit N: eno1 -> sw1/N, eno2 -> sw2/N"
nodes = "racks/r1.csv"

[[node]]
name = "w3"
serial = "A3"
rack = "r1"
unit = 3
profile = "worker"
owner = "storage"
tags = ["ssd"]
bmc = { url = "redfish://10.20.1.3", secret = "bmc/w3" }
expects = { memory = "= 64 GiB" }
cabling = { eno2 = "sw2/48" }
"#;

fn racked(table: &str) -> Result<Site, Complaints> {
    parse(&files(&[("site.toml", &format!("{SOUND}{RACKED}")), ("racks/r1.csv", table)]), "")
}

/// Line, column and message of each mistake.
fn told(result: Result<Site, Complaints>) -> Vec<String> {
    let located = result.expect_err("mistakes").located().into_iter();
    located
        .map(|l| format!("{}:{}:{}: {}", l.file.unwrap_or_default(), l.line.unwrap_or_default(), l.column.unwrap_or_default(), l.message))
        .collect()
}

#[test]
fn racks_switches_and_profiles_are_read() {
    let site = racked("name,serial\n").unwrap();
    let worker = &site.profiles["worker"];
    assert_eq!(worker.expects.memory.as_ref().map(ToString::to_string).as_deref(), Some(">= 16 GiB"));
    assert_eq!(worker.tests.len(), 2);
    assert_eq!(site.switches[1].lldp.as_deref(), Some("52:54:00:00:00:aa"));
    let w3 = &site.nodes[1];
    let cables: Vec<_> = site.cables_of(w3).iter().map(|cable| format!("{} {}", cable.nic, cable.at)).collect();
    assert_eq!(cables, ["eno2 sw2/48", "eno1 sw1/3"]);
    assert_eq!(w3.bmc.as_ref().and_then(|bmc| bmc.ip()).map(|ip| ip.to_string()).as_deref(), Some("10.20.1.3"));
    assert_eq!(site.expects_of(w3).memory.map(|limit| limit.to_string()).as_deref(), Some("= 64 GiB"));
    let kept: Site = serde_json::from_str(&serde_json::to_string(&site).unwrap()).unwrap();
    assert_eq!(kept, site);
}

#[test]
fn a_racks_table_is_read_as_spreadsheets_write_it() {
    let plain = "name,unit,serial,bmc,uuid,mac,address,profile,owner,tags\n\
        w1x,1,A1,10.20.1.1,4c4c4544-0042-3510-8058-b4c04f4e3232,52:54:00:00:00:01,10.20.0.21,worker,\"Doe, Jane\",gpu ssd\n\
        w2x,2,A2,redfish://10.20.1.2,,,,,,\n";
    let semicolons = plain.replace("\"Doe, Jane\"", "Doe# Jane").replace(',', ";").replace('#', ",");
    let quoted: String =
        plain.lines().filter(|line| !line.contains("Doe")).map(|line| format!("\"{}\"\r\n", line.replace(',', "\",\""))).collect();
    let read = |table: &str| racked(table).unwrap().nodes.split_off(2);
    let nodes = read(plain);
    assert_eq!((nodes[0].name.as_str(), nodes[0].unit, nodes[0].rack.as_deref()), ("w1x", Some(1), Some("r1")));
    assert_eq!(nodes[0].owner.as_deref(), Some("Doe, Jane"));
    assert_eq!(nodes[0].tags.iter().map(String::as_str).collect::<Vec<_>>(), ["gpu", "ssd"]);
    assert_eq!(nodes[1].bmc.as_ref().and_then(|bmc| bmc.url.as_deref()), Some("redfish://10.20.1.2"));
    for table in
        [semicolons.replace(';', "\t"), semicolons, format!("\u{feff}{}", plain.replace('\n', "\r\n\r\n")), format!("{plain},,,,,,,,,\n")]
    {
        assert_eq!(read(&table), nodes, "{table}");
    }
    assert_eq!(read(&quoted), nodes[1..], "{quoted}");
    assert_eq!(read("Name ; SERIAL\nw9;A9\n")[0].serial.as_deref(), Some("A9"));
}

#[test]
fn every_mistake_of_a_table_is_told_at_once_with_its_line_and_column() {
    let table = "\u{feff}name;unit;serial;mac;tags;colour;seral\r\n\
        w1x;61;A1;52:54;;red;\r\n\
        \r\n\
        ;2;A2;;;;\r\n\
        w3;3;1,23457E+15;;;;\r\n\
        \"w4x\";4;\"A\"\"4\";00:00:00:00:00:00;;;;;\"x\"\r\n\
        w5x;4;A3;;;;\r\n\
        W6;6;To be filled by O.E.M.;;;;\r\n\
        w7x;7;\"A7\r\nw8x;8;A8;;;;\r\n";
    assert_eq!(
        told(racked(table)),
        [
            "racks/r1.csv:1:27: unknown column `colour`; known here: name, unit, serial, bmc, uuid, mac, address, profile, owner, tags",
            "racks/r1.csv:1:34: unknown column `seral`; did you mean `serial`?",
            "racks/r1.csv:2:5: unit: `61` is not a unit: write a whole number from 1, at the bottom, to 60",
            "racks/r1.csv:2:11: mac: `52:54` is not a MAC address: give six bytes such as 52:54:00:12:34:56",
            "racks/r1.csv:4:1: name: this row has no name: write one in the column `name`, or remove the row",
            "racks/r1.csv:5:4: unit: unit 3 of rack `r1` already belongs to node `w3`: each node needs its own",
            "racks/r1.csv:5:6: serial: `1,23457E+15` looks like a number that a spreadsheet shortened: make the column text, and enter the serial again",
            "racks/r1.csv:6:1: this row has 9 cells, and the first line names 7 columns: put quotes around a cell that holds a comma or semicolon",
            "racks/r1.csv:6:16: mac: 00:00:00:00:00:00 is not the address of one network card: group addresses and zeros identify nobody",
            "racks/r1.csv:7:5: unit: unit 4 of rack `r1` already belongs to node `w4x`: each node needs its own",
            "racks/r1.csv:7:7: serial: serial `A3` already belongs to node `w3`: each node needs its own",
            "racks/r1.csv:8:1: name: `W6` cannot be a node's name: use 1 to 63 lower-case letters, digits and hyphens, no hyphen at either end",
            "racks/r1.csv:8:6: serial: `To be filled by O.E.M.` is what boards say that have no serial: use `uuid` or `mac` for node `W6`",
            "racks/r1.csv:9:1: a cell of this row goes over several lines: a quote is not closed",
            "racks/r1.csv:9:7: serial: `A7\\r\\nw8x;8;A8;;;;` is what boards say that have no serial: use `uuid` or `mac` for node `w7x`",
        ]
    );
    for (table, expected) in [
        ("", "racks/r1.csv:1:1: this table is empty: write the line `name,unit,serial,bmc` and below it a line for each node"),
        ("w1,1,A1\n", "racks/r1.csv:1:1: the first line names the columns, and lacks `name`: write a line such as name,unit,serial,bmc"),
        ("name,serial,name\n", "racks/r1.csv:1:13: the column `name` is there twice: keep one of them"),
        (
            "name,,serial\n",
            "racks/r1.csv:1:6: this column has no name; known here: name, unit, serial, bmc, uuid, mac, address, profile, owner, tags",
        ),
    ] {
        assert!(told(racked(table)).contains(&expected.to_owned()), "{table:?}: {:?}", told(racked(table)));
    }
}

#[test]
fn no_table_makes_the_reader_panic() {
    for table in [
        "\"",
        "\"\"\"",
        "name\n\"",
        "\u{feff}",
        "name;\u{feff}\n\u{1b};x",
        "name\r\r\n\nw1\r",
        "name,serial\n\"a\"b\",c\n",
        "é,name\né,ü",
        "\n\n\nname\n\n",
    ] {
        let _ = racked(table);
    }
}

#[test]
fn a_mistake_in_the_new_tables_stands_at_its_key() {
    for (from, to, expected) in [
        (
            "memory = \">= 16 GiB\"",
            "memory = \"16 GiB\"",
            "site.toml:25:10: profile.worker.expects.memory: `16 GiB` is not a limit: write `>= 16 GiB` or `= 16 GiB`",
        ),
        (
            "boot = \"uefi\"",
            "boot = \"efi\"",
            "site.toml:29:8: profile.worker.expects.boot: `efi` is not known: write \"bios\" or \"uefi\"; did you mean \"uefi\"?",
        ),
        (
            "\"disks\"]",
            "\"disk\"]",
            "site.toml:22:9: profile.worker.tests: `disk` is not known: write \"memory\" or \"cpu\" or \"disks\" or \"network\"; did you mean \"disks\"?",
        ),
        ("tests =", "image = \"debian-12\"\ntests =", "site.toml:22:1: unknown key `profile.worker.image`; known here: expects, tests"),
        ("driver = \"manual\"", "driver = \"sonic\"", "site.toml:35:10: switch.0.driver: `sonic` is not known: write \"manual\""),
        (
            "pair = \"sw2\"",
            "pair = \"sw9\"",
            "site.toml:34:8: switch.0.pair: there is no switch `sw9`; known: sw1, sw2. Mend the name, or declare it with [[switch]]",
        ),
        (
            "eno1 -> sw1/N",
            "eno1 > sw1/N",
            "site.toml:45:11: rack.r1.cabling: `eno1 > sw1/N` is not a cable: write interface -> switch/port, such as eno1 -> sw1/N",
        ),
        (
            "racks/r1.csv",
            "racks/r2.csv",
            "site.toml:46:9: rack.r1.nodes: there is no racks/r2.csv in the site's folder: write it, or mend the path",
        ),
        (
            "racks/r1.csv",
            "../r1.csv",
            "site.toml:46:9: rack.r1.nodes: `../r1.csv` is not a table of this site: name a .csv file by its path within the site's folder, such as racks/r1.csv",
        ),
        ("unit = 3", "unit = 0", "site.toml:52:8: node.1.unit: 0 is out of range: choose 1 to 60"),
        (
            "rack = \"r1\"\nunit",
            "rack = \"r9\"\nunit",
            "site.toml:51:8: node.1.rack: there is no rack `r9`; known: r1. Mend the name, or declare it with [rack.r9]",
        ),
        ("secret =", "password =", "site.toml:56:38: unknown key `node.1.bmc.password`; known here: url, address, secret"),
        (
            "eno2 = \"sw2/48\"",
            "eno2 = \"sw2\"",
            "site.toml:58:20: node.1.cabling.eno2: `sw2` is not a port of a switch: write switch/port, such as sw1/7",
        ),
        (
            "eno2 = \"sw2/48\"",
            "eno2 = \"sw1/4\"",
            "racks/r1.csv:2:4: unit: `eno1` is to be plugged into sw1/4, which belongs to node `w3`: a port takes one cable",
        ),
        (
            "[rack.r1]",
            "[rack.r0]\nnodes = \"racks/r1.csv\"\n[rack.r1]",
            "site.toml:48:9: rack.r1.nodes: `racks/r1.csv` already lists the nodes of rack `r0`: a table belongs to one rack",
        ),
    ] {
        let text = format!("{SOUND}{RACKED}").replacen(from, to, 1);
        let all = told(parse(&files(&[("racks/r1.csv", "name,unit,serial\nw4,4,A4\n"), ("site.toml", &text)]), ""));
        assert!(all.contains(&expected.to_owned()), "{to}: {all:#?}");
    }
    let unnamed = told(parse(&files(&[("site.toml", SOUND), ("racks/r1.csv", "name\n")]), ""));
    assert_eq!(unnamed, ["racks/r1.csv:1:1: no rack names this table: write nodes = \"racks/r1.csv\" in [rack.NAME]"]);
}

#[test]
fn the_tables_that_racks_name_are_read_and_no_other_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("site/site.toml", &format!("{SOUND}{RACKED}"));
    write(
        "site/more/racks.toml",
        "[rack.r2]\nnodes = \"../secret.csv\"\n[rack.r3]\nnodes = \"racks/none.csv\"\n[rack.r4]\nnodes = \"racks/r4.txt\"\n",
    );
    for name in ["site/racks/r1.csv", "site/racks/old.csv", "site/racks/r4.txt", "secret.csv"] {
        write(name, "name,serial\nx1,X1\n");
    }
    let names = |path: &str| read_files(&folder.path().join(path)).unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(names("site"), ["more/racks.toml", "racks/r1.csv", "site.toml"]);
    assert_eq!(names("site/site.toml"), ["racks/r1.csv", "site.toml"]);
    assert!(parse(&read_files(&folder.path().join("site/site.toml")).unwrap(), "").is_ok());
}
