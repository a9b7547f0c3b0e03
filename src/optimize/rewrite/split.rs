//! Splitting: a layer of many packages becomes layers that change one at a time.
//!
//! Of a layer, lowest first:
//!
//! 1. what it deletes of the layers below, if anything;
//! 2. its packages, as the databases in this very layer tell them apart, put together as `DEPS` does
//!    (`packing`): the largest alone, the rest in bins by the hash of their names, so that a new
//!    version of a package changes one layer;
//! 3. files of no package that are large, each alone;
//! 4. small files of no package, if there are many: in bins by the hash of the folder they are in, so that a changed file
//!    changes one layer;
//! 5. the rest: small files otherwise, the databases themselves, and the properties of all folders.
//!
//! A layer of packages depends on those packages alone, so equal packages are equal layers whatever image they are in.
//! What would spoil that is the time of folders that packages share, which is that of the last installation: in layers
//! of packages a folder has the time of its newest file there, and its own time comes with the rest.
//!
//! Times of files are not touched: byte code of Python is tied to that of its source. So packages whose installer gives files
//! the time at which it ran (pip, uv) are equal only if `SOURCE_DATE_EPOCH` was set; those of dpkg, apk, rpm and npm are.
//!
//! Hard links stay with their file. What the databases of other layers say does not count: a layer that stays as it is
//! is split the same way, whatever comes on top of it.

use super::{Image, Replacement, RewriteError, Rewritten, check, remake, remake::Kept, replace};
use crate::{
    image::DiffId,
    layer::{Entry, EntryKind, LayerError, Toc, View},
    optimize::owner::{ImageTree, Inventory},
    packages::packing,
    store::{RecordKey, RecordKind, RecordLayer, Store},
};
use flashbuild_frontend::config::ImageConfig;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Bytes of a layer from which it is worth splitting.
pub const WORTHWHILE: u64 = 32 << 20;
/// Bytes of a file from which it gets a layer of its own.
pub const LARGE_FILE: u64 = 8 << 20;
/// Bytes of small files from which they are put into bins.
pub const MANY_FILES: u64 = WORTHWHILE;
/// Bytes that a bin of small files has at least, on average.
const BIN: u64 = 2 << 20;
/// In how many bins small files are put at most.
const MOST_BINS: usize = 16;
/// Layers that an image has after splitting at most, so that there is room to build on it.
const MOST_LAYERS: usize = 100;
/// Changes with what a layer is split into.
const VERSION: &str = "split 2";

/// How layers are split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a layer from which it is split.
    pub from: u64,
}

/// What a part of a layer is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    /// A package: ecosystem, name.
    Package(&'static str, String),
    /// A large file of no package.
    LargeFile(Vec<u8>),
    Rest,
}

/// How many layers a layer may become, beside the rest.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Of packages and large files.
    packs: usize,
    /// Of small files.
    bins: usize,
}

impl Room {
    /// So many layers in all.
    fn of(layers: usize) -> Self {
        let bins = MOST_BINS.min(layers / 4);
        Self { packs: (layers - bins).clamp(1, packing::MOST_LAYERS), bins }
    }
}

/// A part that was made, as it is remembered.
#[derive(Serialize, Deserialize)]
struct Part {
    layer: DiffId,
    title: Option<String>,
}

/// Splits the layers of an image that are large enough, `is_own` says of which position, and have packages or many or large
/// files.
pub fn split(image: &Image<'_>, options: Options, is_own: impl Fn(usize) -> bool) -> Result<Rewritten, RewriteError> {
    let tables = image.view.layers();
    let own: Vec<usize> = (image.base..tables.len()).filter(|&index| is_own(index)).collect();
    let wanted: Vec<usize> =
        own.iter().copied().filter(|&index| tables[index].content_size() >= options.from.max(1)).collect();
    let room = Room::of(MOST_LAYERS.saturating_sub(tables.len()) / wanted.len().max(1));
    let mut parts = BTreeMap::new();
    for index in wanted {
        if let Some(made) = split_layer(image, index, room)? {
            parts.insert(index, made);
        }
    }
    let whole = Whole { options, own, diff_ids: image.diff_ids };
    let rewritten = replace(image.config, image.diff_ids, replacements(&whole, &parts));
    if !parts.is_empty() {
        check(image, &rewritten, |_| false)?;
    }
    whole.remember(image.layers.store(), &parts)?;
    Ok(rewritten)
}

