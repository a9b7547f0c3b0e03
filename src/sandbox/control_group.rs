//! Control groups, version 2: how much memory, processor and processes a step may use with all its descendants.
//!
//! A group is made for each step below one parent, and removed after it:
//!
//! | who builds | parent |
//! |---|---|
//! | whoever named one | that one |
//! | root | `/flashbuild`, as other engines have theirs |
//! | an ordinary user | the group above their own, which a service manager gives to them (`app.slice`) |
//!
//! The parent has no processes of its own, which the kernel asks of a group that has controllers below it. Hierarchies of
//! version 1 are not used: they cannot be given to an ordinary user, and the machines that have only those are few.

use super::failure::{Doing, Failure};
use rustix::fs::StatFs;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the hierarchy is: alone, or beside those of version 1.
const MOUNT_POINTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const MAGIC: u32 = 0x6367_7270;

/// The parent that root's groups have, below the root of the hierarchy.
const PARENT: &str = "flashbuild";

/// What a group may use. What is `None` is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together, not below `memory`; `Some(None)` is no limit. If it is not said, there is as
    /// much swap as memory.
    pub memory_and_swap: Option<Option<u64>>,
    /// Microseconds of processor time in each period.
    pub cpu_quota: Option<u64>,
    /// The period in microseconds, 100,000 if not said.
    pub cpu_period: Option<u64>,
    /// Processor time relative to others when there is too little, as Docker counts: 1024 is as much as everybody has.
    pub cpu_shares: Option<u64>,
    /// Processors by number, such as `0-2,7`.
    pub cpuset_cpus: Option<String>,
    /// Nodes of memory by number.
    pub cpuset_mems: Option<String>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// The parent of the groups, below the root of the hierarchy, in place of the usual one.
    pub parent: Option<PathBuf>,
}

/// Makes groups of the same limits.
#[derive(Debug)]
pub struct ControlGroups {
    parent: PathBuf,
    settings: Vec<(&'static str, String)>,
    made: AtomicU32,
}

/// A group, which is removed when this is dropped. Its processes have ended by then.
#[derive(Debug)]
pub struct ControlGroup {
    path: PathBuf,
}

impl GroupLimits {
    /// Whether anything is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Files of a group and what to write there (`Documentation/admin-guide/cgroup-v2.rst`).
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = Vec::new();
        if let Some(memory) = self.memory {
            settings.push(("memory.max", memory.to_string()));
        }
        let swap = match (self.memory, self.memory_and_swap) {
            (_, Some(None)) => Some("max".to_owned()),
            (Some(memory), Some(Some(both))) => Some(both.saturating_sub(memory).to_string()),
            (Some(memory), None) => Some(memory.to_string()),
            (None, Some(Some(_)) | None) => None,
        };
        settings.extend(swap.map(|swap| ("memory.swap.max", swap)));
        if self.cpu_quota.is_some() || self.cpu_period.is_some() {
            let quota = self.cpu_quota.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
            settings.push(("cpu.max", format!("{quota} {}", self.cpu_period.unwrap_or(100_000))));
        }
        if let Some(shares) = self.cpu_shares {
            settings.push(("cpu.weight", weight(shares).to_string()));
        }
        settings.extend(self.cpuset_cpus.clone().map(|list| ("cpuset.cpus", list)));
        settings.extend(self.cpuset_mems.clone().map(|list| ("cpuset.mems", list)));
        settings.extend(self.pids.map(|number| ("pids.max", number.to_string())));
        settings
    }
}

/// Shares from 2 to 262,144 are weights from 1 to 10,000, in the same order (`opencontainers/cgroups`).
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9_999 / 262_142
}

impl ControlGroups {
    /// Makes sure that groups with these limits can be made on this machine.
    pub fn new(limits: &GroupLimits) -> Result<Self, Failure> {
        let root = MOUNT_POINTS.into_iter().find(|path| is_hierarchy(Path::new(path)));
        let root = root.ok_or_else(|| Failure::new("limit steps", "there are no control groups of version 2"))?;
        let parent = match &limits.parent {
            Some(parent) => Path::new(root).join(parent.strip_prefix("/").unwrap_or(parent)),
            None if nix::unistd::getuid().is_root() && super::overlay::is_initial_user_namespace() => {
                Path::new(root).join(PARENT)
            }
            None => above_own(Path::new(root))?,
        };
        let groups = Self { parent, settings: limits.settings(), made: AtomicU32::new(0) };
        groups.enable(Path::new(root))?;
        groups.make()?;
        Ok(groups)
    }

