//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.
//!
//! Rules (Go's package `time`, `ParseDuration`): a sign if any, then one or more decimal numbers with a fraction if any
//! and a unit each; `0` needs no unit.

/// Nanoseconds of `text`; `None` if it is no duration or does not fit.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => digits(behind),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = behind.find(|each: char| each == '.' || each.is_ascii_digit()).unwrap_or(behind.len());
        let unit = nanoseconds(&behind[..end])?;
        total = total.checked_add(scaled(whole, fraction, unit)?)?;
        rest = &behind[end..];
    }
    Some(if negative { -total } else { total })
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|each: char| !each.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn nanoseconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn scaled(whole: &str, fraction: &str, unit: i64) -> Option<i64> {
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanoseconds = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        nanoseconds = nanoseconds.checked_add(place * i64::from(digit - b'0'))?;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        let cases = [
            ("0", Some(0)),
            ("30s", Some(30_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5m", Some(30_000_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("-2ms", Some(-2_000_000)),
            ("+1\u{b5}s", Some(1_000)),
            ("2562047h", Some(9_223_369_200_000_000_000)),
            ("2562048h", None),
            ("", None),
            ("-", None),
            (".", None),
            (".s", None),
            ("3", None),
            ("3 s", None),
            ("3d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
