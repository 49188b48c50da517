//! Processors: model from `/proc/cpuinfo`, packages, cores and threads from the kernel's topology.

use super::{Gaps, numa};
use crate::tree::Tree;
use inventory_wire::Cpu;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// cpuinfo has about 1.5 KiB for each thread; the first block is enough for the names.
const MOST_OF_CPUINFO: usize = 64 * 1024;
const MOST_FLAGS: usize = 1024;
const FREQUENCY: &str = "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq";
const VULNERABILITIES: &str = "sys/devices/system/cpu/vulnerabilities";

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
        flags: flags(&info, gaps),
        microcode: gaps.need(value(&info, "microcode"), "cpu.microcode", "/proc/cpuinfo has no line `microcode`"),
        max_mhz: gaps.need(max_mhz(tree), "cpu.max_mhz", "the kernel has no cpufreq driver for the processor"),
        vulnerabilities: gaps.need(vulnerabilities(tree), "cpu.vulnerabilities", "the kernel does not judge them"),
        numa: numa::look(tree, gaps),
        ..Cpu::default()
    }
}

fn flags(info: &str, gaps: &mut Gaps) -> Vec<String> {
    let words = line(info, "flags").unwrap_or_default().split_ascii_whitespace().take(MOST_FLAGS);
    let mut flags: Vec<String> = words.filter_map(|word| crate::tree::text_of(word.as_bytes())).collect();
    flags.sort();
    flags.dedup();
    if flags.is_empty() {
        gaps.note("cpu.flags", "/proc/cpuinfo has no line `flags`");
    }
    flags
}

/// The kernel counts in kHz.
fn max_mhz(tree: &Tree) -> Option<u32> {
    u32::try_from(tree.number(FREQUENCY)? / 1000).ok().filter(|mhz| *mhz > 0)
}

fn vulnerabilities(tree: &Tree) -> Option<Map<String, Value>> {
    let told = |name: String| {
        let judged = tree.text(&format!("{VULNERABILITIES}/{name}"))?;
        Some((crate::tree::text_of(name.as_bytes())?, Value::String(judged)))
    };
    let map: Map<String, Value> = tree.names(VULNERABILITIES).into_iter().filter_map(told).collect();
    (!map.is_empty()).then_some(map)
}

/// What stands after the first `name :`.
fn line<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value)
    })
}

/// The same as a text; padding inside model names is squeezed.
fn value(info: &str, name: &str) -> Option<String> {
    let squeezed = line(info, name)?.split_whitespace().collect::<Vec<_>>().join(" ");
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
