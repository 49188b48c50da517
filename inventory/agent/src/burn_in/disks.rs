//! Reading from disks: scattered first, then in stripes over the whole surface. Opened for reading only, and past the
//! kernel's cache where the disk allows it.
//!
//! A read that fails is tried again in small pieces, so that the place is known; a disk with many of them is given up.

use super::amounts::{bytes, rate, scatter, time};
use super::{Finding, Limits, Outcome};
use rustix::fs::{Advice, Mode, OFlags, fadvise, open};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is needed for reading past the cache: begin, length and memory are multiples of it.
const ALIGNMENT: usize = 4096;
/// One read of the stripes.
const CHUNK: usize = 1 << 20;
/// So much is read at one place before the next.
const STRIPE: u64 = 64 << 20;
/// Places over which the stripes are spread.
const ZONES: u64 = 32;
const SCATTERED_READS: u64 = 2000;
/// A disk with so many bad places has failed; to look for more takes half a minute each.
const MOST_BAD: usize = 32;
const SHOWN: usize = 4;

/// Something that is read from.
pub trait Platter: Send {
    /// How much there is.
    fn size(&self) -> u64;
    /// Fills `into` from `at`, or fails.
    fn read(&mut self, at: u64, into: &mut [u8]) -> std::io::Result<()>;
}

/// A disk of this machine.
#[derive(Debug)]
pub struct Device {
    file: File,
    size: u64,
    cached: bool,
}

impl Device {
    /// Opens it for reading.
    pub fn open(path: &Path, size: u64) -> std::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let (file, cached) = match open(path, flags | OFlags::DIRECT, Mode::empty()) {
            Ok(file) => (file, false),
            Err(Errno::INVAL) => (open(path, flags, Mode::empty())?, true),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file: file.into(), size, cached })
    }
}

impl Platter for Device {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, into: &mut [u8]) -> std::io::Result<()> {
        if self.cached {
            // What is in memory says nothing about the disk.
            let _ = fadvise(&self.file, at, std::num::NonZeroU64::new(into.len() as u64), Advice::DontNeed);
        }
        self.file.read_exact_at(into, at)
    }
}

/// What reading has shown so far.
#[derive(Debug, Default)]
struct Seen {
    read: u64,
    reading: Duration,
    slowest: Duration,
    /// Bad places: where, how many bytes, and why.
    bad: Vec<(u64, u64, String)>,
    gone: Option<String>,
    whole: bool,
}

impl Seen {
    fn given_up(&self) -> bool {
        self.gone.is_some() || self.bad.len() >= MOST_BAD
    }
}

/// Memory that begins where reading past the cache needs it.
struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
}

impl Buffer {
    fn new() -> Self {
        let bytes = vec![0; CHUNK + ALIGNMENT];
        let begin = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { bytes, begin }
    }

    fn first(&mut self, length: usize) -> &mut [u8] {
        let end = self.begin + length.min(CHUNK);
        &mut self.bytes[self.begin..end]
    }
}

/// Reads one disk until all of it is read, or the time is over.
pub fn test(name: &str, platter: &mut dyn Platter, limits: &Limits) -> Finding {
    let mut seen = Seen::default();
    let mut buffer = Buffer::new();
    if platter.size() < ALIGNMENT as u64 {
        return Finding { part: Some(name.into()), outcome: Outcome::Skipped, detail: "there is no medium in it, or it is empty".into() };
    }
    let scattered = scattered(platter, &limits.part(4), &mut buffer, &mut seen);
    let (bytes_before, time_before) = (seen.read, seen.reading);
    striped(platter, limits, &mut buffer, &mut seen);
    let speed = rate(seen.read - bytes_before, seen.reading - time_before);
    finding(name, platter.size(), &seen, scattered, &speed, limits)
}

/// How many reads there were.
fn scattered(platter: &mut dyn Platter, limits: &Limits, buffer: &mut Buffer, seen: &mut Seen) -> u64 {
    let pages = platter.size() / ALIGNMENT as u64;
    let mut done = 0;
    while done < SCATTERED_READS.min(pages) && !limits.over() && !seen.given_up() {
        let at = scatter(platter.size(), done) % pages * ALIGNMENT as u64;
        read(platter, at, buffer.first(ALIGNMENT), limits, seen);
        done += 1;
    }
    done
}

