//! Amounts as people read them: `9.8 MiB`, `1.2 s`.

use std::time::Duration;

/// A number of bytes.
pub fn bytes(count: u64) -> String {
    const STEP: f64 = 1024.0;
    let mut value = count as f64;
    if value < STEP {
        return format!("{count} bytes");
    }
    for unit in ["KiB", "MiB", "GiB"] {
        value /= STEP;
        if value < STEP || unit == "GiB" {
            return if value < 10.0 && unit != "KiB" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") };
        }
    }
    unreachable!("the last unit takes everything")
}

/// How long something took.
pub fn duration(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_the_unit_that_people_would_choose() {
        for (count, expected) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (70_085, "68 KiB"), (10_276_045, "9.8 MiB"), (41 << 20, "41 MiB"), (3 << 40, "3072 GiB")]
        {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(duration(Duration::from_millis(1249)), "1.2 s");
    }
}
