//! Where packages come from: the host's own sources, or others that flags name.
//!
//! | flags | sources |
//! |---|---|
//! | none | apt's own configuration, as it is: mirrors, suites, keys, pins, proxies |
//! | `--suite=S` | the host's mirrors and keys, with `S` in the place of the host's release (`S-updates` for `…-updates`) |
//! | `--mirror=URL` | these mirrors, the suites of `--suite` or the host's release, the host's keys |
//!
//! Keys never come from a Dockerfile: whose packages a machine trusts is for its owner to say.

use super::{
    AptError,
    host_sources::{self, Entry},
};
use std::{collections::BTreeSet, fmt::Write as _, path::Path};

/// The flags about sources, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SourceFlags {
    /// `--suite=`, in their order.
    pub(super) suites: Vec<String>,
    /// `--component=`, in their order.
    pub(super) components: Vec<String>,
    /// `--mirror=`, in their order.
    pub(super) mirrors: Vec<String>,
}

/// What apt is told about sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sources {
    /// Nothing: the host's files, which hold what has this digest.
    Host(blake3::Hash),
    /// These, and none of the host's. The text of a `.sources` file.
    Given(String),
}

/// What a mirror's address may begin with. Others of apt's methods run programs or look into its own folders.
const SCHEMES: [&str; 3] = ["http://", "https://", "file:/"];

impl Sources {
    /// What `flags` mean on a host whose configuration is in `etc` (`/etc/apt`).
    pub(super) fn new(flags: &SourceFlags, etc: &Path) -> Result<Self, AptError> {
        check(flags)?;
        if flags == &SourceFlags::default() {
            return Ok(Self::Host(host_sources::digest(etc)?));
        }
        let host = host_sources::read(etc)?;
        let entries = if flags.mirrors.is_empty() { of_suites(flags, &host)? } else { of_mirrors(flags, &host)? };
        Ok(Self::Given(entries.iter().map(stanza).collect::<Vec<_>>().join("\n")))
    }
}

fn check(flags: &SourceFlags) -> Result<(), AptError> {
    let refuse = |what, value: &str, reason| Err(AptError::Argument { what, value: value.to_owned(), reason });
    for (what, values) in [("--suite", &flags.suites), ("--component", &flags.components)] {
        for value in values {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./+~".contains(&byte);
            if value.is_empty() || !value.bytes().all(is_word) {
                return refuse(what, value, "expected a name such as bookworm");
            }
        }
    }
    for value in &flags.mirrors {
        if !SCHEMES.iter().any(|scheme| value.starts_with(scheme)) {
            return refuse("--mirror", value, "expected an address that begins with https://, http:// or file:/");
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) || value.contains(['[', ']']) {
            return refuse("--mirror", value, "an address has no spaces or brackets");
        }
    }
    Ok(())
}

/// The host's entries of its release, with other suites.
fn of_suites(flags: &SourceFlags, host: &[Entry]) -> Result<Vec<Entry>, AptError> {
    let release = release(host)?;
    let of_host = [release.to_owned()];
    let wanted = if flags.suites.is_empty() { &of_host[..] } else { &flags.suites };
    let mut entries = Vec::new();
    for entry in host {
        let pockets = entry.suites.iter().filter_map(|suite| pocket(suite, release));
        let of_pocket = |pocket: &str| -> Vec<String> {
            let having = wanted.iter().filter(|suite| pocket.is_empty() || has_pockets(suite));
            having.map(|suite| format!("{suite}{pocket}")).collect()
        };
        let suites: Vec<String> = pockets.flat_map(of_pocket).collect();
        if !suites.is_empty() {
            let components = if flags.components.is_empty() { &entry.components } else { &flags.components };
            entries.push(Entry { suites, components: components.clone(), ..entry.clone() });
        }
    }
    Ok(entries)
}

/// Other mirrors, with the keys of the host's release.
fn of_mirrors(flags: &SourceFlags, host: &[Entry]) -> Result<Vec<Entry>, AptError> {
    // Who names suites needs no release of the host, and its keys are used if it has one.
    let release = if flags.suites.is_empty() { release(host)? } else { release(host).unwrap_or_default() };
    let suites = if flags.suites.is_empty() { vec![release.to_owned()] } else { flags.suites.clone() };
    let components = if flags.components.is_empty() { vec!["main".to_owned()] } else { flags.components.clone() };
    let of_release = host.iter().filter(|entry| entry.suites.iter().any(|suite| pocket(suite, release).is_some()));
    let keys: BTreeSet<&str> = of_release.filter_map(|entry| entry.signed_by.as_deref()).collect();
    let make = |signed_by: Option<&str>| Entry {
        uris: flags.mirrors.clone(),
        suites: suites.clone(),
        components: components.clone(),
        signed_by: signed_by.map(str::to_owned),
    };
    // Keys that are written out cannot be listed beside others.
    match keys.iter().find(|key| key.contains('\n')) {
        Some(key) => Ok(vec![make(Some(key))]),
        None if keys.is_empty() => Ok(vec![make(None)]),
        None => Ok(vec![make(Some(&keys.into_iter().collect::<Vec<_>>().join(" ")))]),
    }
}

