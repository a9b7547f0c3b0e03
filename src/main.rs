//! The `flashbuild` command.

fn main() {}
