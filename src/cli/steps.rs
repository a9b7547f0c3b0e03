//! How steps run on this machine: flags of `build` that change no result.

use super::Failed;
use crate::{
    exec::StepOptions,
    sandbox::{self, GroupLimits, HostEntry, Isolation, Limits, Privilege, Ulimit},
    solver::event::Events,
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Steps")]
pub(super) struct StepArgs {
    /// Name and address for /etc/hosts (repeatable)
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<HostEntry>,
    /// Memory of each step, such as 512m
    #[arg(short, long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Memory and swap of each step together, -1 for as much swap as there is [default: twice the memory]
    #[arg(long, value_name = "SIZE", value_parser = size_or_unlimited, allow_negative_numbers = true)]
    memory_swap: Option<Size>,
    /// Processors of each step, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = processors, conflicts_with_all = ["cpu_quota", "cpu_period"])]
    cpus: Option<u64>,
    /// Microseconds of processor time that each step has in a period
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1000..))]
    cpu_quota: Option<u64>,
    /// Length of that period [default: 100000]
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    cpu_period: Option<u64>,
    /// Weight of each step where processors are short, 1024 being that of others
    #[arg(short, long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(2..=262_144))]
    cpu_shares: Option<u64>,
    /// Processors that steps run on, such as 0-2,7
    #[arg(long, value_name = "LIST", value_parser = list)]
    cpuset_cpus: Option<String>,
    /// Memory nodes that steps use
    #[arg(long, value_name = "LIST", value_parser = list)]
    cpuset_mems: Option<String>,
    /// Processes and threads of each step
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pids_limit: Option<u64>,
    /// Control group above those of steps
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<PathBuf>,
    /// Limit of each process, such as nofile=1024:2048 (repeatable)
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<Ulimit>,
    /// Size of /dev/shm, such as 128m [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    shm_size: Option<u64>,
    /// Static emulator for steps of other platforms [default: the host's handler, else qemu on PATH]
    #[arg(long, value_name = "FILE")]
    emulator: Option<PathBuf>,
    /// OCI runtime that runs steps, such as runc or crun [default: built in]
    #[arg(long, value_name = "PROGRAM", value_parser = program)]
    oci_runtime: Option<PathBuf>,
    /// What keeps steps apart from this machine: namespaces, chroot (for containers that refuse namespaces), or auto
    #[arg(long, value_name = "HOW", default_value = "auto")]
    isolation: AskedIsolation,
    /// Something about how steps are kept from the machine: no-new-privileges
    #[arg(long, value_name = "OPTION", value_parser = ["no-new-privileges"])]
    security_opt: Vec<String>,
}

/// A `--isolation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AskedIsolation {
    /// Namespaces, where they can be had
    #[value(alias = "default")]
    Auto,
    /// Namespaces and mounts
    Namespaces,
    /// A root folder of their own and nothing else
    Chroot,
}

/// What who builds has to know before a step runs that little keeps apart.
const CHROOT_NOTICE: &str = "steps have nothing but a root folder of their own (--isolation chroot): they see and may end \
                             the processes around them, share their network and shared memory, and have no /proc; build \
                             only what you trust";

impl StepArgs {
    /// Makes sure that this process may run steps, and says what keeps them apart. To be called before there is a second
    /// thread; see [`sandbox::enter_user_namespace`].
    pub(super) fn enter(&self) -> Result<(Privilege, Isolation), Failed> {
        if self.isolation == AskedIsolation::Chroot && sandbox::can_chroot() {
            return Ok((Privilege::Root, Isolation::Chroot));
        }
        match sandbox::enter_user_namespace() {
            Ok(privilege) if self.isolation == AskedIsolation::Chroot => Ok((privilege, Isolation::Chroot)),
            Ok(privilege) => Ok((privilege, Isolation::Namespaces)),
            Err(_) if self.isolation == AskedIsolation::Auto && sandbox::can_chroot() => {
                Ok((Privilege::Root, Isolation::Chroot))
            }
            Err(failure) => Err(Failed::environment(failure)),
        }
    }

    /// Tells what does not keep steps apart, if that is more than usual.
    pub(super) fn warn(isolation: Isolation, events: &Events) {
        match isolation {
            Isolation::Namespaces => {}
            Isolation::Chroot => events.notice(CHROOT_NOTICE),
        }
    }

