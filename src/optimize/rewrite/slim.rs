//! Slimming: an image without what the chosen [passes](crate::optimize::passes) find that it does not need.
//!
//! Of every layer above the base, what is kept follows from the whole image:
//!
//! | entry | kept |
//! |---|---|
//! | a file that a container sees | unless a pass removes it |
//! | a file that a later layer hides | unless `hidden` is among the passes, or another of its names is seen |
//! | a folder | if a container sees it and it is not removed, or it holds something that is kept |
//! | a deletion | if there is still something below to delete |
//!
//! Where a removed file would uncover one of a lower layer, a deletion takes its place. Files of the base are never removed:
//! that would save nothing, because the base stays as it is.
//!
//! What was removed can become a layer of its own: with it on top, the image is whole again.

use super::{Image, Replacement, RewriteError, Rewritten, check, remake, remake::Kept, replace};
use crate::{
    image::DiffId,
    layer::{Content, Entry, EntryKind, Form, Item, LayerError, Toc, View},
    optimize::{
        analyze::is_code,
        diff::{Change, FileChange},
        observed::{Dropped, Needed, Observed, Tally, emptied},
        owner::{Elf, ImageTree, Inventory},
        passes::{
            Action, Candidate, Pass, Seen, Trust,
            hidden::{hidden, is_visible},
            links,
        },
        strip::{self, Divisible, Half, HalfOfFile},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
};

/// What a pass saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Saving {
    /// The pass.
    pub pass: &'static Pass,
    /// Bytes of files.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// An image that is slim, or would be.
#[derive(Debug, Clone)]
pub struct Slimmed {
    /// What each pass saved, in the order in which they were done.
    pub savings: Vec<Saving>,
    /// Paths that a container no longer sees, sorted.
    pub removed: Vec<Vec<u8>>,
    /// What nobody asked for, if that was observed.
    pub dropped: Option<Dropped>,
    /// Programs without their debug sections, by layer and path, and where debuggers look for those.
    stripped: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    /// Files that became links to others, and links to those, with the positions of their layers.
    relinked: BTreeMap<Vec<u8>, usize>,
    /// Positions of the layers that have their files.
    layers_of_removed: HashMap<Vec<u8>, usize>,
    tables: Vec<Option<Vec<Kept>>>,
}

/// Finds out what `passes` take away, and of what was `observed` that nobody asked for. Nothing is made yet.
pub fn plan(image: &Image<'_>, passes: &[&'static Pass], observed: Option<&Observed>) -> Result<Slimmed, RewriteError> {
    let tree = ImageTree::new(image.view, image.layers, image.diff_ids);
    let inventory = Inventory::of_owners(&tree)?;
    let mut savings: Vec<Saving> = passes.iter().map(|pass| Saving { pass, bytes: 0, files: 0 }).collect();
    let mut removed: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let needed = observed.map(|observed| Needed::of(&tree, &inventory, observed)).transpose()?;
    let mut untouched = Tally::default();
    for hit in image.view.walk(b"").filter(|hit| !hit.entry.is_dir()) {
        let path = &hit.entry.path;
        let owner = inventory.owner_index(path);
        let seen = match &needed {
            None => Seen::NotObserved,
            Some(needed) if needed.has(&hit) => Seen::Needed,
            Some(_) => Seen::Untouched,
        };
        let file = Candidate { path, owner: owner.map(|owner| &inventory.packages[owner]), seen };
        let Some(saving) = savings.iter_mut().find(|saving| saving.pass.removes(&file)) else { continue };
        let bytes = if let EntryKind::File { size, .. } = hit.entry.kind { size } else { 0 };
        let is_untouched = saving.pass.trust == Trust::Observed;
        if hit.layer < image.base {
            if is_untouched {
                untouched.add_of_base(bytes);
            }
            continue;
        }
        if is_untouched {
            untouched.add(owner, bytes);
        }
        saving.files += 1;
        saving.bytes += bytes;
        removed.insert(path.clone(), hit.layer);
    }
    if let Some(needed) = &needed {
        for (path, layer) in emptied(image.view, image.base, needed, |path| removed.contains_key(path)) {
            removed.insert(path, layer);
        }
    }
    let mut of_action = |action: Action, found: &[u64]| {
        if let Some(saving) = savings.iter_mut().find(|saving| saving.pass.action == action) {
            saving.files += found.len() as u64;
            saving.bytes += found.iter().sum::<u64>();
        }
    };
    let drops_hidden = passes.iter().any(|pass| pass.action == Action::DropHidden);
    let strips = passes.iter().any(|pass| pass.action == Action::Strip);
    let links_equal = passes.iter().any(|pass| pass.action == Action::LinkEqual);
    let unseen: HashSet<(usize, &[u8])> = if drops_hidden {
        let found: Vec<_> = hidden(image.view).into_iter().filter(|file| file.layer >= image.base).collect();
        of_action(Action::DropHidden, &found.iter().map(|file| file.bytes).collect::<Vec<_>>());
        found.into_iter().map(|file| (file.layer, file.path)).collect()
    } else {
        HashSet::new()
    };
    let (mut stripped, mut relinked) = (BTreeMap::new(), BTreeMap::new());
    let mut tables = Vec::with_capacity(image.diff_ids.len());
    let mut below: Vec<Arc<Toc>> = image.view.layers()[..image.base].to_vec();
    for layer in 0..image.diff_ids.len() {
        if layer < image.base {
            tables.push(None);
            continue;
        }
        let equal = if links_equal { equal_files(image, layer, &removed) } else { HashMap::new() };
        let sizes: Vec<u64> = equal.values().map(|(_, bytes)| *bytes).collect();
        of_action(Action::LinkEqual, &sizes);
        let strips =
            if strips { divisible_files(image, layer, &tree, &removed, &equal, &unseen)? } else { BTreeMap::new() };
        let sizes: Vec<u64> = strips.values().map(|(_, saved)| *saved).collect();
        of_action(Action::Strip, &sizes);
        let under = View::new(below.clone());
        let decide = Layer {
            image,
            index: layer,
            drops_hidden,
            unseen: &unseen,
            removed: &removed,
            equal: &equal,
            stripped: &strips,
            under: &under,
        };
        let kept = decide.kept();
        let old = image.view.layers()[layer].entries();
        let same = kept.len() == old.len() && kept.iter().zip(old).all(|(kept, old)| kept.entry == *old);
        below.push(if same {
            Arc::clone(&image.view.layers()[layer])
        } else {
            let entries = kept.iter().map(|kept| kept.entry.clone()).collect();
            Arc::new(Toc::new(entries).map_err(LayerError::from)?)
        });
        stripped.extend(strips.into_iter().map(|(path, (half, _))| ((layer, path.to_vec()), half.debug_path)));
        for entry in old.iter().filter(|_| !equal.is_empty()) {
            let target = if let EntryKind::HardLink { target } = &entry.kind { target } else { &entry.path };
            if equal.contains_key(&target[..]) {
                relinked.insert(entry.path.clone(), layer);
            }
        }
        tables.push((!same).then_some(kept));
    }
    let (layers_of_removed, removed) = (removed.clone().into_iter().collect(), removed.into_keys().collect());
    let dropped = observed.map(|_| untouched.finish(&inventory));
    Ok(Slimmed { savings, removed, dropped, stripped, relinked, layers_of_removed, tables })
}

