//! Which system calls a step may make: moby's default profile, as a program that the kernel runs for each call.
//!
//! | file | what |
//! |---|---|
//! | `calls` | the names that are allowed, and their numbers |
//! | `abi` | the kernel interfaces that programs of this machine can use: its own, and that of its 32-bit ancestor |
//! | `rule` | what becomes of a call |
//! | `program` | rules as instructions, searched by halves |
//!
//! A step that runs emulated is held by the same filter: its emulator is a program of this machine.
//!
//! The program is our own and not that of a library, because `seccompiler` knows neither s390x nor a second interface
//! beside the machine's own, and tries one call after the other where halving takes nine steps. The interface x32 of
//! x86 is refused as unknown: no image is made for it.

mod abi;
mod calls;
mod program;
mod rule;

use super::failure::{Doing, Failure};
use nix::libc;

/// Holds this process and its descendants to the profile, for good.
///
/// Without `no_new_privs`, which would disable `sudo`, it takes `CAP_SYS_ADMIN` in the user namespace.
pub(super) fn install() -> Result<(), Failure> {
    let mut instructions = program::assemble(abi::HOST);
    let filter = libc::sock_fprog {
        len: u16::try_from(instructions.len()).expect("a test has assembled it"),
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which lives across the call, and is told its length.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).doing(|| "filter system calls".to_owned()) }
}
