//! Repositories, by the `git` command of this machine.
//!
//! 1. [`Repository::resolve`] says which commit a reference means now, without fetching anything.
//! 2. [`Repository::check_out`] makes a folder of that commit.
//!
//! And [`Checkout::around`] says what a folder that is here is a checkout of.
//!
//! A repository is hostile until checked, and so is its address. Therefore, for every call (module `command`):
//!
//! - Only the transports `https`, `http`, `ssh` and `git` exist, for submodules too.
//! - No configuration but ours is read: neither the machine's, nor the user's, nor one that comes with the repository.
//!   (`ssh` has its own, which is the user's business.)
//! - Nothing is asked at the terminal, no hook and no filter runs, and no value from outside can be taken for an option.
//!
//! Files have the time of their commit, so that equal commits are equal folders.

mod checkout;
mod command;
mod error;

pub use checkout::Checkout;
pub use error::GitError;

use crate::secrets::Authorization;
use command::Git;
use flashbuild_frontend::remote::{self, GitAddress, git::is_commit};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What to take of which repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository<'a> {
    /// What `git` is given.
    pub remote: &'a str,
    /// Branch, tag or commit; `None` is the default branch.
    pub reference: Option<&'a str>,
    /// How the commit, or the tag that leads to it, has to start.
    pub checksum: Option<&'a str>,
    /// Whether `.git` stays.
    pub keep_git_dir: bool,
    /// Whether submodules are checked out.
    pub submodules: bool,
    /// Whether the commit is the checksum, without asking what the reference means.
    pub fetch_by_commit: bool,
    /// What its server is shown, if that is a server of the web.
    pub authorization: Option<&'a Authorization>,
}

/// What a reference meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// In hexadecimal digits.
    pub id: String,
    /// The full name of the branch or tag, if it was named by one.
    pub reference: Option<String>,
}

impl<'a> Repository<'a> {
    /// What an address means, where nothing else is asked for.
    pub fn of(address: &'a GitAddress) -> Self {
        Self {
            remote: &address.remote,
            reference: address.reference.as_deref(),
            checksum: address.checksum.as_deref(),
            keep_git_dir: address.keep_git_dir.unwrap_or(false),
            submodules: address.submodules.unwrap_or(true),
            fetch_by_commit: address.fetch_by_commit,
            authorization: None,
        }
    }

    /// Asks which commit the reference means.
    pub async fn resolve(&self) -> Result<Commit, GitError> {
        if self.fetch_by_commit {
            let id = self.checksum.filter(|id| is_commit(id)).ok_or_else(|| GitError::ByCommit(self.shown()))?;
            return Ok(Commit { id: id.to_owned(), reference: None });
        }
        let (commit, tag) = match self.reference {
            Some(id) if is_commit(id) => (Commit { id: id.to_ascii_lowercase(), reference: None }, None),
            reference => self.look_up(reference).await?,
        };
        match self.checksum {
            Some(expected)
                if !commit.id.starts_with(expected) && !tag.as_ref().is_some_and(|tag| tag.starts_with(expected)) =>
            {
                Err(GitError::Checksum { remote: self.shown(), expected: expected.to_owned(), actual: commit.id })
            }
            Some(_) | None => Ok(commit),
        }
    }

