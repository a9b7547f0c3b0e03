//! What becomes of a system call.

use super::abi::{Abi, Numbers};
use super::calls;
use nix::libc;

/// What becomes of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Allow,
    /// It fails with an error number.
    Fail(u32),
    /// `clone`: allowed unless it asks for a namespace, which would give capabilities.
    Clone,
    /// `socket`: allowed but for `AF_ALG` and `AF_VSOCK`, which no namespace holds.
    Socket,
    /// Somebody is told of it first (`path_calls`).
    Tell,
    /// `personality`: allowed for what 32-bit programs and debuggers ask, and for asking.
    Personality,
}

/// What a container may not do.
pub(super) const REFUSED: Rule = Rule::Fail(libc::EPERM.cast_unsigned());

/// What no kernel knows, or what programs do without if the kernel does not know it.
pub(super) const UNKNOWN: Rule = Rule::Fail(libc::ENOSYS.cast_unsigned());

/// Every flag of `clone` that makes a namespace.
pub(super) const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// The families of `socket` that are refused.
pub(super) const REFUSED_FAMILIES: [u32; 2] = [libc::AF_ALG.cast_unsigned(), libc::AF_VSOCK.cast_unsigned()];

/// The values of `personality` that are allowed: `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and the question.
pub(super) const PERSONALITIES: [u32; 5] = [0, 0x0008, 0x0002_0000, 0x0002_0008, u32::MAX];

/// The rules of an interface: from which number on which rule holds, ascending, the first from zero.
///
/// A number above every one of the table is one of a newer kernel. It is said to be unknown, because programs fall back
/// on an older call then; told that it is forbidden they give up.
pub(super) fn rules(abi: Abi) -> Vec<(u32, Rule)> {
    let mut known: Vec<(u32, Rule)> =
        calls::allowed(abi.numbers).map(|(name, number)| (number, of_call(name))).collect();
    known.sort_unstable_by_key(|(number, _)| *number);
    if abi.numbers == Numbers::Arm {
        known.extend(calls::ARM_PRIVATE.map(|number| (number, Rule::Allow)));
    }
    let newer = calls::allowed(abi.numbers).map(|(_, number)| number + 1).max().unwrap_or(0);

    let mut rules = vec![(0, REFUSED)];
    let mut add = |from: u32, rule: Rule| {
        let last = rules.last_mut().expect("never empty");
        if last.0 == from {
            last.1 = rule;
        } else {
            rules.push((from, rule));
        }
    };
    for (number, rule) in known {
        add(number, rule);
        add(number + 1, if number + 1 < newer { REFUSED } else { UNKNOWN });
    }
    rules.dedup_by_key(|(_, rule)| *rule);
    rules
}

pub(super) fn of_call(name: &str) -> Rule {
    match name {
        "clone" => Rule::Clone,
        // Its flags are in memory, where a filter cannot see them.
        "clone3" => UNKNOWN,
        "socket" => Rule::Socket,
        "personality" => Rule::Personality,
        _ => Rule::Allow,
    }
}
