//! TFTP's packets, bytes to meaning and back (RFC 1350, section 5; RFC 2347).

/// The longest request that is read, bytes. RFC 2347 allows 512; nobody's file name needs more.
pub const LONGEST_REQUEST: usize = 512;

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Error codes (RFC 1350 appendix, RFC 2347).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    /// See the message.
    NotDefined = 0,
    /// No such file.
    FileNotFound = 1,
    /// Not allowed.
    AccessViolation = 2,
    /// Not TFTP as the RFC has it.
    IllegalOperation = 4,
    /// A packet from a port or host that takes no part in the transfer.
    UnknownTransfer = 5,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// It wants to read.
    Read(Request<'a>),
    /// It wants to write.
    Write,
    /// It has the blocks up to this one, the number modulo 65536.
    Ack(u16),
    /// It gives up.
    Error {
        /// As sent.
        code: u16,
        /// As sent, not to be trusted.
        message: String,
    },
}

/// A request to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The file's name as it came, without the terminating NUL.
    pub name: &'a [u8],
    /// What it would like.
    pub options: Options,
}

/// The options that are understood; one that is absent, unknown or outside its range is `None`, and is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Bytes of a block, 8 to 65464 (RFC 2348).
    pub block: Option<u16>,
    /// Seconds before a retransmission, 1 to 255 (RFC 2349).
    pub timeout: Option<u8>,
    /// Whether the file's length is asked for (RFC 2349).
    pub size: bool,
    /// Blocks sent before an acknowledgement is awaited, 1 to 65535 (RFC 7440).
    pub window: Option<u16>,
}

/// Why bytes are not a packet that a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPacket {
    /// Too short, or an operation that only a server sends, or none at all.
    #[error("not an operation of a client")]
    Operation,
    /// A request whose strings do not end, or of more than [`LONGEST_REQUEST`] bytes.
    #[error("a request must be a name and a mode, each ended by a zero byte, in at most {LONGEST_REQUEST} bytes")]
    Request,
    /// Mode `mail`, or none that exists.
    #[error("the transfer mode must be octet")]
    Mode,
}

impl<'a> Packet<'a> {
    /// Reads what a client sent.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NotAPacket> {
        let (operation, rest) = take_u16(bytes).ok_or(NotAPacket::Operation)?;
        match operation {
            RRQ if bytes.len() <= LONGEST_REQUEST => Request::parse(rest).map(Self::Read),
            RRQ => Err(NotAPacket::Request),
            WRQ => Ok(Self::Write),
            ACK => take_u16(rest).map(|(block, _)| Self::Ack(block)).ok_or(NotAPacket::Operation),
            ERROR => {
                let (code, text) = take_u16(rest).ok_or(NotAPacket::Operation)?;
                let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
                let text = &text[..text.len().min(LONGEST_REQUEST)];
                Ok(Self::Error { code, message: String::from_utf8_lossy(text).into_owned() })
            }
            _ => Err(NotAPacket::Operation),
        }
    }
}

impl<'a> Request<'a> {
    fn parse(rest: &'a [u8]) -> Result<Self, NotAPacket> {
        let (name, rest) = take_string(rest).ok_or(NotAPacket::Request)?;
        let (mode, mut rest) = take_string(rest).ok_or(NotAPacket::Request)?;
        // A boot programme has no lines to convert: netascii gets the bytes as they are.
        if !mode.eq_ignore_ascii_case(b"octet") && !mode.eq_ignore_ascii_case(b"netascii") {
            return Err(NotAPacket::Mode);
        }
        let mut options = Options::default();
        // Some firmware pads its request; what is not a whole option is not one.
        while let Some((option, after)) = take_string(rest)
            && let Some((value, after)) = take_string(after)
        {
            options.take(option, value);
            rest = after;
        }
        Ok(Self { name, options })
    }
}