    /// The commit of a branch or tag, and the tag's own object if it has one. A branch goes before a tag of the same
    /// name, as for `git checkout`.
    async fn look_up(&self, reference: Option<&str>) -> Result<(Commit, Option<String>), GitError> {
        let git = Git::nowhere(self.shown()).with(self.header());
        let name = reference.unwrap_or("HEAD");
        let peeled = format!("{name}^{{}}");
        let listed = git.run(&["ls-remote", "--symref", "--", self.remote, name, &peeled]).await?;
        let refs: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once('\t')).collect();
        let find = |wanted: &str| {
            let found = refs.iter().find(|(id, name)| *name == wanted && is_commit(id));
            found.map(|(id, _)| (*id).to_owned())
        };
        if reference.is_none() {
            let branch = refs.iter().find_map(|(to, from)| to.strip_prefix("ref: ").filter(|_| *from == "HEAD"));
            let id = find("HEAD").ok_or_else(|| GitError::Empty(self.shown()))?;
            return Ok((Commit { id, reference: branch.map(str::to_owned) }, None));
        }
        let without = |prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
        let exact = format!("refs/{}", without("refs/"));
        let branch = format!("refs/heads/{}", without("refs/heads/"));
        let tag = format!("refs/tags/{}", without("refs/tags/"));
        for reference in [exact, branch, tag] {
            if let Some(id) = find(&reference) {
                let commit = find(&format!("{reference}^{{}}"));
                let object = commit.is_some().then(|| id.clone());
                return Ok((Commit { id: commit.unwrap_or(id), reference: Some(reference) }, object));
            }
        }
        Err(GitError::NoReference { remote: self.shown(), reference: name.to_owned() })
    }

    /// Makes the folder `folder`, which does not exist, of the commit. Returns the commit's time, seconds since 1970.
    pub async fn check_out(&self, commit: &Commit, folder: &Path) -> Result<i64, GitError> {
        let at = |error| GitError::Io { path: folder.to_owned(), error };
        fs::create_dir(folder).map_err(at)?;
        let git = Git::inside(self.shown(), folder).with(self.header());
        let format = if commit.id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        git.run(&["init", "--quiet", "--template=", format]).await?;
        git.run(&["remote", "add", "--", "origin", self.remote]).await?;
        self.fetch(&git, commit).await?;
        git.run(&["checkout", "--quiet", "--detach", &commit.id]).await?;
        if self.submodules && folder.join(".gitmodules").is_file() {
            git.run(&["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"]).await?;
        }
        let time = git.run(&["show", "--no-patch", "--format=%ct", &commit.id]).await?;
        if self.keep_git_dir {
            // The address as it was given may hold a password.
            git.run(&["remote", "set-url", "--", "origin", &self.shown()]).await?;
            let _ = fs::remove_file(folder.join(".git/FETCH_HEAD"));
        } else {
            remove_git_dirs(folder).map_err(at)?;
        }
        time.trim().parse().map_err(|_| GitError::Empty(self.shown()))
    }

    /// Fetches one commit: by its branch or tag while that still leads there, else by its own name, else, from servers
    /// that only give what has a name, with everything.
    async fn fetch(&self, git: &Git, commit: &Commit) -> Result<(), GitError> {
        let here = format!("{}^{{commit}}", commit.id);
        let whole: &[&str] = &["fetch", "--quiet", "--tags", "--", "origin", "+refs/heads/*:refs/remotes/origin/*"];
        let by_id: &[&str] = &["fetch", "--quiet", "--no-tags", "--depth=1", "--", "origin", &commit.id];
        let spec = commit.reference.as_ref().map(|name| format!("+{name}:{name}")).unwrap_or_default();
        let by_name: &[&str] =
            &["fetch", "--quiet", "--no-tags", "--depth=1", "--update-head-ok", "--", "origin", &spec];
        let mut ways = vec![by_id, whole];
        if commit.reference.is_some() {
            ways.insert(0, by_name);
        }
        let mut failed = None;
        for way in ways {
            match git.run(way).await {
                Ok(_) if git.run(&["cat-file", "-e", &here]).await.is_ok() => return Ok(()),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| GitError::NoReference { remote: self.shown(), reference: commit.id.clone() }))
    }

    /// The setting that shows the server what it is to be shown: that server and no other, for its submodules too.
    fn header(&self) -> Option<(String, String)> {
        let authorization = self.authorization?;
        let (scheme, rest) = self.remote.split_once("://")?;
        let server = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?;
        Some((format!("http.{scheme}://{server}/.extraHeader"), format!("Authorization: {}", authorization.expose())))
    }

    /// The address for people and for images, without a password. Over HTTP a name alone may be a token; that of SSH is part
    /// of the address.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.remote.split_once("://") else { return self.remote.to_owned() };
        let user = rest.split('/').next().and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
        let is_secret = user.is_some_and(|user| user.contains(':') || scheme.to_ascii_lowercase().starts_with("http"));
        if is_secret { remote::shown(self.remote) } else { self.remote.to_owned() }
    }
}

/// The folder `below` of a checkout, which must not lead out of it.
pub fn folder_in(checkout: &Path, below: &str) -> Result<PathBuf, GitError> {
    let path = checkout.join(below);
    let at = |error| GitError::Io { path: path.clone(), error };
    let (root, found) = (checkout.canonicalize().map_err(at)?, path.canonicalize().map_err(at)?);
    if !found.starts_with(&root) || !found.is_dir() {
        let error = std::io::Error::new(std::io::ErrorKind::NotADirectory, "no folder of the repository");
        return Err(GitError::Io { path, error });
    }
    Ok(found)
}

/// Removes `.git`, a folder at the top and a file in submodules.
fn remove_git_dirs(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if entry.file_name() == ".git" {
            if kind.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        } else if kind.is_dir() {
            remove_git_dirs(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_and_no_token_is_shown() {
        for (address, expected) in [
            ("https://token@example.com/a.git", "https://example.com/a.git"),
            ("HTTPS://user:pass@example.com/a.git", "HTTPS://example.com/a.git"),
            ("https://example.com/a@b.git", "https://example.com/a@b.git"),
            ("ssh://git@example.com/a.git", "ssh://git@example.com/a.git"),
            ("ssh://git:pass@example.com:22/a.git", "ssh://example.com:22/a.git"),
            ("git@example.com:a.git", "git@example.com:a.git"),
        ] {
            let address = GitAddress::read(address).unwrap();
            assert_eq!(Repository::of(&address).shown(), expected);
        }
    }
}
