//! What can go wrong between a package's name and its files.

use crate::{layer::LayerError, store::StoreError};
use flashbuild_frontend::package::ArtifactHash;
use std::{io, path::PathBuf};

/// Why packages were not found out or not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// Not a Debian machine.
    #[error(
        "{program} is not installed, and DEPS apt asks it which packages are meant: install the Debian package apt \
         (with gpgv and debian-archive-keyring)"
    )]
    NoApt {
        /// `apt-get`.
        program: &'static str,
    },
    /// A flag or an argument that says nothing to apt, or something else than it seems to.
    #[error("{what} {value:?}: {reason}")]
    Argument {
        /// `package`, `--suite`…
        what: &'static str,
        /// As written.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host's own configuration does not lead anywhere.
    #[error("{0}")]
    Sources(String),
    /// apt refused. Its own words.
    #[error("apt-get {command} for {architecture}: {said}")]
    Refused {
        /// `update` or `install`.
        command: &'static str,
        /// Debian's name of the architecture.
        architecture: String,
        /// Lines that it wrote about it.
        said: String,
    },
    /// apt speaks another language than this program.
    #[error("apt-get said what flashbuild does not understand: {0:?}")]
    Answer(String),
    /// A package without a hash that is worth anything.
    #[error("{file} has no SHA-256 in its archive's index; an archive that old cannot be trusted")]
    WeakHash {
        /// Name of the package's file.
        file: String,
    },
    /// The archive has not what is locked.
    #[error(
        "flashbuild.lock names packages that the archive does not have (any more): name a mirror that keeps old versions \
         with --mirror, or ask anew with `flashbuild lock`\n{error}"
    )]
    Moved {
        /// What apt says.
        error: Box<Self>,
    },
    /// The archive has another file under the same version.
    #[error("the archive's {package} is not the one in flashbuild.lock, which has {expected}")]
    OtherThanLocked {
        /// Name and version.
        package: String,
        /// By the lock.
        expected: ArtifactHash,
    },
    /// What is below is not what the lock was written for: the package is older than there.
    #[error(
        "flashbuild.lock has {package} {locked}, and below is {installed}, which is newer: what is below has changed, ask \
         anew with `flashbuild lock`"
    )]
    LockedOlder {
        /// Its name.
        package: String,
        /// Its version by the lock.
        locked: String,
        /// That of the tree.
        installed: String,
    },
    /// What is below is not what the lock was written for: packages are gone.
    #[error(
        "flashbuild.lock counts on packages below that are not there: {0}; what is below has changed, ask anew with \
         `flashbuild lock`"
    )]
    NotBelow(String),
    /// A platform that Debian has no name for.
    #[error("Debian has no architecture for {0}")]
    Platform(String),
    /// A file that is no package, or a hostile one.
    #[error("{package} is no Debian package that can be unpacked: {what}")]
    Package {
        /// Name of the package.
        package: String,
        /// What is wrong with it.
        what: String,
    },
    /// The files of a package make no layer.
    #[error("{package}: {error}")]
    Unpack {
        /// Name of the package.
        package: String,
        /// Why.
        error: LayerError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl AptError {
    /// Whether the machine or the network is to blame, and not what it was asked to do.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::NoApt { .. } | Self::Sources(_) | Self::Answer(_) | Self::Store(_) | Self::Io { .. } => true,
            Self::Refused { command, .. } => *command == "update",
            Self::Moved { error } => error.is_environment(),
            Self::Argument { .. }
            | Self::WeakHash { .. }
            | Self::OtherThanLocked { .. }
            | Self::LockedOlder { .. }
            | Self::NotBelow(_)
            | Self::Platform(_)
            | Self::Package { .. }
            | Self::Unpack { .. } => false,
        }
    }

    /// Whether a device or a quota is full.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Store(StoreError::NoSpace { .. }) => true,
            Self::Unpack { error, .. } => error.is_no_space(),
            Self::Moved { error } => error.is_no_space(),
            Self::NoApt { .. }
            | Self::Argument { .. }
            | Self::Sources(_)
            | Self::Refused { .. }
            | Self::Answer(_)
            | Self::WeakHash { .. }
            | Self::OtherThanLocked { .. }
            | Self::LockedOlder { .. }
            | Self::NotBelow(_)
            | Self::Platform(_)
            | Self::Package { .. }
            | Self::Store(_)
            | Self::Io { .. } => false,
        }
    }
}
