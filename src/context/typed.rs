//! What was written on the command line, before anything was looked at.

use super::{ContextError, image_name::LayoutName};
use flashbuild_frontend::{
    reference::Reference,
    remote::{GitAddress, Remote},
};
use std::path::PathBuf;

/// Everything that a build is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// `CONTEXT`
    pub main: Main,
    /// `--file`: a path, a URL, or `-`.
    pub file: Option<String>,
    /// `--build-context`, in the order given.
    pub named: Vec<Named>,
    /// Whether `.git` stays in a repository that is the context (`BUILDKIT_CONTEXT_KEEP_GIT_DIR`).
    pub keep_git_dir: Option<bool>,
}

/// The files that `COPY` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Main {
    /// Of a folder.
    Folder(PathBuf),
    /// Of an archive on standard input; or none, and the Dockerfile is there.
    Stdin,
    /// Of a repository.
    Repository(GitAddress),
    /// Of an archive behind a URL; or none, and the Dockerfile is there.
    Url(String),
}

/// A `--build-context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is called, maybe with `::PLATFORM` behind it.
    pub name: String,
    /// What it is.
    pub source: NamedSource,
}

/// What a `--build-context` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedSource {
    /// Files of a folder.
    Folder(PathBuf),
    /// Files of a repository.
    Repository(GitAddress),
    /// The file behind a URL, which is called `context`.
    Url(String),
    /// The empty tree (`docker-image://scratch`).
    Scratch,
    /// An image in a registry or in the local store.
    Image(Reference),
    /// An image in an OCI layout.
    Layout {
        /// The folder of the layout.
        folder: PathBuf,
        /// The name that it has there.
        tag: Option<String>,
        /// Its digest.
        digest: Option<String>,
    },
}

impl Main {
    /// Reads a `CONTEXT`.
    pub fn read(text: &str) -> Result<Self, ContextError> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        // An old way to write it, which only counts for contexts.
        let address = if text.starts_with("github.com/") { format!("https://{text}") } else { text.to_owned() };
        let is_old = address.len() != text.len();
        let typed = |error: flashbuild_frontend::remote::RemoteError| ContextError::Typed(error.to_string());
        match Remote::read(&address).map_err(typed)? {
            Some(Remote::Repository(repository)) => Ok(Self::Repository(repository)),
            Some(Remote::File(_)) if is_old => GitAddress::read(&address).map(Self::Repository).map_err(typed),
            Some(Remote::File(url)) => Ok(Self::Url(url)),
            None => Ok(Self::Folder(text.into())),
        }
    }
}

impl Named {
    /// Reads a `--build-context`.
    pub fn read(text: &str) -> Result<Self, ContextError> {
        let wrong = |problem: String| ContextError::Typed(format!("--build-context {text:?}: {problem}"));
        let (name, source) = text.split_once('=').ok_or_else(|| wrong("expected NAME=SOURCE".to_owned()))?;
        if name.is_empty() || source.is_empty() {
            return Err(wrong("expected NAME=SOURCE".to_owned()));
        }
        let source = match source.split_once("://") {
            Some(("docker-image", "scratch")) => NamedSource::Scratch,
            Some(("docker-image", reference)) => {
                NamedSource::Image(reference.parse().map_err(|error| wrong(format!("{reference:?}: {error}")))?)
            }
            Some(("oci-layout", layout)) => {
                let LayoutName { folder, tag, digest } = LayoutName::read(layout);
                NamedSource::Layout { folder, tag, digest }
            }
            Some(_) | None => match Remote::read(source).map_err(|error| wrong(error.to_string()))? {
                Some(Remote::Repository(repository)) => NamedSource::Repository(repository),
                Some(Remote::File(url)) => NamedSource::Url(url),
                None => NamedSource::Folder(source.into()),
            },
        };
        Ok(Self { name: name.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_told_apart() {
        let kind = |text: &str| match Main::read(text) {
            Ok(Main::Folder(_)) => "folder",
            Ok(Main::Stdin) => "stdin",
            Ok(Main::Repository(_)) => "repository",
            Ok(Main::Url(_)) => "url",
            Err(_) => "error",
        };
        for (text, expected) in [
            (".", "folder"),
            ("-", "stdin"),
            ("./a.git", "folder"),
            ("a@b", "folder"),
            ("https://h.example/a.tar.gz", "url"),
            ("https://h.example/a.git#main", "repository"),
            ("git@h.example:a", "repository"),
            ("github.com/a/b", "repository"),
            ("github.com/a/b.git#main:sub", "repository"),
            ("./github.com/a", "folder"),
            ("https://", "error"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn named_contexts_are_told_apart() {
        let layout = |folder: &str, tag: Option<&str>, digest: Option<&str>| NamedSource::Layout {
            folder: folder.into(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        };
        for (text, expected) in [
            ("a=../b", NamedSource::Folder("../b".into())),
            ("a=docker-image://busybox:1", NamedSource::Image("busybox:1".parse().unwrap())),
            ("a=docker-image://scratch", NamedSource::Scratch),
            ("a=oci-layout://./x", layout("./x", None, None)),
            ("a=oci-layout:///x/y:z/l", layout("/x/y:z/l", None, None)),
            ("a=oci-layout://x:tag@sha256:00", layout("x", Some("tag"), Some("sha256:00"))),
            ("a=https://h.example/f", NamedSource::Url("https://h.example/f".to_owned())),
        ] {
            assert_eq!(Named::read(text).unwrap().source, expected, "{text}");
        }
        assert_eq!(Named::read("a::linux/arm64=b").unwrap().name, "a::linux/arm64");
        for text in ["a", "a=", "=b", "a=docker-image://UPPER"] {
            assert!(Named::read(text).is_err(), "{text}");
        }
    }
}
