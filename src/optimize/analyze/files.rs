//! The files of an image as of each layer: what a layer adds, changes and removes, whose each file is, and what of it is
//! waste.

use super::Subject;
use crate::{
    layer::{EntryKind, LayerError, View},
    optimize::{
        owner::{ImageTree, Inventory},
        passes::{Candidate, PASSES, Seen, hidden::hidden},
    },
};
use std::collections::{BTreeMap, HashMap};

/// What is known of all files of an image.
pub struct Files {
    view: View,
    packages: Vec<String>,
    owners: HashMap<Vec<u8>, usize>,
    /// By layer and path: what is hidden by a later layer.
    hidden: HashMap<(usize, Vec<u8>), &'static str>,
}

/// What a layer did to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing: it was there before.
    Same,
    /// It is new.
    Added,
    /// It was there and is another now, or something in the folder is.
    Changed,
    /// It was there and is gone.
    Removed,
}

/// A file, or a folder with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNode {
    /// Its name, of bytes that may be no text.
    pub name: Vec<u8>,
    /// What the layer did to it.
    pub mark: Mark,
    /// Bytes, of a folder those of all files in it; of what was removed those that are no longer seen.
    pub bytes: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The package that it belongs to.
    pub package: Option<String>,
    /// The kind of waste that it is, as [`super::Waste::kind`] or a pass names it.
    pub waste: Option<&'static str>,
    /// What is in it: the largest first.
    pub children: Vec<FileNode>,
}

/// Which files are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFilter {
    /// Only what the layer added, changed or removed.
    pub changes: bool,
    /// Only what belongs to a package with this in its name; empty for all.
    pub package: String,
    /// Which waste.
    pub waste: WasteFilter,
}

/// Which files are wanted, by whether they are waste.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WasteFilter {
    /// All.
    #[default]
    Everything,
    /// What is waste.
    AnyWaste,
    /// What is waste of a kind.
    Kind(&'static str),
}

impl Files {
    /// Of an image.
    pub fn of(subject: &Subject<'_>) -> Result<Self, LayerError> {
        let tree = ImageTree::new(subject.view, subject.layers, subject.diff_ids);
        let inventory = Inventory::of_owners(&tree)?;
        let layers = subject.view.layers().iter();
        let paths = layers.flat_map(|toc| toc.entries()).filter(|entry| !entry.is_dir()).map(|entry| &entry.path);
        let owned = paths.filter_map(|path| Some((path.clone(), inventory.owner_index(path)?)));
        let kind = |replaced: bool| if replaced { "overwritten" } else { "deleted" };
        let hidden = hidden(subject.view).into_iter();
        Ok(Self {
            view: View::new(subject.view.layers().to_vec()),
            owners: owned.collect(),
            hidden: hidden.map(|it| ((it.layer, it.path.to_vec()), kind(it.replaced))).collect(),
            packages: inventory.packages.into_iter().map(|package| package.name).collect(),
        })
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.view.layers().len()
    }

    /// The whole tree as of a layer, counted from 0.
    pub fn tree(&self, layer: usize) -> FileNode {
        let tables = self.view.layers();
        let now = View::new(tables[..=layer].to_vec());
        let before = View::new(tables[..layer].to_vec());
        let mut root = FileNode::folder(b"");
        for hit in now.walk(b"").filter(|hit| !hit.entry.path.is_empty()) {
            let path = &hit.entry.path;
            let mark = match (hit.layer == layer, before.lookup(path)) {
                (false, _) => Mark::Same,
                (true, None) => Mark::Added,
                // A folder is among the entries of each layer that has something in it.
                (true, Some(old)) if hit.entry.is_dir() && old.entry.is_dir() => Mark::Same,
                (true, Some(_)) => Mark::Changed,
            };
            root.insert(path, self.node(path, &hit.entry.kind, hit.layer, mark));
        }
        for hit in before.walk(b"").filter(|hit| !hit.entry.path.is_empty() && now.lookup(&hit.entry.path).is_none()) {
            let path = &hit.entry.path;
            root.insert(path, self.node(path, &hit.entry.kind, hit.layer, Mark::Removed));
        }
        root.sum_up();
        root
    }

