//! flashbuild: a Dockerfile becomes a multi-platform OCI image, and nothing is done twice.
//!
//! ```text
//! main -> cli -> pipeline                       the only place that wires concrete types together
//! pipeline -> context, resolve, solver, image, export, progress
//! exec (one file per op) -> sandbox, layer, registry, packages, http, git, cache
//! attest -> export, context, optimize, git, http
//! cache -> registry, http, packages, layer
//! context, http, git -> secrets                 what servers are shown of them
//! export -> registry, layer
//! serve -> store, image                         the store as a registry for others
//! registry -> http; http, layer -> store -> image (types) -> frontend::{graph, platform}
//! solver -> frontend::graph only                it knows nothing of tar, processes or registries
//! frontend -> nothing of ours
//! ```
//!
//! The rooms, from the top floor down; a room imports only rooms below it (a test in `integration/` checks it):
//!
//! | room | what happens there |
//! |---|---|
//! | [`cli`] | what was typed, to the pipeline, to an exit code; one file a command |
//! | [`init`] | a Dockerfile for a project that has none |
//! | [`pipeline`] | the story of a build |
//! | [`attest`] | what is said about images |
//! | [`exec`] | how each operation runs: the solver's executor |
//! | [`cache`] | where records come from and go to, besides the store |
//! | [`export`] | where images go |
//! | [`serve`] | the store as a registry for others |
//! | [`context`] | folders, archives, repositories and addresses to the files of a build |
//! | [`resolve`] | names to digests and configurations |
//! | [`optimize`] | what is in an image |
//! | [`packages`] | names and lock files to artifacts, artifacts to the files of layers; one folder an ecosystem |
//! | [`registry`] | the client of the distribution specification |
//! | [`http`] | files behind addresses, and what every client of the web shares |
//! | [`git`] | repositories, through the `git` of the machine |
//! | [`layer`] | contents tables, tar, differences, folders, compression |
//! | [`progress`] | events to text; the only room that prints |
//! | [`history`] | the last builds, with their steps, reasons and logs |
//! | [`store`] | what is kept between builds |
//! | [`solver`] | a graph to results: keys, records, single flight, events |
//! | [`image`] | digests, descriptors, manifests, indexes |
//! | [`config`] | configuration files and variables |
//! | [`secrets`] | what only the person who builds may know |
//! | [`sandbox`] | a process tree in a root file system |
//!
//! Closed sets (instructions, operations, events) are enums that are matched exhaustively; open sets (exporters,
//! ecosystems of packages, lint rules) are a small trait, a file each, and a row in a table.

pub mod attest;
pub mod cache;
pub mod cli;
pub mod config;
pub mod context;
pub mod exec;
pub mod export;
pub mod git;
pub mod history;
pub mod http;
pub mod image;
pub mod init;
pub mod layer;
pub mod optimize;
pub mod packages;
pub mod pipeline;
pub mod progress;
pub mod registry;
pub mod resolve;
pub mod sandbox;
pub mod secrets;
pub mod serve;
pub mod solver;
pub mod store;
