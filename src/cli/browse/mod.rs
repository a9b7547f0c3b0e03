//! `analyze --interactive`: layers and files, looked through at a terminal.
//!
//! | file | what |
//! |---|---|
//! | `state` | what is shown, and what keys do to it: no terminal |
//! | `screen` | the state as characters |
//! | `terminal` | the terminal, put back as it was however this ends |

mod screen;
mod state;
mod terminal;

#[cfg(test)]
mod tests;

use super::{Failed, interruption};
use crate::optimize::analyze::{Analysis, Files};
use ratatui::crossterm::event::{self, Event};
use state::{Next, State};
use std::{
    future::ready,
    io::{self, IsTerminal as _},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use terminal::with_terminal;

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
    let mut interrupted = pin!(interruption());
    // It is heard from when it is polled first, and before that nothing would put the terminal back.
    tokio::select! {
        biased;
        () = &mut interrupted => return Err(Failed::interrupted()),
        () = ready(()) => {}
    }
    let mut looking = tokio::task::spawn_blocking(move || look(&mut state, &ends));
    let looked = tokio::select! {
        looked = &mut looking => looked,
        () = &mut interrupted => {
            seen.store(true, Ordering::Relaxed);
            let _ = looking.await;
            return Err(Failed::interrupted());
        }
    };
    looked
        .map_err(Failed::environment)?
        .map_err(|error| Failed::environment(format!("cannot use the terminal: {error}")))
}

fn look(state: &mut State, ends: &AtomicBool) -> io::Result<()> {
    with_terminal(|terminal| {
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
    })
}