/// What an image of these layers was split into before, found without a look at any of them.
pub fn known(
    store: &Store,
    config: &ImageConfig,
    (diff_ids, base): (&[DiffId], usize),
    options: Options,
    is_own: impl Fn(usize) -> bool,
) -> Result<Option<Rewritten>, LayerError> {
    let own = (base..diff_ids.len()).filter(|&index| is_own(index)).collect();
    let whole = Whole { options, own, diff_ids };
    let found = whole.remembered(store)?;
    Ok(found.map(|parts| replace(config, diff_ids, replacements(&whole, &parts))))
}

fn replacements(whole: &Whole<'_>, parts: &BTreeMap<usize, Vec<Part>>) -> Vec<Option<Replacement>> {
    let layers = |parts: &Vec<Part>| parts.iter().map(|part| (part.layer, part.title.clone())).collect();
    let of = |index| parts.get(&index).map(|parts| Replacement { layers: layers(parts) });
    (0..whole.diff_ids.len()).map(of).collect()
}

/// What the result of a split follows from.
struct Whole<'a> {
    options: Options,
    own: Vec<usize>,
    diff_ids: &'a [DiffId],
}

impl Whole<'_> {
    fn key(&self) -> RecordKey {
        let mut hash = blake3::Hasher::new();
        hash.update(format!("image {VERSION} {} {:?}", self.options.from, self.own).as_bytes());
        for diff_id in self.diff_ids {
            hash.update(diff_id.to_string().as_bytes());
        }
        RecordKey(*hash.finalize().as_bytes())
    }

    /// The parts of each layer that was split.
    fn remembered(&self, store: &Store) -> Result<Option<BTreeMap<usize, Vec<Part>>>, LayerError> {
        let key = self.key();
        let found = store.records(&[key])?.remove(&key);
        Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    fn remember(&self, store: &Store, parts: &BTreeMap<usize, Vec<Part>>) -> Result<(), LayerError> {
        let value = serde_json::to_vec(parts).expect("parts are plain data");
        let named = |part: &Part| RecordLayer { diff_id: part.layer, remote: false };
        let layers: Vec<RecordLayer> = parts.values().flatten().map(named).collect();
        Ok(store.put_record(self.key(), RecordKind::Content, &value, &layers)?)
    }
}

/// The parts of a layer; `None` if it is all of a piece. Found again if they were made before.
fn split_layer(image: &Image<'_>, index: usize, room: Room) -> Result<Option<Vec<Part>>, LayerError> {
    let store = image.layers.store();
    let key = record_key(image, index, room);
    if let Some(parts) = remembered(store, key)? {
        return Ok((parts.len() > 1).then_some(parts));
    }
    let view = View::new(image.view.layers()[..=index].to_vec());
    let _contents = image.layers.contents(&image.diff_ids[index])?;
    let tree = ImageTree::new(&view, image.layers, image.diff_ids).reading_only(index);
    let groups = groups(image.view.layers()[index].entries(), &Inventory::of_owners(&tree)?, room);
    let old = image.diff_ids[index];
    let parts = if groups.len() > 1 {
        let (titles, entries): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        let made = known_or_new(image, &old, entries)?;
        made.into_iter().zip(titles).map(|(layer, title)| Part { layer, title }).collect()
    } else {
        vec![Part { layer: old, title: None }]
    };
    remember(store, key, &parts)?;
    Ok((parts.len() > 1).then_some(parts))
}

/// Makes layers of entries of the layer `old`. Those that were made of equal entries before are known: of a large tree in which
/// one file changed, all but one.
fn known_or_new(image: &Image<'_>, old: &DiffId, groups: Vec<Vec<Kept>>) -> Result<Vec<DiffId>, LayerError> {
    let store = image.layers.store();
    let key = |group: &Vec<Kept>| -> Result<RecordKey, LayerError> {
        let toc = Toc::new(group.iter().map(|kept| kept.entry.clone()).collect())?;
        let name = blake3::keyed_hash(&toc.fingerprint(), b"part");
        Ok(RecordKey(*name.as_bytes()))
    };
    let keys = groups.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let found = store.records(&keys)?;
    let known = |key: &RecordKey| found.get(key).and_then(|value| serde_json::from_slice::<DiffId>(value).ok());
    let (missing, new): (Vec<&RecordKey>, Vec<_>) =
        keys.iter().zip(groups).filter(|(key, _)| known(key).is_none()).unzip();
    let made = remake::layers(image.layers, old, new, image.compression)?;
    for (key, layer) in missing.into_iter().zip(&made) {
        let value = serde_json::to_vec(layer).expect("a digest is plain data");
        let named = RecordLayer { diff_id: *layer, remote: false };
        let named = if *layer == DiffId::empty() { None } else { Some(named) };
        store.put_record(*key, RecordKind::Content, &value, named.as_slice())?;
    }
    let mut made = made.into_iter();
    Ok(keys.iter().filter_map(|key| known(key).or_else(|| made.next())).collect())
}

