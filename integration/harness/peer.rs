//! Other people's tools, where they are installed.

use std::process::Command;

/// A tool to run; says so and gives nothing if it is absent.
pub(crate) fn peer(name: &str) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("{name} is not installed"));
    }
    found.map(Command::new)
}

/// Says why a test does not test anything here.
#[expect(clippy::print_stderr, reason = "the test runner shows what a test prints")]
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}; integration/setup installs what the tests need");
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
