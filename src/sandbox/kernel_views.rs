//! What a step sees of the kernel: `/proc` and `/sys`, less what container engines hide.
//!
//! The lists are those of containerd and moby (`oci/spec_opts.go`, `oci/defaults.go`). A hidden file is covered by an
//! empty one and a hidden folder by an empty one, both of our own: a `/dev/null` of the image's making is never used
//! (CVE-2025-31133).

use super::failure::Failure;
use super::mounts::{FileSystem, INERT, Mount, READ_ONLY, is_dir};
use super::shown::Hidden;
use super::spec::Security;
use super::tree::Tree;
use std::os::fd::AsFd;
use std::path::Path;

pub(super) const HIDDEN_IN_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

pub(super) const READ_ONLY_IN_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

pub(super) const HIDDEN_IN_SYS: [&str; 2] = ["firmware", "devices/virtual/powercap"];

/// Mounts `/proc` of the pid namespace of this process.
pub(super) fn mount_proc(security: Security, tree: &mut Tree, hidden: &mut Hidden) -> Result<(), Failure> {
    let target = tree.kernel_folder("proc")?;
    let proc = FileSystem::open("proc")?.mount(INERT).map_err(|failure| {
        failure.hint("inside a container, its own /proc must be unmasked: --security-opt systempaths=unconfined")
    })?;
    let proc = proc.attach(target.as_fd())?;
    if security == Security::Insecure {
        return Ok(());
    }
    for path in READ_ONLY_IN_PROC {
        if let Some(found) = proc.inside(path)? {
            Mount::of(found.as_fd())?.restrict(READ_ONLY, false)?.attach(found.as_fd())?;
        }
    }
    hide(&proc, &HIDDEN_IN_PROC, hidden)
}

/// Mounts `/sys`, read-only unless nothing is kept from the step: a new one where that is permitted, else the host's.
pub(super) fn mount_sys(security: Security, tree: &mut Tree, hidden: &mut Hidden) -> Result<(), Failure> {
    let target = tree.kernel_folder("sys")?;
    let attributes = match security {
        Security::Sandbox => INERT | READ_ONLY,
        Security::Insecure => INERT,
    };
    // A new one shows the devices of a network namespace, and is for who owns that.
    let sys = match FileSystem::open("sysfs").and_then(|sysfs| sysfs.mount(attributes)) {
        Ok(sys) => sys,
        Err(_) => Mount::of_host(Path::new("/sys"), true)?.restrict(attributes, true)?,
    };
    let sys = sys.attach(target.as_fd())?;
    match security {
        Security::Sandbox => hide(&sys, &HIDDEN_IN_SYS, hidden),
        Security::Insecure => Ok(()),
    }
}

fn hide(view: &Mount, paths: &[&str], hidden: &mut Hidden) -> Result<(), Failure> {
    for path in paths {
        let Some(found) = view.inside(path)? else { continue };
        let nothing = if is_dir(found.as_fd())? { hidden.folder()? } else { hidden.file(b"", 0o444)? };
        nothing.restrict(INERT | READ_ONLY, false)?.attach(found.as_fd())?;
    }
    Ok(())
}
