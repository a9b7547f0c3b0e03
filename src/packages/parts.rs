//! The files of a huge package in several layers ([`PackagePart`](flashbuild_frontend::package::PackagePart)).
//!
//! Which part a file is in follows from the package alone, and mostly from the file's own path, so that a new version changes
//! those parts whose files changed:
//!
//! 1. What every version changes is in the first part: notes about the package, and its modules, which are small, with their
//!    bytecode. Scanners find the package there.
//! 2. Of the rest, the small files of a folder stay together, and a [large](LARGE) file stands for itself. Each such unit goes
//!    to the part that the hash of its path says, largest first, unless that part is full; then to the next one that is
//!    not. Without that, the few enormous libraries that such a package mostly is would meet in one part.
//! 3. A hard link is where its file is; a folder is in each part that has something in it, with the same properties.
//!
//! The union of all parts is the package. A package is opened once for all of its parts ([`Opened`]): they are made at
//! the same time, and that of Debian has to be unpacked as a whole for any of its files.

use super::PackageError;
use crate::layer::{Entry, EntryKind, Item};
use flashbuild_frontend::package::Package;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

/// From so many bytes on, a file is dealt out by itself.
const LARGE: u64 = 1 << 20;

/// Packages of which not all parts were taken yet.
#[derive(Debug, Default)]
pub(super) struct Opened {
    packages: Mutex<HashMap<Package, Arc<Mutex<Untaken>>>>,
}

/// The items of each part, until they are taken.
type Untaken = Vec<Option<Vec<Item>>>;

impl Opened {
    /// The items of `package` that are in its part. `open` lists all of it; parts that are asked for meanwhile wait.
    pub(super) fn take(
        &self,
        package: &Package,
        open: impl FnOnce() -> Result<Vec<Item>, PackageError>,
    ) -> Result<Vec<Item>, PackageError> {
        let Some(part) = package.part else { return open() };
        let whole = Package { part: None, ..package.clone() };
        let shared = {
            let mut packages = self.packages.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(packages.entry(whole.clone()).or_default())
        };
        let mut parts = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let index = part.number.saturating_sub(1) as usize;
        if parts.get(index).is_none_or(Option::is_none) {
            *parts = divided(open()?, part.of.max(1) as usize).into_iter().map(Some).collect();
        }
        let items = parts.get_mut(index).and_then(Option::take);
        if parts.iter().all(Option::is_none) {
            self.packages.lock().unwrap_or_else(PoisonError::into_inner).remove(&whole);
        }
        Ok(items.unwrap_or_default())
    }
}

/// The items of each of so many parts.
fn divided(items: Vec<Item>, count: usize) -> Vec<Vec<Item>> {
    let places = Places::of(items.iter().map(Item::entry), count);
    let mut parts: Vec<Vec<Item>> = (0..count).map(|_| Vec::new()).collect();
    for item in items {
        if item.entry().is_dir() {
            for index in places.of_folder(&item.entry().path) {
                parts[index].push(Item::new(item.entry().clone()));
            }
        } else {
            parts[places.of_file(&item.entry().path)].push(item);
        }
    }
    parts
}

/// Where the entries of a package are.
struct Places {
    /// The part of what is no folder, by path.
    files: HashMap<Vec<u8>, usize>,
    /// The parts of folders, which have something in them.
    folders: HashMap<Vec<u8>, HashSet<usize>>,
}

impl Places {
    fn of<'a>(entries: impl Iterator<Item = &'a Entry> + Clone, count: usize) -> Self {
        let dealt = deal(entries.clone(), count);
        let mut files = HashMap::new();
        for entry in entries.clone().filter(|entry| !entry.is_dir() && !is_hard_link(entry)) {
            let part = if is_of_every_version(&entry.path) { 0 } else { dealt[unit(entry)] };
            files.insert(entry.path.clone(), part);
        }
        for entry in entries.clone() {
            if let EntryKind::HardLink { target } = &entry.kind {
                files.insert(entry.path.clone(), files.get(target).copied().unwrap_or(0));
            }
        }
        let mut folders: HashMap<Vec<u8>, HashSet<usize>> = HashMap::new();
        for (path, part) in &files {
            for folder in above(path) {
                folders.entry(folder.to_vec()).or_default().insert(*part);
            }
        }
        // A folder with nothing in it is in the first part, and so are those above it.
        for entry in entries.filter(|entry| entry.is_dir()) {
            if !folders.contains_key(&entry.path) {
                for folder in above(&entry.path).chain([&entry.path[..]]) {
                    folders.entry(folder.to_vec()).or_default().insert(0);
                }
            }
        }
        Self { files, folders }
    }

    fn of_file(&self, path: &[u8]) -> usize {
        self.files.get(path).copied().unwrap_or(0)
    }

    fn of_folder(&self, path: &[u8]) -> impl Iterator<Item = usize> {
        self.folders.get(path).into_iter().flatten().copied()
    }
}

