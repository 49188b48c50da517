//! NUMA nodes: which processors and which memory are near each other.

use super::Gaps;
use crate::tree::Tree;
use inventory_wire::NumaNode;

const NODES: &str = "sys/devices/system/node";

/// Looks at them, in the order of their numbers.
pub fn look(tree: &Tree, gaps: &mut Gaps) -> Vec<NumaNode> {
    let number = |name: &String| name.strip_prefix("node")?.parse::<u32>().ok();
    let nodes: Vec<NumaNode> = tree.names(NODES).iter().filter_map(number).map(|id| node(tree, id, gaps)).collect();
    if nodes.is_empty() {
        gaps.note("cpu.numa", "the kernel shows no NUMA nodes");
    }
    nodes
}

fn node(tree: &Tree, id: u32, gaps: &mut Gaps) -> NumaNode {
    let path = |field: &str| format!("cpu.numa.{id}.{field}");
    let info = tree.bytes(&format!("{NODES}/node{id}/meminfo"), 16 * 1024).unwrap_or_default();
    let distances = tree.text(&format!("{NODES}/node{id}/distance")).unwrap_or_default();
    let distances: Vec<u32> = distances.split_ascii_whitespace().map_while(|number| number.parse().ok()).collect();
    if distances.is_empty() {
        gaps.note(path("distances"), "the kernel does not say");
    }
    NumaNode {
        id: Some(id),
        cpus: gaps.need(tree.text(&format!("{NODES}/node{id}/cpulist")), &path("cpus"), "it has no processor that is on"),
        memory_bytes: gaps.need(total(&info), &path("memory_bytes"), "it has no memory"),
        distances,
        ..NumaNode::default()
    }
}

/// `Node 0 MemTotal:  480000 kB`, where kB means KiB.
fn total(info: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(info);
    let (_, rest) = text.lines().find_map(|line| line.split_once(" MemTotal:"))?;
    let bytes = rest.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)?;
    (bytes > 0).then_some(bytes)
}
