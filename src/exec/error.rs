//! Why an operation failed, in words for the person who wrote the Dockerfile.

use super::MemoryLimit;
use crate::{
    cache::CacheError, export::ExportError, git::GitError, http::HttpError, layer::LayerError, packages::PackageError,
    registry::RegistryError, sandbox::SandboxError, secrets::SecretError, store::StoreError,
};
use std::path::PathBuf;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer could not be made or read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A cache did not have what it said.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file at an address did not come.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A repository could not be checked out.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A package could not be fetched or is not what it should be.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A tree could not be written out.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// No process could be started.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A process ended badly.
    #[error("process {command:?} did not complete: exit code {code}")]
    Exit {
        /// What ran.
        command: String,
        /// Its exit code; 128 and the signal's number if a signal ended it.
        code: i32,
    },
    /// A process was killed because it used too much memory.
    #[error("process {command:?} was killed for memory: {}", match .limit {
        MemoryLimit::OfStep => "it used all that --memory lets a step have",
        MemoryLimit::OfMachine => "this machine has no more; --jobs 1 runs one step at a time",
    })]
    OutOfMemory {
        /// What ran.
        command: String,
        /// Where the end was.
        limit: MemoryLimit,
    },
    /// A source that does not exist.
    #[error("{path:?} not found in {place}{}", .similar.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default())]
    NotFound {
        /// As written.
        path: String,
        /// `the build context` or `the source image`.
        place: &'static str,
        /// The nearest name that exists.
        similar: Option<String>,
    },
    /// A path that leads through something that is no folder, or round in circles.
    #[error("{0}")]
    Path(String),
    /// A user or group that the image does not know.
    #[error("no {kind} {name:?} in {file} of the image")]
    NoUser {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// A mode that `chmod` would not take.
    #[error("invalid mode {0:?}: expected octal digits or a list such as u=rwX,go=rX")]
    Mode(String),
    /// A folder of the person who builds cannot be read.
    #[error("cannot read {path}: {error}")]
    Context {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A context that nobody gave.
    #[error("no build context is named {0:?}")]
    NoContext(String),
    /// A secret that a step cannot do without was not given.
    #[error("the step needs the secret {0:?}: give it with --secret id={0},src=FILE or --secret id={0},env=VARIABLE")]
    NoSecret(String),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// An SSH agent that a step cannot do without was not given.
    #[error("the step needs the SSH agent {0:?}: give it with --ssh {0}")]
    NoAgent(String),
    /// A device that a step cannot do without is absent.
    #[error("the step needs the device {0:?}, which this machine does not have")]
    NoDevice(String),
    /// An SSH agent cannot be used.
    #[error("cannot use the SSH agent {id:?}: {error}")]
    Agent {
        /// Its name.
        id: String,
        /// What the system or the agent said.
        error: std::io::Error,
    },
    /// An architecture that this machine cannot run.
    #[error("cannot run programs for {platform} here: install {hint}, or name an emulator with --emulator")]
    NoEmulator {
        /// The platform.
        platform: String,
        /// The package that has an emulator.
        hint: String,
    },
    /// A program that a step cannot do without is not in the image.
    #[error("there is no {name} in the image: {hint}")]
    NoProgram {
        /// Its name.
        name: String,
        /// What to do about it.
        hint: String,
    },
    /// An image without the data that it should have.
    #[error("{0}")]
    Image(String),
    /// A bug.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

impl ExecError {
    /// Whether the device that holds the store is full.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Store(StoreError::NoSpace { .. }) | Self::Http(HttpError::Store(StoreError::NoSpace { .. })) => true,
            Self::Layer(error) => error.is_no_space(),
            Self::Registry(RegistryError::Sink { cause, .. }) => cause.kind() == std::io::ErrorKind::StorageFull,
            Self::Package(error) => error.is_no_space(),
            Self::Store(_)
            | Self::Cache(_)
            | Self::Registry(_)
            | Self::Http(_)
            | Self::Git(_)
            | Self::Export(_)
            | Self::Sandbox(_)
            | Self::Exit { .. }
            | Self::OutOfMemory { .. }
            | Self::NotFound { .. }
            | Self::Path(_)
            | Self::NoUser { .. }
            | Self::Mode(_)
            | Self::Context { .. }
            | Self::NoContext(_)
            | Self::NoSecret(_)
            | Self::Secret(_)
            | Self::NoAgent(_)
            | Self::NoDevice(_)
            | Self::Agent { .. }
            | Self::NoEmulator { .. }
            | Self::NoProgram { .. }
            | Self::Image(_)
            | Self::Internal(_) => false,
        }
    }
}