/// The part of each unit.
fn deal<'a>(entries: impl Iterator<Item = &'a Entry>, count: usize) -> HashMap<&'a [u8], usize> {
    let mut units: BTreeMap<&[u8], u64> = BTreeMap::new();
    let mut loads = vec![0; count];
    for entry in entries.filter(|entry| !entry.is_dir() && !is_hard_link(entry)) {
        if is_of_every_version(&entry.path) {
            loads[0] += size(entry);
        } else {
            *units.entry(unit(entry)).or_default() += size(entry);
        }
    }
    // Only orders of magnitude count: most files become a little larger or smaller with a version, and stay.
    units.values_mut().chain(&mut loads).for_each(|bytes| *bytes = 1 << (*bytes).max(1).ilog2());
    let total: u64 = units.values().chain(&loads).sum();
    // A quarter more than its share: a little room, so that the hash decides about most.
    let full = total / count as u64 / 4 * 5;
    let mut units: Vec<(&[u8], u64)> = units.into_iter().collect();
    units.sort_by_key(|(_, bytes)| Reverse(*bytes));
    let mut dealt = HashMap::with_capacity(units.len());
    for (path, bytes) in units {
        let wanted = usize::from(blake3::hash(path).as_bytes()[0]);
        let parts = (0..count).map(|next| (wanted + next) % count);
        let part = parts.clone().find(|part| loads[*part] + bytes <= full);
        let part = part.or_else(|| parts.min_by_key(|part| loads[*part])).unwrap_or(0);
        loads[part] += bytes;
        dealt.insert(path, part);
    }
    dealt
}

/// What an entry is dealt out with: itself, or the folder that it is in.
fn unit(entry: &Entry) -> &[u8] {
    if size(entry) >= LARGE { &entry.path } else { above(&entry.path).last().unwrap_or_default() }
}

fn size(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File { size, .. } => size,
        EntryKind::Dir { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::HardLink { .. }
        | EntryKind::CharDevice { .. }
        | EntryKind::BlockDevice { .. }
        | EntryKind::Fifo
        | EntryKind::Whiteout => 0,
    }
}

fn is_hard_link(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::HardLink { .. })
}

/// The folders above a path, the topmost first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end])
}

