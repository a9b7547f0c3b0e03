//! The limits of each process (`setrlimit(2)`).

use super::failure::{Doing, Failure};
use super::limits::{Resource, Ulimit};
use rustix::process::{Rlimit, setrlimit};

/// Sets the limits of this process, which what it executes inherits.
pub(super) fn set(ulimits: &[Ulimit]) -> Result<(), Failure> {
    for ulimit in ulimits {
        let limit = Rlimit { current: ulimit.soft, maximum: ulimit.hard };
        setrlimit(kernels(ulimit.resource), limit)
            .doing(|| format!("limit {ulimit}"))
            .map_err(|failure| failure.hint("to raise a hard limit takes CAP_SYS_RESOURCE of the machine"))?;
    }
    Ok(())
}

fn kernels(resource: Resource) -> rustix::process::Resource {
    match resource {
        Resource::Core => rustix::process::Resource::Core,
        Resource::Cpu => rustix::process::Resource::Cpu,
        Resource::Data => rustix::process::Resource::Data,
        Resource::Fsize => rustix::process::Resource::Fsize,
        Resource::Locks => rustix::process::Resource::Locks,
        Resource::Memlock => rustix::process::Resource::Memlock,
        Resource::Msgqueue => rustix::process::Resource::Msgqueue,
        Resource::Nice => rustix::process::Resource::Nice,
        Resource::Nofile => rustix::process::Resource::Nofile,
        Resource::Nproc => rustix::process::Resource::Nproc,
        Resource::Rss => rustix::process::Resource::Rss,
        Resource::Rtprio => rustix::process::Resource::Rtprio,
        Resource::Rttime => rustix::process::Resource::Rttime,
        Resource::Sigpending => rustix::process::Resource::Sigpending,
        Resource::Stack => rustix::process::Resource::Stack,
    }
}
