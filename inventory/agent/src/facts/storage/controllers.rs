//! Controllers of disks: PCI functions of class 01, mass storage.

use crate::facts::Gaps;
use crate::tree::Tree;
use inventory_wire::Controller;

const DEVICES: &str = "sys/bus/pci/devices";
/// Where drivers show the firmware of a SCSI host: mpt3sas; smartpqi; hpsa; aacraid, arcmsr; qla2xxx; lpfc.
const OF_HOSTS: [&str; 6] = ["version_fw", "firmware_version", "firmware_revision", "hba_monitor_version", "fw_version", "fwrev"];

/// Looks at them, in the order of their addresses.
pub fn look(tree: &Tree, gaps: &mut Gaps) -> Vec<Controller> {
    tree.names(DEVICES).iter().filter_map(|address| controller(tree, address, gaps)).collect()
}

fn controller(tree: &Tree, address: &str, gaps: &mut Gaps) -> Option<Controller> {
    let folder = format!("{DEVICES}/{address}");
    let kind = kind(&tree.text(&format!("{folder}/class"))?)?;
    let path = |field: &str| format!("controllers.{address}.{field}");
    let driver = tree.link_name(&format!("{folder}/driver"));
    let no_firmware = if driver.is_some() { "its driver does not tell" } else { "no driver is bound to it" };
    Some(Controller {
        pci: Some(address.to_owned()),
        kind: Some(kind.to_owned()),
        firmware: gaps.need(firmware(tree, &folder), &path("firmware"), no_firmware),
        driver: gaps.need(driver, &path("driver"), "no driver is bound to it"),
        ..Controller::default()
    })
}

/// `0x010601` (PCI code and id assignment, class 01).
fn kind(class: &str) -> Option<&'static str> {
    let subclass = class.strip_prefix("0x").unwrap_or(class).strip_prefix("01")?.get(..2)?;
    Some(match subclass {
        "00" => "scsi",
        "01" => "ide",
        "02" => "floppy",
        "04" => "raid",
        "05" => "ata",
        "06" => "sata",
        "07" => "sas",
        "08" => "nvme",
        "09" => "ufs",
        _ => "other",
    })
}

fn firmware(tree: &Tree, folder: &str) -> Option<String> {
    let nvme = format!("{folder}/nvme");
    let of_nvme = tree.names(&nvme).into_iter().find_map(|name| tree.text(&format!("{nvme}/{name}/firmware_rev")));
    let hosts = || tree.names(folder).into_iter().filter(|name| name.starts_with("host"));
    let of_host = |host: String| OF_HOSTS.iter().find_map(|file| tree.text(&format!("{folder}/{host}/scsi_host/{host}/{file}")));
    of_nvme.or_else(|| hosts().find_map(of_host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_tells_the_kind() {
        for (class, expected) in [("0x010802", Some("nvme")), ("0x010400", Some("raid")), ("0x018000", Some("other"))] {
            assert_eq!(kind(class), expected, "{class}");
        }
        for class in ["0x020000", "0x01", "", "01"] {
            assert_eq!(kind(class), None, "{class}");
        }
    }
}
