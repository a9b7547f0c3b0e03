//! Sizes, rates and durations as people read them. The one place that decides how they look.

use std::fmt;
use std::time::Duration;

/// A number of bytes in SI units, as registries and disks count: `0B`, `999B`, `12.3MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return f.pad(&format!("{}B", self.0));
        }
        let mut unit = 1000_u128;
        for name in ["kB", "MB", "GB", "TB", "PB", "EB"] {
            // Rounded before the unit is chosen, or 999,999 bytes would be `1000.0kB`.
            let tenths = (u128::from(self.0) * 10 + unit / 2) / unit;
            if tenths < 10_000 {
                return f.pad(&format!("{}.{}{name}", tenths / 10, tenths % 10));
            }
            unit *= 1000;
        }
        unreachable!("u64::MAX is 18.4EB")
    }
}

/// Bytes in a time: `8.1MB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How much.
    pub bytes: u64,
    /// In how long.
    pub elapsed: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Below a millisecond there is nothing to measure.
        let per_second = u128::from(self.bytes) * 1000 / self.elapsed.as_millis().max(1);
        f.pad(&format!("{}/s", ByteSize(u64::try_from(per_second).unwrap_or(u64::MAX))))
    }
}

/// A duration: `0.4s`, `2m03s`, `1h02m03s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.as_millis() + 50) / 100;
        let seconds = tenths / 10;
        f.pad(&match seconds {
            0..60 => format!("{seconds}.{}s", tenths % 10),
            60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            3600.. => format!("{}h{:02}m{:02}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (12_345_678, "12.3MB"),
            (999_949, "999.9kB"),
            (999_950, "1.0MB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
        assert_eq!(format!("{:>8}|{:<6}|", ByteSize(1500), ByteSize(1)), "   1.5kB|1B    |");
    }

    #[test]
    fn rates() {
        assert_eq!(Rate { bytes: 3_000_000, elapsed: Duration::from_millis(1500) }.to_string(), "2.0MB/s");
        assert_eq!(Rate { bytes: 5, elapsed: Duration::ZERO }.to_string(), "5.0kB/s");
        assert_eq!(Rate { bytes: u64::MAX, elapsed: Duration::ZERO }.to_string(), "18.4EB/s");
    }

    #[test]
    fn durations() {
        for (milliseconds, text) in [
            (0, "0.0s"),
            (49, "0.0s"),
            (50, "0.1s"),
            (1234, "1.2s"),
            (59_949, "59.9s"),
            (59_950, "1m00s"),
            (123_400, "2m03s"),
            (3_723_000, "1h02m03s"),
        ] {
            assert_eq!(Elapsed(Duration::from_millis(milliseconds)).to_string(), text);
        }
    }
}