/// What a new version always or often changes: notes of installers, and the code of a package of Python.
fn is_of_every_version(path: &[u8]) -> bool {
    let is_module = path.ends_with(b".py") || path.ends_with(b".pyc");
    is_module || path.starts_with(b"var/lib/dpkg/") || above(path).any(|folder| folder.ends_with(b".dist-info"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ContentDigest;
    use flashbuild_frontend::package::{ArtifactHash, DebLayout, PackageLayout, PackagePart};
    use std::collections::BTreeSet;

    fn file(path: &str, size: u64) -> Entry {
        Entry::new(path, EntryKind::File { size, digest: ContentDigest::of(b"") })
    }

    fn folder(path: &str, mode: u32) -> Entry {
        Entry { mode, ..Entry::new(path, EntryKind::Dir { opaque: false }) }
    }

    /// Paths by part.
    fn paths(entries: &[Entry], count: usize) -> Vec<BTreeSet<String>> {
        let parts = divided(entries.iter().cloned().map(Item::new).collect(), count);
        let path = |item: &Item| String::from_utf8(item.entry().path.clone()).unwrap();
        parts.iter().map(|part| part.iter().map(path).collect()).collect()
    }

    fn part_of(parts: &[BTreeSet<String>], path: &str) -> usize {
        let found: Vec<usize> = (0..parts.len()).filter(|index| parts[*index].contains(path)).collect();
        assert_eq!(found.len(), 1, "{path}");
        found[0]
    }

    /// What a wheel for machine learning looks like, in parts of a megabyte.
    fn torch() -> Vec<Entry> {
        let mut entries = vec![
            file("t/lib/libtorch_cuda.so", 840 << 20),
            file("t/lib/libtorch_cpu.so", 459 << 20),
            file("t/lib/libtorch_cuda_linalg.so", 81 << 20),
            file("t/lib/libcusparselt.so", 41 << 20),
            file("t/lib/libtorch_python.so", 24 << 20),
            file("t/__init__.py", 80 << 10),
            file("t/__pycache__/__init__.cpython-311.pyc", 90 << 10),
            file("t-1.dist-info/RECORD", 1 << 20),
            file("t-1.dist-info/METADATA", 1 << 10),
        ];
        entries.extend((0..400).map(|number| file(&format!("t/include/{}/{number}.h", number % 40), 20 << 10)));
        entries
    }

    #[test]
    fn enormous_files_are_apart_and_small_ones_with_their_folder() {
        let parts = paths(&torch(), 4);
        let all: usize = parts.iter().map(BTreeSet::len).sum();
        assert_eq!(all, torch().len());
        let (cuda, cpu) = (part_of(&parts, "t/lib/libtorch_cuda.so"), part_of(&parts, "t/lib/libtorch_cpu.so"));
        assert_ne!(cuda, cpu);
        assert!(parts[cuda].len() == 1, "{:?}", parts[cuda]);
        assert!(parts.iter().all(|part| !part.is_empty()));
        for path in ["t/__init__.py", "t/__pycache__/__init__.cpython-311.pyc", "t-1.dist-info/METADATA"] {
            assert_eq!(part_of(&parts, path), 0, "{path}");
        }
        assert_eq!(part_of(&parts, "t/include/7/7.h"), part_of(&parts, "t/include/7/47.h"));
    }

    #[test]
    fn most_files_stay_where_they_are_from_version_to_version() {
        let before = paths(&torch(), 4);
        let mut newer = torch();
        for entry in &mut newer {
            if let EntryKind::File { size, .. } = &mut entry.kind {
                *size += *size / 20;
            }
        }
        newer.retain(|entry| entry.path != b"t/lib/libcusparselt.so" && entry.path != b"t/include/3/3.h");
        newer.push(file("t/lib/libnew.so", 30 << 20));
        newer.push(file("t/include/3/new.h", 1));
        newer.push(file("t/include/another/new.h", 1));
        let after = paths(&newer, 4);
        for path in torch().iter().map(|entry| String::from_utf8(entry.path.clone()).unwrap()) {
            if after.iter().any(|part| part.contains(&path)) {
                assert_eq!(part_of(&before, &path), part_of(&after, &path), "{path}");
            }
        }
    }

    #[test]
    fn folders_and_links_come_along() {
        let mut link = file("a/link", 0);
        link.kind = EntryKind::HardLink { target: b"b/c/large".to_vec() };
        let entries = [
            folder("a", 0o700),
            folder("b", 0o711),
            folder("b/c", 0o755),
            folder("b/empty", 0o1777),
            folder("x", 0o755),
            folder("x/empty", 0o755),
            file("a/one", 10),
            file("b/c/large", 8 << 20),
            file("b/c/other", 8 << 20),
            link,
        ];
        let parts = paths(&entries, 2);
        assert_eq!(part_of(&parts, "a/link"), part_of(&parts, "b/c/large"));
        assert_ne!(part_of(&parts, "b/c/other"), part_of(&parts, "b/c/large"));
        for part in &parts {
            // Whatever is there has the folders above it, with the properties that the package gives them.
            for path in part {
                assert!(above(path.as_bytes()).all(|it| part.contains(std::str::from_utf8(it).unwrap())), "{path}");
            }
        }
        for empty in ["b/empty", "x/empty"] {
            assert_eq!(part_of(&parts, empty), 0);
        }
        let all: BTreeSet<&String> = parts.iter().flatten().collect();
        assert_eq!(all.len(), entries.len());
        let made = divided(entries.iter().cloned().map(Item::new).collect(), 2);
        for item in made.iter().flatten().filter(|item| item.entry().is_dir()) {
            assert!(entries.contains(item.entry()));
        }
    }

    #[test]
    fn a_package_is_opened_once_for_all_of_its_parts() {
        let whole = Package {
            name: "x".to_owned(),
            version: "1".to_owned(),
            artifact: ArtifactHash::new("sha256", &"0".repeat(64)).unwrap(),
            layout: PackageLayout::Deb(DebLayout { docs: true }),
            part: None,
        };
        let part = |number| Package { part: Some(PackagePart { number, of: 3 }), ..whole.clone() };
        let (opened, mut times, mut files) = (Opened::default(), 0, 0);
        for number in [2, 1, 3] {
            let open = || {
                times += 1;
                Ok(torch().into_iter().map(Item::new).collect())
            };
            files += opened.take(&part(number), open).unwrap().len();
        }
        assert_eq!((times, files), (1, torch().len()));
        assert!(opened.packages.lock().unwrap().is_empty());
        // A package that is whole is nobody else's.
        assert_eq!(opened.take(&whole, || Ok(vec![Item::new(file("x", 1))])).unwrap().len(), 1);
        assert!(opened.packages.lock().unwrap().is_empty());
    }
}
