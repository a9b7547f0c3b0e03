//! Nothing but a failed step.

use super::board::Board;
use super::{OutputLine, Screen, View, failure};
use crate::solver::event::Event;
use std::io::{self, Write as _};
use std::time::Instant;

/// The view of `--progress quiet`.
pub(super) struct Quiet {
    screen: Screen,
}

impl Quiet {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen }
    }
}

impl View for Quiet {
    fn event(&mut self, _: &Event, _: &[OutputLine], _: &Board) -> io::Result<()> {
        Ok(())
    }

    fn refresh(&mut self, _: Instant, _: &Board) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _: Instant, board: &Board) -> io::Result<()> {
        for line in board.summary().failed.iter().flat_map(failure::report) {
            self.screen.log(&line)?;
        }
        self.screen.out.flush()
    }
}
