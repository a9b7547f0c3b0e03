//! Which system calls a step may make: moby's default profile, as a program that the kernel runs for each call.
//!
//! | file | what |
//! |---|---|
//! | `calls` | the names that are allowed, and their numbers |
//! | `abi` | the kernel interfaces that programs of this machine can use: its own, and that of its 32-bit ancestor |
//! | `rule` | what becomes of a call |
//! | `program` | rules as instructions, searched by halves |
//! | `path_calls` | the calls that name a path, and a second filter that tells of them |
//!
//! A step that runs emulated is held by the same filter: its emulator is a program of this machine.
//!
//! The program is our own and not that of a library, because `seccompiler` knows neither s390x nor a second interface
//! beside the machine's own, and tries one call after the other where halving takes nine steps. The interface x32 of
//! x86 is refused as unknown: no image is made for it.

mod abi;
mod calls;
pub(super) mod path_calls;
mod program;
mod rule;

use super::failure::{Doing, Failure};
use nix::libc;
use rule::{NAMESPACE_FLAGS, PERSONALITIES, REFUSED_FAMILIES};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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

/// The same profile for an OCI runtime (`config-linux.md`, section Seccomp), for this machine.
pub(super) fn as_oci() -> Value {
    let decided = |name: &str| rule::of_call(name) != rule::Rule::Allow;
    let names: BTreeSet<&str> =
        abi::HOST.iter().flat_map(|abi| calls::allowed(abi.numbers)).map(|(name, _)| name).collect();
    let plain: Vec<&str> = names.into_iter().filter(|name| !decided(name)).collect();
    let argument = |index: u32, value: u32, op: &str| json!([{ "index": index, "value": value, "op": op }]);
    let allow = |name: &str, args: Value| json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": args });
    let mut rules = vec![
        json!({ "names": plain, "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS }),
        allow("clone", argument(abi::HOST[0].clone_flags_argument(), NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ")),
    ];
    rules.extend(PERSONALITIES.map(|value| allow("personality", argument(0, value, "SCMP_CMP_EQ"))));
    let [low, high] = REFUSED_FAMILIES;
    rules.push(allow("socket", argument(0, low, "SCMP_CMP_LT")));
    rules.extend((low + 1..high).map(|family| allow("socket", argument(0, family, "SCMP_CMP_EQ"))));
    rules.push(allow("socket", argument(0, high, "SCMP_CMP_GT")));
    let architectures: Vec<&str> = abi::HOST.iter().map(|abi| abi.oci).collect();
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": architectures,
        "syscalls": rules,
    })
}