/// Programs of a layer that stay and have debug sections: what they are without, and the bytes that it saves.
fn divisible_files<'a>(
    image: &Image<'a>,
    layer: usize,
    tree: &ImageTree<'_>,
    removed: &BTreeMap<Vec<u8>, usize>,
    equal: &HashMap<&[u8], (&[u8], u64)>,
    unseen: &HashSet<(usize, &[u8])>,
) -> Result<BTreeMap<&'a [u8], (Divisible, u64)>, RewriteError> {
    let mut found = BTreeMap::new();
    for entry in image.view.layers()[layer].entries() {
        let EntryKind::File { size, .. } = entry.kind else { continue };
        let path = entry.path.as_slice();
        let Some(hit) = image.view.lookup(path).filter(|hit| hit.layer == layer) else { continue };
        // What is signed as it is has to stay so.
        let is_signed = entry.xattrs.keys().any(|name| name.starts_with(b"security.ima"));
        let goes = removed.contains_key(path) || equal.contains_key(path) || unseen.contains(&(layer, path));
        if goes || is_signed || !Elf::may_be(size) || !is_code(path, entry.mode) {
            continue;
        }
        let open = || tree.open_hit(&hit).map_err(io::Error::other);
        let half = strip::divisible(open, path)
            .map_err(|error| LayerError::Io { path: String::from_utf8_lossy(path).into_owned().into(), error })?;
        if let Some(half) = half.filter(|half| half.size < size) {
            let saved = size - half.size;
            found.insert(path, (half, saved));
        }
    }
    Ok(found)
}