/// What the parts follow from.
fn record_key(image: &Image<'_>, index: usize, room: Room) -> RecordKey {
    let mut hash = blake3::Hasher::new();
    hash.update(VERSION.as_bytes());
    for number in [room.packs, room.bins] {
        hash.update(&(number as u64).to_le_bytes());
    }
    for diff_id in &image.diff_ids[..=index] {
        hash.update(diff_id.to_string().as_bytes());
    }
    RecordKey(*hash.finalize().as_bytes())
}

fn remembered(store: &Store, key: RecordKey) -> Result<Option<Vec<Part>>, LayerError> {
    let found = store.records(&[key])?.remove(&key);
    Ok(found.and_then(|value| serde_json::from_slice(&value).ok()))
}

fn remember(store: &Store, key: RecordKey, parts: &[Part]) -> Result<(), LayerError> {
    let value = serde_json::to_vec(parts).expect("parts are plain data");
    // A layer that was not split may be one that a registry has, and needs not be here.
    let named = |part: &Part| RecordLayer { diff_id: part.layer, remote: parts.len() == 1 };
    let layers: Vec<RecordLayer> = parts.iter().map(named).collect();
    Ok(store.put_record(key, RecordKind::Content, &value, &layers)?)
}

/// The entries of each part, lowest first, and what it is called; the last one is the rest.
fn groups(entries: &[Entry], inventory: &Inventory, room: Room) -> Vec<(Option<String>, Vec<Kept>)> {
    let mut units: BTreeMap<Unit, (u64, Vec<&Entry>)> = BTreeMap::new();
    let mut of_file: HashMap<&[u8], Unit> = HashMap::new();
    let mut deleted = Vec::new();
    for entry in entries {
        let unit = match &entry.kind {
            EntryKind::Dir { .. } => continue,
            EntryKind::Whiteout => {
                deleted.push(entry);
                continue;
            }
            EntryKind::HardLink { target } => of_file.get(&target[..]).cloned().unwrap_or(Unit::Rest),
            EntryKind::File { size, .. } => unit_of(entry, *size, inventory),
            EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo => unit_of(entry, 0, inventory),
        };
        let mut size = 0;
        if let EntryKind::File { size: bytes, .. } = entry.kind {
            of_file.insert(&entry.path, unit.clone());
            size = bytes;
        }
        let (bytes, all) = units.entry(unit).or_default();
        *bytes += size;
        all.push(entry);
    }
    let (bytes, rest) = units.remove(&Unit::Rest).unwrap_or_default();
    let (bins, rest) = binned(bytes, rest, room.bins);
    if units.is_empty() && bins.is_empty() || units.len() == 1 && rest.is_empty() && bins.is_empty() {
        return vec![(None, Vec::new())];
    }
    let sized = units.into_iter().map(|(unit, (bytes, entries))| packing::Sized {
        name: unit.name(),
        bytes,
        item: (unit, entries),
    });
    let packs = packing::by_size_of(sized.collect(), room.packs);
    let folders: HashMap<&[u8], &Entry> =
        entries.iter().filter(|entry| entry.is_dir()).map(|entry| (&entry.path[..], entry)).collect();
    let mut groups = Vec::with_capacity(packs.len() + 2);
    let opaque = entries.iter().filter(|entry| entry.kind == EntryKind::Dir { opaque: true });
    let hiding: Vec<&Entry> = deleted.into_iter().chain(opaque).collect();
    if !hiding.is_empty() {
        groups.push((Some("split: deletions".to_owned()), with_folders(&hiding, &folders, Folders::AsTheyAre)));
    }
    for pack in packs {
        let names: Vec<String> = pack.iter().map(|(unit, _)| unit.title()).collect();
        let entries: Vec<&Entry> = pack.into_iter().flat_map(|(_, entries)| entries).collect();
        groups.push((Some(title(&names)), with_folders(&entries, &folders, Folders::OfTheFiles)));
    }
    for (number, bin) in bins.iter().enumerate().filter(|(_, bin)| !bin.is_empty()) {
        let title = format!("split: small files, {} of {}", number + 1, bins.len());
        groups.push((Some(title), with_folders(bin, &folders, Folders::OfTheFiles)));
    }
    // What folders hide was said below; here they must hide nothing.
    let shown = |entry: &Entry| Entry { kind: EntryKind::Dir { opaque: false }, ..entry.clone() };
    let properties = entries.iter().filter(|entry| entry.is_dir() && !entry.path.is_empty()).map(shown);
    groups.push((None, rest.into_iter().cloned().chain(properties).map(Kept::from).collect()));
    groups
}

