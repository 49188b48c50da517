//! What iPXE says of its machine when it asks for a script.

use domain::MacAddr;
use domain::identity::{usable_serial, usable_uuid};
use domain::mac::BadMac;
use uuid::Uuid;

/// The longest value that is read, bytes; SMBIOS strings are rarely beyond 64.
const LONGEST_VALUE: usize = 256;

/// The question `/ipxe?mac=…&uuid=…&arch=…&platform=…&serial=…`. Only the address of the interface must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The interface that iPXE booted from.
    pub mac: MacAddr,
    /// The SMBIOS UUID, unless it is one that boards without a UUID report.
    pub uuid: Option<Uuid>,
    /// The SMBIOS serial, unless it is one that boards without a serial report.
    pub serial: Option<String>,
    /// What iPXE was built for: `i386`, `x86_64`.
    pub arch: Option<String>,
    /// `pcbios` or `efi`.
    pub platform: Option<String>,
}

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAsk {
    /// No address at all.
    #[error("the address of the network card is missing: ask for /ipxe?mac=52:54:00:12:34:56")]
    NoMac,
    /// Not an address.
    #[error(transparent)]
    Mac(BadMac),
    /// An address that no card has.
    #[error("{0} is not the address of one network card")]
    NotAMachines(MacAddr),
}

impl Ask {
    /// Reads the query. Of a value given twice the first counts, so that nothing inside a later one can change it.
    pub fn parse(query: &str) -> Result<Self, BadAsk> {
        let mac: MacAddr = value(query, "mac").ok_or(BadAsk::NoMac)?.parse().map_err(BadAsk::Mac)?;
        if !mac.is_a_machines() {
            return Err(BadAsk::NotAMachines(mac));
        }
        Ok(Self {
            mac,
            uuid: value(query, "uuid").and_then(|text| text.parse().ok()).and_then(usable_uuid),
            serial: serial(query).and_then(|text| usable_serial(&text)),
            arch: value(query, "arch"),
            platform: value(query, "platform"),
        })
    }
}

/// The value of a key, decoded; none when it is absent, empty or too long.
fn value(query: &str, key: &str) -> Option<String> {
    let of_pair = |pair| str::split_once(pair, '=').filter(|(name, _)| *name == key);
    let (_, raw) = query.split('&').find_map(of_pair)?;
    text(raw)
}

/// The serial, up to the next key that is known: iPXE decodes what its script encoded, so an ampersand of a serial comes
/// bare.
fn serial(query: &str) -> Option<String> {
    let (_, rest) = query.strip_prefix("serial=").map(|rest| ("", rest)).or_else(|| query.split_once("&serial="))?;
    let keys = ["&mac=", "&uuid=", "&arch=", "&platform=", "&serial="];
    let end = keys.iter().filter_map(|key| rest.find(key)).min().unwrap_or(rest.len());
    text(&rest[..end])
}

fn text(raw: &str) -> Option<String> {
    let bounded = !raw.is_empty() && raw.len() <= 3 * LONGEST_VALUE;
    bounded.then(|| decoded(raw)).filter(|text| text.len() <= LONGEST_VALUE)
}

/// Percent decoding (RFC 3986, 2.1). A plus is a plus: iPXE sends it bare, and serials have them.
fn decoded(raw: &str) -> String {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|&b| char::from(b).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_whole_question_is_read() {
        let ask =
            Ask::parse("mac=52-54-00-12-34-56&uuid=f81d4fae-7dec-11d0-a765-00a0c91e6bf6&arch=x86_64&platform=efi&serial=VM%2D0001%20b+c")
                .expect("a question");
        assert_eq!(ask.mac.to_string(), "52:54:00:12:34:56");
        assert_eq!(ask.uuid.map(|uuid| uuid.to_string()).as_deref(), Some("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"));
        assert_eq!(ask.serial.as_deref(), Some("VM-0001 b+c"));
        assert_eq!((ask.arch.as_deref(), ask.platform.as_deref()), (Some("x86_64"), Some("efi")));
    }

    #[test]
    fn what_is_missing_or_says_nothing_is_absent() {
        let bare = Ask::parse("mac=525400123456&uuid=&serial=To%20be%20filled%20by%20O.E.M.&arch=").expect("a question");
        assert_eq!((bare.uuid, bare.serial, bare.arch, bare.platform), (None, None, None, None));
        let odd = Ask::parse(&format!("mac=525400123456&uuid=x&serial={}", "a".repeat(10_000))).expect("a question");
        assert_eq!((odd.uuid, odd.serial), (None, None));
    }

    #[test]
    fn the_first_of_two_values_counts() {
        let ask = Ask::parse("mac=525400123456&serial=A&serial=B&mac=ffffffffffff").expect("a question");
        assert_eq!(ask.serial.as_deref(), Some("A"));
    }

    #[test]
    fn a_serial_keeps_its_ampersand() {
        for query in ["mac=525400123456&serial=A&B%20C&arch=x", "serial=A&B%20C&mac=525400123456", "mac=525400123456&serial=A&B%20C"] {
            assert_eq!(Ask::parse(query).expect("a question").serial.as_deref(), Some("A&B C"), "{query}");
        }
    }

    #[test]
    fn without_the_address_of_one_card_there_is_no_answer() {
        assert_eq!(Ask::parse(""), Err(BadAsk::NoMac));
        assert_eq!(Ask::parse("mac="), Err(BadAsk::NoMac));
        assert!(matches!(Ask::parse("mac=52:54:00:12:34"), Err(BadAsk::Mac(_))));
        assert!(matches!(Ask::parse("mac=%0a525400123456"), Err(BadAsk::Mac(_))));
        assert!(matches!(Ask::parse("mac=ff:ff:ff:ff:ff:ff"), Err(BadAsk::NotAMachines(_))));
    }

    proptest! {
        #[test]
        fn no_query_panics(query in any::<String>()) {
            let _ = Ask::parse(&query);
            let _ = Ask::parse(&format!("mac=525400123456&serial={query}"));
        }
    }
}
