//! Answers to questions about a file, without building it: `--call check`, `--call outline`, `--call targets`.
//!
//! Each comes as text for people and as JSON for programs, both in the shapes that `docker buildx build --call` prints
//! (moby/buildkit, `frontend/subrequests`), so that what reads those reads these. Lines are counted from 1.

pub mod check;
mod excerpt;
mod location;
pub mod outline;
mod table;
pub mod targets;
#[cfg(test)]
mod tests;
