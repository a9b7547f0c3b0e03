//! Graph to results: keys, records, single flight, events. Knows nothing of tar, processes or registries.
//!
//! 1. [`key`]: the definition key of every needed vertex, inputs first.
//! 2. One look-up of all of them. From the outputs down, whatever is found needs nothing below it.
//! 3. One task for each vertex that is left: await the inputs, look the *content* key up, else run and record.
//!    Processes are admitted up to a number, those on the longest path first.
//!
//! Equal work runs once: within a build because equal work is one vertex, across builds and processes because a
//! vertex runs under [`Executor::lock`] of its content key and looks again once it has it.

mod admission;
pub mod event;
pub mod key;
mod order;
mod solve;

pub use key::Key;
pub use solve::{Executor, SolveError, Solved, StepReport, solve};
