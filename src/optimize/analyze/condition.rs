//! Conditions under which an image does not pass: `wasted>20MB`, `efficiency<95%`, `secrets>0`.

use super::Analysis;
use std::{cmp::Ordering, fmt, str::FromStr};

/// A figure of an image, compared with a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    metric: Metric,
    comparison: Comparison,
    limit: f64,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Bytes that are carried in vain, provably.
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
    /// Bytes that a changed line pushes.
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

/// Units behind a limit, and what they are worth. A percentage is a part of 1.
const UNITS: [(&str, f64); 10] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
    ("%", 0.01),
    ("", 1.0),
];

impl Condition {
    /// Whether it holds of an image.
    pub fn holds(&self, analysis: &Analysis) -> bool {
        let value = self.metric.value(analysis);
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
        let (unit, worth) = *UNITS.iter().find(|(unit, _)| limit.ends_with(unit)).ok_or_else(wrong)?;
        let number: f64 = limit[..limit.len() - unit.len()].trim().parse().map_err(|_| wrong())?;
        if !number.is_finite() || number < 0.0 {
            return Err(wrong());
        }
        Ok(Self { metric, comparison, limit: number * worth })
    }
}

/// As it was written, the limit without its unit.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = METRICS.iter().find(|(_, metric)| *metric == self.metric).map_or("", |(name, _)| name);
        let sign = COMPARISONS.iter().find(|(_, it)| *it == self.comparison).map_or("", |(sign, _)| sign);
        write!(f, "{name}{sign}{}", self.limit)
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
        assert_eq!("wasted>=20MB".parse::<Condition>().unwrap().to_string(), "wasted>=20000000");
    }
}
