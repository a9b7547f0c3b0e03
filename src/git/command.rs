//! One run of `git`, shut off from everything that is not ours.

use super::GitError;
use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// Transports that exist, for what a repository leads to as well.
const TRANSPORTS: &str = "http:https:ssh:git";
/// What of this process's environment `git`, `ssh` and their connections need.
const KEPT: [&str; 15] = [
    "PATH",
    "HOME",
    "SSH_AUTH_SOCK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];
/// Settings that hold whatever a repository says.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "advice.detachedHead=false",
    "gc.auto=0",
    "submodule.recurse=false",
];
/// Characters of an error of `git` that are shown.
const LONGEST_ERROR: usize = 1000;

/// `git` for one remote.
pub(super) struct Git {
    remote: String,
    folder: Option<PathBuf>,
    /// One more setting, which may be secret.
    setting: Option<(String, String)>,
}

impl Git {
    /// In no repository. `remote` is for messages.
    pub(super) fn nowhere(remote: String) -> Self {
        Self { remote, folder: None, setting: None }
    }

    /// In the repository at `folder`.
    pub(super) fn inside(remote: String, folder: &Path) -> Self {
        Self { remote, folder: Some(folder.to_owned()), setting: None }
    }

    /// With one more setting.
    pub(super) fn with(self, setting: Option<(String, String)>) -> Self {
        Self { setting, ..self }
    }

    /// Runs it, and returns what it printed.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, GitError> {
        let mut command = Command::new("git");
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            .env("GIT_ALLOW_PROTOCOL", TRANSPORTS)
            .env("GIT_CEILING_DIRECTORIES", "/");
        if let Some((name, value)) = &self.setting {
            // In the environment only its own user can read it, among the arguments everybody.
            command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", name).env("GIT_CONFIG_VALUE_0", value);
        }
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
            // Were `.git` gone or not ours, `git` would look for another one above.
            command.env("GIT_DIR", folder.join(".git")).env("GIT_WORK_TREE", folder);
        } else {
            command.env("GIT_DIR", "/nonexistent");
        }
        // Submodules have folders of their own.
        if arguments.first() == Some(&"submodule") {
            command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
        }
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(|error| {
            let is_missing = error.kind() == io::ErrorKind::NotFound;
            if is_missing { GitError::NoGit } else { GitError::Io { path: "git".into(), error } }
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String =
            said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_ERROR).collect();
        Err(GitError::Failed { remote: self.remote.clone(), said })
    }
}
