//! What a request is answered, and how a transfer goes on: functions of values, without socket and clock.

use super::packet::{Options, Packet, emit_data, emit_oack};
use axum::body::Bytes;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The block size without an option (RFC 1350).
const USUAL_BLOCK: u16 = 512;
/// The longest time before a retransmission that a client may ask for, seconds: a silent one holds a place that long,
/// several times over.
const LONGEST_TIMEOUT: u8 = 10;

/// What the table of files is asked for, from the name as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// An entry of the table, perhaps.
    Name(&'a str),
    /// A name that tries to lead elsewhere.
    Forbidden,
}

/// Reads a file's name.
///
/// Firmware writes `/name`, `//name` and `./name` for `name`, and some appends 0xFF, the end mark of the DHCP options it
/// copied the name from. Whatever is left is looked up in a table, so refusing traversal here is a clear answer, not the
/// protection.
pub fn asked_for(name: &[u8]) -> Asked<'_> {
    let end = name.iter().rposition(|&byte| byte != 0xff).map_or(0, |last| last + 1);
    let Ok(mut name) = str::from_utf8(&name[..end]) else { return Asked::Forbidden };
    while let Some(rest) = name.strip_prefix('/').or_else(|| name.strip_prefix("./")) {
        name = rest;
    }
    let leads_elsewhere = name.contains('\\') || name.split('/').any(|part| part == "..") || name.contains(char::is_control);
    if leads_elsewhere { Asked::Forbidden } else { Asked::Name(name) }
}

/// The most that is agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a block. 1468 fill an Ethernet frame; more would travel in fragments, which some firmware drops.
    pub block: u16,
    /// Blocks of a window.
    pub window: u16,
}

/// What client and server agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Bytes of a block.
    pub block: u16,
    /// Blocks of a window.
    pub window: u16,
    /// The time before the first retransmission, when the client chose it.
    pub timeout: Option<Duration>,
    /// What the OACK says, in this order; empty when none is sent.
    pub options: Vec<(&'static str, u64)>,
}

impl Agreed {
    /// Answers the options of a request for a file of `length` bytes.
    pub fn on(asked: Options, length: u64, limits: Limits) -> Self {
        let block = asked.block.map(|asked| asked.min(limits.block.max(8)));
        let window = asked.window.map(|asked| asked.min(limits.window.max(1)));
        let timeout = asked.timeout.filter(|&seconds| seconds <= LONGEST_TIMEOUT);
        let options = [
            ("tsize", asked.size.then_some(length)),
            ("blksize", block.map(u64::from)),
            ("timeout", timeout.map(u64::from)),
            ("windowsize", window.map(u64::from)),
        ];
        Self {
            block: block.unwrap_or(USUAL_BLOCK),
            window: window.unwrap_or(1),
            timeout: timeout.map(|seconds| Duration::from_secs(seconds.into())),
            options: options.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        }
    }
}

/// Packets that are to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    /// The OACK.
    Options,
    /// DATA from one block to another, both counted from 1 and not modulo anything.
    Blocks(RangeInclusive<u64>),
}

/// What a packet of the client leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The transfer goes on.
    Send(Sending),
    /// Nothing: it says what was known, or nothing that belongs here.
    Nothing,
    /// The client has the whole file.
    Complete,
    /// The client gave up.
    GaveUp {
        /// Its error code.
        code: u16,
        /// Its words, not to be trusted.
        message: String,
    },
}

/// One file on its way to one client.
#[derive(Debug)]
pub struct Transfer {
    content: Bytes,
    agreed: Agreed,
    blocks: u64,
    awaiting_options_ack: bool,
    acknowledged: u64,
    sent: u64,
}

impl Transfer {
    /// The beginning of a transfer, and what is sent first.
    pub fn begin(content: Bytes, agreed: Agreed) -> (Self, Sending) {
        // The last block is shorter than the others, so a file of whole blocks ends with an empty one.
        let blocks = content.len() as u64 / u64::from(agreed.block) + 1;
        let awaiting_options_ack = !agreed.options.is_empty();
        let mut transfer = Self { content, agreed, blocks, awaiting_options_ack, acknowledged: 0, sent: 0 };
        let first = if awaiting_options_ack { Sending::Options } else { transfer.next_window() };
        (transfer, first)
    }

