//! What an image could do without, kind by kind.

use super::Subject;
use crate::{
    image::ContentDigest,
    layer::{EntryKind, LayerError},
    optimize::{
        owner::{Ecosystem, Elf, ImageTree, Inventory, Package},
        passes::{Action, Candidate, PASSES, Pass, Seen, Trust, hidden::hidden, links},
    },
};
use serde::{Serialize, Serializer};
use std::collections::{HashMap, HashSet};

/// Examples that are named of each kind.
const EXAMPLES: usize = 10;

/// Bytes of one kind that could go.
#[derive(Debug, Serialize)]
pub struct Waste {
    /// What it is called.
    pub kind: &'static str,
    /// What that means.
    pub title: &'static str,
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// The pass of `slim` that takes it away, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'static str>,
    /// How sure it is that nothing is missed; `None` if that is for people to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// Why it can go, or what to do.
    pub why: &'static str,
    /// The largest files.
    pub examples: Vec<WastedFile>,
}

/// A file that could go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WastedFile {
    /// Its path.
    #[serde(serialize_with = "as_text")]
    pub path: Vec<u8>,
    /// Its bytes.
    pub bytes: u64,
    /// The layer that has it.
    pub layer: usize,
}

/// Names of Debian's, Alpine's and Fedora's packages that build software.
const BUILD_TOOLS: &[&str] = &[
    "gcc",
    "g++",
    "cpp",
    "clang",
    "llvm",
    "binutils",
    "make",
    "cmake",
    "ninja-build",
    "autoconf",
    "automake",
    "libtool",
    "build-base",
    "build-essential",
    "dpkg-dev",
    "patch",
    "pkg-config",
    "pkgconf",
    "rustc",
    "cargo",
    "golang",
    "gcc-c++",
    "openjdk-jdk",
    "maven",
    "bazel",
    "swig",
    "bison",
    "flex",
    "m4",
];

pub(super) fn find(
    subject: &Subject<'_>,
    tree: &ImageTree<'_>,
    inventory: &Inventory,
) -> Result<Vec<Waste>, LayerError> {
    let mut all = hidden_files(subject);
    let mut counted: HashSet<&[u8]> = HashSet::new();
    let mut removed: HashMap<&'static str, Vec<WastedFile>> = HashMap::new();
    for hit in subject.view.walk(b"") {
        let EntryKind::File { size, .. } = hit.entry.kind else { continue };
        let file =
            Candidate { path: &hit.entry.path, owner: inventory.owner(&hit.entry.path), seen: Seen::NotObserved };
        if let Some(pass) = PASSES.iter().find(|pass| pass.removes(&file)) {
            counted.insert(file.path);
            removed.entry(pass.name).or_default().push(wasted(file.path, size, hit.layer));
        }
    }
    for pass in PASSES {
        match pass.action {
            // For which GPUs an image is, it does not say.
            Action::DropHidden | Action::BlankGpuCode => {}
            Action::LinkEqual => all.push(of_pass(pass, equal_files(subject, &mut counted))),
            Action::Strip => all.push(of_pass(pass, debug_sections(subject, tree, &counted)?)),
            Action::Remove(_) => all.push(of_pass(pass, removed.remove(pass.name).unwrap_or_default())),
        }
    }
    all.push(judged("duplicates", "equal files at several places", DUPLICATES, duplicates(subject, &counted)));
    all.push(judged("build-tools", "compilers and what they need", TOOLS, build_tools(subject, inventory, &counted)));
    all.retain(|waste| waste.files > 0);
    all.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.kind.cmp(b.kind)));
    Ok(all)
}

const DUPLICATES: &str =
    "the same bytes are in several layers or under other permissions: copy them once, or link to them";
const TOOLS: &str = "what runs does not compile: build in one stage, and copy what was built to another";

fn wasted(path: &[u8], bytes: u64, layer: usize) -> WastedFile {
    WastedFile { path: path.to_vec(), bytes, layer }
}

fn sum(mut files: Vec<WastedFile>) -> (u64, u64, Vec<WastedFile>) {
    let (bytes, count) = (files.iter().map(|file| file.bytes).sum(), files.len() as u64);
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    files.truncate(EXAMPLES);
    (bytes, count, files)
}

fn of_pass(pass: &Pass, found: Vec<WastedFile>) -> Waste {
    let (bytes, files, examples) = sum(found);
    let (kind, title) = (pass.name, pass.title);
    Waste { kind, title, bytes, files, pass: Some(pass.name), trust: Some(pass.trust), why: pass.safe, examples }
}

fn judged(kind: &'static str, title: &'static str, why: &'static str, found: Vec<WastedFile>) -> Waste {
    let (bytes, files, examples) = sum(found);
    Waste { kind, title, bytes, files, pass: None, trust: None, why, examples }
}

fn hidden_files(subject: &Subject<'_>) -> Vec<Waste> {
    let (replaced, deleted): (Vec<_>, Vec<_>) = hidden(subject.view).into_iter().partition(|file| file.replaced);
    let pass = Pass::named("hidden");
    [("overwritten", "overwritten in a later layer", replaced), ("deleted", "deleted in a later layer", deleted)]
        .into_iter()
        .filter_map(|(kind, title, files)| {
            let files = files.iter().map(|file| wasted(file.path, file.bytes, file.layer)).collect();
            Some(Waste { kind, title, ..of_pass(pass?, files) })
        })
        .collect()
}