    fn node(&self, path: &[u8], kind: &EntryKind, layer: usize, mark: Mark) -> FileNode {
        let owner = self.owners.get(path).map(|&index| self.packages[index].clone());
        let is_folder = matches!(kind, EntryKind::Dir { .. });
        let by_pass = || {
            // Passes ask who owns a file, and nothing else of the package.
            let file = Candidate { path, owner: None, seen: Seen::NotObserved };
            let found = PASSES.iter().find(|pass| pass.removes(&file)).map(|pass| pass.name);
            found.filter(|name| *name != "leftovers" || owner.is_none())
        };
        let waste = self.hidden.get(&(layer, path.to_vec())).copied().or_else(by_pass).filter(|_| !is_folder);
        let bytes = if let EntryKind::File { size, .. } = kind { *size } else { 0 };
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
        FileNode { name, mark, bytes, is_folder, package: owner, waste, children: Vec::new() }
    }
}

impl FileNode {
    fn folder(name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            mark: Mark::Same,
            bytes: 0,
            is_folder: true,
            package: None,
            waste: None,
            children: Vec::new(),
        }
    }

    /// Puts a node where its path says; folders that are missing are made.
    fn insert(&mut self, path: &[u8], node: FileNode) {
        let Some(slash) = path.iter().position(|&byte| byte == b'/') else {
            match self.children.iter_mut().find(|child| child.name == node.name && child.is_folder && node.is_folder) {
                Some(known) => known.mark = node.mark,
                None => self.children.push(node),
            }
            return;
        };
        let (name, rest) = (&path[..slash], &path[slash + 1..]);
        // Paths come sorted, so that it is mostly the last one.
        let at = self.children.iter().rposition(|child| child.is_folder && child.name == name).unwrap_or_else(|| {
            self.children.push(Self::folder(name));
            self.children.len() - 1
        });
        self.children[at].insert(rest, node);
    }

    fn sum_up(&mut self) {
        self.children.iter_mut().for_each(Self::sum_up);
        self.children.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        if !self.is_folder {
            return;
        }
        self.bytes = self.children.iter().filter(|child| child.mark != Mark::Removed).map(|child| child.bytes).sum();
        let is_same = self.children.iter().all(|child| child.mark == Mark::Same);
        if self.mark == Mark::Same && !is_same {
            self.mark = Mark::Changed;
        }
    }

    /// What of it is wanted; `None` if nothing is. Folders have the bytes of what is wanted in them.
    pub fn filtered(&self, filter: &FileFilter) -> Option<Self> {
        if *filter == FileFilter::default() {
            return Some(self.clone());
        }
        if self.is_folder {
            let children: Vec<Self> = self.children.iter().filter_map(|child| child.filtered(filter)).collect();
            let bytes = children.iter().filter(|child| child.mark != Mark::Removed).map(|child| child.bytes).sum();
            let mut node = Self { bytes, children, ..Self::folder(&self.name) };
            node.mark = self.mark;
            node.children.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
            return (!node.children.is_empty()).then_some(node);
        }
        let is_of_package = |wanted: &str| self.package.as_deref().is_some_and(|package| package.contains(wanted));
        let wanted = (!filter.changes || self.mark != Mark::Same)
            && (filter.package.is_empty() || is_of_package(&filter.package))
            && match filter.waste {
                WasteFilter::Everything => true,
                WasteFilter::AnyWaste => self.waste.is_some(),
                WasteFilter::Kind(kind) => self.waste == Some(kind),
            };
        wanted.then(|| self.clone())
    }

    /// The kinds of waste in it, and the bytes of each.
    pub fn kinds_of_waste(&self) -> BTreeMap<&'static str, u64> {
        let mut kinds = BTreeMap::new();
        self.count_waste(&mut kinds);
        kinds
    }

    fn count_waste(&self, kinds: &mut BTreeMap<&'static str, u64>) {
        if let Some(kind) = self.waste {
            *kinds.entry(kind).or_default() += self.bytes;
        }
        self.children.iter().for_each(|child| child.count_waste(kinds));
    }
}
