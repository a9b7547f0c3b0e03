//! A step run by an OCI runtime, such as `runc` or `crun`, from the same specification.
//!
//! Process 1 mounts the tree and what is shown in it as ever, and then becomes the runtime, with a bundle
//! (`opencontainers/runtime-spec`, `config.md`) that says the rest: namespaces, `/proc`, `/sys`, `/dev`, who the process
//! is and what it may do. It lives in the pid namespace of the helper, so that nothing of it outlives the caller either.

use super::capabilities;
use super::failure::{Doing, Failure};
use super::kernel_views::{HIDDEN_IN_PROC, HIDDEN_IN_SYS, READ_ONLY_IN_PROC};
use super::limits::Limits;
use super::mounts::{FileSystem, INERT};
use super::program::NotExecuted;
use super::seccomp;
use super::spec::{Security, Spec};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A file of ours that the runtime is to show in the tree.
#[derive(Debug)]
pub(super) struct Shown {
    /// Where it lies.
    pub(super) source: PathBuf,
    /// Where it is to be seen.
    pub(super) target: PathBuf,
}

/// Makes ready what the runtime needs besides the tree: a `/proc` of this pid namespace, and the bundle in `folder`.
pub(super) fn prepare(spec: &Spec, shown: &[Shown], folder: &Path) -> Result<(), Failure> {
    let place = rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open /proc".to_owned())?;
    FileSystem::open("proc")?.mount(INERT)?.attach(place.as_fd())?;
    let text = config(spec, shown).to_string();
    std::fs::write(folder.join("config.json"), text).doing(|| "write the bundle of a step".to_owned())
}

/// Becomes the runtime. Only a failure returns.
pub(super) fn execute(runtime: &Path, folder: &Path) -> NotExecuted {
    let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let folder_text = text(folder.as_os_str().as_bytes());
    let state = text(folder.join("state").as_os_str().as_bytes());
    let program = text(runtime.as_os_str().as_bytes());
    let words = [
        program.as_c_str(),
        c"--root",
        state.as_c_str(),
        c"run",
        c"--bundle",
        folder_text.as_c_str(),
        // Names are unique in a folder of states, and this one is the step's own.
        c"step",
    ];
    // A runtime looks for its own helpers, and says where its state is.
    let environment = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
    let Err(error) = nix::unistd::execve(&program, &words, &environment);
    NotExecuted { message: format!("exec: {}: {}", runtime.display(), error.desc()), code: 126 }
}

fn config(spec: &Spec, shown: &[Shown]) -> Value {
    let insecure = spec.hardening.security == Security::Insecure;
    let mut capability_sets = json!({ "inheritable": [], "ambient": [] });
    let names = if insecure { capabilities::all_names() } else { capabilities::default_names() };
    let own = if spec.user.uid == 0 { names.as_slice() } else { &[] };
    capability_sets["bounding"] = json!(names);
    capability_sets["permitted"] = json!(own);
    capability_sets["effective"] = json!(own);
    let limit = |value: Option<u64>| value.unwrap_or(u64::MAX);
    let rlimits: Vec<Value> = spec
        .limits
        .ulimits
        .iter()
        .map(|ulimit| {
            let kind = format!("RLIMIT_{}", ulimit.resource.name().to_ascii_uppercase());
            json!({ "type": kind, "soft": limit(ulimit.soft), "hard": limit(ulimit.hard) })
        })
        .collect();
    let mut config = json!({
        "ociVersion": "1.0.2",
        "hostname": spec.hostname,
        "root": { "path": spec.upper, "readonly": false },
        "process": {
            "terminal": false,
            "args": spec.args,
            "env": spec.env,
            "cwd": spec.cwd,
            "user": { "uid": spec.user.uid, "gid": spec.user.gid, "additionalGids": spec.user.groups },
            "capabilities": capability_sets,
            "rlimits": rlimits,
            "noNewPrivileges": spec.hardening.no_new_privileges,
        },
        "mounts": mounts(spec, shown),
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }],
        },
    });
    if !insecure {
        let below = |folder: &str, names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("/{folder}/{name}")).collect()
        };
        let masked = [below("proc", &HIDDEN_IN_PROC), below("sys", &HIDDEN_IN_SYS)].concat();
        config["linux"]["maskedPaths"] = json!(masked);
        config["linux"]["readonlyPaths"] = json!(below("proc", &READ_ONLY_IN_PROC));
        config["linux"]["seccomp"] = seccomp::as_oci();
    }
    config
}

fn mounts(spec: &Spec, shown: &[Shown]) -> Vec<Value> {
    let mount = |kind: &str, target: &str, options: &[&str]| -> Value {
        json!({ "destination": target, "type": kind, "source": kind, "options": options })
    };
    let size = format!("size={}", spec.limits.shared_memory.unwrap_or(Limits::SHARED_MEMORY));
    let sys: &[&str] = match spec.hardening.security {
        Security::Sandbox => &["nosuid", "noexec", "nodev", "ro"],
        Security::Insecure => &["nosuid", "noexec", "nodev"],
    };
    let mut mounts = vec![
        mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "/dev", &["nosuid", "noexec", "mode=755", "size=65536k"]),
        mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        mount("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]),
        mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "/sys", sys),
    ];
    mounts.extend(shown.iter().map(
        |file| json!({ "destination": file.target, "type": "bind", "source": file.source, "options": ["bind", "ro"] }),
    ));
    mounts
}
