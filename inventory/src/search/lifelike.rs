//! Nodes as halls have them, made up: the same seed gives the same nodes.

use domain::hardware::{DiskBrief, Firmware, NicBrief, Summary};
use domain::identity::Identity;
use domain::node::{Labels, Node, Stage};
use domain::order::{Order, OrderKind};
use domain::{BootId, MacAddr, NodeId, OrderId, Timestamp};
use uuid::Uuid;

/// xorshift64*: numbers that need not be good, only many and always the same.
pub struct Dice(u64);

impl Dice {
    /// Dice that begin at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Less than `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn sometimes(&mut self, per_cent: u64) -> bool {
        self.below(100) < per_cent
    }

    fn serial(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(b"ABCDEFGHJKLMNPQRSTVWXYZ0123456789"))).collect()
    }
}

const MACHINES: [(&str, &str); 7] = [
    ("Dell Inc.", "PowerEdge R640"),
    ("Dell Inc.", "PowerEdge R740xd"),
    ("HPE", "ProLiant DL360 Gen10"),
    ("HPE", "ProLiant DL380 Gen11"),
    ("Supermicro", "SYS-1029P-WTR"),
    ("Lenovo", "ThinkSystem SR630 V2"),
    ("QEMU", "Standard PC (Q35 + ICH9, 2009)"),
];
const PROCESSORS: [(&str, u32); 4] = [
    ("Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", 20),
    ("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", 40),
    ("AMD EPYC 7543 32-Core Processor", 32),
    ("AMD EPYC 9654 96-Core Processor", 96),
];
const DISKS: [(&str, u64, &str); 5] = [
    ("SAMSUNG MZ7LH480HAHQ-00005", 480_103_981_056, "ssd"),
    ("SAMSUNG MZQL23T8HCLS-00A07", 3_840_755_982_336, "nvme"),
    ("INTEL SSDPE2KX010T8", 1_000_204_886_016, "nvme"),
    ("ST8000NM000A-2KE101", 8_001_563_222_016, "hdd"),
    ("Micron_7450_MTFDKCC1T9TFR", 1_920_383_410_176, "nvme"),
];
const OWNERS: [&str; 5] = ["storage", "Databases", "web", "Research", "ci"];
const TAGS: [&str; 6] = ["ceph", "gpu-soon", "spare", "Loud fan", "2026-refresh", "canary"];

fn disk(dice: &mut Dice, n: u64, model: (&str, u64, &str)) -> DiskBrief {
    let nvme = model.2 == "nvme";
    DiskBrief {
        name: if nvme { format!("nvme{n}n1") } else { format!("sd{}", char::from(b'a' + n as u8)) },
        model: Some(model.0.into()),
        serial: dice.sometimes(98).then(|| dice.serial(14)),
        size_bytes: Some(model.1),
        kind: Some(model.2.into()),
        wear_percent: (model.2 != "hdd").then(|| dice.below(60) as u32),
        healthy: dice.sometimes(95).then(|| dice.below(500) > 0),
    }
}

fn nic(dice: &mut Dice, number: u64, n: u64) -> NicBrief {
    let linked = dice.sometimes(60);
    let fast = n >= 2;
    NicBrief {
        name: format!("eth{n}"),
        names: if fast { vec![format!("ens1f{}np{}", n - 2, n - 2)] } else { vec![format!("eno{}", n + 1), format!("enp{}s0f0", n + 24)] },
        mac: Some(mac(number, n)),
        driver: Some(if fast { "mlx5_core" } else { "igb" }.into()),
        link: Some(linked),
        speed_mbit: linked.then_some(if fast { 25_000 } else { 1000 }),
        most_speed_mbit: Some(if fast { 25_000 } else { 1000 }),
        switch: linked.then(|| format!("sw-r{}-{}", number / 40, n % 2 + 1)),
        port: linked.then(|| format!("Ethernet1/{}", number % 40 + 1)),
    }
}

fn mac(number: u64, n: u64) -> MacAddr {
    let bytes = (number * 4 + n).to_be_bytes();
    MacAddr([0x3c, 0xec, bytes[4], bytes[5], bytes[6], bytes[7]])
}

