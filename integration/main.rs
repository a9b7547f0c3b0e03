//! End-to-end tests: the real binary, a real registry, other people's image tools.
//!
//! One file a theme, and each test reads like a shell session: files, a command, what came out. Whatever a test needs
//! beside the binary (`integration/setup` fetches it) it asks for by name, says so where it is absent, and passes.

mod harness;

mod analyze;
mod arguments;
mod attest;
mod authorization;
mod bench;
mod cache;
mod cache_objects;
mod cache_sharing;
mod cache_table;
mod cache_team;
mod certificates;
mod check;
mod ci;
mod concurrency;
mod config;
mod contexts;
mod copy;
mod crash;
mod debug_shell;
mod demo;
mod deps_apt;
mod deps_apt_configure;
mod deps_python;
mod deps_python_peers;
mod deps_python_pins;
mod differential;
mod direction;
mod emulated_packages;
mod emulation;
mod engines;
mod entitlements;
mod errors;
mod escapes;
mod explain;
mod faults;
mod gc;
mod git;
mod history;
mod hostile_images;
mod images;
mod init;
mod interruption;
mod isolation;
mod mirrors;
mod mounts;
mod node;
mod node_scripts;
mod outputs;
mod platforms;
mod push;
mod registry;
mod reproducible;
mod rewrite;
mod run;
mod secrets;
mod serve;
mod steps;
mod trace;
mod trees;
mod urls;
