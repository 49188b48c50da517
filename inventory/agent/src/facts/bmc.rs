//! The management controller: what it says of itself, or why it says nothing.

use super::Gaps;
use super::smbios::{IPMI_CONTROLLER, Smbios};
use crate::ipmi::Answer;
use crate::tree::Tree;
use inventory_wire::Bmc;

/// The kernel's own copy of what the controller says it is, for everybody to read.
const COPY: &str = "sys/bus/platform/devices/ipmi_bmc.0";

/// Looks at it.
pub fn look(tree: &Tree, smbios: Result<&Smbios<'_>, String>, answer: &Answer, gaps: &mut Gaps) -> Option<Bmc> {
    let why = match answer {
        Answer::Said(bmc, missing) => {
            missing.iter().for_each(|gap| gaps.note(gap.path.clone(), gap.reason.clone()));
            return Some(bmc.as_ref().clone());
        }
        Answer::NeedsRoot => {
            gaps.note("bmc.address", "/dev/ipmi0 needs root: run it with sudo");
            let bmc = copied(tree);
            return (bmc != Bmc::default()).then_some(bmc);
        }
        Answer::Pending => "the management controller is still being asked".to_owned(),
        Answer::Failed(why) => why.clone(),
        Answer::NotAsked => "a management controller can only be asked by the machine itself".to_owned(),
        Answer::NoDevice => no_device(smbios),
    };
    gaps.note("bmc", why);
    None
}

fn no_device(smbios: Result<&Smbios<'_>, String>) -> String {
    match smbios {
        Ok(smbios) if smbios.first(IPMI_CONTROLLER).is_some() => {
            "SMBIOS names a management controller (type 38), but there is no /dev/ipmi0: the modules ipmi_si (or ipmi_ssif) and ipmi_devintf are not loaded".into()
        }
        Ok(_) => "SMBIOS names no management controller (type 38), and there is no /dev/ipmi0".into(),
        Err(_) => "there is no /dev/ipmi0".into(),
    }
}

fn copied(tree: &Tree) -> Bmc {
    let text = |file: &str| tree.text(&format!("{COPY}/{file}"));
    let hex = |file: &str| u32::from_str_radix(text(file)?.strip_prefix("0x")?, 16).ok();
    Bmc {
        firmware: text("firmware_revision"),
        ipmi: text("ipmi_version"),
        manufacturer_id: hex("manufacturer_id"),
        product_id: hex("product_id"),
        uuid: text("guid"),
        ..Bmc::default()
    }
}
