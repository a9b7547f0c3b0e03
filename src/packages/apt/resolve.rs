//! From names to exact packages, by asking apt.

use super::{
    AptError,
    architecture::debian_name,
    installed::{self, Installed},
    root::{Presumed, Root},
    sources::{SourceFlags, Sources},
};
use crate::store::{NameLock, Store};
use flashbuild_frontend::{package::ArtifactHash, platform::Platform};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, path::Path};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Names, each perhaps with `=VERSION` or `/SUITE`.
    pub(super) packages: Vec<String>,
    /// From where.
    pub(super) sources: SourceFlags,
    /// Whether what packages recommend comes too.
    pub(super) recommends: bool,
    /// Whether scripts will run, and then what they find.
    pub(super) scripts: Scripts,
    /// What is [installed](super::installed::Installed::for_apt) already.
    pub(super) installed: String,
}

/// Whether scripts of packages run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scripts {
    /// They do not, so what only they need is left out.
    None,
    /// They do, on a system that has what they need.
    OnSystem,
    /// They do, and nothing is below: what every script may count on comes too (Debian Policy, section 3.8).
    OnNothing,
}

/// Packages that every script may count on, as patterns of apt (`apt-patterns(7)`). apt calls itself essential, and is
/// not; `usr-is-merged` keeps it from choosing a package that merges `/usr`, which is merged.
const ESSENTIAL: [&str; 2] = ["?and(?essential,?not(?exact-name(apt)))", "?exact-name(usr-is-merged)"];

/// One package that a request means, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deb {
    /// Its name.
    pub(super) name: String,
    /// Its version, with epoch and revision.
    pub(super) version: String,
    /// Where its archive has it; unknown if it is here. Not part of what it is.
    pub(super) uri: Option<String>,
    /// Bytes of the file.
    pub(super) size: u64,
    /// Of the file, as the archive's signed index has it.
    pub(super) hash: ArtifactHash,
}

/// The packages that `request` means for `platform`, those first that others depend on. `ask` makes apt look at its
/// mirrors again; otherwise they are only asked what was never asked.
pub(super) async fn resolve(
    store: &Store,
    platform: &Platform,
    request: &Request,
    etc: &Path,
    ask: bool,
) -> Result<Vec<Deb>, AptError> {
    let (root, _alone) = open(store, platform, request, etc).await?;
    let plan = plan_name(request);
    if !ask && let Some(known) = read_plan(&root, &plan) {
        return Ok(known);
    }
    root.apt_get("update", &[]).await?;
    // What is below stays, in this version or in a newer one.
    let mut arguments = vec!["--print-uris", "--no-remove"];
    arguments.push(if request.recommends { "--install-recommends" } else { "--no-install-recommends" });
    arguments.push("--");
    arguments.extend(request.packages.iter().map(String::as_str));
    if request.scripts == Scripts::OnNothing {
        arguments.extend(ESSENTIAL);
    }
    let answer = root.apt_get("install", &arguments).await?;
    let debs = answer.lines().filter(|line| line.starts_with('\'')).map(deb).collect::<Result<Vec<_>, _>>()?;
    root.forget_cache()?;
    root.write(&plan, &serde_json::to_string(&debs).expect("packages are plain data"))?;
    Ok(debs)
}

/// Which of the packages that are `installed` those depend on directly that a request came to: `debs`, after
/// [`resolve`].
pub(super) async fn counts_on(
    store: &Store,
    platform: &Platform,
    request: &Request,
    etc: &Path,
    installed: &Installed,
    debs: &[Deb],
) -> Result<BTreeSet<String>, AptError> {
    let asked = request.packages.iter().filter_map(|package| name_of(package).ok());
    let mut found: BTreeSet<String> = asked.filter(|name| installed.get(name).is_some()).map(str::to_owned).collect();
    let is_new = |name: &str| debs.iter().any(|deb| deb.name == name);
    if !debs.is_empty() {
        let (root, _alone) = open(store, platform, request, etc).await?;
        let exactly: Vec<String> = debs.iter().map(|deb| format!("{}={}", deb.name, deb.version)).collect();
        for fields in installed::paragraphs(&root.show(&exactly).await?) {
            let choices = ["Pre-Depends", "Depends"].into_iter().filter_map(|field| fields.get(field));
            for choice in choices.flat_map(installed::names).filter(|choice| !choice.iter().any(|name| is_new(name))) {
                found.extend(choice.iter().find_map(|name| installed.provider(name)).map(str::to_owned));
            }
        }
    }
    found.retain(|name| !is_new(name));
    Ok(found)
}

