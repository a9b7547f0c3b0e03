//! Signals for process 1 of a sandbox, with the effect that they have on any other process.
//!
//! The kernel drops every signal to process 1 of a pid namespace that it has no handler for, but for `SIGKILL`
//! (`pid_namespaces(7)`). A program that leaves `SIGTERM` as it is would never end by it; so what it has no handler
//! for, and does not ignore, is delivered as `SIGKILL`, and reported as what it was.
//!
//! A handler ends with the program that has it: a shell that catches `SIGINT` may execute another program between our look
//! and the signal. What was lost to that is found by looking again.

use super::failure::{Doing, Failure};
use nix::libc;
use nix::unistd::Pid;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Signal;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The signals that we pass on whose default is to end a process.
const ENDING: [i32; 6] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// How often it is looked whether a signal arrived, and how long after each look.
const LOOKS: usize = 50;
const PAUSE: Duration = Duration::from_millis(1);

/// Process 1 of a sandbox, seen from outside.
#[derive(Debug)]
pub(super) struct Target {
    /// Its number outside.
    pub(super) child: Pid,
    /// A descriptor of it.
    pub(super) process: OwnedFd,
    /// The host's `/proc`. The root of the helper is that of the sandbox once process 1 has made it.
    pub(super) processes: OwnedFd,
    /// The list of processes of its control group, if it has one of its own.
    pub(super) group: Option<File>,
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
        // A failure means that the process has just ended by itself.
        let send = |signal| rustix::process::pidfd_send_signal(&self.process, signal).unwrap_or_default();
        let before = self.program();
        let ends = ENDING.contains(&number) && self.leaves_to_default(number);
        send(if ends { Signal::KILL } else { signal });
        if !ends && ENDING.contains(&number) && self.is_lost(number, before.as_ref()) {
            send(Signal::KILL);
            return Delivered::Ended;
        }
        if ends { Delivered::Ended } else { Delivered::ToProcess }
    }

    /// Whether a signal that was sent met another program than `before`, which leaves it to its default. A program that
    /// blocks it is not waited for.
    fn is_lost(&self, number: i32, before: Option<&Place>) -> bool {
        for _ in 0..LOOKS {
            let is_pending =
                self.read("status").is_some_and(|status| is_in_set(&status, "ShdPnd:", number) == Some(true));
            if self.program().as_ref() != before {
                return self.leaves_to_default(number);
            }
            if !is_pending {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        false
    }

    /// Whether the process neither handles nor ignores a signal. One that cannot be looked at is left alone.
    fn leaves_to_default(&self, number: i32) -> bool {
        self.read("status").is_some_and(|status| leaves_to_default(&status, number))
    }

    /// Where the program of the process is in its memory.
    fn program(&self) -> Option<Place> {
        place(&self.read("stat")?)
    }

    fn read(&self, name: &str) -> Option<String> {
        let mut text = String::new();
        let path = format!("{}/{name}", self.child);
        let file = rustix::fs::openat(&self.processes, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        File::from(file).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// Begin and end of a program's code, and of its stack: another execution has others.
type Place = [String; 3];

/// Reads them from `/proc/PID/stat` (`proc_pid_stat(5)`, fields 26 to 28). The name, field 2, may hold anything.
fn place(stat: &str) -> Option<Place> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(26 - 3).map(str::to_owned);
    Some([fields.next()?, fields.next()?, fields.next()?])
}

fn leaves_to_default(status: &str, number: i32) -> bool {
    matches!((is_in_set(status, "SigCgt:", number), is_in_set(status, "SigIgn:", number)), (Some(false), Some(false)))
}

/// Whether a set of signals in `/proc/PID/status` has one (`proc_pid_status(5)`).
fn is_in_set(status: &str, name: &str, number: i32) -> Option<bool> {
    let set = status.lines().find_map(|line| line.strip_prefix(name))?;
    let set = u64::from_str_radix(set.trim(), 16).ok()?;
    Some(set >> (number - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::{leaves_to_default, place};
    use nix::libc::{SIGHUP, SIGINT, SIGTERM};

    #[test]
    fn a_signal_has_its_default_if_it_is_neither_caught_nor_ignored() {
        let status = "Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000004000\n";
        assert!(!leaves_to_default(status, SIGHUP));
        assert!(!leaves_to_default(status, SIGTERM));
        assert!(leaves_to_default(status, SIGINT));
        assert!(!leaves_to_default("", SIGINT));
    }

    #[test]
    fn a_program_is_told_apart_by_its_place() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(place(&stat), place(&stat.replacen('(', "(odd) (", 1)));
        assert_ne!(place(&stat), place(&std::fs::read_to_string("/proc/1/stat").unwrap()));
        assert!(place("1 (cut) R 1").is_none());
    }
}
