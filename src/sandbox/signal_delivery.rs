//! Signals for process 1 of a sandbox, with the effect that they have on any other process.
//!
//! The kernel drops every signal to process 1 of a pid namespace that it has no handler for, but for `SIGKILL`
//! (`pid_namespaces(7)`). A program that leaves `SIGTERM` as it is would never end by it; so what it has no handler
//! for, and does not ignore, is delivered as `SIGKILL`, and reported as what it was.

use super::failure::{Doing, Failure};
use nix::libc;
use nix::unistd::Pid;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Signal;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// The signals that we pass on whose default is to end a process.
const ENDING: [i32; 6] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// Process 1 of a sandbox, seen from outside.
#[derive(Debug)]
pub(super) struct Target {
    /// Its number outside.
    pub(super) child: Pid,
    /// A descriptor of it.
    pub(super) process: OwnedFd,
    /// The host's `/proc`. The root of the helper is that of the sandbox once process 1 has made it.
    pub(super) processes: OwnedFd,
}

/// What a signal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// It is up to the process.
    ToProcess,
    /// It ended the process, as is its default.
    Ended,
}

impl Target {
    /// The host's `/proc`, to be opened while it can be seen.
    pub(super) fn processes_of_host() -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).doing(|| "open /proc".to_owned())
    }

    /// Delivers a signal by its number.
    pub(super) fn deliver(&self, number: i32) -> Delivered {
        let Some(signal) = Signal::from_named_raw(number) else { return Delivered::ToProcess };
        let ends = ENDING.contains(&number) && self.leaves_to_default(number);
        // A failure means that the process has just ended by itself.
        let _ = rustix::process::pidfd_send_signal(&self.process, if ends { Signal::KILL } else { signal });
        if ends { Delivered::Ended } else { Delivered::ToProcess }
    }

    /// Whether the process neither handles nor ignores a signal. One that cannot be looked at is left alone.
    fn leaves_to_default(&self, number: i32) -> bool {
        let mut text = String::new();
        let path = format!("{}/status", self.child);
        let read = rustix::fs::openat(&self.processes, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).read_to_string(&mut text));
        read.is_ok() && leaves_to_default(&text, number)
    }
}

/// Reads the sets of signals that are caught and ignored from `/proc/PID/status` (`proc_pid_status(5)`).
fn leaves_to_default(status: &str, number: i32) -> bool {
    let has = |name: &str| {
        let set = status.lines().find_map(|line| line.strip_prefix(name))?;
        let set = u64::from_str_radix(set.trim(), 16).ok()?;
        Some(set >> (number - 1) & 1 == 1)
    };
    matches!((has("SigCgt:"), has("SigIgn:")), (Some(false), Some(false)))
}

#[cfg(test)]
mod tests {
    use super::leaves_to_default;
    use nix::libc::{SIGHUP, SIGINT, SIGTERM};

    #[test]
    fn a_signal_has_its_default_if_it_is_neither_caught_nor_ignored() {
        let status = "Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000004000\n";
        assert!(!leaves_to_default(status, SIGHUP));
        assert!(!leaves_to_default(status, SIGTERM));
        assert!(leaves_to_default(status, SIGINT));
        assert!(!leaves_to_default("", SIGINT));
    }
}