    /// Makes a group.
    pub fn make(&self) -> Result<ControlGroup, Failure> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.parent.join(format!("flashbuild-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).doing(|| format!("make the control group {}", path.display()))?;
        let group = ControlGroup { path };
        for (name, value) in &self.settings {
            let file = group.path.join(name);
            match std::fs::write(&file, value) {
                // A kernel without swap has no limit for it, and needs none.
                Err(error) if *name == "memory.swap.max" && error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.doing(|| format!("limit {name} to {value}"))?,
            }
        }
        // All or none: what is left of a step after one of its processes was killed proves nothing.
        let _ = std::fs::write(group.path.join("memory.oom.group"), "1");
        Ok(group)
    }

    /// Makes the parent, and has the kernel give controllers to what is below it, from the root down.
    fn enable(&self, root: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.parent).doing(|| format!("make the control group {}", self.parent.display()))?;
        let mut controllers: Vec<&str> = self
            .settings
            .iter()
            .filter_map(|(name, _)| name.split_once('.').map(|(controller, _)| controller))
            .collect();
        controllers.dedup();
        let file = root.join("cgroup.controllers");
        let known = std::fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
        if let Some(absent) = controllers.iter().find(|name| known.split_whitespace().all(|known| known != **name)) {
            let cause = format!("the control groups of version 2 have no controller {absent} on this machine");
            return Err(Failure::new("limit steps", cause));
        }
        let below = self.parent.strip_prefix(root).unwrap_or(Path::new(""));
        let mut folders: Vec<PathBuf> = below.ancestors().map(|path| root.join(path)).collect();
        folders.reverse();
        for folder in folders {
            let file = folder.join("cgroup.subtree_control");
            let enabled = std::fs::read_to_string(&file).doing(|| format!("read {}", file.display()))?;
            for controller in &controllers {
                if enabled.split_whitespace().all(|name| name != *controller) {
                    std::fs::write(&file, format!("+{controller}"))
                        .doing(|| format!("enable the controller {controller} in {}", folder.display()))?;
                }
            }
        }
        Ok(())
    }
}

impl ControlGroup {
    /// Its folder, for [`Limits::group`](super::Limits::group).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the kernel killed its processes because they used too much memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let events = std::fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        count(&events, "oom_kill") > 0
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // What does not work leaves an empty group, which costs next to nothing.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// How many processes the kernel has killed for memory since the machine was started.
pub fn memory_kills() -> u64 {
    count(&std::fs::read_to_string("/proc/vmstat").unwrap_or_default(), "oom_kill")
}

/// A number by name, of lines `NAME NUMBER`.
fn count(text: &str, name: &str) -> u64 {
    let number = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(number).unwrap_or(0)
}

fn is_hierarchy(path: &Path) -> bool {
    let has_magic = |stat: StatFs| u32::try_from(stat.f_type) == Ok(MAGIC);
    rustix::fs::statfs(path).is_ok_and(has_magic)
}

/// The group above the one that this process is in.
fn above_own(root: &Path) -> Result<PathBuf, Failure> {
    let text = std::fs::read_to_string("/proc/self/cgroup").doing(|| "read /proc/self/cgroup".to_owned())?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    Ok(root.join(Path::new(own).parent().unwrap_or(Path::new(""))))
}

/// Opens the list of processes of a group.
pub(super) fn open(group: &Path) -> Result<File, Failure> {
    let file = group.join("cgroup.procs");
    File::options().write(true).open(&file).doing(|| format!("open {}", file.display()))
}

/// Moves this process to a group.
pub(super) fn enter(mut group: File) -> Result<(), Failure> {
    group.write_all(b"0").doing(|| "enter a control group".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_the_kernel_wants_them() {
        let limits = |change: fn(&mut GroupLimits)| {
            let mut limits = GroupLimits::default();
            change(&mut limits);
            let settings = limits.settings();
            settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(limits(|_| ()), "");
        assert_eq!(limits(|all| all.memory = Some(100)), "memory.max=100 memory.swap.max=100");
        let both = |all: &mut GroupLimits| (all.memory, all.memory_and_swap) = (Some(100), Some(Some(130)));
        assert_eq!(limits(both), "memory.max=100 memory.swap.max=30");
        let unlimited = |all: &mut GroupLimits| (all.memory, all.memory_and_swap) = (Some(100), Some(None));
        assert_eq!(limits(unlimited), "memory.max=100 memory.swap.max=max");
        assert_eq!(limits(|all| all.cpu_quota = Some(150_000)), "cpu.max=150000 100000");
        let period = |all: &mut GroupLimits| (all.cpu_quota, all.cpu_period) = (Some(5_000), Some(50_000));
        assert_eq!(limits(period), "cpu.max=5000 50000");
        assert_eq!(limits(|all| all.cpu_shares = Some(1024)), "cpu.weight=39");
        let sets = |all: &mut GroupLimits| (all.cpuset_cpus, all.pids) = (Some("0-1".to_owned()), Some(64));
        assert_eq!(limits(sets), "cpuset.cpus=0-1 pids.max=64");
    }

    #[test]
    fn shares_keep_their_order_as_weights() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight), [1, 1, 39, 10_000, 10_000]);
    }

    #[test]
    fn counts_are_found_by_their_whole_name() {
        assert_eq!(count("oom 1\noom_kill_x 2\noom_kill 3\n", "oom_kill"), 3);
        assert_eq!(count("", "oom_kill"), 0);
    }
}
