//! Text to [`Graph`](graph::Graph): the half of flashbuild that is pure.
//!
//! Nothing here reads a file, asks the network, looks at the clock or the environment. What a build description
//! needs from outside (the configuration of a base image) it names as [`dockerfile::Missing`]; the caller fetches it
//! and asks again, until nothing is missing and the description can be lowered:
//!
//! 1. [`dockerfile::Dockerfile::parse`] turns text into instructions with spans, or into diagnostics.
//! 2. [`dockerfile::Dockerfile::missing`] says which base images must be looked at before lowering.
//! 3. [`dockerfile::Dockerfile::lower`] makes the graph: one root per platform, equal work shared.
//!
//! [`graph`] is the only contract with the other half: another way to describe a build is another producer of it.

pub mod config;
pub mod diagnostic;
pub mod dockerfile;
pub mod glob;
pub mod graph;
pub mod ignore;
pub mod package;
mod path;
pub mod platform;
pub mod reference;
pub mod remote;
pub mod secret_name;
