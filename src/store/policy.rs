//! What a store may hold: rules, one after the other, as `BuildKit`'s policies of garbage collection have them.

use std::{fmt, str::FromStr, time::Duration};

/// What a store may hold. Without a rule, all that can be used is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// One after the other: the first ones for what is missed least.
    pub rules: Vec<GcRule>,
}

/// One rule: what may be removed, and until when. Without any bound, all that it is about goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcRule {
    /// What it is about; everything if there is none.
    pub kinds: Vec<StoreKind>,
    /// Only what was not used for longer than this.
    pub unused_for: Option<Duration>,
    /// Bytes that the store may take in any case.
    pub reserved: Option<u64>,
    /// Bytes that it may take at most.
    pub max_used: Option<u64>,
    /// Bytes of the file system that have to be free.
    pub min_free: Option<u64>,
    /// Also what belongs to named images, but for their blobs, which stay as long as the names.
    pub all: bool,
}

/// What is in a store, as far as it may be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKind {
    /// What steps came to.
    Record,
    /// Unpacked layers.
    Layer,
    /// Compressed layers and contents tables.
    Blob,
    /// Files and packages that were downloaded, and other blobs that are no layer.
    Download,
    /// Folders of `RUN --mount=type=cache`.
    CacheMount,
    /// apt's lists, and what it answered.
    Apt,
}

impl StoreKind {
    /// All kinds, what is cheapest to make again first.
    pub const ALL: [Self; 6] = [Self::Record, Self::Apt, Self::Layer, Self::Blob, Self::Download, Self::CacheMount];

    /// As it is written in a policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Layer => "layer",
            Self::Blob => "blob",
            Self::Download => "download",
            Self::CacheMount => "cache-mount",
            Self::Apt => "apt",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StoreKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("there is no kind {text:?}; there are {}", names()))
    }
}

impl GcPolicy {
    /// One rule alone.
    pub fn of(rule: GcRule) -> Self {
        Self { rules: vec![rule] }
    }

    /// What applies if nobody says anything, on a file system of `disk` bytes: the defaults of `BuildKit`
    /// (`cmd/buildkitd/config/gcpolicy.go`). Caches go first, for they only save time.
    pub fn usual(disk: u64, reserved: Option<u64>, max_used: Option<u64>, min_free: Option<u64>) -> Self {
        const GB: u64 = 1_000_000_000;
        let bounds = GcRule {
            reserved: Some(reserved.unwrap_or((disk / 10).min(10 * GB))),
            max_used: Some(max_used.unwrap_or((disk / 100 * 80).min(100 * GB))),
            min_free: Some(min_free.unwrap_or(disk / 100 * 20)),
            ..GcRule::default()
        };
        // What is said to be the most is the most for them, too.
        let bounds = GcRule { reserved: bounds.reserved.min(bounds.max_used), ..bounds };
        let day = Duration::from_hours(24);
        Self {
            rules: vec![
                GcRule {
                    kinds: vec![StoreKind::CacheMount, StoreKind::Apt],
                    unused_for: Some(day * 2),
                    max_used: Some(512_000_000),
                    ..GcRule::default()
                },
                GcRule { unused_for: Some(day * 60), ..bounds.clone() },
                bounds.clone(),
                GcRule { all: true, ..bounds },
            ],
        }
    }
}

impl GcRule {
    /// The bytes to which a store that takes `total` is brought, with `free` of the file system free; `None` if bytes do
    /// not matter.
    pub(super) fn keep_bytes(&self, total: u64, free: u64) -> Option<u64> {
        let most = match (self.max_used, self.min_free, self.reserved) {
            (None, None, None) if self.unused_for.is_some() => return None,
            (None, None, _) => 0,
            (Some(most), _, _) => most,
            (None, Some(_), _) => u64::MAX,
        };
        let excess = self.min_free.unwrap_or(0).saturating_sub(free);
        let most = if excess > 0 { most.min(total.saturating_sub(excess)) } else { most };
        Some(most.max(self.reserved.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_weighed_as_buildkit_does() {
        let rule = |reserved, max_used, min_free| GcRule { reserved, max_used, min_free, ..GcRule::default() };
        for (rule, total, free, expected) in [
            (rule(None, None, None), 100, 50, Some(0)),
            (rule(Some(30), None, None), 100, 50, Some(30)),
            (rule(None, Some(80), None), 100, 50, Some(80)),
            (rule(None, Some(80), Some(60)), 100, 50, Some(80)),
            (rule(None, Some(80), Some(90)), 100, 50, Some(60)),
            (rule(Some(70), Some(80), Some(90)), 100, 50, Some(70)),
            (rule(None, None, Some(40)), 100, 50, Some(u64::MAX)),
            (GcRule { unused_for: Some(Duration::ZERO), ..GcRule::default() }, 100, 50, None),
        ] {
            assert_eq!(rule.keep_bytes(total, free), expected, "{rule:?}");
        }
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in StoreKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("layers".parse::<StoreKind>().unwrap_err().contains("record, apt, layer"));
    }

    #[test]
    fn what_is_said_takes_the_place_of_what_is_usual() {
        let usual = GcPolicy::usual(1_000_000_000_000, None, None, None);
        assert_eq!((usual.rules.len(), usual.rules[2].max_used), (4, Some(100_000_000_000)));
        let small = GcPolicy::usual(1_000_000_000_000, None, Some(2_000), None);
        assert_eq!((small.rules[3].max_used, small.rules[3].reserved), (Some(2_000), Some(2_000)));
    }
}
