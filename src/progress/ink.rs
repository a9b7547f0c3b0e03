//! Lines with colours, measured in cells of a terminal.

use unicode_width::UnicodeWidthChar;

/// How a piece of text is set off. By SGR codes of the eight basic colours, which every theme makes readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
}

/// One line of a screen. Its texts are printable, so it is as wide as its characters are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    pieces: Vec<(Ink, String)>,
}

impl Ink {
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Bold => Some(1),
            Self::Dim => Some(2),
            Self::Red => Some(31),
            Self::Green => Some(32),
            Self::Yellow => Some(33),
            Self::Blue => Some(34),
        }
    }
}

impl Line {
    pub(super) fn of(ink: Ink, text: impl Into<String>) -> Self {
        Self::default().and(ink, text)
    }

    /// Adds a piece at the end.
    pub(super) fn and(mut self, ink: Ink, text: impl Into<String>) -> Self {
        self.pieces.push((ink, text.into()));
        self
    }

    /// The line behind another.
    pub(super) fn after(self, mut first: Self) -> Self {
        first.pieces.extend(self.pieces);
        first
    }

    /// `left` and `right` at the two ends of `columns` cells; `left` gives way.
    pub(super) fn ends(left: Self, right: Self, columns: usize) -> Self {
        let room = columns.saturating_sub(right.width() + 1);
        let mut line = left.fit(room);
        let gap = columns.saturating_sub(line.width() + right.width());
        line.pieces.push((Ink::Plain, " ".repeat(gap)));
        line.pieces.extend(right.pieces);
        line.fit(columns)
    }

    /// Cells that the line takes.
    pub(super) fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// The line if it fits in `columns` cells, else its beginning and an ellipsis.
    pub(super) fn fit(mut self, columns: usize) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mut room = columns.saturating_sub(1);
        for at in 0..self.pieces.len() {
            let text = &mut self.pieces[at].1;
            let end = prefix(text, room);
            room -= width(&text[..end]);
            if end < text.len() {
                text.truncate(end);
                if columns > 0 {
                    text.push('\u{2026}');
                }
                self.pieces.truncate(at + 1);
                break;
            }
        }
        self
    }

    /// The text, with escape codes if colours are wanted.
    pub(super) fn paint(&self, colour: bool) -> String {
        let mut painted = String::new();
        for (ink, text) in &self.pieces {
            match ink.code().filter(|_| colour && !text.is_empty()) {
                Some(code) => painted.extend([&format!("\x1b[{code}m"), text, "\x1b[0m"]),
                None => painted.push_str(text),
            }
        }
        painted
    }
}

/// Cells that a printable text takes on any terminal: an upper bound.
///
/// The sum over characters, because terminals disagree about emoji sequences, and a line that is too short does no
/// harm where one that wraps does.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(cells).sum()
}

fn cells(character: char) -> usize {
    // Variation selector 16 may make the character before it wide.
    if character == '\u{fe0f}' { 1 } else { character.width().unwrap_or(0) }
}

/// Length in bytes of the longest beginning that fits in `columns`.
fn prefix(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += cells(character);
        if used > columns {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_to_cells_not_characters() {
        for (text, columns, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd\u{2026}"),
            ("\u{6f22}\u{5b57}\u{6f22}", 6, "\u{6f22}\u{5b57}\u{6f22}"),
            ("\u{6f22}\u{5b57}\u{6f22}", 5, "\u{6f22}\u{5b57}\u{2026}"),
            ("\u{6f22}\u{5b57}\u{6f22}", 4, "\u{6f22}\u{2026}"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}\u{2026}"),
            ("abc", 1, "\u{2026}"),
            ("abc", 0, ""),
        ] {
            assert_eq!(Line::of(Ink::Plain, text).fit(columns).paint(false), expected);
        }
    }

    #[test]
    fn the_right_end_stays() {
        let ends = |columns| Line::ends(Line::of(Ink::Plain, "a long name"), Line::of(Ink::Dim, "1.2s"), columns);
        assert_eq!(ends(20).paint(false), "a long name     1.2s");
        assert_eq!(ends(12).paint(false), "a long\u{2026} 1.2s");
        assert_eq!(ends(2).paint(false), "1\u{2026}");
    }

    #[test]
    fn colours_are_closed() {
        let line = Line::of(Ink::Red, "ERROR").and(Ink::Plain, " x");
        assert_eq!(line.paint(true), "\x1b[31mERROR\x1b[0m x");
        assert_eq!(line.paint(false), "ERROR x");
    }
}
