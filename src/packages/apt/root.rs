//! apt's private root: its own lists, its own idea of what is installed, and nothing of the host's changed.
//!
//! apt-get is asked which packages a request means, for any architecture, on a machine where nothing is installed. It
//! brings what a solver of ours would have to learn: pins, virtual packages, conflicts, breaks, and the chain of
//! trust. It checks the signature of `InRelease` with the keys that the host trusts (by `gpgv` or `sqv`), the hashes
//! of the indexes that `InRelease` names, and hands out the SHA-256 that those name for each package.
//!
//! Of the host it reads sources, keys, pins, proxies and credentials. Its hooks are not run: they are about the host's
//! state.

use super::{AptError, sources::Sources};
use crate::store::Store;
use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tokio::process::Command;

/// Packages that only maintainer scripts need. Where none run, or on a system that has them, these count as installed unless they are asked for
/// by name; `awk` is what `base-files` wants for its script.
const FOR_SCRIPTS: [(&str, Option<&str>); 3] =
    [("dpkg", None), ("debconf", Some("debconf-2.0")), ("mawk", Some("awk"))];

/// What counts as installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presumed {
    /// Nothing.
    Nothing,
    /// What only maintainer scripts need.
    WhatScriptsNeed,
}

/// Newer than any version that a dependency asks for.
const ANY_VERSION: &str = "9999:0";

/// Where the host's configuration of apt is: `/etc/apt/`, unless that says otherwise.
pub(super) async fn etc() -> Result<PathBuf, AptError> {
    let said = run("apt-config", Command::new("apt-config").args(["shell", "ETC", "Dir::Etc/d"])).await?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let path = said.trim().strip_prefix("ETC='").and_then(|path| path.strip_suffix('\''));
    path.map(PathBuf::from).ok_or(AptError::Answer(said))
}

/// Runs one of apt's programs to its end.
async fn run(program: &'static str, process: &mut Command) -> Result<Output, AptError> {
    // Its messages are read by this program, and it must ask nobody anything.
    process.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).kill_on_drop(true);
    process.output().await.map_err(|error| {
        let absent = error.kind() == io::ErrorKind::NotFound;
        if absent { AptError::NoApt { program } } else { AptError::Io { path: program.into(), error } }
    })
}

/// One architecture's private root.
pub(super) struct Root {
    folder: PathBuf,
    architecture: String,
}

impl Root {
    /// Makes or finds the root for `architecture` and `sources` in `store`. `named` are the packages asked for, `installed`
    /// the paragraphs of those that are there.
    pub(super) fn open(
        store: &Store,
        architecture: &str,
        sources: &Sources,
        presumed: Presumed,
        named: &[&str],
        installed: &str,
    ) -> Result<Self, AptError> {
        let key = blake3::hash(format!("{architecture}\n{sources:?}").as_bytes()).to_hex();
        let folder = store.root().join("apt").join(format!("{architecture}-{}", &key[..16]));
        let folder = std::path::absolute(&folder).map_err(|error| AptError::Io { path: folder, error })?;
        if folder.to_str().is_none_or(|path| path.contains(['"', '\n'])) {
            let reason = "apt's configuration cannot express this path";
            return Err(AptError::Argument { what: "--root", value: folder.display().to_string(), reason });
        }
        for name in ["lists/partial", "archives/partial", "sources.list.d", "empty"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(|error| AptError::Io { path, error })?;
        }
        let root = Self { folder, architecture: architecture.to_owned() };
        let status = match presumed {
            Presumed::Nothing => String::new(),
            Presumed::WhatScriptsNeed => status(architecture, named, installed),
        };
        root.write("status", &(status + installed))?;
        if let Sources::Given(text) = sources {
            root.write("sources.list.d/given.sources", text)?;
        }
        root.write("apt.conf", &root.configuration(sources))?;
        Ok(root)
    }

