//! Sizes and times as people write them.

use std::{fmt, str::FromStr, time::Duration};

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// So many bytes.
    Bytes(u64),
    /// So much of the file system that holds the store, in percent.
    Percent(u8),
}

impl Space {
    /// In bytes, on a file system of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total / 100 * u64::from(percent),
        }
    }
}

impl FromStr for Space {
    type Err = String;

    /// Reads `20GB`, `512MiB`, `10%`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().strip_suffix('%') {
            None => bytes(text).map(Self::Bytes),
            Some(number) => match number.trim().parse() {
                Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
                _ => Err(format!("{text:?} is no share: use 0% to 100%")),
            },
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => {
                let units = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
                match units.into_iter().find(|(_, factor)| *bytes > 0 && bytes % factor == 0) {
                    Some((unit, factor)) => write!(f, "{}{unit}", bytes / factor),
                    None => write!(f, "{bytes}"),
                }
            }
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads a size: a number with an optional unit, decimal (`MB`) or binary (`MiB`).
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("{unit:?} is no unit: use MB, GB, MiB or GiB")),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number and a unit, such as 20GB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// Reads a time: a number and a unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err("expected a number and a unit: 30m, 24h, 7d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number and a unit: 30m, 24h, 7d".to_owned())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "too long".to_owned())
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(bytes("20GB"), Ok(20_000_000_000));
        assert_eq!(bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(bytes("7"), Ok(7));
        assert!(bytes("GB").is_err() && bytes("1 parsec").is_err() && bytes("99999999999TB").is_err());
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        assert!(duration("24").is_err() && duration("h").is_err());
    }

    #[test]
    fn space_is_read_as_it_is_written() {
        for text in ["20GB", "512MB", "1023", "10%", "0%", "100%", "0"] {
            assert_eq!(text.parse::<Space>().unwrap().to_string(), text);
        }
        for text in ["101%", "-1%", "%", "", "1.5GB"] {
            assert!(text.parse::<Space>().is_err(), "{text}");
        }
        assert_eq!(Space::Percent(10).of(1_000_000), 100_000);
    }
}