/// Equal files of a layer that stay: the first of them, and the bytes that a link saves.
fn equal_files<'a>(
    image: &Image<'a>,
    layer: usize,
    removed: &BTreeMap<Vec<u8>, usize>,
) -> HashMap<&'a [u8], (&'a [u8], u64)> {
    let found = links::equal(image.view, layer).into_iter();
    let stays = |path: &[u8]| !removed.contains_key(path);
    found.filter(|it| stays(it.path) && stays(it.first)).map(|it| (it.path, (it.first, it.bytes))).collect()
}

impl Slimmed {
    /// Bytes that all passes saved.
    pub fn bytes(&self) -> u64 {
        self.savings.iter().map(|saving| saving.bytes).sum()
    }

    /// Whether nothing can go.
    pub fn is_unchanged(&self) -> bool {
        self.tables.iter().all(Option::is_none)
    }

    /// Makes the image.
    pub fn make(&self, image: &Image<'_>) -> Result<Rewritten, RewriteError> {
        let mut replacements = Vec::with_capacity(self.tables.len());
        for (kept, old) in self.tables.iter().zip(image.diff_ids) {
            let Some(kept) = kept else {
                replacements.push(None);
                continue;
            };
            let _contents = image.layers.contents(old)?;
            let made = remake::layer(image.layers, old, kept.clone(), image.compression)?;
            let layers = if made == DiffId::empty() { Vec::new() } else { vec![(made, None)] };
            replacements.push(Some(Replacement { layers }));
        }
        let rewritten = replace(image, replacements);
        let removed: BTreeSet<String> =
            self.removed.iter().map(|path| format!("/{}", String::from_utf8_lossy(path))).collect();
        let text = |path: &Vec<u8>| format!("/{}", String::from_utf8_lossy(path));
        let stripped: BTreeSet<String> = self.stripped.keys().map(|(_, path)| text(path)).collect();
        check(image, &rewritten, |file| is_asked_for(file, &removed, &stripped))?;
        Ok(rewritten)
    }

    /// A layer of what was removed: the slim image with it on top is the image that was there before.
    pub fn dropped(&self, image: &Image<'_>) -> Result<DiffId, RewriteError> {
        let mut items: BTreeMap<Vec<u8>, Item> = BTreeMap::new();
        let stripped = self.stripped.keys().map(|(layer, path)| (path, *layer));
        let removed = self.removed.iter().map(|path| (path, self.layers_of_removed[path]));
        let relinked = self.relinked.iter().map(|(path, layer)| (path, *layer));
        let all: BTreeMap<&Vec<u8>, usize> = removed.chain(stripped).chain(relinked).collect();
        for (&path, &layer) in &all {
            let Some(hit) = image.view.lookup(path).filter(|hit| hit.layer == layer) else { continue };
            // A link to a file that is kept, or in another layer, becomes a file of its own.
            let kept = match (&hit.entry.kind, hit.file()) {
                (EntryKind::HardLink { target }, Some((size, digest))) if all.get(target) != Some(&layer) => {
                    let entry = Entry { kind: EntryKind::File { size, digest }, ..hit.entry.clone() };
                    Kept { entry, from: Some(target.clone()), half: None }
                }
                _ => Kept::from(hit.entry.clone()),
            };
            items.insert(path.clone(), remake::item(image.layers, &image.diff_ids[layer], kept));
            let mut folder = remake::parent(path);
            while !folder.is_empty() && !items.contains_key(folder) {
                if let Some(hit) = image.view.lookup(folder) {
                    let entry = Entry { kind: EntryKind::Dir { opaque: false }, ..hit.entry.clone() };
                    items.insert(folder.to_vec(), Item::new(entry));
                }
                folder = remake::parent(folder);
            }
        }
        let form = Form::Blob(image.compression);
        Ok(image.layers.from_files(items.into_values().collect(), None, form)?.diff_id)
    }