/// The private root for a request, for nobody else meanwhile.
async fn open(store: &Store, platform: &Platform, request: &Request, etc: &Path) -> Result<(Root, NameLock), AptError> {
    let names = request.packages.iter().map(|package| name_of(package)).collect::<Result<Vec<_>, _>>()?;
    let architecture = debian_name(platform)?;
    let sources = Sources::new(&request.sources, etc)?;
    let lock = format!("apt {architecture} {sources:?}");
    // apt itself would fail, not wait.
    let alone = if let Some(lock) = store.try_lock(&lock)? {
        lock
    } else {
        let store = store.clone();
        let waited = tokio::task::spawn_blocking(move || store.lock(&lock)).await;
        waited.expect("waiting for a lock does not panic")?
    };
    let presumed = match request.scripts {
        Scripts::None | Scripts::OnSystem => Presumed::WhatScriptsNeed,
        Scripts::OnNothing => Presumed::Nothing,
    };
    Ok((Root::open(store, architecture, &sources, presumed, &names, &request.installed)?, alone))
}

/// The name in `NAME[=VERSION][/SUITE]`. Whatever apt would take for a pattern or for a wish to remove is refused.
fn name_of(package: &str) -> Result<&str, AptError> {
    let refuse = |reason| Err(AptError::Argument { what: "package", value: package.to_owned(), reason });
    let name = package.split(['=', '/']).next().unwrap_or_default();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if name.len() < 2 || !name.bytes().all(is_name) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return refuse("expected NAME, NAME=VERSION or NAME/SUITE, such as python3-minimal");
    }
    if name.ends_with('-') {
        return refuse("apt would take it for a package to remove");
    }
    let rest = &package[name.len()..];
    if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-:~=/_".contains(&byte)) {
        return refuse("a version has letters, digits and . + - : ~ only");
    }
    Ok(name)
}

/// One line of `--print-uris`: `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE HASH`.
fn deb(line: &str) -> Result<Deb, AptError> {
    let answer = || AptError::Answer(line.to_owned());
    let (uri, rest) = line.strip_prefix('\'').and_then(|rest| rest.split_once("' ")).ok_or_else(answer)?;
    let mut words = rest.split(' ');
    let file = words.next().ok_or_else(answer)?;
    let size = words.next().and_then(|size| size.parse().ok()).ok_or_else(answer)?;
    let mut parts = file.strip_suffix(".deb").ok_or_else(answer)?.split('_');
    let (Some(name), Some(version), Some(_architecture), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(answer());
    };
    let hash = words.next().and_then(|hash| hash.strip_prefix("SHA256:"));
    let hash = hash.and_then(|hex| ArtifactHash::new("sha256", hex).ok());
    Ok(Deb {
        name: name.to_owned(),
        // The only character that apt encodes in the name of a file: what is behind an epoch.
        version: version.replace("%3a", ":"),
        uri: Some(uri.to_owned()),
        size,
        hash: hash.ok_or_else(|| AptError::WeakHash { file: file.to_owned() })?,
    })
}

fn plan_name(request: &Request) -> String {
    let Request { packages, sources: _, recommends, scripts, installed } = request;
    let scripts = match scripts {
        Scripts::None | Scripts::OnSystem => "",
        Scripts::OnNothing => " and what is essential",
    };
    let key = blake3::hash(format!("{packages:?} {recommends}{scripts}\n{installed}").as_bytes());
    format!("plan-{}.json", &key.to_hex()[..16])
}

fn read_plan(root: &Root, name: &str) -> Option<Vec<Deb>> {
    serde_json::from_slice(&std::fs::read(root.path(name)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_apt_is_a_package() {
        let hash = "ab".repeat(32);
        let line =
            format!("'http://a.example/pool/z_1%3a1.2%2bx-1_s390x.deb' z_1%3a1.2+x-1_s390x.deb 79588 SHA256:{hash}");
        let expected = Deb {
            name: "z".to_owned(),
            version: "1:1.2+x-1".to_owned(),
            uri: Some("http://a.example/pool/z_1%3a1.2%2bx-1_s390x.deb".to_owned()),
            size: 79588,
            hash: ArtifactHash::new("sha256", &hash).unwrap(),
        };
        assert_eq!(deb(&line).unwrap(), expected);
    }

    #[test]
    fn a_weak_hash_and_other_lines_are_errors() {
        let weak = deb("'u' z_1_all.deb 1 MD5Sum:0123").unwrap_err();
        assert!(matches!(weak, AptError::WeakHash { .. }));
        for line in ["'u", "'u' z_1_all.deb", "'u' z.deb 1 SHA256:", "'u' z_1_all_2.deb 1 SHA256:", "'u' z_1_all 1 x"] {
            assert!(matches!(deb(line), Err(AptError::Answer(_))), "{line}");
        }
    }

    #[test]
    fn names_that_apt_would_read_otherwise_are_refused() {
        for good in ["python3", "g++", "libc6=2.36-9+deb12u14", "curl/bookworm-backports", "zlib1g=1:1.2.13~x"] {
            name_of(good).unwrap();
        }
        for bad in ["", "a", "?installed", "~n.*", "lib*", "python3-", "-o", "A", "a b", "./x.deb", "x=1 y", "x:arm64"]
        {
            assert!(matches!(name_of(bad), Err(AptError::Argument { .. })), "{bad:?}");
        }
    }
}
