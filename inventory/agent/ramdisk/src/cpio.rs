//! The newc archive that the kernel unpacks into its first file system, written and read back.
//!
//! Format: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`. Six digits of magic, thirteen fields of
//! eight hex digits, the name, its NUL, zeros to a multiple of four, the content, zeros to a multiple of four; the end is an
//! entry named `TRAILER!!!`. Owner, times and device numbers are always zero here, inode numbers count from one, entries are
//! sorted by name: the same tree is the same bytes wherever it is built. It knows nothing of what the tree means.

use std::collections::BTreeMap;

use crate::BuildError;

/// One thing in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Folder { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Link { target: String },
    CharacterDevice { mode: u32, major: u32, minor: u32 },
}

const MAGIC: &[u8; 6] = b"070701";
const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";
/// The kernel's PATH_MAX, with the NUL; it skips an entry whose name is longer.
const LONGEST_NAME: usize = 4095;

const TYPE: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// A tree of entries by name, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Puts an entry into the tree, and the folders above it (mode 0755) where they are not there yet.
    pub(crate) fn put(&mut self, name: &str, entry: Entry) -> Result<(), BuildError> {
        let fail = |why| BuildError::Entry { name: name.to_owned(), why };
        if name.len() > LONGEST_NAME {
            return Err(fail("its name is too long"));
        }
        if name == TRAILER || name.contains('\0') || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(fail("it is no plain relative name"));
        }
        if matches!(&entry, Entry::File { content, .. } if u32::try_from(content.len()).is_err()) {
            return Err(fail("it is 4 GiB or more"));
        }
        for (at, _) in name.match_indices('/') {
            let above = self.entries.entry(name[..at].to_owned()).or_insert(Entry::Folder { mode: 0o755 });
            if !matches!(above, Entry::Folder { .. }) {
                return Err(fail("what is above it is no folder"));
            }
        }
        self.entries.insert(name.to_owned(), entry);
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The archive's bytes, the trailer included.
    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.iter().map(|(name, entry)| HEADER + name.len() + 8 + entry.size()).sum());
        for (number, (name, entry)) in (1..).zip(&self.entries) {
            entry.emit(number, name, &mut out);
        }
        header(&Fields { links: 1, ..Fields::default() }, TRAILER, &mut out);
        out
    }

    /// Reads an archive up to its trailer.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut archive = Self::default();
        let mut at = 0;
        loop {
            let read = parse_entry(bytes, at).ok_or_else(|| format!("no valid entry at byte {at}"))?;
            let (name, entry, next) = read;
            if name == TRAILER {
                return Ok(archive);
            }
            archive.entries.insert(name, entry.ok_or_else(|| format!("an entry of unknown type at byte {at}"))?);
            at = next;
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        match self {
            Self::File { content, .. } => content.len(),
            Self::Link { target } => target.len(),
            Self::Folder { .. } | Self::CharacterDevice { .. } => 0,
        }
    }

    fn emit(&self, inode: u32, name: &str, out: &mut Vec<u8>) {
        let fields = Fields { inode, links: 1, ..Fields::default() };
        let (fields, content): (_, &[u8]) = match self {
            Self::Folder { mode } => (Fields { mode: FOLDER | mode, links: 2, ..fields }, &[]),
            Self::File { mode, content } => (Fields { mode: FILE | mode, ..fields }, content),
            Self::Link { target } => (Fields { mode: LINK | 0o777, ..fields }, target.as_bytes()),
            Self::CharacterDevice { mode, major, minor } => {
                (Fields { mode: CHARACTER_DEVICE | mode, major: *major, minor: *minor, ..fields }, &[])
            }
        };
        let size = u32::try_from(content.len()).expect("put refuses files of 4 GiB and more");
        header(&Fields { size, ..fields }, name, out);
        out.extend_from_slice(content);
        pad(out);
    }
}

#[derive(Default)]
struct Fields {
    inode: u32,
    mode: u32,
    links: u32,
    size: u32,
    major: u32,
    minor: u32,
}

