//! The `flashbuild` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, while there is one thread and nothing else: this process may be the helper of a sandbox.
    flashbuild::sandbox::run_helper_if_asked();
    flashbuild::cli::main()
}
