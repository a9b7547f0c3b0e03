//! `flashbuild.lock`: what names meant when somebody asked, so that they mean the same until somebody asks again.
//!
//! For packages that are asked for by name (`DEPS apt`, requirements without hashes), it holds what other ecosystems have in lock files of their own: exact
//! versions and the hashes of the artifacts. No addresses: mirrors are the business of whoever builds.

use super::PackageError;
use flashbuild_frontend::package::{ArtifactHash, DepsRequest};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Its name, in the folder of the Dockerfile.
pub const FILE_NAME: &str = "flashbuild.lock";
/// The only version of the format that there is.
const VERSION: u32 = 1;
/// Largest lock that is read, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// The lock of a Dockerfile.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Whether what it says is replaced and not obeyed.
    renew: bool,
    document: Mutex<Document>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    requests: Vec<Answer>,
}

/// What one request came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// The instruction without `DEPS`, its variables expanded.
    deps: String,
    platform: String,
    packages: Vec<LockedPackage>,
    /// Names of packages that are not among them because they were below, and on which they count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    below: Vec<String>,
}

/// A package, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockedPackage {
    pub(super) name: String,
    pub(super) version: String,
    /// Bytes of its artifact; 0 where nobody says.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub(super) size: u64,
    /// Of its artifact.
    pub(super) hash: ArtifactHash,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_unknown(size: &u64) -> bool {
    *size == 0
}

impl Lock {
    /// The lock in this file, which need not be there. With `renew`, what it says is not obeyed, and is gone when it is
    /// [written](Self::write).
    pub fn open(path: PathBuf, renew: bool) -> Result<Self, PackageError> {
        let document = if renew { Document::default() } else { read(&path)? };
        Ok(Self { path, renew, document: Mutex::new(document) })
    }

    /// Whether it has an answer to anything; not while they are being renewed.
    pub(super) fn is_empty(&self) -> bool {
        self.renew || self.document().requests.is_empty()
    }

    /// Whether names are asked for again, whatever is known.
    pub(super) fn renews(&self) -> bool {
        self.renew
    }

    /// What `request` has to come to.
    pub(super) fn find(&self, request: &DepsRequest) -> Option<Vec<LockedPackage>> {
        let (deps, platform) = key(request);
        let document = self.document();
        let mut answers = document.requests.iter();
        answers.find(|answer| answer.deps == deps && answer.platform == platform).map(|answer| answer.packages.clone())
    }

    /// Which packages below those count on that [`find`](Self::find) gives.
    pub(super) fn below(&self, request: &DepsRequest) -> Vec<String> {
        let (deps, platform) = key(request);
        let document = self.document();
        let mut answers = document.requests.iter();
        let found = answers.find(|answer| answer.deps == deps && answer.platform == platform);
        found.map(|answer| answer.below.clone()).unwrap_or_default()
    }

    /// Notes what `request` came to, if the lock is being renewed, and on which packages `below` that counts.
    pub(super) fn note(&self, request: &DepsRequest, packages: Vec<LockedPackage>, below: Vec<String>) {
        if self.renew {
            let (deps, platform) = key(request);
            self.document().requests.push(Answer { deps, platform, packages, below });
        }
    }

    /// Writes it; returns where, and how many packages it holds. Without requests, there is nothing to write.
    pub fn write(&self) -> Result<Option<(PathBuf, usize)>, PackageError> {
        let mut document = self.document();
        if document.requests.is_empty() {
            return Ok(None);
        }
        document.version = VERSION;
        document.requests.sort_by(|a, b| (&a.deps, &a.platform).cmp(&(&b.deps, &b.platform)));
        document.requests.dedup();
        for answer in &mut document.requests {
            answer.packages.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let text = serde_json::to_string_pretty(&*document).expect("a lock is plain data") + "\n";
        fs::write(&self.path, text).map_err(|error| self.failed(&error.to_string()))?;
        let count = document.requests.iter().map(|answer| answer.packages.len()).sum();
        Ok(Some((self.path.clone(), count)))
    }

    fn failed(&self, problem: &str) -> PackageError {
        PackageError::Lock { file: self.path.display().to_string(), problem: problem.to_owned() }
    }

    fn document(&self) -> MutexGuard<'_, Document> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &PathBuf) -> Result<Document, PackageError> {
    let failed = |problem: String| PackageError::Lock { file: path.display().to_string(), problem };
    let size = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::default()),
        Err(error) => return Err(failed(error.to_string())),
    };
    if size > MAX_SIZE {
        return Err(failed(format!("it has more than {MAX_SIZE} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let document: Document = serde_json::from_str(&text)
        .map_err(|error| failed(format!("{error}; write it anew with `flashbuild lock`")))?;
    if document.version != VERSION {
        return Err(failed(format!("its version is {}, and this flashbuild reads {VERSION}", document.version)));
    }
    Ok(document)
}

/// What tells requests apart: the instruction, and the platform.
fn key(request: &DepsRequest) -> (String, String) {
    let flags = request.flags.iter().map(|(name, value)| format!("--{name}={value}"));
    let words =
        std::iter::once(request.ecosystem.name().to_owned()).chain(flags).chain(request.arguments.iter().cloned());
    let base = if request.has_system { "" } else { " (from scratch)" };
    (words.collect::<Vec<_>>().join(" ") + base, request.platform.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashbuild_frontend::package::{Ecosystem, LockPlace, Room};

    fn request(package: &str) -> DepsRequest {
        DepsRequest {
            ecosystem: Ecosystem::Apt,
            flags: vec![("suite".to_owned(), "stable".to_owned())],
            arguments: vec![package.to_owned()],
            platform: "linux/s390x".parse().unwrap(),
            environment: Vec::new(),
            base: None,
            has_system: false,
            system: Vec::new(),
            below: None,
            from: LockPlace::Context,
            room: Room::default(),
        }
    }

    fn packages() -> Vec<LockedPackage> {
        let hash = ArtifactHash::new("sha256", &"a".repeat(64)).unwrap();
        vec![LockedPackage { name: "x".to_owned(), version: "1:2".to_owned(), size: 7, hash }]
    }

    #[test]
    fn what_was_noted_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        assert!(Lock::open(path.clone(), false).unwrap().is_empty());
        let lock = Lock::open(path.clone(), true).unwrap();
        lock.note(&request("x"), packages(), Vec::new());
        assert_eq!(lock.write().unwrap(), Some((path.clone(), 1)));
        let read = Lock::open(path.clone(), false).unwrap();
        assert_eq!(read.find(&request("x")), Some(packages()));
        assert_eq!(read.find(&request("y")), None);
        assert!(fs::read_to_string(path).unwrap().contains("\"deps\": \"apt --suite=stable x (from scratch)\""));
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        for (text, problem) in [
            ("", "with `flashbuild lock`"),
            ("{\"version\": 2, \"requests\": []}", "its version is 2"),
            ("{\"version\": 1, \"requests\": [], \"more\": 1}", "unknown field"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Lock::open(path.clone(), false).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