fn header(fields: &Fields, name: &str, out: &mut Vec<u8>) {
    let name_size = u32::try_from(name.len() + 1).expect("put refuses long names");
    let Fields { inode, mode, links, size, major, minor } = *fields;
    // Inode, mode, owner, group, links, time, size, device of the file system (2), device (2), size of the name, checksum.
    let numbers = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
    out.extend_from_slice(MAGIC);
    for number in numbers {
        out.extend_from_slice(format!("{number:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The entry at `at`: its name, what it is (`None`: a type we never write) and where the next one starts.
fn parse_entry(bytes: &[u8], at: usize) -> Option<(String, Option<Entry>, usize)> {
    let head = bytes.get(at..at.checked_add(HEADER)?)?;
    if !head.starts_with(MAGIC) {
        return None;
    }
    let field = |number: usize| {
        let digits = std::str::from_utf8(head.get(6 + number * 8..14 + number * 8)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let name_end = (at + HEADER).checked_add(usize::try_from(field(11)?).ok()?)?;
    let name = bytes.get(at + HEADER..name_end)?.strip_suffix(b"\0")?;
    let start = name_end.checked_next_multiple_of(4)?;
    let end = start.checked_add(usize::try_from(field(6)?).ok()?)?;
    let content = bytes.get(start..end)?;
    let mode = field(1)?;
    let permissions = mode & !TYPE;
    let entry = match mode & TYPE {
        FOLDER => Some(Entry::Folder { mode: permissions }),
        FILE => Some(Entry::File { mode: permissions, content: content.to_vec() }),
        LINK => Some(Entry::Link { target: String::from_utf8(content.to_vec()).ok()? }),
        CHARACTER_DEVICE => Some(Entry::CharacterDevice { mode: permissions, major: field(9)?, minor: field(10)? }),
        _ => None,
    };
    Some((String::from_utf8(name.to_vec()).ok()?, entry, end.checked_next_multiple_of(4)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    fn small() -> Archive {
        let mut archive = Archive::default();
        archive.put("dev/console", Entry::CharacterDevice { mode: 0o600, major: 5, minor: 1 }).unwrap();
        archive.put("bin/busybox", Entry::File { mode: 0o755, content: b"12345".to_vec() }).unwrap();
        archive.put("init", Entry::Link { target: "bin/busybox".into() }).unwrap();
        archive.put("tmp", Entry::Folder { mode: 0o1777 }).unwrap();
        archive
    }

    /// What the program `cpio` makes of an archive.
    fn listed(archive: &[u8]) -> String {
        let mut cpio = Command::new("cpio")
            .args(["-t", "-v", "--numeric-uid-gid", "--quiet"])
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test needs the package cpio: run `make deps`");
        cpio.stdin.take().unwrap().write_all(archive).unwrap();
        let output = cpio.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn another_program_reads_the_same_tree() {
        let squeezed: Vec<String> =
            listed(&small().emit()).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            squeezed,
            [
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 bin",
                "-rwxr-xr-x 1 0 0 5 Jan 1 1970 bin/busybox",
                "drwxr-xr-x 2 0 0 0 Jan 1 1970 dev",
                "crw------- 1 0 0 5, 1 Jan 1 1970 dev/console",
                "lrwxrwxrwx 1 0 0 11 Jan 1 1970 init -> bin/busybox",
                "drwxrwxrwt 2 0 0 0 Jan 1 1970 tmp",
            ]
        );
    }

    #[test]
    fn the_first_entry_is_byte_for_byte_what_the_format_says() {
        let mut archive = Archive::default();
        archive.put("a", Entry::File { mode: 0o644, content: b"xyz".to_vec() }).unwrap();
        let expected = [
            &b"070701"[..],
            b"00000001",
            b"000081a4",
            b"00000000",
            b"00000000",
            b"00000001",
            b"00000000",
            b"00000003",
            b"00000000",
            b"00000000",
            b"00000000",
            b"00000000",
            b"00000002",
            b"00000000",
            b"a\0",
            b"xyz\0",
            b"070701",
        ]
        .concat();
        assert!(archive.emit().starts_with(&expected));
    }

    #[test]
    fn names_that_would_leave_the_tree_or_end_it_are_refused() {
        let mut archive = small();
        for name in ["", "/init", "../init", "a//b", "a/./b", "TRAILER!!!", "a\0b", &"x".repeat(5000), "init/below", "bin/busybox/below"] {
            assert!(archive.put(name, Entry::Folder { mode: 0o755 }).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_cut_archive_is_noticed() {
        let bytes = small().emit();
        for length in 0..bytes.len() {
            // The zeros after the trailer's name are all that may be missing.
            if Archive::parse(&bytes[..length]).is_ok() {
                assert!(bytes.len() - length < 4, "{length} of {}", bytes.len());
            }
        }
    }

    fn entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            (0..0o7777u32).prop_map(|mode| Entry::Folder { mode }),
            (0..0o7777u32, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(mode, content)| Entry::File { mode, content }),
            "[a-z/.]{1,30}".prop_map(|target| Entry::Link { target }),
            (0..0o777u32, 0..4096u32, 0..70000u32).prop_map(|(mode, major, minor)| Entry::CharacterDevice { mode, major, minor }),
        ]
    }

    proptest! {
        #[test]
        fn reading_back_is_identity_and_every_length_is_padded(
            entries in prop::collection::vec(("[a-zA-Zé_.-]{1,9}", entry()), 0..12)
        ) {
            let mut archive = Archive::default();
            for (name, entry) in entries {
                // Dots alone are no name; the others are.
                let _ = archive.put(&name, entry);
            }
            let bytes = archive.emit();
            prop_assert_eq!(bytes.len() % 4, 0);
            prop_assert_eq!(Archive::parse(&bytes), Ok(archive));
        }

        #[test]
        fn reading_never_panics(mut bytes in Just(small().emit()), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = Archive::parse(&bytes);
        }
    }

    #[test]
    fn other_programs_read_names_and_sizes_of_every_length() {
        let mut archive = Archive::default();
        for length in 1..=9 {
            archive.put(&"n".repeat(length), Entry::File { mode: 0o644, content: vec![b'x'; 10 - length] }).unwrap();
        }
        let lines = listed(&archive.emit());
        for (line, length) in lines.lines().zip(1..) {
            assert!(line.ends_with(&format!(" {}", "n".repeat(length))), "{line}");
            assert!(line.contains(&format!(" {} Jan", 10 - length)), "{line}");
        }
        assert_eq!(lines.lines().count(), 9);
    }
}
