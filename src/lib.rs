//! flashbuild: a Dockerfile becomes a multi-platform OCI image, and nothing is done twice.
//!
//! ```text
//! main -> cli -> pipeline                       the only place that wires concrete types together
//! pipeline -> resolve, solver, image, export, progress
//! exec (one file per op) -> sandbox, layer, registry, http, git
//! export -> registry, layer
//! registry -> http; http, layer -> store -> image (types) -> frontend::{graph, platform}
//! solver -> frontend::graph only                it knows nothing of tar, processes or registries
//! frontend -> nothing of ours
//! ```
//!
//! The rooms, from the top floor down; a room imports only rooms below it (a test in `integration/` checks it):

pub mod cli;
pub mod exec;
pub mod export;
pub mod git;
pub mod http;
pub mod image;
pub mod layer;
pub mod optimize;
pub mod pipeline;
pub mod progress;
pub mod registry;
pub mod resolve;
pub mod sandbox;
pub mod solver;
pub mod store;
