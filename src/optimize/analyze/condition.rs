//! Conditions under which an image does not pass: `wasted>20MB`, `efficiency<95%`, `secrets>0`.

use super::Analysis;
use std::{cmp::Ordering, fmt, str::FromStr};

/// A figure of an image, compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    metric: Metric,
    comparison: Comparison,
    limit: f64,
    /// Whether the limit is a part of the metric's [whole](Metric::whole).
    is_part: bool,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Bytes that are carried in vain, provably; a percentage is of the bytes of all layers.
    Wasted,
    /// Bytes of the files that a container sees.
    Size,
    /// Bytes that a registry has.
    Compressed,
    /// Layers.
    Layers,
    /// dive's score.
    Efficiency,
    /// Our score.
    Score,
    /// Files and variables that may be secrets.
    Secrets,
    /// Bytes that a changed line pushes; a percentage is of what a registry has of the image.
    Line,
}

const METRICS: [(&str, Metric); 8] = [
    ("wasted", Metric::Wasted),
    ("size", Metric::Size),
    ("compressed", Metric::Compressed),
    ("layers", Metric::Layers),
    ("efficiency", Metric::Efficiency),
    ("score", Metric::Score),
    ("secrets", Metric::Secrets),
    ("line", Metric::Line),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

const COMPARISONS: [(&str, Comparison); 4] =
    [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost), (">", Comparison::Above), ("<", Comparison::Below)];

/// What a figure is, and so which limits make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    /// Bytes: `20MB`, or a number.
    Bytes,
    /// Bytes of a whole: `20MB`, a number, or `20%`.
    PartOfBytes,
    /// A part of 1: `95%` or `0.95`.
    Share,
    /// How many: a number.
    Count,
}

/// What is behind the number of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    /// So many bytes.
    Bytes(f64),
    /// Hundredths.
    Percent,
    /// Nothing.
    None,
}

const UNITS: [(&str, Unit); 10] = [
    ("KiB", Unit::Bytes(1024.0)),
    ("MiB", Unit::Bytes(1_048_576.0)),
    ("GiB", Unit::Bytes(1_073_741_824.0)),
    ("kB", Unit::Bytes(1e3)),
    ("KB", Unit::Bytes(1e3)),
    ("MB", Unit::Bytes(1e6)),
    ("GB", Unit::Bytes(1e9)),
    ("B", Unit::Bytes(1.0)),
    ("%", Unit::Percent),
    ("", Unit::None),
];

impl Condition {
    /// Whether it holds of an image.
    pub fn holds(&self, analysis: &Analysis) -> bool {
        let value = self.metric.value(analysis);
        let value = if self.is_part { value / self.metric.whole(analysis).max(1.0) } else { value };
        let order = value.partial_cmp(&self.limit);
        match self.comparison {
            Comparison::Above => order == Some(Ordering::Greater),
            Comparison::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Comparison::Below => order == Some(Ordering::Less),
            Comparison::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        }
    }
}

impl Metric {
    fn quantity(self) -> Quantity {
        match self {
            Self::Wasted | Self::Line => Quantity::PartOfBytes,
            Self::Size | Self::Compressed => Quantity::Bytes,
            Self::Efficiency | Self::Score => Quantity::Share,
            Self::Layers | Self::Secrets => Quantity::Count,
        }
    }

