//! What the folder of a person is a checkout of: for saying where an image came from.

use super::command::Git;
use flashbuild_frontend::remote::git::is_commit;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use url::Url;

/// A checkout of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Its folder.
    pub root: PathBuf,
    /// The address of `origin`, without credentials.
    pub remote: Option<String>,
    /// The commit, in hexadecimal digits.
    pub commit: String,
    /// Whether something is not as the commit has it: changed, or new and not ignored.
    pub is_dirty: bool,
}

impl Checkout {
    /// The checkout that `folder` lies in. Nothing if it lies in none, if that belongs to somebody else (its settings may
    /// name programs, which is why git itself refuses it), or if git cannot tell.
    pub async fn around(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let root = folder.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok())?;
        if !is_ours(root) || !is_ours(&root.join(".git")) {
            return None;
        }
        let git = Git::inside(root.display().to_string(), root);
        let commit = git.run(&["rev-parse", "--verify", "--quiet", "HEAD"]).await.ok()?.trim().to_owned();
        let remote = git.run(&["config", "--get", "remote.origin.url"]).await.ok();
        let status = git.run(&["--no-optional-locks", "status", "--porcelain"]).await.ok()?;
        let remote = remote.map(|remote| without_credentials(remote.trim())).filter(|remote| !remote.is_empty());
        let is_dirty = !status.is_empty();
        is_commit(&commit).then(|| Self { root: root.to_owned(), remote, commit, is_dirty })
    }
}

/// Whether a file is this user's, or that of who became root by sudo.
fn is_ours(path: &Path) -> bool {
    let Ok(owner) = fs::symlink_metadata(path).map(|metadata| metadata.uid()) else { return false };
    let own = rustix::process::geteuid();
    let before = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    owner == own.as_raw() || own.is_root() && before == Some(owner)
}

/// An address as it may be shown: of the web, without user, password and query; by `ssh`, with its user, who is no secret.
fn without_credentials(remote: &str) -> String {
    // `user@host:path` is no URL.
    let Ok(mut url) = Url::parse(remote) else { return remote.to_owned() };
    if !matches!(url.scheme(), "ssh" | "git+ssh") {
        let _ = url.set_username("");
        url.set_query(None);
        url.set_fragment(None);
    }
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn an_address_is_told_without_what_opens_it() {
        for (remote, told) in [
            ("https://me:hunter-2@h.example/r.git", "https://h.example/r.git"),
            ("https://token@h.example/r.git?private_token=x#y", "https://h.example/r.git"),
            ("ssh://git:hunter-2@h.example:22/r.git", "ssh://git@h.example:22/r.git"),
            ("git@h.example:me/r.git", "git@h.example:me/r.git"),
            ("/srv/r.git", "/srv/r.git"),
        ] {
            assert_eq!(without_credentials(remote), told);
        }
    }
}
