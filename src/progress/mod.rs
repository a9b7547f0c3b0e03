//! Events to text: what a person or a CI log sees. The only room that prints.
//!
//! 1. [`show`] takes events until the last sender is gone and returns a [`Summary`].
//! 2. Every event first changes the board, the state of all steps; then the *view* of the chosen [`Mode`] is told. A
//!    view never keeps a second truth.
//! 3. Results, as opposed to progress, go to standard output through [`Output`], tables of them through [`Table`].
//!
//! | mode | view | for |
//! |---|---|---|
//! | `tty` | `tty.rs`: live lines for running steps, finished ones scroll away | a person at a terminal |
//! | `plain` | `plain.rs`: append only, blocks of lines a step | CI logs, files |
//! | `rawjson` | [`raw_json`]: one object a line, lossless | programs, tests of the cache |
//! | `quiet` | `quiet.rs`: a failed step, nothing else | scripts |
//!
//! What holds throughout:
//!
//! - A build never waits for its audience: views write on a thread of their own, and a closed pipe only silences them.
//! - Names, output and errors come from Dockerfiles, images and processes. They reach a terminal or a log only through
//!   [`printable`], which leaves nothing that a terminal acts upon, and a log only through `clean::inert`, which
//!   leaves nothing that a CI service acts upon.
//! - Memory is bounded by the number of steps, not by what they write: but for what waits in the channel while somebody
//!   has stopped the terminal.
//! - Views tell the time from [`Event::at`] and from the `now` that they are given, so tests run on a virtual clock.

mod board;
mod clean;
mod failure;
mod frame;
mod ink;
mod lines;
mod mode;
mod output;
mod path;
mod plain;
mod quiet;
pub mod raw_json;
mod screen;
mod summary;
mod table;
mod trace;
mod tty;
mod turns;
mod units;
mod warnings;
pub mod workflow;

#[cfg(test)]
mod tests;

pub use board::OutputLine;
pub use clean::printable;
pub use mode::{Mode, UnknownMode};
pub use output::Output;
pub use path::{PathPart, Saving};
pub use screen::{Screen, ScreenSize};
pub use summary::{FailedStep, Summary};
pub use table::Table;
pub use units::{ByteSize, Elapsed, Rate};

use crate::solver::event::{Event, EventKind};
use board::Board;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{RwLock, RwLockWriteGuard, mpsc::UnboundedReceiver};
use tokio::time::MissedTickBehavior;
use trace::Trace;

/// How often a view may look at the clock: often enough to look alive, rarely enough to cost nothing.
const REFRESH: Duration = Duration::from_millis(100);

/// How many events are taken from the channel before the view is refreshed.
const BATCH: usize = 256;

/// One way to show a build.
trait View: Send {
    /// `event` happened and completed these lines of its step's output. The board knows already.
    fn event(&mut self, event: &Event, lines: &[OutputLine], board: &Board) -> io::Result<()>;

    /// Time has passed.
    fn refresh(&mut self, now: Instant, board: &Board) -> io::Result<()>;

    /// Nothing more will happen.
    fn close(&mut self, now: Instant, board: &Board) -> io::Result<()>;
}

/// Shows a build on `screen` until the last sender of events is gone.
///
/// Must be called in a tokio runtime with time enabled. A failed step's error and last output have been shown when
/// this returns (except by `rawjson`, whose reader has them); the caller adds what it knows of the cause.
pub async fn show(mode: Mode, receiver: UnboundedReceiver<Event>, screen: Screen) -> Summary {
    show_and_trace(mode, receiver, screen, None).await
}

/// The same, and writes all steps and transfers with their times to `trace`, in the form that `chrome://tracing` and
/// Perfetto read.
pub async fn show_and_trace(
    mode: Mode,
    receiver: UnboundedReceiver<Event>,
    screen: Screen,
    trace: Option<Box<dyn Write + Send>>,
) -> Summary {
    let runtime = Handle::current();
    // Writing to a terminal that somebody stopped (Ctrl-S) blocks. That may hold up a thread, but not the build.
    let watching =
        tokio::task::spawn_blocking(move || runtime.block_on(watch(Show::new(mode, screen, trace), receiver)));
    match watching.await {
        Ok(summary) => summary,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody will read the summary.
            Err(_) => Summary::default(),
        },
    }
}

/// Nothing is shown while somebody holds this: another program has the terminal.
static SCREEN: RwLock<()> = RwLock::const_new(());

/// Keeps progress from the screen until the guard is dropped. What has happened before is shown first.
pub async fn hold() -> RwLockWriteGuard<'static, ()> {
    // Views are at most a refresh behind.
    tokio::time::sleep(2 * REFRESH).await;
    SCREEN.write().await
}

async fn watch(mut show: Show, mut receiver: UnboundedReceiver<Event>) -> Summary {
    let mut clock = tokio::time::interval(REFRESH);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return show.close(Instant::now());
                }
                let _ours = SCREEN.read().await;
                // The end of a step is shown at once.
                let ended = batch.iter().any(|event| matches!(event.kind, EventKind::Finished { .. }));
                for event in batch.drain(..) {
                    show.event(&event);
                }
                if ended {
                    show.refresh(Instant::now());
                }
            }
            _ = clock.tick() => {
                let _ours = SCREEN.read().await;
                show.refresh(Instant::now());
            }
        }
    }
}

/// A board and its views.
struct Show {
    board: Board,
    views: Vec<Watched>,
}

/// A view, and whether it is still of use: the first failure to write is the last attempt. The audience has left, but
/// the summary is still wanted.
struct Watched {
    view: Box<dyn View>,
    audience: io::Result<()>,
}

impl Watched {
    fn tell(&mut self, what: impl FnOnce(&mut dyn View) -> io::Result<()>) {
        if self.audience.is_ok() {
            self.audience = what(&mut *self.view);
        }
    }
}

impl Show {
    fn new(mode: Mode, screen: Screen, trace: Option<Box<dyn Write + Send>>) -> Self {
        let trace = trace.map(|out| Box::new(Trace::new(out)) as Box<dyn View>);
        let views = std::iter::once(mode.view(screen)).chain(trace);
        Self { board: Board::default(), views: views.map(|view| Watched { view, audience: Ok(()) }).collect() }
    }

    fn event(&mut self, event: &Event) {
        let lines = self.board.apply(event);
        for watched in &mut self.views {
            watched.tell(|view| view.event(event, &lines, &self.board));
        }
    }

    fn refresh(&mut self, now: Instant) {
        for watched in &mut self.views {
            watched.tell(|view| view.refresh(now, &self.board));
        }
    }

    fn close(mut self, now: Instant) -> Summary {
        self.board.close();
        for watched in &mut self.views {
            watched.tell(|view| view.close(now, &self.board));
        }
        self.board.into_summary()
    }
}
