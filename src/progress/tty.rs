//! Live: running steps in a frame at the bottom that is redrawn, finished ones scroll away above it.
//!
//! A refresh is one write: up to where the frame began, lines of steps that have finished since, the new frame, and
//! whatever is left of the old one erased. Nothing else moves the cursor, and it is shown again however the view ends.

use super::board::Board;
use super::frame::{finished, frame, headline};
use super::ink::{Ink, Line};
use super::{OutputLine, Screen, ScreenSize, View, failure, path, printable, warnings};
use crate::solver::event::{Event, EventKind};
use std::io::{self, Write as _};
use std::time::Instant;

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// The view of `--progress tty`.
pub(super) struct Tty {
    screen: Screen,
    /// Lines for good, not yet written.
    scrolling: Vec<Line>,
    /// The frame on the screen.
    frame: Vec<Line>,
    /// The size that the screen had when the frame was drawn.
    drawn_at: Option<ScreenSize>,
    /// The cursor is hidden.
    hidden: bool,
}

impl Tty {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, scrolling: Vec::new(), frame: Vec::new(), drawn_at: None, hidden: false }
    }

    fn draw(&mut self, frame: Vec<Line>) -> io::Result<()> {
        if frame == self.frame && self.scrolling.is_empty() {
            return Ok(());
        }
        let size = (self.screen.size)();
        let mut text = String::new();
        if !std::mem::replace(&mut self.hidden, true) {
            text += HIDE_CURSOR;
        }
        // A terminal that became narrower has wrapped the lines that are on it.
        let rows: usize = self.frame.iter().map(|line| line.width().div_ceil(size.columns.max(1)).max(1)).sum();
        if rows > 0 {
            text.extend(["\x1b[", &rows.to_string(), "A"]);
        }
        text.push('\r');
        // It also remembers that it has, unless they are erased: the next resize would join lines that are none.
        if self.drawn_at.replace(size).is_some_and(|before| before != size) {
            text += ERASE_BELOW;
        }
        for line in self.scrolling.drain(..).chain(frame.iter().cloned()) {
            text += &line.paint(self.screen.colour);
            text += ERASE_LINE;
            text += "\r\n";
        }
        text += ERASE_BELOW;
        self.frame = frame;
        self.screen.out.write_all(text.as_bytes())?;
        self.screen.out.flush()
    }

    /// Columns that lines may use. The last one stays empty: a character there leaves some terminals about to wrap.
    fn columns(&self) -> usize {
        (self.screen.size)().columns.saturating_sub(1).max(1)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.hidden) {
            self.screen.out.write_all(SHOW_CURSOR.as_bytes())?;
        }
        self.screen.out.flush()
    }
}

impl View for Tty {
    fn event(&mut self, event: &Event, _: &[OutputLine], board: &Board) -> io::Result<()> {
        match &event.kind {
            EventKind::Started { .. }
            | EventKind::Output { .. }
            | EventKind::Transfer { .. }
            // Told in notices.
            | EventKind::Explained { .. }
            | EventKind::Worked { .. }
            // Told at the end, where people look.
            | EventKind::Warning { .. } => {}
            EventKind::Finished { step, outcome } => {
                if let Some(step) = board.step(*step) {
                    self.scrolling.push(finished(step, outcome, event.at, self.columns()));
                }
            }
            EventKind::Notice { step, text } => {
                let about = step.and_then(|step| board.step(step)).map(|step| format!("{}: ", step.title));
                let text = about.unwrap_or_default() + &printable(text);
                // Whole, however long: a person should know it.
                self.scrolling.push(Line::of(Ink::Yellow, " note: ").and(Ink::Plain, text));
            }
        }
        Ok(())
    }

    fn refresh(&mut self, now: Instant, board: &Board) -> io::Result<()> {
        if board.progress().1 == 0 && self.scrolling.is_empty() {
            return Ok(());
        }
        let mut size = (self.screen.size)();
        size.columns = self.columns();
        self.draw(frame(board, now, size))
    }

    fn close(&mut self, _: Instant, board: &Board) -> io::Result<()> {
        let summary = board.summary();
        self.scrolling.extend(warnings::report(summary));
        self.scrolling.extend(summary.failed.iter().flat_map(failure::report));
        if board.progress().1 > 0 {
            self.scrolling.push(headline(&summary.to_string()));
            self.scrolling.extend(path::line(summary));
        }
        self.draw(Vec::new())?;
        self.show_cursor()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.show_cursor();
    }
}
