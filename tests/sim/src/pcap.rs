//! Reads recordings: the classic pcap format, little-endian, microseconds, Ethernet. Enough for the fixtures.

/// Why a recording cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRecording {
    /// Not a little-endian pcap file of Ethernet frames.
    #[error("this is not a little-endian pcap file of Ethernet frames")]
    NotPcap,
    /// The last frame is cut short.
    #[error("the recording ends in the middle of frame {0}")]
    CutShort(usize),
}

/// The frames of a recording, in order.
pub fn frames(file: &[u8]) -> Result<Vec<&[u8]>, BadRecording> {
    let number = |at: usize| file.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    if number(0) != Some(0xa1b2_c3d4) || number(20) != Some(1) {
        return Err(BadRecording::NotPcap);
    }
    let (mut frames, mut at) = (Vec::new(), 24);
    while at < file.len() {
        let cut = BadRecording::CutShort(frames.len());
        let length = number(at + 8).ok_or(cut.clone())?;
        frames.push(file.get(at + 16..at + 16 + length).ok_or(cut)?);
        at += 16 + length;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_recording_is_refused() {
        let whole = include_bytes!("../../fixtures/ipxe-bios.pcap");
        assert_eq!(frames(whole).expect("a recording").len(), 8);
        assert_eq!(frames(&whole[..whole.len() - 1]), Err(BadRecording::CutShort(7)));
        assert_eq!(frames(&whole[4..]), Err(BadRecording::NotPcap));
        assert_eq!(frames(b""), Err(BadRecording::NotPcap));
    }
}
