//! Graph to results: keys, records, single flight, events. Knows nothing of tar, processes or registries.
//!
//! 1. [`key`]: the definition key of every needed vertex, inputs first.
//! 2. One look-up of all of them. From the outputs down, whatever is found needs nothing below it.
//!    What is to be done again is not looked up, and nothing that builds on it is found by its definition.
//! 3. One task for each vertex that is left: await the inputs, look the *content* key up, else run and record.
//!    Processes are admitted up to a number, those on the longest path first.
//!
//! A vertex that has to run says [why](Why): its [`Recipe`], kept beside its record, is compared with the nearest of the
//! same step ([`Identity`]).
//!
//! Equal work runs once: within a build because equal work is one vertex, across builds and processes because a
//! vertex runs under [`Executor::lock`] of its content key and looks again once it has it.

mod admission;
pub mod event;
mod explain;
mod identity;
pub mod key;
mod order;
mod parameters;
mod pressure;
mod recipe;
mod solve;
mod why;

pub use explain::Past;
pub use identity::Identity;
pub use key::Key;
pub use recipe::{FileFact, FileKind, InputFact, Parameter, Recipe, ShortDigest};
pub use solve::{Executor, Options, SolveError, Solved, StepReport, solve};
pub use why::{Change, FileChange, Reason, Why};