fn summary(dice: &mut Dice, number: u64) -> Summary {
    let (vendor, product) = dice.pick(&MACHINES);
    let (cpu, cores) = dice.pick(&PROCESSORS);
    let memory = dice.pick(&[64u64, 128, 256, 512, 1024]) << 30;
    let (system, data) = (DISKS[0], dice.pick(&DISKS));
    let data_disks = dice.below(9);
    let each_disk: Vec<_> = (0..data_disks + 2).map(|n| disk(dice, n, if n < 2 { system } else { data })).collect();
    let each_nic: Vec<_> = (0..4).map(|n| nic(dice, number, n)).collect();
    Summary {
        vendor: dice.sometimes(99).then(|| vendor.into()),
        product: Some(product.into()),
        cpu_model: Some(cpu.into()),
        cpu_threads: Some(cores * 4),
        cpu_cores: Some(cores * 2),
        cpu_sockets: Some(2),
        memory_bytes: Some(memory - (2 << 30) - dice.below(1 << 20) * 4096),
        memory_installed_bytes: dice.sometimes(90).then_some(memory),
        dimms: dice.sometimes(90).then_some((memory >> 35) as u32),
        memory_corrected_errors: dice.sometimes(80).then(|| if dice.sometimes(2) { dice.below(300) } else { 0 }),
        memory_uncorrected_errors: dice.sometimes(80).then_some(0),
        disks: Some(each_disk.len() as u32),
        disk_bytes: Some(each_disk.iter().filter_map(|disk| disk.size_bytes).sum()),
        nics: Some(4),
        firmware: Some(if dice.sometimes(80) { Firmware::Uefi } else { Firmware::Bios }),
        firmware_version: Some(format!("2.{}.{}", dice.below(20), dice.below(4))),
        secure_boot: dice.sometimes(80).then(|| dice.sometimes(30)),
        tpm: dice.sometimes(70).then(|| "2.0".into()),
        bmc_address: dice.sometimes(90).then(|| std::net::Ipv4Addr::from(0x0a14_0000 + number as u32).into()),
        bmc_firmware: dice.sometimes(90).then(|| format!("6.10.{}.00", dice.below(9) * 10)),
        board_serial: dice.sometimes(90).then(|| dice.serial(14)),
        chassis_serial: dice.sometimes(90).then(|| dice.serial(10)),
        asset_tag: dice.sometimes(20).then(|| format!("A-{:06}", dice.below(1_000_000))),
        gpus: if dice.sometimes(5) { vec!["NVIDIA H100 PCIe".into(); 2] } else { Vec::new() },
        each_disk,
        each_nic,
    }
}

/// The node of this number, seen within the 30 days before `now`.
pub fn node(seed: u64, number: u64, now: Timestamp) -> Node {
    let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let summary = summary(&mut dice, number);
    let uuid = Uuid::from_u128(u128::from(dice.below(u64::MAX)) << 64 | u128::from(number) << 20 | 7);
    let macs: Vec<_> = summary.each_nic.iter().filter_map(|nic| nic.mac).collect();
    let ago = |seconds: u64| domain::clock::after_seconds(now, -(seconds as i64));
    let tags = (0..dice.below(3)).map(|_| dice.pick(&TAGS).to_owned()).collect();
    Node {
        id: NodeId(Uuid::from_u128(0x0193_5cbf_0000_7000_8000_0000_0000_0000 | u128::from(number))),
        name: dice.sometimes(90).then(|| format!("r{}-n{}", number / 40, number % 40 + 1)),
        stage: Stage::Discovered,
        identity: Identity::new(Some(uuid), Some(&dice.serial(10)), macs),
        summary,
        labels: Labels {
            owner: dice.sometimes(60).then(|| dice.pick(&OWNERS).into()),
            tags,
            note: dice.sometimes(5).then(|| "fan 3 whistles, replaced in spring".into()),
        },
        digest: None,
        first_seen: ago(2_592_000 + dice.below(10_000_000)),
        last_seen: ago(dice.below(2_592_000)),
        reports: 1 + dice.below(200),
        boot: dice.sometimes(95).then(|| BootId(Uuid::from_u128(u128::from(number) << 3))),
        key: None,
        address: dice.sometimes(95).then(|| std::net::Ipv4Addr::from(0x0a80_0000 + number as u32)),
        order: dice.sometimes(40).then(|| Order {
            id: OrderId(Uuid::from_u128(u128::from(number))),
            kind: dice.pick(&[OrderKind::Wait, OrderKind::Reboot, OrderKind::LocalDisk]),
            given: now,
            taken: None,
            test: None,
        }),
        version: 1,
    }
}
