//! Which bytes of a blob a `Range` asks for (RFC 9110, 14.1.2).

/// Parts of one answer. Clients that read files out of layers ask for 1024 at most; who asks for more gets everything.
const MOST_PARTS: usize = 1024;

/// What is asked for. A part is its first byte, and the one after its last.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: of another unit, nonsense, or more than is in the blob.
    Whole,
    /// One part.
    Part(u64, u64),
    /// Several, in the order in which they are wanted.
    Parts(Vec<(u64, u64)>),
    /// Nothing that the blob has.
    Nothing,
}

impl Wanted {
    /// Reads the header's value, for a blob of `size` bytes.
    pub(super) fn of(range: &str, size: u64) -> Self {
        let Some(specs) = range.strip_prefix("bytes=") else { return Self::Whole };
        let mut parts = Vec::new();
        for spec in specs.split(',') {
            match part(spec.trim(), size) {
                None => return Self::Whole,
                Some(Some(part)) if parts.len() < MOST_PARTS => parts.push(part),
                Some(Some(_)) => return Self::Whole,
                // What cannot be had is left out, as long as there is something else.
                Some(None) => {}
            }
        }
        let bytes = parts.iter().map(|(start, end)| end - start).fold(0, u64::saturating_add);
        match parts.as_slice() {
            [] => Self::Nothing,
            [(start, end)] => Self::Part(*start, *end),
            // Parts that overlap would make a large answer of a small question.
            _ if bytes > size => Self::Whole,
            _ => Self::Parts(parts),
        }
    }
}

/// One part, cut to the blob; nothing inside if the blob has none of it, nothing at all if it is not understood.
#[expect(clippy::option_option, reason = "what is asked for wrongly is not what is asked for in vain")]
fn part(spec: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = spec.split_once('-')?;
    let (start, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(suffix.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    Some((start < end).then_some((start, end)))
}

#[cfg(test)]
mod tests {
    use super::Wanted::{self, Nothing, Part, Parts, Whole};

    #[test]
    fn ranges_are_cut_to_the_blob() {
        for (range, expected) in [
            ("bytes=0-", Part(0, 10)),
            ("bytes=3-5", Part(3, 6)),
            ("bytes=3-99", Part(3, 10)),
            ("bytes=-4", Part(6, 10)),
            ("bytes=10-", Nothing),
            ("bytes=5-3", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=0-1,3-4", Parts(vec![(0, 2), (3, 5)])),
            ("bytes=7-8, 0-1,99-", Parts(vec![(7, 9), (0, 2)])),
            ("bytes=99-,1-1", Part(1, 2)),
            ("bytes=0-8,1-9", Whole),
            ("bytes=0-1,x", Whole),
            ("lines=1-2", Whole),
        ] {
            assert_eq!(Wanted::of(range, 10), expected, "{range}");
        }
        let many = vec!["0-0"; 1025].join(",");
        assert_eq!(Wanted::of(&format!("bytes={many}"), 1 << 20), Whole);
    }
}
