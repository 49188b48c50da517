//! Turns our archive and those that follow it into the one file the boot loader hands to the kernel.
//!
//! The kernel unpacks archives one after the other (`init/initramfs.c`), each plain or compressed on its own, and skips zeros
//! between them. A plain one has to start at a multiple of four, so each is padded to that.

use std::io::Write;
use std::path::Path;

use crate::{BuildError, Digest, error};

/// How far back a frame may refer, as a power of two. The levels up to 19 stay within this by themselves (8 MiB); beyond, the
/// kernel would need the window as one piece of memory on a node that may have little.
const WINDOW_LOG: u32 = 23;
const LEVELS: std::ops::RangeInclusive<i32> = 1..=22;

/// How what the kernel can unpack begins, for a kernel with every `CONFIG_RD_…`, as Debian's.
const BEGINNINGS: [&[u8]; 9] = [
    b"070701",
    b"070702",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"\x5d\x00\x00",
    b"\x89LZO\0\r\n\x1a\n",
    b"\x02\x21\x4c\x18",
    b"\x28\xb5\x2f\xfd",
];

/// An archive of the operator's, to follow ours.
pub(crate) struct ExtraArchive {
    bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

impl ExtraArchive {
    pub(crate) fn read(path: &Path) -> Result<Self, BuildError> {
        let bytes = error::read(path)?;
        if !BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning)) {
            return Err(BuildError::ForeignArchive { path: path.to_owned() });
        }
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }
}

pub(crate) fn check_level(level: i32) -> Result<(), BuildError> {
    if LEVELS.contains(&level) { Ok(()) } else { Err(BuildError::Level(level)) }
}

/// One zstd frame, with its content's size and checksum, then the extra archives.
pub(crate) fn ramdisk(archive: &[u8], level: i32, extra: &[ExtraArchive]) -> Result<Vec<u8>, BuildError> {
    let mut out = frame(archive, level).map_err(|why| BuildError::Inconsistent { why: format!("zstd: {why}") })?;
    for archive in extra {
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(&archive.bytes);
    }
    Ok(out)
}

fn frame(archive: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::with_capacity(archive.len() / 3), level)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(archive.len() as u64))?;
    if level > 19 {
        encoder.window_log(WINDOW_LOG)?;
    }
    encoder.write_all(archive)?;
    encoder.finish()
}

/// Our archive out of a ramdisk: the content of its first frame.
pub(crate) fn first_archive(ramdisk: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(ramdisk)?.single_frame();
    decoder.window_log_max(WINDOW_LOG)?;
    std::io::copy(&mut decoder, &mut content)?;
    Ok(content)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn extra(bytes: &[u8]) -> ExtraArchive {
        ExtraArchive { bytes: bytes.to_vec(), digest: Digest::of(bytes) }
    }

    /// Bigger than the kernel's window, with repetitions near its far end, and quick to compress.
    fn big() -> Vec<u8> {
        let mut state = 1u64;
        let mut step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 60) as u8
        };
        (0..1 << 20).map(|_| step()).collect::<Vec<_>>().repeat(9)
    }

    #[test]
    fn every_level_stays_within_the_kernels_window_and_says_its_size() {
        let archive = big();
        for level in [1, 9, 22] {
            let frame = frame(&archive, level).unwrap();
            // RFC 8878, 3.1.1.1: after the magic the descriptor; 0x04 is the checksum, 0xc0 the width of the content's size.
            assert_eq!(frame[4] & 0x04, 0x04, "level {level} has no checksum");
            assert_ne!(frame[4] & 0xc0, 0, "level {level} does not say its size");
            assert_eq!(first_archive(&frame).unwrap(), archive, "level {level}");
        }
    }

    #[test]
    fn extra_archives_start_at_multiples_of_four_and_keep_their_bytes() {
        let ours = vec![b'z'; 101];
        let all = ramdisk(&ours, 9, &[extra(b"070701one"), extra(b"070701")]).unwrap();
        assert_eq!(first_archive(&all).unwrap(), ours);
        let starts: Vec<usize> = (0..all.len()).filter(|at| all[*at..].starts_with(b"070701")).collect();
        assert_eq!(starts.iter().map(|at| at % 4).collect::<Vec<_>>(), [0; 2], "{starts:?}");
        assert!(all.ends_with(b"070701one\x00\x00\x00070701"));
    }

    #[test]
    fn a_file_that_the_kernel_would_not_unpack_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firmware.zip");
        std::fs::write(&path, b"PK\x03\x04").unwrap();
        let refused = ExtraArchive::read(&path).err().unwrap();
        assert!(refused.to_string().contains("firmware.zip cannot be appended"), "{refused}");
    }

    #[test]
    fn levels_outside_of_zstds_are_refused() {
        for (level, fine) in [(0, false), (1, true), (22, true), (23, false), (-5, false)] {
            assert_eq!(check_level(level).is_ok(), fine, "{level}");
        }
    }
}
