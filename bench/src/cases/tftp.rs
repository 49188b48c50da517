//! How fast boot programmes are read by TFTP, at what cost, and what a server does when its reader goes away.

use super::Case;
use crate::cleanup::Folder;
use crate::contestants::{Contestant, Programs};
use crate::hall::{Hall, MACHINES, SERVER, address_of};
use crate::report::Sample;
use crate::running::Running;
use anyhow::{Context, ensure};
use std::net::SocketAddrV4;
use std::path::Path;
use std::time::{Duration, Instant};
use tests_sim::tftp::{Client, Options};

/// Reading a file of 1 MiB.
pub struct Tftp;

/// A name that every contestant serves: a BIOS machine's boot programme.
const FILE: &str = "undionly.kpxe";
const SIZE: usize = 1 << 20;
/// Fits into an Ethernet frame, and is what UEFI firmware asks for.
const BLOCK: u16 = 1468;
/// How long to listen for a server that goes on after an ERROR: async-tftp repeats after 3 s.
const WATCH: Duration = Duration::from_secs(7);
/// Readers at once, each a machine of its own; window; files that each reads.
const SHAPES: [(u8, u16, u32); 4] = [(1, 1, 32), (1, 16, 64), (MACHINES, 1, 4), (MACHINES, 16, 8)];

impl Case for Tftp {
    fn name(&self) -> &'static str {
        "tftp"
    }

    fn about(&self) -> &'static str {
        "reading a file of 1 MiB by TFTP, blksize 1468, readers and server on the same cores"
    }

    fn contestants(&self) -> &'static [&'static str] {
        &["overture", "async-tftp", "dnsmasq"]
    }

    fn round(&self, programs: &Programs, contestant: &dyn Contestant, round: u32) -> anyhow::Result<Vec<Sample>> {
        let files = Folder::new()?;
        let content = write_files(files.path())?;
        let hall = Hall::open()?;
        hall.address_machines()?;
        let running = Running::start(contestant, programs, &hall, Some(files.path()))?;
        let ready = || -> anyhow::Result<Option<()>> {
            let client = Client { tries: 1, repeat_after: Duration::from_millis(50), ..client(0) };
            Ok(hall.on_client(|| Ok(client.read(FILE, options(1)).ok()))?.map(drop))
        };
        running.await_answer("a TFTP request", ready)?;
        let mut samples = Vec::new();
        for (readers, window, each) in SHAPES {
            let measured = measure(&hall, &running, &content, readers, window, each)?;
            // Who does not know windows would only be measured twice.
            let Some(measured) = measured else { continue };
            let who = if readers == 1 { "1 reader".to_owned() } else { format!("{readers} readers") };
            let name = |what: &str| format!("{who}, window {window}: {what}");
            samples.push(Sample::new(name("rate"), "MB/s", measured.bytes / 1e6 / measured.wall.as_secs_f64()));
            samples.push(Sample::new(name("server CPU"), "s/GiB", measured.cpu.as_secs_f64() * f64::from(1 << 30) / measured.bytes));
            samples.push(Sample::new(name("repetitions"), "packets", f64::from(measured.repeated)));
        }
        samples.push(Sample::note("CPU from", running.meter().source()));
        if round == 0 {
            samples.extend(after_errors(&hall)?);
        }
        Ok(samples)
    }
}

fn client(machine: u8) -> Client {
    Client { source: address_of(machine), ..Client::new(SocketAddrV4::new(SERVER, 69)) }
}

fn options(window: u16) -> Options {
    Options { blksize: Some(BLOCK), windowsize: (window > 1).then_some(window), tsize: false }
}

/// Files under the names that Overture serves, which the others serve too.
fn write_files(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let content: Vec<u8> = (0..SIZE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for name in [FILE, "snponly.efi"] {
        std::fs::write(folder.join(name), &content).with_context(|| format!("could not write {name}"))?;
    }
    Ok(content)
}

struct Measured {
    bytes: f64,
    wall: Duration,
    cpu: Duration,
    /// Packets that readers had to repeat because nothing came.
    repeated: u32,
}

/// Reads; none where the server does not take up the window.
fn measure(hall: &Hall, running: &Running, content: &[u8], readers: u8, window: u16, each: u32) -> anyhow::Result<Option<Measured>> {
    let first = hall.on_client(|| Ok(client(0).read(FILE, options(window))?))?;
    ensure!(first.bytes == content, "the file that came is not the one that was asked for");
    if first.windowsize != window {
        return Ok(None);
    }
    let (cpu, began) = (running.meter().used()?, Instant::now());
    let repeated = hall.on_client(|| read_many(readers, window, each))?;
    let (wall, cpu) = (began.elapsed(), running.meter().used()?.saturating_sub(cpu));
    Ok(Some(Measured { bytes: f64::from(readers) * f64::from(each) * SIZE as f64, wall, cpu, repeated }))
}

fn read_many(readers: u8, window: u16, each: u32) -> anyhow::Result<u32> {
    let read = move |machine| -> anyhow::Result<u32> {
        let mut repeated = 0;
        for _ in 0..each {
            let got = client(machine).read(FILE, options(window))?;
            ensure!(got.bytes.len() == SIZE, "{} bytes of {SIZE} came", got.bytes.len());
            repeated += got.repeated;
        }
        Ok(repeated)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..readers).map(|machine| scope.spawn(move || read(machine))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).sum()
    })
}

/// What still comes after a reader has said ERROR in the middle: nothing should.
fn after_errors(hall: &Hall) -> anyhow::Result<Vec<Sample>> {
    let watch = |window| hall.on_client(move || Ok(client(0).abandon(FILE, options(window), 20, WATCH)?));
    let name = |window| format!("packets in {} s after ERROR, window {window}", WATCH.as_secs());
    [1, 16].into_iter().map(|window| Ok(Sample::new(name(window), "packets", f64::from(watch(window)?.packets)))).collect()
}
