//! The `flashbuild` command.

fn main() {
    // First of all, while there is one thread and nothing else: this process may be the helper of a sandbox.
    flashbuild::sandbox::run_helper_if_asked();
}
