//! Processors: model from `/proc/cpuinfo`, packages, cores and threads from the kernel's topology.

use super::Gaps;
use crate::tree::Tree;
use inventory_wire::Cpu;
use std::collections::BTreeSet;

/// cpuinfo has about 1.5 KiB for each thread; the first block is enough for the names.
const MOST_OF_CPUINFO: usize = 64 * 1024;

/// Looks at them.
pub fn look(tree: &Tree, gaps: &mut Gaps) -> Cpu {
    let bytes = tree.bytes("proc/cpuinfo", MOST_OF_CPUINFO).unwrap_or_default();
    let info = String::from_utf8_lossy(&bytes);
    let topology = Topology::read(tree);
    let count = |number: usize| u32::try_from(number).ok().filter(|number| *number > 0);
    let no_topology = "the kernel shows no topology of the processors";
    Cpu {
        model: gaps.need(value(&info, "model name"), "cpu.model", "/proc/cpuinfo has no line `model name`"),
        vendor: gaps.need(value(&info, "vendor_id"), "cpu.vendor", "/proc/cpuinfo has no line `vendor_id`"),
        architecture: Some(std::env::consts::ARCH.into()),
        sockets: gaps.need(count(topology.packages.len()), "cpu.sockets", no_topology),
        cores: gaps.need(count(topology.cores.len()), "cpu.cores", no_topology),
        threads: gaps.need(count(topology.threads), "cpu.threads", no_topology),
        ..Cpu::default()
    }
}

/// The first `name : value`; padding inside model names is squeezed.
fn value(info: &str, name: &str) -> Option<String> {
    let value = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value)
    })?;
    let squeezed = value.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::tree::text_of(squeezed.as_bytes())
}

#[derive(Default)]
struct Topology {
    threads: usize,
    cores: BTreeSet<String>,
    packages: BTreeSet<String>,
}

impl Topology {
    /// One core is one set of sibling threads. Processors that are switched off show no topology and do not count.
    fn read(tree: &Tree) -> Self {
        let mut found = Self::default();
        for name in tree.names("sys/devices/system/cpu") {
            let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let folder = format!("sys/devices/system/cpu/{name}/topology");
            if !name.strip_prefix("cpu").is_some_and(is_number) || !tree.exists(&folder) {
                continue;
            }
            found.threads += 1;
            let siblings = ["core_cpus_list", "thread_siblings_list"].iter().find_map(|file| tree.text(&format!("{folder}/{file}")));
            found.cores.extend(siblings);
            found.packages.extend(tree.text(&format!("{folder}/physical_package_id")).filter(|id| id != "-1"));
        }
        found
    }
}