    pub(super) fn options(&self, isolation: Isolation) -> Result<StepOptions, Failed> {
        let emulator = match &self.emulator {
            None => None,
            Some(file) => Some(std::path::absolute(file).map_err(Failed::usage)?),
        };
        if let (memory, Some(Size::Bytes(both))) = (self.memory, self.memory_swap) {
            match memory {
                None => return Err(Failed::usage("--memory-swap needs --memory")),
                Some(memory) if both < memory => return Err(Failed::usage("--memory-swap is less than --memory")),
                Some(_) => {}
            }
        }
        Ok(StepOptions {
            group_limits: GroupLimits {
                memory: self.memory,
                memory_and_swap: self.memory_swap.map(Size::bytes),
                cpu_quota: self.cpus.or(self.cpu_quota),
                cpu_period: self.cpu_period,
                cpu_shares: self.cpu_shares,
                cpuset_cpus: self.cpuset_cpus.clone(),
                cpuset_mems: self.cpuset_mems.clone(),
                pids: self.pids_limit,
                parent: self.cgroup_parent.clone(),
            },
            limits: Limits { ulimits: self.ulimit.clone(), shared_memory: self.shm_size, group: None },
            hosts: self.add_host.clone(),
            emulator,
            isolation,
            debug_shell: None,
            runtime: self.oci_runtime.clone(),
            no_new_privileges: !self.security_opt.is_empty(),
        })
    }
}

/// Finds a program by its name on `PATH`, or by its path.
fn program(text: &str) -> Result<PathBuf, String> {
    let file = if text.contains('/') {
        std::path::absolute(text).ok()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(text)).find(|file| file.is_file())
    };
    file.filter(|file| file.is_file()).ok_or_else(|| "there is no such program on this machine".to_owned())
}

/// A number of bytes, or no limit.
#[derive(Debug, Clone, Copy)]
enum Size {
    Bytes(u64),
    Unlimited,
}

impl Size {
    fn bytes(self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Unlimited => None,
        }
    }
}

fn size_or_unlimited(text: &str) -> Result<Size, String> {
    if text == "-1" { Ok(Size::Unlimited) } else { size(text).map(Size::Bytes) }
}

/// Reads a number of processors, as microseconds in a tenth of a second.
fn processors(text: &str) -> Result<u64, String> {
    let expected = || "expected a number such as 1.5, at least 0.01".to_owned();
    let number: f64 = text.parse().map_err(|_| expected())?;
    if !(0.01..=10_000.0).contains(&number) {
        return Err(expected());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let microseconds = (number * 100_000.0).round() as u64;
    Ok(microseconds)
}

/// Checks a list of numbers and ranges.
fn list(text: &str) -> Result<String, String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        is_number(from) && is_number(to)
    };
    if text.split(',').all(is_range) { Ok(text.to_owned()) } else { Err("expected a list such as 0-2,7".to_owned()) }
}

/// Reads a number of bytes with an optional unit, a power of 1024, as Docker does: `b`, `k`, `m`, `g`, `t`.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.strip_suffix('b').unwrap_or(&lower);
    let number = number.strip_suffix('i').unwrap_or(number);
    let (number, shift) = match number.strip_suffix(['k', 'm', 'g', 't']) {
        None => (number, 0),
        Some(rest) => (rest, 10 * (1 + "kmgt".find(&number[rest.len()..]).unwrap_or_default())),
    };
    let number: u64 = number.trim().parse().map_err(|_| "expected a number of bytes such as 512m".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than any machine has".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{list, processors, size};

    #[test]
    fn sizes_are_read_as_docker_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("100", Some(100)),
            ("100b", Some(100)),
            ("2k", Some(2 << 10)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1t", Some(1 << 40)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("99999999999t", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn processors_are_parts_of_a_period() {
        for (text, expected) in [("1", Some(100_000)), ("0.5", Some(50_000)), ("0", None), ("-1", None), ("NaN", None)]
        {
            assert_eq!(processors(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn lists_are_numbers_and_ranges() {
        for (text, expected) in [("0", true), ("0-3,7", true), ("", false), ("1,", false), ("1-", false), ("a", false)]
        {
            assert_eq!(list(text).is_ok(), expected, "{text}");
        }
    }
}
