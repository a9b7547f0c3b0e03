//! `analyze --interactive`: layers and files, looked through at a terminal.
//!
//! | file | what |
//! |---|---|
//! | `state` | what is shown, and what keys do to it: no terminal |
//! | `screen` | the state as characters |
//!
//! The terminal is put back as it was when this ends, also by a panic or a signal.

mod screen;
mod state;

#[cfg(test)]
mod tests;

use super::{Failed, interruption};
use crate::optimize::analyze::{Analysis, Files};
use ratatui::crossterm::event::{self, Event};
use state::{Next, State};
use std::{
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often it is looked whether somebody asks to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether there is a terminal to show it at.
pub(super) fn check_terminal() -> Result<(), Failed> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failed::usage(
        "--interactive needs a terminal as standard input and output: leave it out for tables, or give --html",
    ))
}

/// Shows an image until whoever looks at it has seen enough.
pub(super) async fn browse(analysis: &Analysis, files: Files) -> Result<(), Failed> {
    let mut state = State::new(analysis, files);
    let ends = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ends);
    let mut looking = tokio::task::spawn_blocking(move || look(&mut state, &ends));
    let looked = tokio::select! {
        looked = &mut looking => looked,
        () = interruption() => {
            seen.store(true, Ordering::Relaxed);
            let _ = looking.await;
            return Err(Failed::interrupted());
        }
    };
    looked
        .map_err(Failed::environment)?
        .map_err(|error| Failed::environment(format!("cannot use the terminal: {error}")))
}

/// Panics put the terminal back first: `try_init` sees to it.
fn look(state: &mut State, ends: &AtomicBool) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let looked = (|| {
        while !ends.load(Ordering::Relaxed) {
            terminal.draw(|frame| screen::draw(frame, state))?;
            while !event::poll(PATIENCE)? {
                if ends.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            if let Event::Key(key) = event::read()?
                && key.is_press()
                && state.press(key) == Next::End
            {
                return Ok(());
            }
        }
        Ok(())
    })();
    let restored = ratatui::try_restore();
    looked.and(restored)
}