impl Options {
    /// The first of two options of the same name counts.
    fn take(&mut self, option: &[u8], value: &[u8]) {
        let number = decimal(value);
        let within = |least, most| number.filter(|number| (least..=most).contains(number));
        if option.eq_ignore_ascii_case(b"blksize") {
            self.block = self.block.or(within(8, 65_464).map(|n| n as u16));
        } else if option.eq_ignore_ascii_case(b"timeout") {
            self.timeout = self.timeout.or(within(1, 255).map(|n| n as u8));
        } else if option.eq_ignore_ascii_case(b"tsize") {
            self.size |= number.is_some();
        } else if option.eq_ignore_ascii_case(b"windowsize") {
            self.window = self.window.or(within(1, 65_535).map(|n| n as u16));
        }
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk().map(|(two, rest)| (u16::from_be_bytes(*two), rest))
}

fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Writes DATA into `out`, in place of what it held. `block` is the number modulo 65536.
pub fn emit_data(out: &mut Vec<u8>, block: u16, content: &[u8]) {
    start(out, DATA);
    out.extend_from_slice(&block.to_be_bytes());
    out.extend_from_slice(content);
}

/// Writes OACK into `out`, in place of what it held.
pub fn emit_oack(out: &mut Vec<u8>, options: &[(&str, u64)]) {
    start(out, OACK);
    for (option, value) in options {
        out.extend_from_slice(option.as_bytes());
        out.push(0);
        out.extend_from_slice(value.to_string().as_bytes());
        out.push(0);
    }
}

/// Writes ERROR into `out`, in place of what it held.
pub fn emit_error(out: &mut Vec<u8>, code: ErrorCode, message: &str) {
    start(out, ERROR);
    out.extend_from_slice(&(code as u16).to_be_bytes());
    out.extend(message.bytes().filter(|&byte| byte != 0));
    out.push(0);
}

fn start(out: &mut Vec<u8>, operation: u16) {
    out.clear();
    out.extend_from_slice(&operation.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parts: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        for part in parts {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    fn options(parts: &[&str]) -> Options {
        match Packet::parse(&read(parts)) {
            Ok(Packet::Read(request)) => request.options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_with_its_options_in_any_case() {
        let bytes = read(&["undionly.kpxe", "OcTeT", "TSIZE", "0", "blksize", "1468", "WindowSize", "8", "timeout", "3", "multicast", ""]);
        let options = Options { block: Some(1468), timeout: Some(3), size: true, window: Some(8) };
        assert_eq!(Packet::parse(&bytes), Ok(Packet::Read(Request { name: b"undionly.kpxe", options })));
    }

    #[test]
    fn netascii_is_served_as_it_is() {
        assert_eq!(options(&["f", "netascii", "windowsize", "2"]).window, Some(2));
    }

    #[test]
    fn an_option_outside_its_range_is_not_there() {
        for (option, value) in [
            ("blksize", "7"),
            ("blksize", "65465"),
            ("blksize", "-8"),
            ("blksize", "1e3"),
            ("blksize", "99999999999999999999999"),
            ("blksize", ""),
            ("timeout", "0"),
            ("timeout", "256"),
            ("windowsize", "0"),
            ("windowsize", "65536"),
            ("tsize", "many"),
            ("unheard-of", "1"),
        ] {
            assert_eq!(options(&["f", "octet", option, value]), Options::default(), "{option}={value}");
        }
        assert_eq!(options(&["f", "octet", "blksize", "8", "blksize", "512"]).block, Some(8));
        assert_eq!(options(&["f", "octet", "blksize"]), Options::default());
    }

    #[test]
    fn what_a_client_may_not_send_is_refused() {
        for (bytes, expected) in [
            (&b""[..], NotAPacket::Operation),
            (b"\0", NotAPacket::Operation),
            (b"\0\0", NotAPacket::Operation),
            (b"\0\x03\0\x01data", NotAPacket::Operation),
            (b"\0\x04\0", NotAPacket::Operation),
            (b"\0\x06", NotAPacket::Operation),
            (b"\0\x01name", NotAPacket::Request),
            (b"\0\x01name\0octet", NotAPacket::Request),
            (b"\0\x01name\0mail\0", NotAPacket::Mode),
        ] {
            assert_eq!(Packet::parse(bytes), Err(expected), "{bytes:?}");
        }
        let long = read(&[&"a".repeat(LONGEST_REQUEST), "octet"]);
        assert_eq!(Packet::parse(&long), Err(NotAPacket::Request));
    }

    #[test]
    fn answers_are_written_as_the_rfcs_draw_them() {
        let mut out = vec![9; 40];
        emit_data(&mut out, 258, b"xy");
        assert_eq!(out, b"\0\x03\x01\x02xy");
        emit_oack(&mut out, &[("tsize", 70085), ("blksize", 1468)]);
        assert_eq!(out, b"\0\x06tsize\x0070085\0blksize\x001468\0");
        emit_error(&mut out, ErrorCode::FileNotFound, "no\0 file");
        assert_eq!(out, b"\0\x05\0\x01no file\0");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Packet::parse(&bytes);
        }

        #[test]
        fn parsing_what_looks_like_a_packet_never_panics(
            operation in 1u8..7,
            bytes in proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..600),
        ) {
            let _ = Packet::parse(&[&[0, operation], &bytes[..]].concat());
        }

        #[test]
        fn any_sound_request_is_read_back(name in "[^\0]{0,40}", block in 8u16..=65_464, timeout in 1u8.., window in 1u16.., size: bool) {
            let (b, t, w) = (block.to_string(), timeout.to_string(), window.to_string());
            let mut parts = vec![name.as_str(), "octet", "blksize", &b, "timeout", &t, "windowsize", &w];
            if size {
                parts.extend(["tsize", "0"]);
            }
            let bytes = read(&parts);
            let options = Options { block: Some(block), timeout: Some(timeout), size, window: Some(window) };
            prop_assert_eq!(Packet::parse(&bytes), Ok(Packet::Read(Request { name: name.as_bytes(), options })));
        }

        #[test]
        fn an_error_is_read_back(message in "[^\0]{0,80}") {
            let mut out = Vec::new();
            emit_error(&mut out, ErrorCode::UnknownTransfer, &message);
            prop_assert_eq!(Packet::parse(&out), Ok(Packet::Error { code: 5, message }));
        }
    }
}