    /// A layer of the debug sections that were taken out of programs, where debuggers look for them. `None` if there are
    /// none.
    pub fn debug_files(&self, image: &Image<'_>) -> Result<Option<DiffId>, RewriteError> {
        let mut items: BTreeMap<&[u8], Item> = BTreeMap::new();
        for ((layer, path), debug_path) in &self.stripped {
            let layer = image.diff_ids[*layer];
            let half = HalfOfFile { layers: image.layers.clone(), layer, path: path.clone(), half: Half::Debug };
            let (size, digest) = strip::measure(&half)
                .map_err(|error| LayerError::Io { path: String::from_utf8_lossy(path).into_owned().into(), error })?;
            let mut entry = Entry::new(debug_path.clone(), EntryKind::File { size, digest });
            entry.mode = 0o644;
            items.insert(debug_path, Item::file(entry, Content::Stream(Arc::new(half))));
        }
        if items.is_empty() {
            return Ok(None);
        }
        let form = Form::Blob(image.compression);
        Ok(Some(image.layers.from_files(items.into_values().collect(), None, form)?.diff_id))
    }
}

/// Whether a difference is what the passes are for.
fn is_asked_for(file: &FileChange, removed: &BTreeSet<String>, stripped: &BTreeSet<String>) -> bool {
    let is_stripped = stripped.contains(&file.path);
    let may_change = |field: &str| field == "hard link to" || is_stripped && matches!(field, "size" | "content");
    match &file.change {
        Change::Removed => removed.contains(&file.path),
        Change::Changed(fields) => fields.iter().all(|field| may_change(&field.field)),
        Change::Added => false,
    }
}

/// One layer, and all that decides about its entries.
struct Layer<'a> {
    image: &'a Image<'a>,
    index: usize,
    drops_hidden: bool,
    unseen: &'a HashSet<(usize, &'a [u8])>,
    removed: &'a BTreeMap<Vec<u8>, usize>,
    /// Files that become links: to which file.
    equal: &'a HashMap<&'a [u8], (&'a [u8], u64)>,
    /// Programs without their debug sections.
    stripped: &'a BTreeMap<&'a [u8], (Divisible, u64)>,
    /// What the layers below came to.
    under: &'a View,
}

