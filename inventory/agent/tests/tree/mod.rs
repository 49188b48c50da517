//! A folder that looks like `/sys` and `/proc`.

// Each test file uses a part of it.
#![allow(dead_code)]

use inventory_agent::facts::{Findings, look};
use inventory_agent::netlink::Link;
use inventory_agent::tree::Tree;
use std::path::PathBuf;

pub struct FakeTree(tempfile::TempDir);

impl FakeTree {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn look(&self, links: &[Link]) -> Findings {
        look(&Tree::copy(self.0.path()), links)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn folder(&self, path: &str) {
        std::fs::create_dir_all(self.at(path)).unwrap();
    }

    pub fn file(&self, path: &str, content: &[u8]) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), content).unwrap();
    }

    /// A link as the kernel makes them: relative. `target` is named from the root.
    pub fn link(&self, path: &str, target: &str) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        let up = "../".repeat(path.matches('/').count());
        std::os::unix::fs::symlink(format!("{up}{target}"), self.at(path)).unwrap();
    }

    /// A disk of `sectors` whose device is `device`.
    pub fn disk(&self, name: &str, device: &str, sectors: u64) {
        let block = format!("{device}/block/{name}");
        self.file(&format!("{block}/size"), format!("{sectors}\n").as_bytes());
        self.file(&format!("{block}/removable"), b"0\n");
        self.file(&format!("{block}/queue/rotational"), b"0\n");
        self.file(&format!("{block}/queue/logical_block_size"), b"512\n");
        self.link(&format!("{block}/device"), device);
        self.link(&format!("sys/block/{name}"), &block);
    }

    /// A network interface whose device is `device`.
    pub fn nic(&self, name: &str, device: &str, driver: &str) {
        let net = format!("{device}/net/{name}");
        self.file(&format!("{net}/type"), b"1\n");
        self.link(&format!("{net}/device"), device);
        self.link(&format!("{device}/driver"), &format!("sys/bus/drivers/{driver}"));
        self.link(&format!("sys/class/net/{name}"), &net);
    }

    pub fn root(&self) -> &std::path::Path {
        self.0.path()
    }

    /// A PCI function whose device is `device`, the last part of which is its address.
    pub fn pci(&self, device: &str, class: &str, vendor: &str, id: &str) -> String {
        let address = device.rsplit('/').next().unwrap();
        for (file, content) in [("class", class), ("vendor", vendor), ("device", id)] {
            self.file(&format!("{device}/{file}"), format!("{content}\n").as_bytes());
        }
        self.link(&format!("{device}/subsystem"), "sys/bus/pci");
        self.link(&format!("sys/bus/pci/devices/{address}"), device);
        device.to_owned()
    }
}