fn equal_files<'a>(subject: &Subject<'a>, counted: &mut HashSet<&'a [u8]>) -> Vec<WastedFile> {
    let mut found = Vec::new();
    for layer in 0..subject.diff_ids.len() {
        for file in links::equal(subject.view, layer) {
            if counted.insert(file.path) {
                found.push(wasted(file.path, file.bytes, layer));
            }
        }
    }
    found
}

/// Further copies of bytes that some visible file has already.
fn duplicates(subject: &Subject<'_>, counted: &HashSet<&[u8]>) -> Vec<WastedFile> {
    let mut known: HashSet<ContentDigest> = HashSet::new();
    let mut found = Vec::new();
    for hit in subject.view.walk(b"") {
        let EntryKind::File { size, digest } = hit.entry.kind else { continue };
        if size > 0 && !counted.contains(&hit.entry.path[..]) && !known.insert(digest) {
            found.push(wasted(&hit.entry.path, size, hit.layer));
        }
    }
    found
}

/// Debug sections of programs and libraries, by file.
fn debug_sections(
    subject: &Subject<'_>,
    tree: &ImageTree<'_>,
    counted: &HashSet<&[u8]>,
) -> Result<Vec<WastedFile>, LayerError> {
    let mut found = Vec::new();
    for hit in subject.view.walk(b"") {
        let EntryKind::File { size, .. } = hit.entry.kind else { continue };
        if !Elf::may_be(size) || counted.contains(&hit.entry.path[..]) || !is_code(&hit.entry.path, hit.entry.mode) {
            continue;
        }
        let Some(elf) = Elf::open(tree.open_hit(&hit)?) else { continue };
        let debug = |name: &str| name.starts_with(".debug_") || name.starts_with(".zdebug_");
        let bytes: u64 = elf.sections().iter().filter(|(name, _)| debug(name)).map(|(_, bytes)| bytes).sum();
        if bytes > 0 {
            found.push(wasted(&hit.entry.path, bytes.min(size), hit.layer));
        }
    }
    Ok(found)
}

/// Whether a file may be a program or a library, by its name and mode.
pub(in crate::optimize) fn is_code(path: &[u8], mode: u32) -> bool {
    mode & 0o111 != 0 || path.windows(3).any(|window| window == b".so")
}

/// The files of packages that build software.
fn build_tools(subject: &Subject<'_>, inventory: &Inventory, counted: &HashSet<&[u8]>) -> Vec<WastedFile> {
    let mut found = Vec::new();
    for hit in subject.view.walk(b"") {
        let EntryKind::File { size, .. } = hit.entry.kind else { continue };
        let path = &hit.entry.path;
        if !counted.contains(&path[..]) && inventory.owner(path).is_some_and(is_build_tool) {
            found.push(wasted(path, size, hit.layer));
        }
    }
    found
}

fn is_build_tool(package: &Package) -> bool {
    let of_system = match package.ecosystem {
        Ecosystem::Deb | Ecosystem::Apk | Ecosystem::Rpm => true,
        Ecosystem::Python | Ecosystem::Node | Ecosystem::Go | Ecosystem::Rust => false,
    };
    // `gcc-12` and `binutils-x86-64-linux-gnu`, but not `gcc-12-base`, on which the C library depends.
    let is_tool =
        |tool: &&str| package.name.strip_prefix(*tool).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    of_system
        && (BUILD_TOOLS.iter().any(is_tool) && !package.name.ends_with("-base")
            || package.name.ends_with("-dev")
            || package.name.ends_with("-devel"))
}

fn as_text<S: Serializer>(path: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("/{}", String::from_utf8_lossy(path)))
}

#[cfg(test)]
mod tests {
    use crate::{
        layer::EntryKind,
        optimize::{analyze::tests::analysis, owner::testing::*},
    };

    #[test]
    fn each_byte_counts_for_one_kind() {
        let status = "Package: gcc-12\nVersion: 12\n\nPackage: gcc-12-base\nVersion: 12\n";
        let large = "x".repeat(5000);
        let found = analysis(&[(
            "RUN all",
            vec![
                file("var/lib/dpkg/status", status),
                file("var/lib/dpkg/info/gcc-12.list", "/usr/bin/gcc\n/usr/lib/gcc/libgcc.a\n"),
                file("var/lib/dpkg/info/gcc-12-base.list", "/usr/share/gcc/python.py\n"),
                program("usr/bin/gcc", "gcc!"),
                file("usr/lib/gcc/libgcc.a", "static"),
                file("usr/share/gcc/python.py", "py"),
                file("a/large", &large),
                file("b/large", &large),
                program("c/large", &large),
                file("app/main.o", "object"),
                node("app/link.o", EntryKind::Symlink { target: b"main.o".to_vec() }),
            ],
        )]);
        let waste: Vec<_> = found.waste.iter().map(|it| (it.kind, it.bytes, it.files)).collect();
        let list = "/usr/bin/gcc\n/usr/lib/gcc/libgcc.a\n".len() as u64;
        assert_eq!(
            waste,
            [
                ("duplicates", 5000, 1),
                ("links", 5000, 1),
                ("build-tools", 4 + list, 2),
                ("development", 6, 1),
                ("leftovers", 6, 1)
            ]
        );
        assert_eq!(found.wasted, 5000);
    }
}
