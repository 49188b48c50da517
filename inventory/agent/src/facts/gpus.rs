//! Graphics and compute accelerators: PCI devices of the classes for them.

use super::Gaps;
use crate::tree::Tree;
use inventory_wire::{Gpu, PciDevice};

/// Display controllers; coprocessors; processing accelerators (PCI Code and ID Assignment, 1.11).
const CLASSES: [&str; 3] = ["03", "0b40", "12"];
const IS_MEMORY: u64 = 0x200;
const IS_PREFETCHABLE: u64 = 0x2000;

/// Looks at them, in the order of their addresses. `no_name` is why one of them has no name.
pub fn look(tree: &Tree, devices: &[PciDevice], no_name: &str, gaps: &mut Gaps) -> Vec<Gpu> {
    let accelerates = |device: &&PciDevice| device.class.as_ref().is_some_and(|class| CLASSES.iter().any(|begin| class.starts_with(begin)));
    devices.iter().filter(accelerates).map(|device| gpu(tree, device, no_name, gaps)).collect()
}

fn gpu(tree: &Tree, device: &PciDevice, no_name: &str, gaps: &mut Gaps) -> Gpu {
    let address = device.address.clone().unwrap_or_default();
    let path = |field: &str| format!("gpus.{address}.{field}");
    let resources = tree.bytes(&format!("sys/bus/pci/devices/{address}/resource"), 4096).unwrap_or_default();
    Gpu {
        vendor: gaps.need(device.vendor.clone(), &path("vendor"), no_name),
        model: gaps.need(device.device.clone(), &path("model"), no_name),
        driver: gaps.need(device.driver.clone(), &path("driver"), "no driver is bound to it"),
        memory_bytes: gaps.need(memory(&resources), &path("memory_bytes"), "it shows no prefetchable memory"),
        pci: Some(address),
        ..Gpu::default()
    }
}

/// Lines of first byte, last byte and flags, each hexadecimal; the largest region that may be read ahead is its memory.
fn memory(resources: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(resources);
    let sizes = text.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace().map_while(|number| u64::from_str_radix(number.strip_prefix("0x")?, 16).ok());
        let (first, last, flags) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let is_memory = flags & (IS_MEMORY | IS_PREFETCHABLE) == IS_MEMORY | IS_PREFETCHABLE;
        last.checked_sub(first)?.checked_add(1).filter(|_| is_memory && last > first)
    });
    sizes.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_prefetchable_region_is_the_memory() {
        let resources = b"0x00000000d0000000 0x00000000d0ffffff 0x0000000000040200\n\
0x0000380000000000 0x00003807ffffffff 0x000000000014220c\n0x0 0x0 0x0\n0x0000380800000000 0x0000380801ffffff 0x000000000014220c\n";
        assert_eq!(memory(resources), Some(32 << 30));
        assert_eq!(memory(b"0x1 0x0 0x2200\n0x0 0xffffffffffffffff 0x2200\nodd\n\xff"), None);
    }
}
