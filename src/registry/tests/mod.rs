//! The client against a registry that does as it is told, and against a real one.

mod auth;
mod blob;
mod distribution;
mod pull;
mod push;
