//! The `flashbuild` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, while there is one thread and nothing else: this process may be the helper of a sandbox.
    flashbuild::sandbox::run_helper_if_asked();
    share_memory_among_threads();
    flashbuild::cli::main()
}

/// The allocator of the GNU C library gives each thread a pool of its own, and what one thread gives back the others do not
/// get: tables of 50,000 files, made by one and dropped by another, took half as much again as they hold. As many pools as there
/// are processors are enough.
#[cfg(target_env = "gnu")]
fn share_memory_among_threads() {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pools = i32::try_from(processors.max(2)).unwrap_or(i32::MAX);
    #[expect(unsafe_code, reason = "a parameter of the C library, set before there is a second thread")]
    // SAFETY: it takes no pointers. If it fails, more memory is used.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, pools);
    }
}

#[cfg(not(target_env = "gnu"))]
fn share_memory_among_threads() {}
