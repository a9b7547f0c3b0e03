//! Build arguments that are addressed to the builder, under the names that moby/buildkit has for them (Dockerfile reference,
//! among "Predefined ARGs").
//!
//! | name | means |
//! |---|---|
//! | `BUILDKIT_CACHE_MOUNT_NS` | cache mounts of builds with other values are others (`frontend`, lowering of mounts) |
//! | `BUILDKIT_CONTEXT_KEEP_GIT_DIR` | a repository that is the context keeps its `.git` |
//! | `BUILDKIT_DOCKERFILE_CHECK` | lint rules, in place of `# check=` (`frontend`, lint) |
//! | `BUILDKIT_INLINE_CACHE` | true: `--cache-to type=inline` |
//! | `BUILDKIT_MULTI_PLATFORM` | true: files go to a folder for each platform, even of one; false: there is only one |
//! | `BUILDKIT_SANDBOX_HOSTNAME` | the name of the host that steps see |
//! | `BUILDKIT_SYNTAX` | the language of the file, whatever its `# syntax=` says: there is one |
//! | `SOURCE_DATE_EPOCH` | the time of the image and its files |
//!
//! `docs/dockerfile.md` says which others are accepted without effect. Like all build arguments they are also the values of
//! `ARG`s of their names.

use super::Failed;
use flashbuild_frontend::dockerfile::{Syntax, reads};
use std::collections::BTreeMap;

/// `BUILDKIT_SYNTAX` that means the language which a builder has of its own.
const OWN_FRONTEND: &str = "dockerfile.v0";

/// The longest name that Linux lets a host have (`HOST_NAME_MAX`), in bytes.
const LONGEST_HOSTNAME: usize = 64;

/// What the arguments say to the builder; `None` where they say nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ForBuilder {
    pub(super) inline_cache: Option<bool>,
    pub(super) keep_git_dir: Option<bool>,
    pub(super) multi_platform: Option<bool>,
    pub(super) hostname: Option<String>,
    pub(super) syntax: Syntax,
}

impl ForBuilder {
    pub(super) fn read(arguments: &BTreeMap<String, String>) -> Result<Self, Failed> {
        let text = |name: &str| arguments.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let switch = |name: &str| match text(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(Failed::usage(format!("{name} is {other:?}, but must be true or false"))),
        };
        let hostname = text("BUILDKIT_SANDBOX_HOSTNAME");
        if let Some(name) = hostname.filter(|name| !is_hostname(name)) {
            let rule = format!("letters, digits, dots and hyphens, {LONGEST_HOSTNAME} at most");
            return Err(Failed::usage(format!("BUILDKIT_SANDBOX_HOSTNAME is {name:?}, but must be {rule}")));
        }
        let syntax = match text("BUILDKIT_SYNTAX") {
            None => Syntax::OfFile,
            Some(image) if image == OWN_FRONTEND || reads(image) => Syntax::Dockerfile,
            Some(image) => {
                let known = "only the language of docker/dockerfile can be read";
                return Err(Failed::usage(format!("BUILDKIT_SYNTAX is {image:?}, but {known}")));
            }
        };
        Ok(Self {
            inline_cache: switch("BUILDKIT_INLINE_CACHE")?,
            keep_git_dir: switch("BUILDKIT_CONTEXT_KEEP_GIT_DIR")?,
            multi_platform: switch("BUILDKIT_MULTI_PLATFORM")?,
            hostname: hostname.map(str::to_owned),
            syntax,
        })
    }
}

/// Whether a name can be that of a host, and stand in `/etc/hosts` (RFC 1123, section 2.1; underscores as engines allow them).
fn is_hostname(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    name.len() <= LONGEST_HOSTNAME && name.bytes().all(fits) && !name.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<ForBuilder, String> {
        let arguments = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        ForBuilder::read(&arguments).map_err(|failed| failed.text().to_owned())
    }

    #[test]
    fn arguments_say_what_they_say_to_buildkit() {
        let nothing = ForBuilder::default;
        assert_eq!(read("OTHER", "x"), Ok(nothing()));
        assert_eq!(read("BUILDKIT_MULTI_PLATFORM", ""), Ok(nothing()));
        assert_eq!(read("BUILDKIT_MULTI_PLATFORM", "1"), Ok(ForBuilder { multi_platform: Some(true), ..nothing() }));
        let kept = ForBuilder { keep_git_dir: Some(false), ..nothing() };
        assert_eq!(read("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "false"), Ok(kept));
        let named = ForBuilder { hostname: Some("my.host-1".to_owned()), ..nothing() };
        assert_eq!(read("BUILDKIT_SANDBOX_HOSTNAME", "my.host-1"), Ok(named));
        for image in ["dockerfile.v0", "docker/dockerfile:1-labs", "mirror.example/docker/dockerfile@sha256:0"] {
            let own = ForBuilder { syntax: Syntax::Dockerfile, ..nothing() };
            assert_eq!(read("BUILDKIT_SYNTAX", image), Ok(own), "{image}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for (name, value, expected) in [
            ("BUILDKIT_MULTI_PLATFORM", "maybe", "BUILDKIT_MULTI_PLATFORM is \"maybe\", but must be true or false"),
            (
                "BUILDKIT_SYNTAX",
                "foo/bar",
                "BUILDKIT_SYNTAX is \"foo/bar\", but only the language of docker/dockerfile can be read",
            ),
            (
                "BUILDKIT_SANDBOX_HOSTNAME",
                "a b",
                "BUILDKIT_SANDBOX_HOSTNAME is \"a b\", but must be letters, digits, dots and hyphens, 64 at most",
            ),
        ] {
            assert_eq!(read(name, value), Err(expected.to_owned()));
        }
        assert!(read("BUILDKIT_SANDBOX_HOSTNAME", &"a".repeat(65)).is_err());
    }
}
