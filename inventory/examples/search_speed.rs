//! How long a search takes and how much memory the table needs, with made-up but lifelike nodes:
//!
//! `cargo run -p inventory --profile bench-run --example search_speed -- 100000`
//!
//! On a machine that does other things meanwhile, start the program with `chrt --fifo 50 taskset --cpu-list 1`.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../src/search/lifelike.rs"]
mod lifelike;

use domain::Timestamp;
use domain::node::Node;
use inventory::search::{Ask, Table};
use std::time::{Duration, Instant};

const ROUNDS: usize = 300;

const CASES: &[(&str, &str, &str)] = &[
    ("all by id, first page", "", ""),
    ("all by name", "", "name"),
    ("all by name, last first", "", "-name"),
    ("the issue's query", "disks.size > 1TB and vendor = Dell and stage = discovered", "name"),
    ("the same, none fits", "disks.size > 1TB and vendor = Dell and stage = ready", "name"),
    ("one disk fits all", "disks[size > 1TB and kind = nvme and wear > 50%]", "-disks.size,name"),
    ("a few racks' switches", "nics.switch = sw-r7-1", "name"),
    ("one MAC address", "mac = 3c:ec:00:00:01:00", ""),
    ("text: one serial", "3c:ec:00:00:f1", ""),
    ("text: nothing", "no-such-word", ""),
    ("text: most nodes", "poweredge", "-seen"),
    ("text: three words", "dell r640 ceph", "-memory"),
    ("contains", "disks.serial ~ QQ7", "name"),
    ("heard lately", "seen < 1d", "-seen"),
];

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn percentile(sorted: &[Duration], per_cent: usize) -> Duration {
    sorted[(sorted.len() * per_cent / 100).min(sorted.len() - 1)]
}

fn ask(query: &str, sort: &str) -> Ask {
    let columns = Some("name,vendor,product,serial,memory,disks.size,seen".parse().unwrap());
    Ask { query: query.parse().unwrap(), sort: sort.parse().unwrap(), columns, cursor: None, limit: 100 }
}

fn main() {
    let many: u64 = std::env::args().nth(1).map_or(100_000, |n| n.parse().unwrap());
    let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let before = resident();
    let table = Table::default();
    let mut packing = Duration::ZERO;
    for number in 0..many {
        let node = lifelike::node(1, number, now);
        let begun = Instant::now();
        table.put(&node);
        packing += begun.elapsed();
    }
    let each = |bytes: usize| bytes / many as usize;
    println!(
        "{many} nodes: put {:?} each, {} bytes each in the table, {} of resident memory",
        packing / many as u32,
        each(table.bytes()),
        each(resident() - before)
    );
    println!("{:<28} {:>9} {:>9} {:>9} {:>8}", "100 of them, 7 columns", "p50", "p99", "most", "fit");
    let only = std::env::args().nth(2).unwrap_or_default();
    for (what, query, sort) in CASES.iter().filter(|(what, _, _)| what.contains(&only)) {
        let ask = ask(query, sort);
        let total = table.query(&ask, now).unwrap().total;
        let mut took: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                std::hint::black_box(table.query(&ask, now).unwrap());
                begun.elapsed()
            })
            .collect();
        took.sort_unstable();
        let ms = |per_cent| format!("{:.2} ms", percentile(&took, per_cent).as_secs_f64() * 1000.0);
        println!("{what:<28} {:>9} {:>9} {:>9} {:>8}", ms(50), ms(99), ms(100), total.unwrap());
    }
    changes_meanwhile(&table, many, now);
}

/// How long a change waits while another processor does nothing but search.
fn changes_meanwhile(table: &Table, many: u64, now: Timestamp) {
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::black_box(table.query(&ask("poweredge", "-name"), now).unwrap());
            }
        });
        let took = (0..20_000u64)
            .map(|n| {
                let node = Node { version: n + 2, ..lifelike::node(2, n.wrapping_mul(7919) % many, now) };
                let begun = Instant::now();
                table.put(&node);
                begun.elapsed()
            })
            .collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        took
    });
    took.sort_unstable();
    let (half, p99, most) = (percentile(&took, 50), percentile(&took, 99), percentile(&took, 100));
    println!(
        "a change while a search runs: p50 {half:?}, p99 {p99:?}, most {most:?}; {} bytes a node afterwards",
        table.bytes() / many as usize
    );
}