/// The release that the host runs: what its first entry names first.
fn release(host: &[Entry]) -> Result<&str, AptError> {
    let first = host.iter().flat_map(|entry| &entry.suites).find(|suite| !suite.ends_with('/'));
    first.map(String::as_str).ok_or_else(|| {
        let what = "this machine has no sources of packages in /etc/apt: name them with --mirror= and --suite=";
        AptError::Sources(what.to_owned())
    })
}

/// What follows the release in a suite's name: nothing, `-updates`. Absent if the suite is of something else.
fn pocket<'a>(suite: &'a str, release: &str) -> Option<&'a str> {
    suite.strip_prefix(release).filter(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whether a suite has `-updates` and the like beside it. Unstable ones and pockets themselves have not.
fn has_pockets(suite: &str) -> bool {
    !suite.contains('-') && !matches!(suite, "sid" | "unstable" | "experimental")
}

fn stanza(entry: &Entry) -> String {
    let mut text = String::from("Types: deb\n");
    for (name, words) in [("URIs", &entry.uris), ("Suites", &entry.suites), ("Components", &entry.components)] {
        if !words.is_empty() {
            let _ = writeln!(text, "{name}: {}", words.join(" "));
        }
    }
    if let Some(key) = &entry.signed_by {
        let _ = writeln!(text, "Signed-By: {key}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HOST: &str = "\
Types: deb
URIs: http://a.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k/debian.gpg

Types: deb
URIs: http://a.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /k/debian.gpg

Types: deb
URIs: http://other.example/
Suites: nodistro
Components: main
Signed-By: /k/other.gpg
";

    fn sources(suites: &[&str], components: &[&str], mirrors: &[&str]) -> Result<Sources, AptError> {
        let etc = tempfile::tempdir().unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        fs::write(etc.path().join("sources.list.d/host.sources"), HOST).unwrap();
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let flags = SourceFlags { suites: owned(suites), components: owned(components), mirrors: owned(mirrors) };
        Sources::new(&flags, etc.path())
    }

    fn check(suites: &[&str], components: &[&str], mirrors: &[&str], expected: &str) {
        assert_eq!(sources(suites, components, mirrors).unwrap(), Sources::Given(expected.to_owned()));
    }

    #[test]
    fn without_flags_apt_reads_its_own_files() {
        assert!(matches!(sources(&[], &[], &[]).unwrap(), Sources::Host(_)));
    }

    #[test]
    fn a_suite_takes_the_place_of_the_hosts_release() {
        check(
            &["trixie"],
            &[],
            &[],
            "Types: deb\nURIs: http://a.example/debian\nSuites: trixie trixie-updates\nComponents: main\n\
             Signed-By: /k/debian.gpg\n\n\
             Types: deb\nURIs: http://a.example/debian-security\nSuites: trixie-security\nComponents: main\n\
             Signed-By: /k/debian.gpg\n",
        );
        check(
            &["sid"],
            &["main", "contrib"],
            &[],
            "Types: deb\nURIs: http://a.example/debian\nSuites: sid\nComponents: main contrib\nSigned-By: /k/debian.gpg\n",
        );
    }

    #[test]
    fn a_component_alone_leaves_the_suites() {
        let Sources::Given(text) = sources(&[], &["main", "contrib"], &[]).unwrap() else { panic!("they were given") };
        assert!(text.contains("Suites: bookworm bookworm-updates\nComponents: main contrib\n"), "{text}");
        assert!(text.contains("Suites: bookworm-security\n") && !text.contains("nodistro"), "{text}");
    }

    #[test]
    fn a_mirror_is_signed_by_the_hosts_keys() {
        check(
            &["trixie", "trixie-backports"],
            &[],
            &["https://b.example/debian"],
            "Types: deb\nURIs: https://b.example/debian\nSuites: trixie trixie-backports\nComponents: main\n\
             Signed-By: /k/debian.gpg\n",
        );
        check(
            &[],
            &[],
            &["https://b.example/debian"],
            "Types: deb\nURIs: https://b.example/debian\nSuites: bookworm\nComponents: main\nSigned-By: /k/debian.gpg\n",
        );
    }

    #[test]
    fn what_could_say_more_than_it_seems_is_refused() {
        for (suites, mirrors) in [
            (["a b"], ["https://b.example/"]),
            (["a\nTrusted: yes"], ["https://b.example/"]),
            (["a"], ["ssh://b.example/"]),
            (["a"], ["https://b.example/\nTrusted: yes"]),
            (["a"], ["[trusted=yes] https://b.example/"]),
        ] {
            let refused = sources(&suites, &[], &mirrors);
            assert!(matches!(refused, Err(AptError::Argument { .. })), "{suites:?} {mirrors:?}: {refused:?}");
        }
    }
}
