//! One byte range of a file (RFC 9110, section 14).

/// What a Range header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The whole file: no header, one that is not understood, or several ranges, of which none need be served.
    All,
    /// From one byte to another, both included.
    Part(u64, u64),
    /// Nothing that the file has.
    Outside,
}

/// Reads a Range header for a file of `length` bytes.
pub fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(range) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = range.split_once('-') else { return Wanted::All };
    match (number(first.trim()), number(last.trim())) {
        (Number::Absent, Number::Is(0)) => Wanted::Outside,
        (Number::Absent, Number::Is(_)) if length == 0 => Wanted::Outside,
        (Number::Absent, Number::Is(count)) => Wanted::Part(length.saturating_sub(count), length - 1),
        (Number::Is(first), Number::Is(last)) if last < first => Wanted::All,
        (Number::Is(first), _) if first >= length => Wanted::Outside,
        (Number::Is(first), Number::Is(last)) => Wanted::Part(first, last.min(length - 1)),
        (Number::Is(first), Number::Absent) => Wanted::Part(first, length - 1),
        (Number::Absent, Number::Absent) | (Number::Isnt, _) | (_, Number::Isnt) => Wanted::All,
    }
}

enum Number {
    Absent,
    Is(u64),
    Isnt,
}

fn number(text: &str) -> Number {
    match text {
        "" => Number::Absent,
        // Beyond what a number holds is beyond every file.
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Number::Is(digits.parse().unwrap_or(u64::MAX)),
        _ => Number::Isnt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (header, length, expected) in [
            (None, 10, Wanted::All),
            (Some("bytes=0-3"), 10, Wanted::Part(0, 3)),
            (Some("bytes=3-"), 10, Wanted::Part(3, 9)),
            (Some("bytes=-4"), 10, Wanted::Part(6, 9)),
            (Some("bytes=-40"), 10, Wanted::Part(0, 9)),
            (Some("bytes=0-99999999999999999999999999"), 10, Wanted::Part(0, 9)),
            (Some("bytes=99999999999999999999999999-"), 10, Wanted::Outside),
            (Some("bytes=10-"), 10, Wanted::Outside),
            (Some("bytes=-0"), 10, Wanted::Outside),
            (Some("bytes=0-"), 0, Wanted::Outside),
            (Some("bytes=-1"), 0, Wanted::Outside),
            (Some("bytes=5-3"), 10, Wanted::All),
            (Some("bytes=0-1,2-3"), 10, Wanted::All),
            (Some("bytes=-"), 10, Wanted::All),
            (Some("bytes=a-b"), 10, Wanted::All),
            (Some("lines=0-3"), 10, Wanted::All),
        ] {
            assert_eq!(wanted(header, length), expected, "{header:?} of {length}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_inside_the_file(header in "bytes=[0-9]{0,22}-[0-9]{0,22}", length in 0u64..100) {
            if let Wanted::Part(first, last) = wanted(Some(&header), length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }
}
