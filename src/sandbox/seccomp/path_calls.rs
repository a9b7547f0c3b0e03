//! The system calls that name a path, and a filter by which the kernel tells of them before it makes them
//! (`seccomp_unotify(2)`).
//!
//! The filter stands beside the profile: a call that the profile refuses fails as ever, and is not told of.

use super::super::failure::{Doing, Failure};
use super::abi::{self, Abi};
use super::calls;
use super::program;
use super::rule::Rule;
use nix::libc;
use std::os::fd::{FromRawFd, OwnedFd};

/// Which arguments of a call say where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct PathCall {
    /// Position of the descriptor of the folder that a relative path begins at; `None` for the working folder.
    pub(in crate::sandbox) folder: Option<usize>,
    /// Position of the address of the path.
    pub(in crate::sandbox) path: usize,
}

const AT_WORKING_FOLDER: PathCall = PathCall { folder: None, path: 0 };
const AT_FOLDER: PathCall = PathCall { folder: Some(0), path: 1 };

/// What a call of this name says of a path that has to be there already, if anything. Of two paths the first: what comes
/// to be at the second one is new.
fn of_name(name: &str) -> Option<PathCall> {
    match name {
        "open" | "creat" | "stat" | "stat64" | "lstat" | "lstat64" | "access" | "readlink" | "execve" | "chdir"
        | "statfs" | "statfs64" | "truncate" | "truncate64" | "chmod" | "chown" | "chown32" | "lchown" | "lchown32"
        | "chroot" | "utime" | "utimes" | "rename" | "link" | "unlink" | "getxattr" | "lgetxattr" | "listxattr"
        | "llistxattr" | "setxattr" | "lsetxattr" | "removexattr" | "lremovexattr" => Some(AT_WORKING_FOLDER),
        "openat" | "openat2" | "newfstatat" | "fstatat64" | "statx" | "faccessat" | "faccessat2" | "readlinkat"
        | "execveat" | "fchmodat" | "fchmodat2" | "fchownat" | "utimensat" | "utimensat_time64" | "futimesat"
        | "renameat" | "renameat2" | "linkat" | "unlinkat" | "name_to_handle_at" | "getxattrat" | "setxattrat"
        | "listxattrat" | "removexattrat" => Some(AT_FOLDER),
        "inotify_add_watch" => Some(PathCall { folder: None, path: 1 }),
        _ => None,
    }
}

/// The same of a call by its number in the interface that a filter knows as `audit`.
pub(in crate::sandbox) fn of_number(audit: u32, number: u32) -> Option<PathCall> {
    let abi = abi::HOST.iter().find(|abi| abi.audit == audit)?;
    let (name, _) = calls::allowed(abi.numbers).find(|&(_, known)| known == number)?;
    of_name(name)
}

/// From which number on calls are told of, or not.
fn rules(abi: Abi) -> Vec<(u32, Rule)> {
    let mut numbers: Vec<u32> =
        calls::allowed(abi.numbers).filter(|(name, _)| of_name(name).is_some()).map(|(_, number)| number).collect();
    numbers.sort_unstable();
    let mut rules = vec![(0, Rule::Allow)];
    for number in numbers {
        if rules.last() == Some(&(number, Rule::Allow)) {
            rules.pop();
        }
        rules.extend([(number, Rule::Tell), (number + 1, Rule::Allow)]);
    }
    rules.dedup_by_key(|(_, rule)| *rule);
    rules
}

/// Has the kernel tell of what this process and its descendants ask of paths, for good: each such call waits for an
/// answer by who has the descriptor.
///
/// Takes what [`install`](super::install) takes.
pub(in crate::sandbox) fn install_listener() -> Result<OwnedFd, Failure> {
    let mut instructions = program::assemble_of(abi::HOST, rules, Rule::Allow);
    let filter = libc::sock_fprog {
        len: u16::try_from(instructions.len()).expect("a test has assembled it"),
        filter: instructions.as_mut_ptr(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the kernel copies the program, which lives across the call, and is told its length.
        #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
        let number =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) };
        i32::try_from(number).ok().filter(|number| *number >= 0).ok_or_else(std::io::Error::last_os_error)
    };
    // Signals that interrupt a call while it waits would have programs that get many of them start it again and again.
    let killable = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let number = match install(killable) {
        // Before Linux 5.19.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        other => other,
    };
    let number = number.doing(|| "watch system calls".to_owned()).map_err(|failure| {
        failure.hint("a program can be observed once: not where this process is itself observed in this way")
    })?;
    // SAFETY: the kernel has just made this descriptor for this process, and nobody else knows it.
    #[expect(unsafe_code, reason = "a descriptor that comes as a number")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::super::abi::{AARCH64, ARM, HOST, I386, PPC64LE, S390X, X86_64};
    use super::*;

    #[test]
    fn calls_that_name_a_path_are_told_of_and_no_others() {
        for abi in [X86_64, I386, AARCH64, ARM, S390X, PPC64LE] {
            let rules = rules(abi);
            assert!(rules.is_sorted_by_key(|(from, _)| *from), "{abi:?}");
            for (name, number) in calls::allowed(abi.numbers) {
                let rule = rules.iter().rev().find(|(from, _)| *from <= number).unwrap().1;
                assert_eq!(rule == Rule::Tell, of_name(name).is_some(), "{abi:?} {name}");
            }
            assert_eq!(rules.last().unwrap().1, Rule::Allow, "{abi:?}");
        }
        let program = program::assemble_of(HOST, super::rules, Rule::Allow);
        assert!(program.len() < libc::BPF_MAXINSNS as usize, "{}", program.len());
    }

    #[test]
    fn numbers_lead_to_the_arguments() {
        let at = |name: &str| calls::allowed(HOST[0].numbers).find(|(known, _)| *known == name).unwrap().1;
        assert_eq!(of_number(HOST[0].audit, at("openat")), Some(AT_FOLDER));
        assert_eq!(of_number(HOST[0].audit, at("execve")), Some(AT_WORKING_FOLDER));
        assert_eq!(of_number(HOST[0].audit, at("read")), None);
        assert_eq!(of_number(1, at("openat")), None);
    }

    /// Of what is allowed, nothing is forgotten that sounds as if it took a path.
    #[test]
    fn every_call_with_a_path_is_in_the_list() {
        const SOUNDS: [&str; 13] = [
            "open", "stat", "link", "chmod", "chown", "xattr", "access", "exec", "truncate", "dir", "rename", "root",
            "utime",
        ];
        // They take a descriptor, or make what is not there yet, or have nothing to do with files.
        const OTHERS: [&str; 24] = [
            "cachestat",
            "fchdir",
            "fchmod",
            "fchown",
            "fchown32",
            "fgetxattr",
            "flistxattr",
            "fremovexattr",
            "fsetxattr",
            "fstat",
            "fstat64",
            "fstatfs",
            "fstatfs64",
            "ftruncate",
            "ftruncate64",
            "mkdir",
            "mkdirat",
            "mq_open",
            "mq_unlink",
            "pidfd_open",
            "rmdir",
            "statmount",
            "symlink",
            "symlinkat",
        ];
        let names: std::collections::BTreeSet<&str> =
            HOST.iter().flat_map(|abi| calls::allowed(abi.numbers)).map(|(name, _)| name).collect();
        let forgotten: Vec<&str> = (names.into_iter())
            .filter(|name| SOUNDS.iter().any(|sound| name.contains(sound)) && of_name(name).is_none())
            .collect();
        assert_eq!(forgotten, OTHERS);
    }
}