/// Files of together so many bytes, by the folder they are in, and which of them are left for the rest. Links are where their
/// file is. How many bins there are changes in large steps, so that it seldom changes.
fn binned(bytes: u64, files: Vec<&Entry>, most: usize) -> (Vec<Vec<&Entry>>, Vec<&Entry>) {
    if bytes < MANY_FILES || most < 2 {
        return (Vec::new(), files);
    }
    let wanted = usize::try_from(bytes / BIN).unwrap_or(usize::MAX).min(most);
    let mut bins = vec![Vec::new(); 1 << wanted.ilog2()];
    for file in files {
        let path = if let EntryKind::HardLink { target } = &file.kind { target } else { &file.path };
        let hash = blake3::hash(remake::parent(path));
        let bin = usize::from(hash.as_bytes()[0]) % bins.len();
        bins[bin].push(file);
    }
    (bins, Vec::new())
}

fn unit_of(entry: &Entry, size: u64, inventory: &Inventory) -> Unit {
    match inventory.owner(&entry.path) {
        Some(package) => Unit::Package(package.ecosystem.name(), package.name.clone()),
        None if size >= LARGE_FILE => Unit::LargeFile(entry.path.clone()),
        None => Unit::Rest,
    }
}

impl Unit {
    /// What decides about its bin.
    fn name(&self) -> String {
        match self {
            Self::Package(ecosystem, name) => format!("{ecosystem} {name}"),
            Self::LargeFile(path) => format!("file {}", path.escape_ascii()),
            Self::Rest => String::new(),
        }
    }

    /// What people call it.
    fn title(&self) -> String {
        match self {
            Self::Package(_, name) => name.clone(),
            Self::LargeFile(path) => format!("/{}", String::from_utf8_lossy(path)),
            Self::Rest => String::new(),
        }
    }
}

/// For the history.
fn title(names: &[String]) -> String {
    const NAMED: usize = 3;
    let more = names.len().saturating_sub(NAMED);
    let first = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { format!("split: {first}") } else { format!("split: {first} and {more} more") }
}

/// Which times folders have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folders {
    AsTheyAre,
    /// That of the newest file in them, of those in the part.
    OfTheFiles,
}

