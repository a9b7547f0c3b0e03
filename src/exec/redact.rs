//! What a step prints, without the values of its secrets.
//!
//! Output comes in pieces, and a value may be cut by the end of one. So the end of a piece that could be the start of a
//! value is kept back until it is known, and everything else goes on at once: a prompt does not wait.

/// What is seen in place of a secret.
const STRUCK_OUT: &[u8] = b"***";

/// Shorter values stand in too many harmless words; they are not struck out.
const SHORTEST: usize = 4;

/// One stream of output with secrets struck out.
#[derive(Debug)]
pub(super) struct Redacted {
    /// Longest first: a value may be part of another.
    values: Vec<Vec<u8>>,
    kept_back: Vec<u8>,
}

impl Redacted {
    /// Strikes out the values, and each of their lines.
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            values.push(secret.trim_ascii().to_vec());
            values.extend(secret.split(|byte| *byte == b'\n').map(|line| line.trim_ascii().to_vec()));
        }
        values.retain(|value| value.len() >= SHORTEST);
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { values, kept_back: Vec::new() }
    }

    /// What of the output so far can be shown now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.values.is_empty() {
            return bytes.to_vec();
        }
        let mut text = std::mem::take(&mut self.kept_back);
        text.extend_from_slice(bytes);
        let could_go_on =
            |rest: &[u8]| self.values.iter().any(|value| value.len() > rest.len() && value.starts_with(rest));
        let end = (0..text.len()).find(|at| could_go_on(&text[*at..])).unwrap_or(text.len());
        let (shown, used) = self.strike_out(&text, end);
        self.kept_back = text.split_off(used);
        shown
    }

    /// What is left when there is no more output.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.kept_back);
        self.strike_out(&rest, rest.len()).0
    }

    /// Strikes values out that begin before `end`; returns what there is to show, and how much of `text` that was.
    fn strike_out(&self, text: &[u8], end: usize) -> (Vec<u8>, usize) {
        let mut shown = Vec::with_capacity(end);
        let mut at = 0;
        while at < end {
            if let Some(value) = self.values.iter().find(|value| text[at..].starts_with(value)) {
                shown.extend_from_slice(STRUCK_OUT);
                at += value.len();
            } else {
                shown.push(text[at]);
                at += 1;
            }
        }
        (shown, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str], pieces: &[&str], shown: &[&str]) {
        let mut redacted = Redacted::new(secrets.iter().map(|secret| secret.as_bytes()));
        let mut all: Vec<String> =
            pieces.iter().map(|piece| String::from_utf8(redacted.push(piece.as_bytes())).unwrap()).collect();
        all.push(String::from_utf8(redacted.finish()).unwrap());
        assert_eq!(all, shown, "{secrets:?} {pieces:?}");
    }

    #[test]
    fn values_are_struck_out_wherever_the_pieces_end() {
        check(&["hunter2"], &["it is hunter2, hunter2.\n"], &["it is ***, ***.\n", ""]);
        check(&["hunter2\n"], &["a hun", "ter", "2 b"], &["a ", "", "*** b", ""]);
        check(&["hunter2"], &["hunt", "ing"], &["", "hunting", ""]);
        check(&["hunter2"], &["the hunter"], &["the ", "hunter"]);
        check(&["hhhi"], &["hhh", "hhhi"], &["", "hhh***", ""]);
    }

    #[test]
    fn lines_and_longer_values_first() {
        check(&["first line\nsecond line\n"], &["second line, first line"], &["***, ", "***"]);
        check(&["abcd", "abcdef"], &["abcdef abcd", " abcde"], &["*** ", "*** ", "***e"]);
    }

    #[test]
    fn a_value_inside_the_start_of_another() {
        check(&["xxabcdyy", "abcd"], &["xxabcd"], &["", "xx***"]);
        check(&["xxabcdyy", "abcd"], &["abcdxxabcdyy abc", "d"], &["****** ", "***", ""]);
    }

    #[test]
    fn short_values_and_no_values_change_nothing() {
        check(&["abc", ""], &["abc"], &["abc", ""]);
        check(&[], &["anything"], &["anything", ""]);
    }
}