    /// Something in the root.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file so that who reads it meanwhile reads the old one or the new one.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), AptError> {
        let path = self.folder.join(name);
        let at = |error: io::Error| AptError::Io { path: path.clone(), error };
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(());
        }
        let folder = path.parent().expect("a file in the root has a folder");
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at)?;
        io::Write::write_all(&mut file, text.as_bytes()).map_err(at)?;
        file.persist(&path).map_err(|error| at(error.error))?;
        Ok(())
    }

    /// What the indexes say of packages, each `NAME=VERSION`.
    pub(super) async fn show(&self, packages: &[String]) -> Result<String, AptError> {
        let mut process = Command::new("apt-cache");
        process.arg("-c").arg(self.path("apt.conf")).args(["show", "--"]).args(packages);
        let output = run("apt-cache", &mut process).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(AptError::Answer(complaints("", &String::from_utf8_lossy(&output.stderr))))
    }

    /// Takes away what apt makes of the indexes for itself: larger than they are, and made again in a second.
    pub(super) fn forget_cache(&self) -> Result<(), AptError> {
        for name in ["pkgcache.bin", "srcpkgcache.bin"] {
            let path = self.path(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(AptError::Io { path, error }),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Runs `apt-get`; what it wrote to standard output.
    pub(super) async fn apt_get(&self, command: &'static str, arguments: &[&str]) -> Result<String, AptError> {
        let mut process = Command::new("apt-get");
        process.arg("-c").arg(self.path("apt.conf")).args(["-qq", command]).args(arguments);
        let output = run("apt-get", &mut process).await?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let said = complaints(&stdout, &String::from_utf8_lossy(&output.stderr));
        Err(AptError::Refused { command, architecture: self.architecture.clone(), said })
    }

    /// Read after the host's own configuration (`apt.conf(5)`), so it has the last word.
    fn configuration(&self, sources: &Sources) -> String {
        let Self { folder, architecture } = self;
        let at = |name: &str| quoted(&folder.join(name));
        let mut text = format!(
            r#"#clear APT::Update;
#clear APT::Architectures;
#clear APT::NeverAutoRemove;
#clear DPkg;
#clear Acquire::IndexTargets;
#clear Acquire::Languages;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Get::AllowUnauthenticated "false";
APT::Cmd::Pattern-Only "true";
APT::Update::Error-Mode "any";
APT::Sandbox::User "root";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::ForceHash "SHA256";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Packages {{
  MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages"; flatMetaKey "Packages";
  ShortDescription "Packages";
  Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages"; flatDescription "$(RELEASE) Packages";
  Optional "false";
}};
Dir::State {state};
Dir::State::lists {lists};
Dir::State::status {status};
Dir::Cache {state};
Dir::Cache::archives {archives};
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Log {state};
"#,
            state = at(""),
            lists = at("lists"),
            status = at("status"),
            archives = at("archives"),
        );
        if let Sources::Given(_) = sources {
            // The host's pins are about the host's suites.
            let _ = write!(
                text,
                "Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts {};\n\
                 Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts {};\n",
                at("sources.list.d"),
                at("empty"),
            );
        }
        text
    }
}

/// What counts as installed besides what is: what scripts would need.
fn status(architecture: &str, named: &[&str], installed: &str) -> String {
    let mut text = String::new();
    let is_there =
        |name: &str| installed.split("\n\n").any(|it| it.lines().next() == Some(&format!("Package: {name}")));
    for (name, provides) in FOR_SCRIPTS.iter().filter(|(name, _)| !named.contains(name) && !is_there(name)) {
        let _ = write!(
            text,
            "Package: {name}\nStatus: install ok installed\nPriority: required\nSection: admin\nMaintainer: nobody\n\
             Architecture: {architecture}\nMulti-Arch: foreign\nVersion: {ANY_VERSION}\nDescription: not needed\n"
        );
        if let Some(provides) = provides {
            let _ = writeln!(text, "Provides: {provides}");
        }
        text.push('\n');
    }
    text
}

/// A path as a value of apt's configuration.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

/// What apt has to say about a failure: its errors and warnings, and which dependencies are unmet.
fn complaints(stdout: &str, stderr: &str) -> String {
    let unmet = stdout.lines().skip_while(|line| !line.contains("unmet dependencies"));
    let errors = stderr.lines().filter(|line| line.starts_with("E: ") || line.starts_with("W: "));
    let lines: Vec<&str> = unmet.chain(errors).map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { stderr.trim().to_owned() } else { lines.join("\n") }
}
