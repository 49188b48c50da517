//! What IEEE 802.1 and 802.3 add to LLDP: VLANs, aggregation, the largest frame (802.1Q-2018 annex D, 802.3-2018
//! clause 79). Of every other organisation nothing is read.

use crate::tree::text_of;
use inventory_wire::{Neighbour, Vlan};

const IEEE_802_1: [u8; 3] = [0x00, 0x80, 0xc2];
const IEEE_802_3: [u8; 3] = [0x00, 0x12, 0x0f];
/// A switch may name every VLAN of a trunk, one TLV each; they must fit in a frame.
const MOST_VLANS: usize = 256;

/// Reads the content of a TLV of type 127: organisation, kind, what it says. What is too short says nothing.
pub fn read(content: &[u8], neighbour: &mut Neighbour) {
    let Some((&[a, b, c, kind], said)) = content.split_first_chunk::<4>() else { return };
    match ([a, b, c], kind) {
        (IEEE_802_1, 1) => {
            // 0: the port has none.
            let vlan = said.first_chunk().map(|id| u16::from_be_bytes(*id)).filter(is_vlan);
            neighbour.vlan = neighbour.vlan.or(vlan);
        }
        (IEEE_802_1, 3) => vlan_name(said, neighbour),
        // The same moved from 802.3 to 802.1AX. Who sends both means the newer one.
        (IEEE_802_1, 7) => aggregation(said, neighbour),
        (IEEE_802_3, 3) if neighbour.aggregated.is_none() => aggregation(said, neighbour),
        (IEEE_802_3, 4) => {
            let bytes = said.first_chunk().map(|bytes| u32::from(u16::from_be_bytes(*bytes))).filter(|bytes| *bytes > 0);
            neighbour.most_frame_bytes = neighbour.most_frame_bytes.or(bytes);
        }
        _ => {}
    }
}

fn is_vlan(id: &u16) -> bool {
    (1..=4094).contains(id)
}

fn vlan_name(said: &[u8], neighbour: &mut Neighbour) {
    let Some((&[a, b, length], name)) = said.split_first_chunk::<3>() else { return };
    let id = u16::from_be_bytes([a, b]);
    let known = neighbour.vlans.iter().any(|vlan| vlan.id == Some(id));
    if is_vlan(&id) && !known && neighbour.vlans.len() < MOST_VLANS {
        let name = name.get(..usize::from(length)).and_then(text_of);
        neighbour.vlans.push(Vlan { id: Some(id), name, ..Vlan::default() });
    }
}

/// One byte of flags, four of the aggregate's number.
fn aggregation(said: &[u8], neighbour: &mut Neighbour) {
    let Some(&[flags, a, b, c, d]) = said.first_chunk::<5>() else { return };
    let aggregated = flags & 2 != 0;
    neighbour.aggregation_capable = Some(flags & 1 != 0);
    neighbour.aggregated = Some(aggregated);
    neighbour.aggregate = Some(u32::from_be_bytes([a, b, c, d])).filter(|number| aggregated && *number != 0);
}
