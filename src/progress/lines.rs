//! Pieces of output to whole lines.

use super::clean::printable;

/// A line longer than this is shown in pieces, so that a process which never ends its line cannot fill the memory.
const LONGEST: usize = 16 * 1024;

/// Puts the pieces of one stream together, one line at a time.
///
/// - `\n` and `\r\n` end a line.
/// - What follows any other `\r` replaces the line so far, as a progress bar means it.
/// - Bytes that are not UTF-8 become U+FFFD; a character may be split between pieces.
/// - What comes out is [`printable`].
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
    /// The last byte was `\r`: the next one tells what it meant.
    returned: bool,
}

impl Lines {
    /// Takes a piece and passes on the lines that it completes.
    pub(super) fn push(&mut self, piece: &[u8], mut each: impl FnMut(String)) {
        for &byte in piece {
            match byte {
                b'\n' => each(self.take()),
                b'\r' => self.returned = true,
                _ => {
                    if std::mem::take(&mut self.returned) {
                        self.pending.clear();
                    }
                    // Not in the middle of a character, unless it is none.
                    let longest = if is_continuation(byte) { LONGEST + 3 } else { LONGEST };
                    if self.pending.len() >= longest {
                        each(self.take());
                    }
                    self.pending.push(byte);
                }
            }
        }
    }

    /// The unfinished line, if there is one; to be shown now and maybe again later.
    pub(super) fn partial(&self) -> Option<String> {
        (!self.pending.is_empty()).then(|| to_text(&self.pending))
    }

    /// The unfinished line at the end of the stream, if there is one.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        self.returned = false;
        let text = to_text(&self.pending);
        self.pending.clear();
        text
    }
}

/// Whether the byte is a later byte of a UTF-8 character.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn to_text(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece, |line| found.push(line));
        }
        found.extend(lines.finish());
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_end_at_line_feeds() {
        check(&[b"a\nb", b"c\r", b"\n\nd"], &["a", "bc", "", "d"]);
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        check(&[b"10%\r50%", b"\r100%\r\nnext"], &["100%", "next"]);
        check(&[b"\x1b[2K\r1/2\x1b[2K\r2/2\r"], &["2/2"]);
    }

    #[test]
    fn characters_survive_being_split_and_garbage_is_replaced() {
        check(&[b"\xf0\x9f", b"\xa6\x80\n", b"a\xffb"], &["\u{1f980}", "a\u{fffd}b"]);
    }

    #[test]
    fn an_endless_line_comes_in_pieces() {
        let endless = "\u{e4}".repeat(LONGEST);
        let half = "\u{e4}".repeat(LONGEST / 2);
        check(&[endless.as_bytes()], &[&half, &half]);

        let mut lines = Lines::default();
        let mut count = 0;
        lines.push(&vec![0x80; LONGEST * 4], |_| count += 1);
        assert_eq!(count, 3);
    }
}
