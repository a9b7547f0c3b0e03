//! Certificates of private authorities: a step trusts them, its layer does not have them.
//!
//! | how | for |
//! |---|---|
//! | the tree's own bundle gets them appended while the step runs | whatever reads the bundle of its distribution |
//! | variables name a bundle of ours, the tree's own authorities included | OpenSSL, curl, Python, git, cargo and others |
//! | `NODE_EXTRA_CA_CERTS` names the certificates alone | Node, which adds them to its own |
//!
//! The bundle is not covered by a mount, because a package manager that brings a newer one replaces it by a rename. So it
//! is changed in the tree itself, and what was appended is taken out of the upper folder before it becomes a layer: what
//! is left is equal to what was there, hence no change. Variables that the step has already are left alone.

use super::{Exec, ExecError, Product};
use crate::{
    layer::{EntryKind, LastLink},
    sandbox::{Appended, ShownFile},
};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Where distributions keep all authorities in one file: Debian, Alpine and Arch; Fedora; SUSE; Alpine's other name.
const BUNDLES: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
];

/// Where a step finds ours: in `/dev`, which is never part of a layer.
const OUR_BUNDLE: &str = "/dev/certificates/bundle.pem";
const OURS_ALONE: &str = "/dev/certificates/extra.pem";

const BUNDLE_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
];

/// No bundle is larger; a file that is says nothing about authorities. In bytes.
const BUNDLE_MAX: u64 = 16 << 20;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Certificates to trust, as PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates(String);

/// What a step gets.
pub(super) struct Trust {
    pub(super) files: Vec<ShownFile>,
    pub(super) appended: Vec<Appended>,
    pub(super) env: Vec<String>,
}

impl Certificates {
    /// Reads PEM files. Of each, only the certificates are kept: a private key in it is nobody's business.
    pub fn read(paths: &[PathBuf]) -> io::Result<Self> {
        let mut pem = String::new();
        for path in paths {
            let at = |what: &dyn std::fmt::Display| io::Error::other(format!("{}: {what}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| at(&error))?;
            let found = certificates(&text);
            if found.is_empty() {
                return Err(at(&"it holds no certificate in PEM form"));
            }
            pem.push_str(&found);
        }
        Ok(Self(pem))
    }

    /// What is appended to a bundle. Its comments make it a text that stands nowhere else.
    fn block(&self) -> String {
        format!("\n# given to this build step\n{}# end of what was given to this build step\n", self.0)
    }

    /// What a step on `tree` gets; nothing if there are no certificates.
    pub(super) fn trust(&self, exec: &Exec, tree: &Product) -> Result<Option<Trust>, ExecError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut paths = BTreeSet::new();
        let mut known = None;
        let view = exec.view(tree)?;
        for bundle in BUNDLES {
            let Ok(found) = view.resolve(bundle.as_bytes(), LastLink::Follow) else { continue };
            let Some(hit) = found.hit.filter(|_| found.missing.is_empty()) else { continue };
            let (EntryKind::File { .. }, Some((size, _))) = (&hit.entry.kind, hit.file()) else { continue };
            if size <= BUNDLE_MAX && paths.insert(PathBuf::from(OsStr::from_bytes(&found.existing))) && known.is_none()
            {
                let mut text = Vec::new();
                exec.layers.open_file(&tree.layers()[hit.layer], &hit.entry.path)?.read_to_end(&mut text).ok();
                known = Some(String::from_utf8_lossy(&text).into_owned());
            }
        }
        // A tree without authorities may install some in this very step: until then, those of this machine serve.
        let known = known.or_else(|| fs::read_to_string(Path::new("/").join(BUNDLES[0])).ok()).unwrap_or_default();
        let shown = |path: &str, text: String| ShownFile { path: path.into(), content: text.into_bytes(), mode: 0o444 };
        let mut env: Vec<String> = BUNDLE_VARIABLES.iter().map(|name| format!("{name}={OUR_BUNDLE}")).collect();
        env.push(format!("NODE_EXTRA_CA_CERTS={OURS_ALONE}"));
        let block = self.block();
        Ok(Some(Trust {
            files: vec![shown(OUR_BUNDLE, format!("{known}\n{}", self.0)), shown(OURS_ALONE, self.0.clone())],
            appended: paths.into_iter().map(|path| Appended { path, text: block.clone() }).collect(),
            env,
        }))
    }
}

/// The certificates in a text, each with a line feed at its end.
fn certificates(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let Some(length) = rest[begin..].find(END) else { break };
        let end = begin + length + END.len();
        found.push_str(&rest[begin..end]);
        found.push('\n');
        rest = &rest[end..];
    }
    found
}

/// Takes what was appended out of the upper folder of a step that has ended.
pub(super) fn forget(appended: &[Appended], upper: &Path) -> io::Result<()> {
    let root = File::open(upper)?;
    for Appended { path, text } in appended {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Removed or replaced by the step: then it is not what was appended to.
        let Ok(file) = rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) else { continue };
        let mut file = File::from(file);
        if !file.metadata()?.is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        (&mut file).take(2 * BUNDLE_MAX).read_to_end(&mut bytes)?;
        let Some(at) = bytes.windows(text.len()).rposition(|window| window == text.as_bytes()) else { continue };
        bytes.drain(at..at + text.len());
        file.rewind()?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_are_taken() {
        let key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n";
        let one = format!("{BEGIN}\none\n{END}\n");
        let two = format!("{BEGIN}\ntwo\n{END}\n");
        assert_eq!(certificates(&format!("text\n{one}{key}{two}# end\n{BEGIN}\ncut")), format!("{one}{two}"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, key).unwrap();
        let error = Certificates::read(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert_eq!(error, format!("{}: it holds no certificate in PEM form", path.display()));
    }

    #[test]
    fn what_was_appended_is_taken_out_and_nothing_else() {
        let upper = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let block = Certificates(format!("{BEGIN}\none\n{END}\n")).block();
        let appended = |path: &str| Appended { path: path.into(), text: block.clone() };
        fs::write(upper.path().join("bundle"), format!("before\n{block}after\n")).unwrap();
        fs::write(upper.path().join("other"), "regenerated\n").unwrap();
        fs::write(outside.path().join("file"), &block).unwrap();
        std::os::unix::fs::symlink(outside.path(), upper.path().join("link")).unwrap();
        let all = ["bundle", "other", "absent", "link/file", "link"].map(appended);
        forget(&all, upper.path()).unwrap();
        assert_eq!(fs::read_to_string(upper.path().join("bundle")).unwrap(), "before\nafter\n");
        assert_eq!(fs::read_to_string(upper.path().join("other")).unwrap(), "regenerated\n");
        assert_eq!(fs::read_to_string(outside.path().join("file")).unwrap(), block);
    }
}