impl Layer<'_> {
    /// The entries that are kept, sorted by path.
    fn kept(&self) -> Vec<Kept> {
        let entries = self.image.view.layers()[self.index].entries();
        let mut kept: BTreeMap<&[u8], Kept> = BTreeMap::new();
        // Where the bytes of a file are now, if its own name is gone: under the first of its other names.
        let mut moved: HashMap<&[u8], &[u8]> = HashMap::new();
        for entry in entries.iter().filter(|entry| !entry.is_dir()) {
            if let Some(entry) = self.entry(entry, &mut moved) {
                kept.insert(&entry.0.path, entry.1);
            }
        }
        let mut needed: HashSet<&[u8]> = HashSet::new();
        for path in kept.keys() {
            let mut folder = remake::parent(path);
            while !folder.is_empty() && needed.insert(folder) {
                folder = remake::parent(folder);
            }
        }
        for entry in entries.iter().filter(|entry| entry.is_dir()) {
            let is_seen = || !self.drops_hidden || is_visible(self.image.view, self.index, &entry.path);
            let stays = entry.path.is_empty()
                || needed.contains(&entry.path[..])
                || !self.removed.contains_key(&entry.path) && is_seen();
            if stays {
                kept.insert(&entry.path, Kept::from(entry.clone()));
                let mut folder = remake::parent(&entry.path);
                while !folder.is_empty() && needed.insert(folder) {
                    folder = remake::parent(folder);
                }
            }
        }
        // Folders that were passed before it was known that something in them stays.
        for entry in entries.iter().filter(|entry| entry.is_dir() && needed.contains(&entry.path[..])) {
            kept.entry(&entry.path).or_insert_with(|| Kept::from(entry.clone()));
        }
        kept.into_values().collect()
    }

    /// What becomes of an entry that is no folder.
    fn entry<'e>(&self, entry: &'e Entry, moved: &mut HashMap<&'e [u8], &'e [u8]>) -> Option<(&'e Entry, Kept)> {
        let path = entry.path.as_slice();
        let covers = |entry: &'e Entry| {
            let deletion = || Kept::from(Entry::new(path, EntryKind::Whiteout));
            self.under.lookup(path).is_some().then(|| (entry, deletion()))
        };
        if self.removed.get(path) == Some(&self.index) {
            return covers(entry);
        }
        match &entry.kind {
            EntryKind::Whiteout if self.drops_hidden => covers(entry),
            EntryKind::File { .. } if self.unseen.contains(&(self.index, path)) => None,
            EntryKind::File { .. } => {
                // Its bytes are kept for another name; this one is seen by nobody.
                if self.drops_hidden && !is_visible(self.image.view, self.index, path) {
                    return None;
                }
                let linked = self.equal.get(path).map(|(first, _)| {
                    let kind = EntryKind::HardLink { target: first.to_vec() };
                    Kept::from(Entry { kind, ..entry.clone() })
                });
                let stripped = self.stripped.get(path).map(|(half, _)| {
                    let kind = EntryKind::File { size: half.size, digest: half.digest };
                    Kept { entry: Entry { kind, ..entry.clone() }, from: None, half: Some(Half::Program) }
                });
                Some((entry, linked.or(stripped).unwrap_or_else(|| Kept::from(entry.clone()))))
            }
            EntryKind::HardLink { target } => {
                if self.drops_hidden && !is_visible(self.image.view, self.index, path) {
                    return None;
                }
                Some((entry, self.link(entry, target, moved)))
            }
            EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
                if self.drops_hidden && !is_visible(self.image.view, self.index, path) =>
            {
                None
            }
            EntryKind::Whiteout
            | EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo => Some((entry, Kept::from(entry.clone()))),
        }
    }

    /// A hard link whose target may be gone, or be a link itself now.
    fn link<'e>(&self, entry: &'e Entry, target: &'e [u8], moved: &mut HashMap<&'e [u8], &'e [u8]>) -> Kept {
        let toc = &self.image.view.layers()[self.index];
        let to = |target: &[u8]| Entry { kind: EntryKind::HardLink { target: target.to_vec() }, ..entry.clone() };
        let is_gone = self.removed.get(target) == Some(&self.index)
            || self.drops_hidden && !is_visible(self.image.view, self.index, target);
        if !is_gone {
            let first = self.equal.get(target).map_or(target, |(first, _)| first);
            return Kept::from(to(first));
        }
        if let Some(first) = moved.get(target) {
            return Kept::from(to(first));
        }
        moved.insert(target, &entry.path);
        let kind = toc.get(target).map_or_else(|| entry.kind.clone(), |file| file.kind.clone());
        Kept { entry: Entry { kind, ..entry.clone() }, from: Some(target.to_vec()), half: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::{
        owner::testing::{self, Node, file, node},
        passes::PASSES,
    };
    use flashbuild_frontend::config::ImageConfig;

    fn gone(path: &str) -> Node {
        node(path, EntryKind::Whiteout)
    }

    fn link(path: &str, target: &str) -> Node {
        node(path, EntryKind::HardLink { target: target.into() })
    }

    /// Slims with all passes of this trust; returns what each saved, and the paths of the layers above the base.
    fn slim(layers: &[Vec<Node>], trust: &[Trust]) -> (Vec<(&'static str, u64)>, Vec<Vec<String>>) {
        let image = testing::Image::of_layers(layers);
        let config = ImageConfig::default();
        let subject = image.subject(&config);
        let passes: Vec<&Pass> = PASSES.iter().filter(|pass| trust.contains(&pass.trust)).collect();
        let plan = plan(&subject, &passes, None).unwrap();
        let made = plan.make(&subject).unwrap();
        // With what was dropped on top, all of it is there again.
        let whole = [&made.diff_ids[..], &[plan.dropped(&subject).unwrap()]].concat();
        check(&subject, &Rewritten { diff_ids: whole, ..made.clone() }, |file| {
            is_asked_for(file, &BTreeSet::new(), &BTreeSet::new())
        })
        .unwrap();
        let saved = plan.savings.iter().filter(|it| it.files > 0).map(|it| (it.pass.name, it.bytes)).collect();
        let shown = |entry: &Entry| match &entry.kind {
            EntryKind::Whiteout => format!("-{}", String::from_utf8_lossy(&entry.path)),
            EntryKind::HardLink { target } => {
                format!("{}={}", String::from_utf8_lossy(&entry.path), String::from_utf8_lossy(target))
            }
            EntryKind::File { .. }
            | EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo => String::from_utf8_lossy(&entry.path).into_owned(),
        };
        let own = made.diff_ids[1..].iter();
        let paths = own.map(|id| image.layers.toc(id).unwrap().entries().iter().map(shown).collect()).collect();
        (saved, paths)
    }

    #[track_caller]
    fn check_slim(layers: &[Vec<Node>], saved: &[(&str, u64)], kept: &[&[&str]]) {
        let (actual, paths) = slim(layers, &[Trust::Proven]);
        assert_eq!(
            (actual.as_slice(), paths),
            (saved, kept.iter().map(|it| it.iter().map(ToString::to_string).collect()).collect())
        );
    }

    #[test]
    fn hidden_bytes_go_and_so_do_deletions_of_them() {
        check_slim(
            &[
                vec![file("base", "b")],
                vec![file("a", "old"), file("d/x", "12345"), file("keep", "k")],
                vec![file("a", "new"), gone("d"), gone("base")],
            ],
            &[("hidden", 8)],
            &[&["keep"], &["a", "-base"]],
        );
    }

    #[test]
    fn a_layer_of_which_nothing_is_left_is_gone() {
        check_slim(
            &[vec![file("base", "b")], vec![file("d/x", "12345")], vec![gone("d"), file("y", "y")]],
            &[("hidden", 5)],
            &[&["y"]],
        );
    }

    #[test]
    fn bytes_that_another_name_shows_stay_under_that_name() {
        check_slim(
            &[vec![file("base", "b")], vec![file("a", "bytes"), link("b", "a"), link("c", "a")], vec![gone("a")]],
            &[],
            &[&["b", "c=b"]],
        );
    }

    #[test]
    fn caches_go_and_do_not_uncover_older_ones() {
        check_slim(
            &[
                vec![file("var/lib/apt/lists/of-base", "1"), file("var/log/dpkg.log", "1")],
                vec![file("var/lib/apt/lists/own", "22"), file("var/log/dpkg.log", "333"), file("a", "a")],
            ],
            &[("caches", 5)],
            &[&["a", "var", "var/lib", "var/lib/apt", "var/lib/apt/lists", "var/log", "-var/log/dpkg.log"]],
        );
    }

    #[test]
    fn equal_files_become_names_of_one() {
        let text = "x".repeat(3000);
        check_slim(
            &[vec![file("base", "b")], vec![file("a", &text), file("b", &text), link("c", "b")]],
            &[("links", 3000)],
            &[&["a", "b=a", "c=a"]],
        );
    }

    #[test]
    fn profiles_are_done_when_asked_for_and_can_be_undone() {
        let layers = [
            vec![file("base", "b")],
            vec![
                file("usr/share/man/man1/x.1", "page"),
                link("usr/share/man/man1/y.1", "usr/share/man/man1/x.1"),
                file("z", "z"),
            ],
        ];
        assert_eq!(slim(&layers, &[Trust::Proven]).0, []);
        let (saved, paths) = slim(&layers, &[Trust::Proven, Trust::Profile]);
        assert_eq!(saved, [("docs", 4)]);
        assert_eq!(paths[0].last().unwrap(), "z");
    }
}
