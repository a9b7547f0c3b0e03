//! Finding paths in a merged tree as the kernel would with the tree as its root: links are followed inside of it, an
//! absolute one begins at its root, and `..` at the root stays there.

use super::{
    entry_path,
    toc::{EntryKind, display},
    view::{Hit, View},
};
use std::collections::VecDeque;

/// As many links as the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// What to do with a link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLink {
    /// It is followed.
    Follow,
    /// It is what was asked for.
    Keep,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The part that exists, without links but perhaps at its end; empty for the root.
    pub existing: Vec<u8>,
    /// What is there; `None` for the root.
    pub hit: Option<Hit<'a>>,
    /// The part that does not exist, to be joined to the other one; empty if everything exists.
    pub missing: Vec<u8>,
}

impl Resolved<'_> {
    /// The whole path, in the spelling of [`super::Entry::path`].
    pub fn path(&self) -> Vec<u8> {
        match self.missing.as_slice() {
            [] => self.existing.clone(),
            missing => entry_path::join(&self.existing, missing),
        }
    }

    /// Whether all of it exists.
    pub fn exists(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// More links than any honest path has.
    #[error("{0}: too many symbolic links")]
    Links(String),
    /// The path goes through something that is no folder.
    #[error("{path}: {through} is not a directory")]
    NotADirectory {
        /// The path asked for.
        path: String,
        /// What is no folder.
        through: String,
    },
}

impl View {
    /// Finds `path`: absolute or relative to the root, in any spelling.
    pub fn resolve(&self, path: &[u8], last: LastLink) -> Result<Resolved<'_>, ResolveError> {
        let mut ahead: VecDeque<Vec<u8>> = components(path).collect();
        let mut existing = Vec::new();
        let mut hit: Option<Hit<'_>> = None;
        let mut missing: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == b".." {
                // Of what does not exist, nothing can be a link: there `..` is what it looks like.
                if missing.pop().is_none() {
                    existing = entry_path::parent(&existing).to_vec();
                    hit = self.lookup(&existing);
                }
                continue;
            }
            if let Some(through) = hit.filter(|hit| !hit.entry.is_dir()) {
                let through = through.entry.display_path();
                return Err(ResolveError::NotADirectory { path: display(path), through });
            }
            let here = entry_path::join(&existing, &name);
            let found = if missing.is_empty() { self.lookup(&here) } else { None };
            match found.map(|found| (found, &found.entry.kind)) {
                None => missing.push(name),
                Some((_, EntryKind::Symlink { target })) if last == LastLink::Follow || !ahead.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(ResolveError::Links(display(path)));
                    }
                    if target.starts_with(b"/") {
                        existing.clear();
                        hit = None;
                    }
                    components(target).rev().for_each(|name| ahead.push_front(name));
                }
                Some((found, _)) => {
                    hit = Some(found);
                    existing = here;
                }
            }
        }
        Ok(Resolved { existing, hit, missing: missing.join(&b'/') })
    }
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::ContentDigest,
        layer::toc::{Entry, Toc},
    };
    use std::sync::Arc;

    fn view() -> View {
        let dir = |path: &str| Entry::new(path, EntryKind::Dir { opaque: false });
        let file = |path: &str| Entry::new(path, EntryKind::File { size: 0, digest: ContentDigest::of(b"") });
        let link = |path: &str, target: &str| Entry::new(path, EntryKind::Symlink { target: target.into() });
        let lower = vec![dir("usr"), dir("usr/lib"), file("usr/lib/x"), link("lib", "usr/lib"), dir("etc")];
        let upper = vec![
            dir("etc"),
            link("etc/out", "../../../../usr"),
            link("etc/abs", "/usr/lib"),
            link("etc/loop", "loop"),
            link("etc/dangling", "/nowhere/at/all"),
        ];
        View::new([lower, upper].map(|entries| Arc::new(Toc::new(entries).unwrap())).to_vec())
    }

    #[test]
    fn paths_stay_inside_and_links_are_followed() {
        let view = view();
        for (path, existing, missing) in [
            ("/", "", ""),
            ("../..", "", ""),
            ("/lib/x", "usr/lib/x", ""),
            ("lib/../x", "usr", "x"),
            ("etc/out/lib", "usr/lib", ""),
            ("etc/abs/./x", "usr/lib/x", ""),
            ("etc/dangling", "", "nowhere/at/all"),
            ("etc/new/deep", "etc", "new/deep"),
            ("etc/new/../../lib/x", "usr/lib/x", ""),
            ("etc/new/../y", "etc", "y"),
        ] {
            let resolved = view.resolve(path.as_bytes(), LastLink::Follow).unwrap();
            assert_eq!(resolved.existing, existing.as_bytes(), "{path}");
            assert_eq!(resolved.missing, missing.as_bytes(), "{path}");
            assert_eq!(resolved.hit, view.lookup(existing.as_bytes()), "{path}");
        }
    }

    #[test]
    fn the_last_link_may_be_meant_itself() {
        let view = view();
        assert_eq!(view.resolve(b"/lib", LastLink::Keep).unwrap().existing, b"lib");
        assert_eq!(view.resolve(b"/lib/x", LastLink::Keep).unwrap().existing, b"usr/lib/x");
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        let view = view();
        let error = view.resolve(b"etc/loop/x", LastLink::Follow).unwrap_err();
        assert_eq!(error.to_string(), "/etc/loop/x: too many symbolic links");
        let error = view.resolve(b"lib/x/y", LastLink::Follow).unwrap_err();
        assert_eq!(error.to_string(), "/lib/x/y: /usr/lib/x is not a directory");
    }
}
