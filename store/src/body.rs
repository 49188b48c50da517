//! Documents and readings as they lie in a column: JSON, compressed where that makes it smaller.
//!
//! Compressed ones begin with the magic number of Zstandard (RFC 8878, section 3.1.1), JSON with a bracket, a quote or a
//! digit, so that either can be told from the other. Documents that an earlier version kept are plain.

use domain::ports::BoxError;
use std::cell::RefCell;
use std::io;
use zstd::bulk::Compressor;

/// Measured on lifelike documents of 7.5 KB (`tests/store/measure.rs`): 1,478 bytes in 19 µs; level 3 took 26 µs for
/// 1,484 bytes, level 9 102 µs for 1,466.
const LEVEL: i32 = 1;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of a document when it is spread out; more than any that was taken in.
const MOST_BYTES: u64 = 64 << 20;

thread_local! {
    /// One for each thread: making it takes as long as compressing a document.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// Makes JSON text small.
pub fn pack(json: String) -> io::Result<Vec<u8>> {
    let packed = COMPRESSOR.with_borrow_mut(|kept| match kept {
        Some(compressor) => compressor.compress(json.as_bytes()),
        none => none.insert(Compressor::new(LEVEL)?).compress(json.as_bytes()),
    })?;
    Ok(if packed.len() < json.len() { packed } else { json.into_bytes() })
}

/// How many bytes of JSON it is, as it says itself.
pub fn length(bytes: &[u8]) -> u64 {
    match bytes.starts_with(&MAGIC) {
        false => bytes.len() as u64,
        true => zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().unwrap_or(bytes.len() as u64),
    }
}

/// JSON text again.
pub fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, BoxError> {
    if !bytes.starts_with(&MAGIC) {
        return Ok(bytes);
    }
    match zstd::zstd_safe::get_frame_content_size(&bytes) {
        Ok(Some(length)) if length <= MOST_BYTES => Ok(zstd::bulk::decompress(&bytes, usize::try_from(length)?)?),
        _ => Err("its length is missing, or longer than anything that was kept".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_what_was_not_stays() {
        for text in ["{}".to_owned(), "null".to_owned(), format!("{:?}", vec!["lifelike"; 1000])] {
            let packed = pack(text.clone()).expect("packed");
            assert!(packed.len() <= text.len());
            assert_eq!(length(&packed), text.len() as u64);
            assert_eq!(unpack(packed).expect("unpacked"), text.as_bytes());
        }
        assert_eq!(unpack(b"{\"plain\":1}".to_vec()).expect("plain"), b"{\"plain\":1}");
    }

    #[test]
    fn a_spoilt_body_is_an_error() {
        let packed = pack("[1,2,3]".repeat(100)).expect("packed");
        assert!(unpack(packed[..packed.len() - 1].to_vec()).is_err());
        assert!(unpack(MAGIC.to_vec()).is_err());
        // The header of a frame that says to be 2^63 bytes long.
        let mut huge = MAGIC.to_vec();
        huge.extend([0xe0, 0, 0, 0, 0, 0, 0, 0, 0x7f]);
        assert!(unpack(huge).is_err());
    }
}
