//! TFTP's five and one packets.

/// The bytes of a read request (RFC 1350, 5; RFC 2347).
pub fn read_request(file: &str, mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    request(1, file, mode, options)
}

/// The bytes of a write request, which a boot server has to refuse.
pub fn write_request(file: &str, mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    request(2, file, mode, options)
}

fn request(code: u8, file: &str, mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut out = vec![0, code];
    for text in [file, mode].into_iter().chain(options.iter().flat_map(|(name, value)| [*name, *value])) {
        out.extend(text.as_bytes());
        out.push(0);
    }
    out
}

/// The bytes of an acknowledgement.
pub fn acknowledge(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

/// The bytes of an error.
pub fn error(code: u16, message: &str) -> Vec<u8> {
    [&[0, 5], &code.to_be_bytes()[..], message.as_bytes(), &[0]].concat()
}

/// What a server sends to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A block of the file.
    Data {
        /// Its number, from 1, beginning again at 0 after 65535.
        block: u16,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The transfer is over.
    Error {
        /// RFC 1350, appendix.
        code: u16,
        /// In words.
        message: String,
    },
    /// Options that were taken up, names in lower case.
    Options(Vec<(String, String)>),
}

/// What is wrong with a server's packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Shorter than its kind can be.
    #[error("the packet is cut short")]
    CutShort,
    /// Neither DATA, nor ERROR, nor OACK.
    #[error("a server does not send packets of kind {0}")]
    OtherKind(u16),
    /// A text without its zero, or not of ASCII.
    #[error("a text in the packet is not ASCII with a zero at its end")]
    Text,
    /// An option's name without a value, or a name twice.
    #[error("the options of the packet are no list of different names with values")]
    Options,
}

impl<'a> Answer<'a> {
    /// Reads a packet strictly.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BadAnswer> {
        let (kind, rest) = bytes.split_first_chunk::<2>().ok_or(BadAnswer::CutShort)?;
        match u16::from_be_bytes(*kind) {
            3 => {
                let (block, bytes) = rest.split_first_chunk::<2>().ok_or(BadAnswer::CutShort)?;
                Ok(Self::Data { block: u16::from_be_bytes(*block), bytes })
            }
            5 => {
                let (code, message) = rest.split_first_chunk::<2>().ok_or(BadAnswer::CutShort)?;
                let mut message = texts(message)?;
                if message.len() != 1 {
                    return Err(BadAnswer::Text);
                }
                Ok(Self::Error { code: u16::from_be_bytes(*code), message: message.remove(0) })
            }
            6 => options(rest).map(Self::Options),
            other => Err(BadAnswer::OtherKind(other)),
        }
    }
}

fn options(bytes: &[u8]) -> Result<Vec<(String, String)>, BadAnswer> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in texts(bytes)?.chunks(2) {
        let [name, value] = pair else { return Err(BadAnswer::Options) };
        let name = name.to_ascii_lowercase();
        if found.iter().any(|(other, _)| *other == name) {
            return Err(BadAnswer::Options);
        }
        found.push((name, value.clone()));
    }
    Ok(found)
}

fn texts(bytes: &[u8]) -> Result<Vec<String>, BadAnswer> {
    let Some((0, texts)) = bytes.split_last() else {
        return if bytes.is_empty() { Ok(vec![]) } else { Err(BadAnswer::Text) };
    };
    let text = |part: &[u8]| if part.is_ascii() { Some(String::from_utf8_lossy(part).into_owned()) } else { None };
    texts.split(|b| *b == 0).map(|part| text(part).ok_or(BadAnswer::Text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_the_bytes_of_the_rfcs() {
        assert_eq!(read_request("a", "octet", &[("tsize", "0")]), b"\0\x01a\0octet\0tsize\x000\0");
        assert_eq!(write_request("a", "netascii", &[]), b"\0\x02a\0netascii\0");
        assert_eq!(acknowledge(0x102), [0, 4, 1, 2]);
        assert_eq!(error(8, "no"), b"\0\x05\0\x08no\0");
    }

    #[test]
    fn answers_are_read_strictly() {
        let cases: [(&[u8], Result<Answer<'_>, BadAnswer>); 11] = [
            (b"\0\x03\x01\x02xyz", Ok(Answer::Data { block: 0x102, bytes: b"xyz" })),
            (b"\0\x03\0\x01", Ok(Answer::Data { block: 1, bytes: b"" })),
            (b"\0\x05\0\x01no\0", Ok(Answer::Error { code: 1, message: "no".into() })),
            (b"\0\x06BLKSIZE\x001468\0", Ok(Answer::Options(vec![("blksize".into(), "1468".into())]))),
            (b"\0\x03\0", Err(BadAnswer::CutShort)),
            (b"", Err(BadAnswer::CutShort)),
            (b"\0\x05\0\x01no", Err(BadAnswer::Text)),
            (b"\0\x05\0\x01\xff\0", Err(BadAnswer::Text)),
            (b"\0\x06a\0", Err(BadAnswer::Options)),
            (b"\0\x06a\x001\0A\x002\0", Err(BadAnswer::Options)),
            (b"\0\x04\0\x01", Err(BadAnswer::OtherKind(4))),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Answer::parse(bytes), expected, "{bytes:?}");
        }
    }
}
