//! What a process may do: its ids, and the capabilities that container engines leave to root by default.
//!
//! Invariants, whoever the user is: the inheritable and ambient sets are empty (CVE-2022-27651), and the bounding set is
//! [`DEFAULT`] at most. Root has exactly [`DEFAULT`]; any other user has none, and gets some of [`DEFAULT`] only by
//! executing a file that brings them. With [`Security::Insecure`], read "all that the caller has" for [`DEFAULT`].

use super::failure::{Doing, Failure};
use super::spec::{Isolation, Security, User};
use nix::unistd::{Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// moby's default list (`oci/caps/defaults.go`).
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Becomes a user for good.
pub(super) fn become_user(user: &User, security: Security, isolation: Isolation) -> Result<(), Failure> {
    let own = rustix::thread::capabilities(None).doing(|| "read the capabilities".to_owned())?.permitted;
    let permitted = match (security, isolation) {
        (Security::Sandbox, Isolation::Namespaces) => DEFAULT,
        (Security::Sandbox, Isolation::Chroot) => DEFAULT.difference(CapabilitySet::SYS_CHROOT).intersection(own),
        (Security::Insecure, _) => own,
    };
    if security == Security::Sandbox {
        shrink_bounding_set(permitted)?;
    }
    rustix::thread::clear_ambient_capability_set().doing(|| "clear the ambient capabilities".to_owned())?;
    set_ids(user)?;
    let kept = if user.uid == 0 { permitted } else { CapabilitySet::empty() };
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).doing(|| "drop capabilities".to_owned())
}

/// [`DEFAULT`], as other runtimes want them named.
pub(super) fn default_names() -> Vec<String> {
    DEFAULT.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// All that this process may have, named in the same way.
pub(super) fn all_names() -> Vec<String> {
    let permitted = rustix::thread::capabilities(None).map_or(DEFAULT, |sets| sets.permitted);
    permitted.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

/// Whether this process may mount, and all else that a sandbox takes.
pub fn is_administrator() -> bool {
    may(CapabilitySet::SYS_ADMIN)
}

/// Whether this process may change its root, and make what a root needs.
pub(super) fn may_chroot() -> bool {
    may(CapabilitySet::SYS_CHROOT | CapabilitySet::MKNOD)
}

fn may(capabilities: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(capabilities))
}

/// Without an error where this process may not, which then has no more than a container has.
fn shrink_bounding_set(to: CapabilitySet) -> Result<(), Failure> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if to.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // One past the last that this kernel has.
            Err(Errno::INVAL) => break,
            Err(Errno::PERM) if !may(CapabilitySet::SETPCAP) => break,
            other => other.doing(|| "shrink the bounding set of capabilities".to_owned())?,
        }
    }
    Ok(())
}

fn set_ids(user: &User) -> Result<(), Failure> {
    let unmapped = |failure: Failure| {
        failure.hint(
            "the ids that an ordinary user may take on are those of /etc/subuid and /etc/subgid, by newuidmap and \
             newgidmap",
        )
    };
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    match nix::unistd::setgroups(&groups) {
        // Forbidden for ever where an ordinary user mapped the one id that it has (`user_namespaces(7)`).
        Err(nix::errno::Errno::EPERM) => {}
        other => other.doing(|| format!("take on the groups {:?}", user.groups)).map_err(unmapped)?,
    }
    let gid = Gid::from_raw(user.gid);
    nix::unistd::setresgid(gid, gid, gid).doing(|| format!("become the group {gid}")).map_err(unmapped)?;
    let uid = Uid::from_raw(user.uid);
    nix::unistd::setresuid(uid, uid, uid).doing(|| format!("become the user {uid}")).map_err(unmapped)
}
