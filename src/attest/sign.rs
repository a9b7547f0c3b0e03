//! Signing, by `cosign` of this machine: what was pushed is signed in its registry, by digest.
//!
//! `cosign` is a program of its own: it reads the key (a file, or the address of a key in a service), asks for no password
//! but takes that of `COSIGN_PASSWORD`, and has its own settings in variables called `COSIGN_…`.

use crate::image::BlobDigest;
use flashbuild_frontend::reference::Reference;
use std::{env, path::PathBuf, process::Stdio};

const COSIGN: &str = "cosign";

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no such program.
    #[error("--cosign-key needs the program cosign, which is not in PATH: install it, or push without signing")]
    NoCosign,
    /// It cannot be started.
    #[error("cannot run cosign: {0}")]
    Start(#[from] std::io::Error),
    /// It did not sign.
    #[error("cosign did not sign {image}: {said}")]
    Refused {
        /// What was to be signed.
        image: String,
        /// What it said.
        said: String,
    },
}

/// A key, and the program that signs with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    program: PathBuf,
    key: String,
    arguments: Vec<String>,
}

impl Signer {
    /// Finds the program. `key` is what its `--key` takes; `arguments` are further ones of its `sign`.
    pub fn new(key: &str, arguments: &[String]) -> Result<Self, SignError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let program = env::split_paths(&path).map(|folder| folder.join(COSIGN)).find(|file| file.is_file());
        Ok(Self { program: program.ok_or(SignError::NoCosign)?, key: key.to_owned(), arguments: arguments.to_vec() })
    }

    /// Signs what the repository of `name` has under `digest`. With `plain_http`, its registry speaks no TLS.
    pub async fn sign(&self, name: &Reference, digest: &BlobDigest, plain_http: bool) -> Result<(), SignError> {
        let image = format!("{}/{}@{digest}", name.host(), name.path());
        let mut cosign = tokio::process::Command::new(&self.program);
        cosign.args(["sign", "--yes", "--key", &self.key]).args(&self.arguments);
        if plain_http {
            cosign.arg("--allow-http-registry");
        }
        // A password that it would ask for comes from a variable, or not at all.
        let output = cosign.arg(&image).stdin(Stdio::null()).kill_on_drop(true).output().await?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(SignError::Refused { image, said })
    }
}