/// The whole disk, a stripe of each zone in turn: broken off early, every region has been seen.
fn striped(platter: &mut dyn Platter, limits: &Limits, buffer: &mut Buffer, seen: &mut Seen) {
    let size = platter.size();
    let zone = size.div_ceil(ZONES).next_multiple_of(CHUNK as u64);
    for stripe in (0..zone).step_by(STRIPE as usize) {
        for number in 0..ZONES {
            let begin = (number * zone + stripe).min(size);
            let end = (begin + STRIPE).min((number + 1) * zone).min(size);
            for at in (begin..end).step_by(CHUNK) {
                if limits.over() || seen.given_up() {
                    return;
                }
                let length = usize::try_from((end - at).min(CHUNK as u64)).unwrap_or(CHUNK);
                read(platter, at, buffer.first(length), limits, seen);
            }
        }
    }
    seen.whole = true;
}

fn read(platter: &mut dyn Platter, at: u64, into: &mut [u8], limits: &Limits, seen: &mut Seen) {
    let begin = Instant::now();
    let got = platter.read(at, into);
    let took = begin.elapsed();
    seen.slowest = seen.slowest.max(took);
    match got {
        Ok(()) => {
            seen.reading += took;
            seen.read += into.len() as u64;
        }
        Err(error) if is_gone(&error) => seen.gone = Some(error.to_string()),
        Err(error) if into.len() <= ALIGNMENT => note(seen, at, into.len() as u64, &error),
        Err(error) => {
            let mut narrowed = false;
            for (number, piece) in into.chunks_mut(ALIGNMENT).enumerate() {
                let place = at + (number * ALIGNMENT) as u64;
                let length = piece.len() as u64;
                if let Err(error) = platter.read(place, piece) {
                    note(seen, place, length, &error);
                    narrowed = true;
                }
                if limits.over() || seen.given_up() {
                    break;
                }
            }
            if !narrowed {
                note(seen, at, into.len() as u64, &error);
            }
        }
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    [Errno::NXIO, Errno::NODEV].iter().any(|gone| error.raw_os_error() == Some(gone.raw_os_error()))
}

/// Places that touch are one.
fn note(seen: &mut Seen, at: u64, length: u64, error: &std::io::Error) {
    match seen.bad.iter_mut().find(|(begin, bytes, _)| *begin <= at && at <= *begin + *bytes) {
        Some((begin, bytes, _)) => *bytes = (*bytes).max(at + length - *begin),
        None => seen.bad.push((at, length, error.to_string())),
    }
}

fn finding(name: &str, size: u64, seen: &Seen, scattered: u64, speed: &str, limits: &Limits) -> Finding {
    let extent = if seen.whole { "all of it".to_owned() } else { format!("of {}", bytes(size)) };
    let done = format!(
        "read {} ({extent}, and {scattered} scattered reads) in {}, {speed}, slowest read {}",
        bytes(seen.read),
        time(limits.begin.elapsed()),
        time(seen.slowest)
    );
    let failed = seen.gone.is_some() || !seen.bad.is_empty();
    let outcome = Outcome::of(failed, limits);
    let detail = match (&seen.gone, seen.bad.first()) {
        (Some(why), _) => format!("it disappeared: {why}; before that {done}"),
        (None, Some((_, _, why))) => {
            let places: Vec<String> = seen.bad.iter().take(SHOWN).map(|(at, length, _)| format!("byte {at} ({length} bytes)")).collect();
            let more = if seen.bad.len() > SHOWN { format!(" and {} more", seen.bad.len() - SHOWN) } else { String::new() };
            let enough = if seen.given_up() { "; given up there" } else { "" };
            format!("cannot be read at {}{more}: {why}; {done}{enough}", places.join(", "))
        }
        (None, None) if outcome == Outcome::Skipped => format!("stopped before its time; {done}, no error until then"),
        (None, None) => format!("{done}, no error"),
    };
    Finding { part: Some(name.into()), outcome, detail }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Fake {
        size: u64,
        bad: Vec<(u64, u64)>,
        gone_after: u64,
        read: u64,
        asked: Vec<(u64, u64)>,
    }

    impl Fake {
        fn sound(size: u64) -> Self {
            Self { size, bad: vec![], gone_after: u64::MAX, read: 0, asked: vec![] }
        }
    }

    impl Platter for Fake {
        fn size(&self) -> u64 {
            self.size
        }
        fn read(&mut self, at: u64, into: &mut [u8]) -> std::io::Result<()> {
            let end = at + into.len() as u64;
            assert!(at.is_multiple_of(512) && into.len().is_multiple_of(512) && end <= self.size, "{at} {end}");
            assert!(into.as_ptr().align_offset(ALIGNMENT) == 0, "memory is aligned");
            self.read += 1;
            self.asked.push((at, end));
            if self.read > self.gone_after {
                return Err(Errno::NODEV.into());
            }
            let broken = self.bad.iter().any(|(begin, length)| at < begin + length && *begin < end);
            if broken { Err(Errno::IO.into()) } else { Ok(()) }
        }
    }

    fn limits() -> Limits {
        Limits::new(Duration::from_secs(20), Arc::default())
    }

    #[test]
    fn a_sound_disk_is_read_whole_and_passes() {
        let mut disk = Fake::sound(100 * (1 << 20) + 512);
        let finding = test("sda", &mut disk, &limits());
        assert_eq!((finding.outcome, finding.part.as_deref()), (Outcome::Passed, Some("sda")), "{finding:?}");
        assert!(finding.detail.contains("all of it") && finding.detail.ends_with("no error"), "{}", finding.detail);
        let mut stripes: Vec<_> = disk.asked.into_iter().skip(2000).collect();
        stripes.sort_unstable();
        assert_eq!(stripes[0].0, 0);
        assert!(stripes.windows(2).all(|pair| pair[0].1 == pair[1].0), "nothing is left out or read twice");
        assert_eq!(stripes.last().unwrap().1, disk.size);
    }

    #[test]
    fn a_bad_place_is_found_and_named() {
        let mut disk = Fake { bad: vec![(41_943_040, 8192)], ..Fake::sound(64 << 20) };
        let finding = test("sdb", &mut disk, &limits());
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.detail.starts_with("cannot be read at byte 41943040 (8192 bytes): "), "{}", finding.detail);
    }

    #[test]
    fn a_disk_that_is_bad_all_over_or_disappears_is_given_up() {
        let bad = (0..64).map(|i| (i << 20, 512)).collect();
        let mut disk = Fake { bad, ..Fake::sound(64 << 20) };
        let finding = test("sdb", &mut disk, &limits());
        assert!(finding.detail.contains("and 28 more") && finding.detail.ends_with("given up there"), "{}", finding.detail);
        let mut disk = Fake { gone_after: 10, ..Fake::sound(64 << 20) };
        let finding = test("sdc", &mut disk, &limits());
        assert!(finding.outcome == Outcome::Failed && finding.detail.starts_with("it disappeared"), "{}", finding.detail);
        assert_eq!(disk.read, 11);
    }

    #[test]
    fn the_time_is_kept_and_an_empty_drive_is_no_failure() {
        let begin = Instant::now();
        let mut endless = Fake::sound(1 << 50);
        let finding = test("sdd", &mut endless, &Limits::new(Duration::from_millis(50), Arc::default()));
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert!(finding.outcome == Outcome::Passed && finding.detail.contains("of 1024.0 TiB"), "{}", finding.detail);
        assert_eq!(test("sr0", &mut Fake::sound(0), &limits()).outcome, Outcome::Skipped);
    }

    #[test]
    fn a_device_is_opened_for_reading_only_and_read_from_end_to_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, &vec![7; 5 << 20]).unwrap();
        let mut device = Device::open(file.path(), 5 << 20).unwrap();
        // What the kernel knows of the open file: the last two bits of its flags are 0 for reading only (open(2)).
        let number = std::os::fd::AsRawFd::as_raw_fd(&device.file);
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        assert_eq!(u32::from_str_radix(&flags, 8).unwrap() & 3, 0, "{flags}");
        assert!(std::io::Write::write_all(&mut device.file, b"x").is_err());
        let finding = test("file", &mut device, &limits());
        assert_eq!(finding.outcome, Outcome::Passed, "{finding:?}");
        // It is shorter than it says: what is missing cannot be read.
        let mut device = Device::open(file.path(), (5 << 20) + 4096).unwrap();
        let finding = test("file", &mut device, &limits());
        assert!(finding.outcome == Outcome::Failed && finding.detail.contains("at byte 5242880 (4096 bytes)"), "{finding:?}");
    }
}
