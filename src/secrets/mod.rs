//! Secrets of the person who builds: where they come from, and that nobody else gets to see them.
//!
//! A value is in the memory of this process, goes to the sandbox over a socket, and lies there in a file system in memory
//! or in a variable. It is in no key, no record, no layer and no history, and what a step prints of it is struck out. Some go
//! to servers instead, as [`Authorization`].

mod authorization;

pub use authorization::Authorization;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

/// As large as a secret can be, in bytes; the limit that moby/buildkit has.
pub const SECRET_MAX: u64 = 500 * 1024;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, whole.
    File(PathBuf),
    /// A variable of our own environment.
    Env(String),
    /// What a shell command writes, without the line feed at its end. It runs once, and only if a step needs the secret.
    Command(String),
}

/// A secret that was given, but cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret {id:?}: {error}")]
pub struct SecretError {
    /// Its name.
    pub id: String,
    /// What the system said.
    pub error: io::Error,
}

/// The bytes of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<[u8]>);

/// All secrets of a build, by id.
#[derive(Debug, Default)]
pub struct Secrets {
    sources: BTreeMap<String, SecretSource>,
    read: Mutex<BTreeMap<String, SecretValue>>,
}

impl SecretValue {
    /// The bytes, for whoever is meant to have them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

impl Secrets {
    /// Secrets that are read when a step needs them.
    pub fn new(sources: BTreeMap<String, SecretSource>) -> Self {
        Self { sources, read: Mutex::default() }
    }

    /// The value of a secret; `None` if nobody gave one of this id. May take long.
    pub fn get(&self, id: &str) -> Result<Option<SecretValue>, SecretError> {
        let Some(source) = self.sources.get(id) else { return Ok(None) };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = read.get(id) {
            return Ok(Some(value.clone()));
        }
        let value = source.read().and_then(|bytes| match bytes.len() as u64 {
            0..=SECRET_MAX => Ok(SecretValue(bytes.into())),
            _ => Err(io::Error::other(format!("it is larger than {SECRET_MAX} bytes"))),
        });
        let value = value.map_err(|error| SecretError { id: id.to_owned(), error })?;
        read.insert(id.to_owned(), value.clone());
        Ok(Some(value))
    }
}

impl SecretSource {
    fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::File(path) => {
                let mut bytes = Vec::new();
                fs::File::open(path)?.take(SECRET_MAX + 1).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Self::Env(name) => {
                use std::os::unix::ffi::OsStringExt;
                let value = std::env::var_os(name);
                value.map(OsStringExt::into_vec).ok_or_else(|| io::Error::other(format!("{name} is not set")))
            }
            Self::Command(line) => {
                let output = Command::new("/bin/sh")
                    .args(["-c", line])
                    .stdin(Stdio::null())
                    .stderr(Stdio::inherit())
                    .output()?;
                if !output.status.success() {
                    // Not its output: that may be the secret.
                    return Err(io::Error::other(format!("its command failed ({})", output.status)));
                }
                let mut bytes = output.stdout;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                Ok(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(source: SecretSource) -> Result<Option<SecretValue>, SecretError> {
        Secrets::new(BTreeMap::from([("id".to_owned(), source)])).get("id")
    }

    #[test]
    fn a_secret_is_a_file_a_variable_or_what_a_command_says() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "bytes\n").unwrap();
        assert_eq!(get(SecretSource::File(file.path().to_owned())).unwrap().unwrap().expose(), b"bytes\n");
        assert!(!get(SecretSource::Env("PATH".to_owned())).unwrap().unwrap().expose().is_empty());
        assert_eq!(get(SecretSource::Command("echo one; echo two".to_owned())).unwrap().unwrap().expose(), b"one\ntwo");
        assert_eq!(Secrets::default().get("id").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_says_which_and_why_but_not_what() {
        let failed = |source| get(source).unwrap_err().to_string();
        assert_eq!(
            failed(SecretSource::Env("FLASHBUILD_NO_SUCH_VARIABLE".to_owned())),
            "cannot read the secret \"id\": FLASHBUILD_NO_SUCH_VARIABLE is not set"
        );
        assert_eq!(
            failed(SecretSource::Command("echo hidden; exit 3".to_owned())),
            "cannot read the secret \"id\": its command failed (exit status: 3)"
        );
        assert_eq!(
            failed(SecretSource::File("/dev/zero".into())),
            "cannot read the secret \"id\": it is larger than 512000 bytes"
        );
        assert_eq!(format!("{:?}", SecretValue(b"x".as_slice().into())), "a secret");
    }
}