fn with_folders(entries: &[&Entry], folders: &HashMap<&[u8], &Entry>, times: Folders) -> Vec<Kept> {
    let mut needed: BTreeMap<&[u8], i64> = BTreeMap::new();
    for entry in entries {
        let mut folder = remake::parent(&entry.path);
        while !folder.is_empty() {
            let newest = needed.entry(folder).or_insert(entry.mtime);
            *newest = (*newest).max(entry.mtime);
            folder = remake::parent(folder);
        }
        // An opaque folder is among the entries itself.
        needed.remove(&entry.path[..]);
    }
    let named: HashSet<&[u8]> = entries.iter().filter(|it| it.is_dir()).map(|it| &it.path[..]).collect();
    let made = needed.into_iter().filter(|(path, _)| !named.contains(path)).filter_map(|(path, newest)| {
        let folder = *folders.get(path)?;
        let mtime = if times == Folders::OfTheFiles { newest } else { folder.mtime };
        Some(Entry { kind: EntryKind::Dir { opaque: false }, mtime, ..folder.clone() })
    });
    made.chain(entries.iter().map(|entry| (*entry).clone())).map(Kept::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::{self, Node, file, node};

    fn later(mut node: Node, mtime: i64) -> Node {
        node.entry.mtime = mtime;
        node
    }

    fn folder(path: &str, mtime: i64) -> Node {
        later(node(path, EntryKind::Dir { opaque: false }), mtime)
    }

    /// A layer with two packages, installed at some time; `version` is that of the second.
    fn installed(time: i64, version: &str) -> Vec<Node> {
        let record = |name: &str| format!("{name}.py,,\n{name}-1.dist-info/RECORD,,\n");
        let metadata = |name: &str, version: &str| format!("Name: {name}\nVersion: {version}\n");
        let mut nodes = vec![folder("lib", time), folder("lib/site", time), later(file("lib/notes", "rest"), time)];
        for (name, version) in [("one", "1"), ("two", version)] {
            nodes.push(file(&format!("lib/site/{name}.py"), format!("{name} {version}").repeat(100)));
            nodes.push(file(&format!("lib/site/{name}-1.dist-info/METADATA"), metadata(name, version)));
            nodes.push(file(&format!("lib/site/{name}-1.dist-info/RECORD"), record(name)));
        }
        nodes
    }

    fn split_of(image: &testing::Image) -> Vec<DiffId> {
        let config = ImageConfig::default();
        split(&image.subject(&config), Options { from: 0 }, |_| true).unwrap().diff_ids
    }

    fn shared(a: &[DiffId], b: &[DiffId]) -> usize {
        a.iter().filter(|layer| b.contains(layer)).count()
    }

    #[test]
    fn equal_packages_are_equal_layers_and_a_new_version_changes_one() {
        let base = || vec![file("base", "base")];
        let first = split_of(&testing::Image::of_layers(&[base(), installed(100, "1")]));
        assert_eq!(first.len(), 1 + 2 + 1);
        let again = split_of(&testing::Image::of_layers(&[base(), installed(200, "1")]));
        assert_eq!(shared(&first, &again), 3, "all but the rest, which has the times of folders");
        let newer = split_of(&testing::Image::of_layers(&[base(), installed(100, "2")]));
        assert_eq!(shared(&first, &newer), 3, "all but the package");
    }

    #[test]
    fn what_a_layer_hides_stays_hidden() {
        let base = vec![file("d/old", "x"), file("gone", "x"), file("lib/site/old", "x"), file("kind/a", "x")];
        let mut upper = installed(100, "1");
        upper.push(node("gone", EntryKind::Whiteout));
        upper.push(node("d", EntryKind::Dir { opaque: true }));
        upper.push(file("d/new", "y"));
        upper.push(file("kind", "a file now"));
        upper.retain(|node| node.entry.path != b"lib/site");
        upper.push(node("lib/site", EntryKind::Dir { opaque: true }));
        upper.push(node("lib/site/three", EntryKind::HardLink { target: b"lib/site/one.py".to_vec() }));
        // `split` compares the trees itself.
        let parts = split_of(&testing::Image::of_layers(&[base, upper]));
        assert_eq!(parts.len(), 1 + 1 + 2 + 1);
    }

    #[test]
    fn large_files_are_apart_and_plain_layers_stay() {
        let large = "x".repeat(usize::try_from(LARGE_FILE).unwrap());
        let plain = testing::Image::of_layers(&[vec![file("a", "a")], vec![file("b", "b")]]);
        assert_eq!(split_of(&plain), plain.diff_ids);
        let only = testing::Image::of_layers(&[vec![file("a", "a")], vec![file("model", &large)]]);
        assert_eq!(split_of(&only), only.diff_ids);
        let both = testing::Image::of_layers(&[vec![file("a", "a")], vec![file("model", &large), file("app", "app")]]);
        assert_eq!(split_of(&both).len(), 3);
    }

    /// A layer of small files, one of them with this text and a link.
    fn sources(text: &str) -> Vec<Node> {
        let large = "x".repeat(1 << 20);
        let mut nodes: Vec<Node> =
            (0..40).flat_map(|n| [folder(&format!("d{n}"), 1), file(&format!("d{n}/large"), &large)]).collect();
        nodes.push(file("d7/changed", text));
        nodes.push(node("z", EntryKind::HardLink { target: b"d7/changed".to_vec() }));
        nodes
    }

    #[test]
    fn many_small_files_are_binned_by_folder() {
        let base = || vec![file("d1", "it was a file")];
        let first = split_of(&testing::Image::of_layers(&[base(), sources("old")]));
        assert!((10..=2 + MOST_BINS).contains(&first.len()), "{}", first.len());
        let changed = split_of(&testing::Image::of_layers(&[base(), sources("new")]));
        assert_eq!((changed.len(), shared(&first, &changed)), (first.len(), first.len() - 1));
        let few: Vec<Node> = sources("old").into_iter().skip(20).collect();
        let few = testing::Image::of_layers(&[base(), few]);
        assert_eq!(split_of(&few), few.diff_ids);
    }

    #[test]
    fn what_was_split_is_remembered() {
        let image = testing::Image::of_layers(&[vec![file("a", "a")], installed(100, "1")]);
        let first = split_of(&image);
        let config = ImageConfig::default();
        let key = record_key(&image.subject(&config), 1, Room::of(MOST_LAYERS - 2));
        assert_eq!(remembered(image.layers.store(), key).unwrap().unwrap().len(), 3);
        assert_eq!(split_of(&image), first);
    }
}