    /// What a packet from the client's own port leads to.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        match Packet::parse(bytes) {
            Ok(Packet::Ack(block)) => self.acknowledge(block),
            Ok(Packet::Error { code, message }) => Heard::GaveUp { code, message },
            Ok(Packet::Read(_) | Packet::Write) | Err(_) => Heard::Nothing,
        }
    }

    /// What is sent again after a silence.
    pub fn again(&self) -> Sending {
        if self.awaiting_options_ack { Sending::Options } else { Sending::Blocks(self.acknowledged + 1..=self.sent) }
    }

    /// Writes one block's DATA, or the OACK for block 0, into `out`.
    pub fn emit(&self, block: u64, out: &mut Vec<u8>) {
        if block == 0 {
            return emit_oack(out, &self.agreed.options);
        }
        let size = usize::from(self.agreed.block);
        let start = (block - 1) as usize * size;
        let end = (start + size).min(self.content.len());
        emit_data(out, block as u16, self.content.get(start..end).unwrap_or_default());
    }

    /// How many bytes the client has acknowledged.
    pub fn delivered(&self) -> u64 {
        (self.acknowledged * u64::from(self.agreed.block)).min(self.length())
    }

    /// The file's length, bytes.
    pub fn length(&self) -> u64 {
        self.content.len() as u64
    }

    /// Whether the client has said anything but its request.
    pub fn is_under_way(&self) -> bool {
        self.acknowledged > 0 || (!self.agreed.options.is_empty() && !self.awaiting_options_ack)
    }

    /// Whether the client asked for the file's length.
    pub fn told_the_length(&self) -> bool {
        self.agreed.options.iter().any(|(option, _)| *option == "tsize")
    }

    fn acknowledge(&mut self, block: u16) -> Heard {
        if self.awaiting_options_ack {
            if block != 0 {
                return Heard::Nothing;
            }
            self.awaiting_options_ack = false;
            return Heard::Send(self.next_window());
        }
        // A block that was acknowledged before is not acknowledged again, or one delayed packet would double every later
        // one (the Sorcerer's Apprentice). One inside the window says that the rest of it was lost (RFC 7440, section 4).
        let Some(block) = (self.acknowledged + 1..=self.sent).find(|sent| *sent as u16 == block) else { return Heard::Nothing };
        self.acknowledged = block;
        if block == self.blocks { Heard::Complete } else { Heard::Send(self.next_window()) }
    }

    fn next_window(&mut self) -> Sending {
        let first = self.acknowledged + 1;
        self.sent = (self.acknowledged + u64::from(self.agreed.window)).min(self.blocks);
        Sending::Blocks(first..=self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { block: 1468, window: 64 };

    fn ack(block: u16) -> [u8; 4] {
        let [high, low] = block.to_be_bytes();
        [0, 4, high, low]
    }

    fn begin(length: usize, options: Options) -> (Transfer, Sending) {
        let agreed = Agreed::on(options, length as u64, LIMITS);
        Transfer::begin(Bytes::from(vec![7; length]), agreed)
    }

    #[test]
    fn firmwares_spellings_of_a_name_are_read_and_traversal_is_not() {
        for (name, expected) in [
            (&b"undionly.kpxe"[..], Asked::Name("undionly.kpxe")),
            (b"/undionly.kpxe", Asked::Name("undionly.kpxe")),
            (b"//./undionly.kpxe", Asked::Name("undionly.kpxe")),
            (b"undionly.kpxe\xff", Asked::Name("undionly.kpxe")),
            (b"", Asked::Name("")),
            (b"\xff", Asked::Name("")),
            (b"boot/x", Asked::Name("boot/x")),
            (b"..", Asked::Forbidden),
            (b"../etc/passwd", Asked::Forbidden),
            (b"/a/../../etc/passwd", Asked::Forbidden),
            (b"..\\etc\\passwd", Asked::Forbidden),
            (b"boot\\undionly.kpxe", Asked::Forbidden),
            (b"a\nb", Asked::Forbidden),
            (b"\xc3\x28", Asked::Forbidden),
            (b"%2e%2e/etc/passwd", Asked::Name("%2e%2e/etc/passwd")),
        ] {
            assert_eq!(asked_for(name), expected, "{:?}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn only_what_was_asked_for_is_agreed_and_never_more() {
        let all = Options { block: Some(65_464), timeout: Some(3), size: true, window: Some(65_535) };
        let cases = [
            (Options::default(), 512, 1, None, vec![]),
            (all, 1468, 64, Some(3), vec![("tsize", 9), ("blksize", 1468), ("timeout", 3), ("windowsize", 64)]),
            (Options { block: Some(8), ..Options::default() }, 8, 1, None, vec![("blksize", 8)]),
            (Options { timeout: Some(255), ..Options::default() }, 512, 1, None, vec![]),
            (Options { size: true, ..Options::default() }, 512, 1, None, vec![("tsize", 9)]),
        ];
        for (asked, block, window, timeout, options) in cases {
            let timeout = timeout.map(Duration::from_secs);
            assert_eq!(Agreed::on(asked, 9, LIMITS), Agreed { block, window, timeout, options }, "{asked:?}");
        }
    }

    #[test]
    fn without_options_the_first_block_is_sent_at_once() {
        let (mut transfer, first) = begin(600, Options::default());
        assert_eq!(first, Sending::Blocks(1..=1));
        assert_eq!(transfer.hear(&ack(1)), Heard::Send(Sending::Blocks(2..=2)));
        assert_eq!(transfer.delivered(), 512);
        assert_eq!(transfer.hear(&ack(2)), Heard::Complete);
        assert_eq!(transfer.delivered(), 600);
    }

    #[test]
    fn a_file_of_whole_blocks_ends_with_an_empty_one_and_so_does_an_empty_file() {
        for (length, blocks) in [(0, 1), (511, 1), (512, 2), (513, 2), (1024, 3)] {
            assert_eq!(begin(length, Options::default()).0.blocks, blocks, "{length}");
        }
        let (transfer, _) = begin(512, Options::default());
        let mut out = Vec::new();
        transfer.emit(2, &mut out);
        assert_eq!(out, [0, 3, 0, 2]);
    }

    #[test]
    fn a_duplicate_acknowledgement_sends_nothing() {
        let (mut transfer, _) = begin(5000, Options::default());
        assert_eq!(transfer.hear(&ack(1)), Heard::Send(Sending::Blocks(2..=2)));
        for other in [1, 0, 3, 65_535] {
            assert_eq!(transfer.hear(&ack(other)), Heard::Nothing, "{other}");
        }
        assert_eq!(transfer.again(), Sending::Blocks(2..=2));
    }

    #[test]
    fn a_window_goes_on_from_the_last_block_that_arrived() {
        let (mut transfer, first) = begin(51_200, Options { window: Some(8), ..Options::default() });
        assert_eq!(first, Sending::Options);
        assert_eq!(transfer.hear(&ack(3)), Heard::Nothing, "nothing was sent yet");
        assert_eq!(transfer.again(), Sending::Options);
        assert!(!transfer.is_under_way());
        assert_eq!(transfer.hear(&ack(0)), Heard::Send(Sending::Blocks(1..=8)));
        assert!(transfer.is_under_way());
        assert_eq!(transfer.hear(&ack(0)), Heard::Nothing, "the first block of the window was lost: time will tell");
        assert_eq!(transfer.hear(&ack(5)), Heard::Send(Sending::Blocks(6..=13)), "the sixth was lost");
        assert_eq!(transfer.hear(&ack(13)), Heard::Send(Sending::Blocks(14..=21)));
        assert_eq!(transfer.hear(&ack(8)), Heard::Nothing, "an old one");
        assert_eq!(transfer.again(), Sending::Blocks(14..=21));
    }

    #[test]
    fn an_error_ends_it_and_nonsense_does_not() {
        let (mut transfer, _) = begin(5000, Options::default());
        for nonsense in [&b""[..], b"\0", b"\0\x03\0\x01x", b"\0\x01f\0octet\0", b"\0\x02f\0octet\0", b"\xff\xff\xff\xff"] {
            assert_eq!(transfer.hear(nonsense), Heard::Nothing);
        }
        assert_eq!(transfer.hear(b"\0\x05\0\x08no\0"), Heard::GaveUp { code: 8, message: "no".into() });
    }

    /// A client in ten lines: it keeps what comes in order and acknowledges the last block of a window, or of a gap.
    fn fetch(length: usize, block: u16, window: u16, lost: impl Fn(u64) -> bool) -> Vec<u8> {
        let content: Vec<u8> = (0..length).map(|i| (i / 7) as u8).collect();
        let options = Options { block: Some(block), window: Some(window), ..Options::default() };
        let agreed = Agreed::on(options, length as u64, LIMITS);
        let (mut transfer, _) = Transfer::begin(content.into(), agreed);
        let (mut got, mut have, mut count, mut out) = (Vec::new(), 0u64, 0, Vec::new());
        let mut next = transfer.hear(&ack(0));
        loop {
            let blocks = match next {
                Heard::Send(Sending::Blocks(blocks)) => blocks,
                Heard::Nothing => match transfer.again() {
                    Sending::Blocks(blocks) => blocks,
                    Sending::Options => panic!("the options were acknowledged"),
                },
                Heard::Complete => return got,
                other => panic!("{other:?}"),
            };
            for number in blocks {
                count += 1;
                transfer.emit(number, &mut out);
                if !lost(count) && number == have + 1 && out[2..4] == (number as u16).to_be_bytes() {
                    have += 1;
                    got.extend_from_slice(&out[4..]);
                }
            }
            next = transfer.hear(&ack(have as u16));
        }
    }

    #[test]
    fn block_numbers_roll_over() {
        let length = 8 * 140_000 + 3;
        assert_eq!(fetch(length, 8, 64, |_| false).len(), length);
    }

    proptest! {
        #[test]
        fn every_file_arrives_whole_whatever_is_lost(
            length in 0usize..6000,
            block in 8u16..600,
            window in 1u16..80,
            every in 2u64..9,
            seed: u64,
        ) {
            let content: Vec<u8> = (0..length).map(|i| (i / 7) as u8).collect();
            let lost = |count: u64| (count ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0xff < 256 / every;
            prop_assert_eq!(fetch(length, block, window, lost), content);
        }

        #[test]
        fn no_packet_makes_it_send_beyond_its_window(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..40),
        ) {
            let (mut transfer, _) = begin(50_000, Options { window: Some(4), ..Options::default() });
            for packet in packets {
                if let Heard::Send(Sending::Blocks(blocks)) = transfer.hear(&packet) {
                    prop_assert!(blocks.end() - blocks.start() < 4);
                }
            }
        }
    }
}