    /// What percentages are of.
    #[expect(clippy::cast_precision_loss, reason = "limits are round numbers")]
    fn whole(self, analysis: &Analysis) -> f64 {
        match self {
            Self::Wasted => analysis.layer_bytes as f64,
            Self::Line => analysis.compressed as f64,
            Self::Size | Self::Compressed | Self::Layers | Self::Efficiency | Self::Score | Self::Secrets => 1.0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "limits are round numbers")]
    fn value(self, analysis: &Analysis) -> f64 {
        match self {
            Self::Wasted => analysis.wasted as f64,
            Self::Size => analysis.bytes as f64,
            Self::Compressed => analysis.compressed as f64,
            Self::Layers => analysis.layers.len() as f64,
            Self::Efficiency => analysis.efficiency,
            Self::Score => analysis.score,
            Self::Secrets => analysis.secrets.len() as f64,
            Self::Line => analysis.line.as_ref().map_or(0.0, |line| line.pushed as f64),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let names: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
            format!("expected FIGURE>LIMIT, such as wasted>20MB; figures are {}", names.join(", "))
        };
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let (sign, comparison) = *COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign)).ok_or_else(wrong)?;
        let (_, metric) = *METRICS.iter().find(|(known, _)| *known == name.trim()).ok_or_else(wrong)?;
        let limit = rest[sign.len()..].trim();
        let (name, unit) = *UNITS.iter().find(|(unit, _)| limit.ends_with(unit)).ok_or_else(wrong)?;
        let number: f64 = limit[..limit.len() - name.len()].trim().parse().map_err(|_| wrong())?;
        if !number.is_finite() || number < 0.0 {
            return Err(wrong());
        }
        let (limit, is_part) = limit_of(metric.quantity(), number, unit).map_err(|what| format!("{text:?}: {what}"))?;
        Ok(Self { metric, comparison, limit, is_part })
    }
}

/// A limit, and whether it is a part of a whole. An error says what the figure takes.
fn limit_of(quantity: Quantity, number: f64, unit: Unit) -> Result<(f64, bool), &'static str> {
    match (quantity, unit) {
        (Quantity::Bytes | Quantity::PartOfBytes, Unit::Bytes(worth)) => Ok((number * worth, false)),
        (Quantity::Bytes | Quantity::PartOfBytes, Unit::None) | (Quantity::Count, Unit::None) => Ok((number, false)),
        (Quantity::PartOfBytes, Unit::Percent) => Ok((number / 100.0, true)),
        (Quantity::Share, Unit::Percent) if number <= 100.0 => Ok((number / 100.0, false)),
        (Quantity::Share, Unit::None) if number <= 1.0 => Ok((number, false)),
        (Quantity::Share, _) => Err("the figure is from 0 to 1: write 95% or 0.95"),
        (Quantity::Bytes, Unit::Percent) => Err("the figure is bytes: write 20MB"),
        (Quantity::Count, _) => Err("the figure is a number: write it without a unit"),
    }
}

/// As it was written, the limit without its unit but for a percentage.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = METRICS.iter().find(|(_, metric)| *metric == self.metric).map_or("", |(name, _)| name);
        let sign = COMPARISONS.iter().find(|(_, it)| *it == self.comparison).map_or("", |(sign, _)| sign);
        match self.is_part {
            true => write!(f, "{name}{sign}{}%", self.limit * 100.0),
            false => write!(f, "{name}{sign}{}", self.limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::{analyze::tests::analysis, owner::testing::*};

    #[test]
    fn figures_are_compared_with_limits() {
        let found = analysis(&[("base", vec![file("a", "1234567890")]), ("RUN", vec![file("a", "1234567890")])]);
        for (text, expected) in [
            ("wasted>9B", true),
            ("wasted > 10", false),
            ("wasted>=10B", true),
            ("wasted>1kB", false),
            ("size<=0.01KiB", true),
            ("efficiency<51%", true),
            ("score<0.5", false),
            ("layers>1", true),
            ("compressed<200", false),
            ("secrets>0", false),
            ("wasted>49%", true),
            ("wasted>50%", false),
            ("efficiency<0.51", true),
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().holds(&found), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in
            ["", "wasted", "wasted=1", "other>1", "wasted>", "wasted>x", "wasted>1TB", "wasted>-1", "wasted>NaN"]
        {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.starts_with("expected FIGURE>LIMIT"), "{text}: {error}");
        }
        for (text, what) in [
            ("efficiency<95", "write 95% or 0.95"),
            ("score<101%", "write 95% or 0.95"),
            ("score<1B", "write 95% or 0.95"),
            ("layers>1MB", "without a unit"),
            ("secrets>10%", "without a unit"),
            ("size>20%", "write 20MB"),
        ] {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.starts_with(&format!("{text:?}")) && error.ends_with(what), "{text}: {error}");
        }
        assert_eq!("wasted>20%".parse::<Condition>().unwrap().to_string(), "wasted>20%");
        assert_eq!("wasted>=20MB".parse::<Condition>().unwrap().to_string(), "wasted>=20000000");
    }
}
