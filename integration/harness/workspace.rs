//! A folder for one test: a context to build, stores to build in, and whatever comes out.

use super::{Invocation, busybox, peer};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A temporary folder, gone with the value.
///
/// | in it | is |
/// |---|---|
/// | `context/` | where commands run, and what they build |
/// | `store/` | the store, unless an [`Invocation`] names another |
/// | `home/` | the home of whoever builds, so that nobody's own configuration has a say |
pub(crate) struct Workspace {
    dir: TempDir,
    invocations: AtomicU32,
}

impl Workspace {
    /// A workspace whose Dockerfile says `dockerfile`.
    pub(crate) fn new(dockerfile: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("flashbuild-test-").tempdir().expect("a temporary folder");
        let work = Self { dir, invocations: AtomicU32::default() };
        fs::create_dir(work.path("home")).unwrap();
        work.file("Dockerfile", dockerfile);
        work
    }

    /// A workspace that can build on [`BUSYBOX`](super::BUSYBOX) for `platforms`; nothing if busybox was not fetched
    /// for one of them.
    pub(crate) fn with_busybox(platforms: &[&str], dockerfile: &str) -> Option<Self> {
        let work = Self::new(dockerfile);
        for platform in platforms {
            let architecture = platform.strip_prefix("linux/").expect("a Linux platform");
            work.file(&format!("busybox-{architecture}.tar"), busybox::root_archive(architecture)?);
        }
        Some(work)
    }

    /// Something in the workspace.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the context, with the folders above it.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path("context").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Brings a program of this machine, and its libraries, into the context's folder `root`; nothing if it is absent.
    pub(crate) fn bring(&self, program: &str) -> Option<()> {
        let program = peer(program)?.get_program().to_owned();
        let libraries = peer("ldd")?.arg(&program).output().unwrap().stdout;
        let libraries = String::from_utf8(libraries).unwrap();
        let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        for path in paths.chain([program.to_str().unwrap()]) {
            self.file(&format!("root{path}"), fs::read(path).unwrap());
            fs::set_permissions(self.path(format!("context/root{path}")), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Some(())
    }

    /// What a file that came out says.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `flashbuild build [ARGUMENTS] .`, to be run.
    pub(crate) fn build(&self, arguments: &[&str]) -> Invocation<'_> {
        self.flashbuild("build", &[arguments, &["."]].concat())
    }

    /// `flashbuild COMMAND [ARGUMENTS]`, to be run.
    pub(crate) fn flashbuild(&self, command: &str, arguments: &[&str]) -> Invocation<'_> {
        let number = self.invocations.fetch_add(1, Ordering::Relaxed);
        Invocation::new(self, command, arguments, number)
    }

    /// Gives everything in the workspace to an ordinary user.
    pub(crate) fn give_to(&self, user: u32) {
        each_below(self.dir.path(), &mut |path| chown(path, Some(user), Some(user)).unwrap());
    }
}

impl Drop for Workspace {
    /// Stores and images may hold folders that not even their owner may write to.
    fn drop(&mut self) {
        if fs::remove_dir_all(self.dir.path()).is_err() {
            each_below(self.dir.path(), &mut |path| {
                if path.is_dir() && !path.is_symlink() {
                    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
                }
            });
            let _ = fs::remove_dir_all(self.dir.path());
        }
    }
}

/// Visits a folder, then what is in it.
fn each_below(path: &Path, visit: &mut impl FnMut(&Path)) {
    visit(path);
    if !path.is_symlink() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            each_below(&entry.path(), visit);
        }
    }
}
