//! Numbers as people read them.

use std::time::Duration;

/// `4.0 GiB`, `16.0 MiB`, `512 B`.
pub fn bytes(amount: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| amount >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", amount as f64 / (1u64 << shift) as f64),
        None => format!("{amount} B"),
    }
}

/// `205 MB/s`, in millions as disks and lines are sold.
pub fn rate(amount: u64, time: Duration) -> String {
    let per_second = amount as f64 / time.as_secs_f64().max(0.001) / 1e6;
    if per_second < 10.0 { format!("{per_second:.1} MB/s") } else { format!("{per_second:.0} MB/s") }
}

/// `20.4 s`, `31 ms`.
pub fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{} ms", time.as_millis()) } else { format!("{:.1} s", time.as_secs_f64()) }
}

/// The next of a row of numbers that look random and are the same in each run (SplitMix64).
pub fn scatter(seed: u64, at: u64) -> u64 {
    let mut z = seed.wrapping_add(at.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_at_a_glance() {
        assert_eq!((bytes(512), bytes(4 << 30), bytes(1536)), ("512 B".into(), "4.0 GiB".into(), "1.5 KiB".into()));
        assert_eq!(rate(205_000_000, Duration::from_secs(1)), "205 MB/s");
        assert_eq!((time(Duration::from_millis(31)), time(Duration::from_millis(20_420))), ("31 ms".into(), "20.4 s".into()));
        // The published first value for seed 0.
        assert_eq!(scatter(0, 0), 0xe220_a839_7b1d_cdaf);
    }
}
