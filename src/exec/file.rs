//! `File`: files copied or made on top of a tree, as one layer.
//!
//! A [`Plan`] is the list of entries that the layer will hold, known before a byte is copied: sources are found in
//! the tables of their tree (or in the listing of a context), the destination is resolved in the tables of the base,
//! and the base's folders on the way are taken over as they are. Two bases that agree in those folders therefore
//! share the layer, whatever else is in them.

use super::{
    Divided, Exec, ExecError, Product,
    context::Context,
    mode, past,
    select::{Found, Selection, select},
    users,
};
use crate::solver::FileFact;
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Compression, Content, Entry, EntryKind, Form, Item, LastLink, Unpacked, View, is_archive},
};
use flashbuild_frontend::graph::{CopyAction, FileAction, FileOp, Id, MakeDir, MakeFile, Node, NodeId, Op, Owner};
use std::{collections::BTreeMap, sync::Arc};

/// What the layer will hold.
pub(super) struct Plan {
    items: BTreeMap<Vec<u8>, Item>,
    epoch: Option<i64>,
    /// Kept for their files: archives stay unpacked until the layer is made.
    unpacked_archives: Vec<Unpacked>,
}

/// A digest of what the copies of `op` select from contexts, and the files one by one.
pub(super) fn selected_from_contexts(
    exec: &Exec,
    node: &Node,
    op: &FileOp,
) -> Result<(Vec<u8>, Vec<FileFact>), ExecError> {
    let mut hasher = blake3::Hasher::new();
    let mut facts = Vec::new();
    for action in &op.actions {
        let FileAction::Copy(copy) = action else { continue };
        let input = node.inputs[copy.from];
        if !matches!(exec.graph.node(input).op, Op::Local(_)) {
            continue;
        }
        let context = exec.listing(input)?;
        let view = View::new(vec![Arc::clone(&context.toc)]);
        let Selection { found, .. } = select(&view, copy, "the build context")?;
        let digests = digests(exec, &context, &found)?;
        for source in &found {
            let entry = with_digest(source.hit.entry, &digests);
            describe(&mut hasher, &source.relative, &entry);
            facts.push(past::fact(&entry));
        }
    }
    Ok((hasher.finalize().as_bytes().to_vec(), facts))
}

/// Whether an owner of `op` is a name that input `index` knows.
pub(super) fn looks_names_up_in(op: &FileOp, index: usize) -> bool {
    let owners = op.actions.iter().filter_map(|action| match action {
        FileAction::Copy(copy) => copy.owner.as_ref(),
        FileAction::MakeDir(make) => make.owner.as_ref(),
        FileAction::MakeFile(make) => make.owner.as_ref(),
    });
    let is_name = |id: &Id| matches!(id, Id::Name(_));
    owners
        .into_iter()
        .any(|owner| owner.names_in == index && (is_name(&owner.user) || owner.group.as_ref().is_some_and(is_name)))
}

impl Plan {
    /// Plans the actions of node `id` on the first input.
    pub(super) fn new(exec: &Exec, id: NodeId, op: &FileOp, inputs: &[Product]) -> Result<Self, ExecError> {
        let base = exec.view(&inputs[0])?;
        let mut plan = Self { items: BTreeMap::new(), epoch: exec.graph.epoch, unpacked_archives: Vec::new() };
        for action in &op.actions {
            match action {
                FileAction::Copy(copy) => {
                    let from = exec.graph.node(id).inputs[copy.from];
                    plan.copy(exec, &base, copy, inputs, place(&exec.graph.node(from).op))?;
                }
                FileAction::MakeDir(make) => plan.make_dir(exec, &base, make, inputs)?,
                FileAction::MakeFile(make) => plan.make_file(exec, &base, make, inputs)?,
            }
        }
        Ok(plan)
    }

    /// What the layer depends on: all of its entries but their times.
    pub(super) fn facts(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        for item in self.items.values() {
            describe(&mut hasher, &item.entry().path, item.entry());
        }
        hasher.finalize().as_bytes().to_vec()
    }

    /// Makes the layer of node `id`.
    ///
    /// One that will be divided is in no image, and need not be small. What is divided is what was unpacked, or read.
    pub(super) fn make(self, exec: &Exec, id: NodeId) -> Result<DiffId, ExecError> {
        let (form, divided) = (exec.form(id), exec.divided.as_ref());
        let keep = |contents| exec.contents.lock().expect("no panic while holding it").push(contents);
        if matches!(form, Form::Folder) || divided.is_none_or(|divided| !self.will_become_others(divided)) {
            return Ok(exec.layers.from_files(self.items.into_values().collect(), self.epoch, form)?.diff_id);
        }
        let items = self.items.into_values().collect();
        if let [archive] = &self.unpacked_archives[..] {
            let made = exec.layers.from_files(items, self.epoch, Form::Blob(Compression::QUICK))?;
            exec.layers.contents_of_archive(&made, archive).map(keep);
            return Ok(made.diff_id);
        }
        let (made, contents) = exec.layers.from_files_to_divide(items, self.epoch)?;
        keep(contents);
        Ok(made.diff_id)
    }

    fn will_become_others(&self, divided: &Divided) -> bool {
        let unpacked: u64 = self.unpacked_archives.iter().map(|archive| archive.toc().content_size()).sum();
        let size = |item: &Item| if let EntryKind::File { size, .. } = item.entry().kind { size } else { 0 };
        let small: u64 = self.items.values().map(size).filter(|size| *size < divided.small).sum();
        unpacked >= divided.from.max(1) || small >= divided.from_small
    }

    fn copy(
        &mut self,
        exec: &Exec,
        base: &View,
        copy: &CopyAction,
        inputs: &[Product],
        place: &'static str,
    ) -> Result<(), ExecError> {
        let source = &inputs[copy.from];
        let view = exec.view(source)?;
        let Selection { found, has_folder } = select(&view, copy, place)?;
        let known = match source {
            Product::Files(context) => digests(exec, context, &found)?,
            Product::Tree(..) => BTreeMap::new(),
        };
        let owner = Self::owner(exec, copy.owner.as_ref(), inputs)?;
        let (dest, is_dir) = self.destination(base, &copy.dest)?;
        let into = copy.into_dir || is_dir;
        for source_file in found {
            let hit = source_file.hit;
            if copy.unpack
                && let Product::Files(context) = source
                && hit.file().is_some()
                && is_archive(context.open(&hit.entry.path)?)
            {
                let archive = exec.layers.unpack_archive(context.open(&hit.entry.path)?)?;
                self.folders(base, &dest, true, owner.unwrap_or((0, 0)));
                for item in archive.items(&dest)? {
                    self.items.insert(item.entry().path.clone(), item);
                }
                self.unpacked_archives.push(archive);
                continue;
            }
            let path = if source_file.alone && !into { dest.clone() } else { join(&dest, &source_file.relative) };
            let mut entry = with_digest(hit.entry, &known);
            entry.path.clone_from(&path);
            let content = match (&entry.kind, source) {
                (EntryKind::File { .. } | EntryKind::HardLink { .. }, Product::Files(context)) => {
                    Content::Host { root: Arc::clone(&context.root), path: os_path(&hit.entry.path) }
                }
                (EntryKind::File { .. } | EntryKind::HardLink { .. }, Product::Tree(layers, _)) => {
                    Content::Layer { layer: layers[hit.layer], path: hit.entry.path.clone() }
                }
                _ => Content::None,
            };
            if let (EntryKind::HardLink { .. }, Some((size, digest))) = (&entry.kind, hit.file()) {
                entry.kind = EntryKind::File { size, digest };
            }
            if let EntryKind::Dir { opaque } = &mut entry.kind {
                *opaque = false;
            }
            if let Some((uid, gid)) = owner {
                (entry.uid, entry.gid) = (uid, gid);
            }
            if let Some(mode) = copy.mode.as_ref().filter(|_| !matches!(entry.kind, EntryKind::Symlink { .. })) {
                entry.mode = mode::apply(mode, entry.mode, entry.is_dir())?;
            }
            self.folders(base, &path, false, owner.unwrap_or((0, 0)));
            let there = self.items.get(&path).map(Item::entry).or_else(|| base.lookup(&path).map(|hit| hit.entry));
            match there.map(Entry::is_dir) {
                // A folder that only comes along does not change the one that is there already.
                Some(true) if source_file.implied => entry = folder_entry(there.unwrap_or(&entry)),
                Some(there) if there != entry.is_dir() => return Err(in_the_way(&path, there)),
                Some(_) | None => {}
            }
            self.items.insert(
                path,
                if matches!(content, Content::None) { Item::new(entry) } else { Item::file(entry, content) },
            );
        }
        if copy.into_dir || has_folder {
            self.folders(base, &dest, true, owner.unwrap_or((0, 0)));
        }
        Ok(())
    }

    fn make_dir(&mut self, exec: &Exec, base: &View, make: &MakeDir, inputs: &[Product]) -> Result<(), ExecError> {
        let (path, there) = self.destination(base, &make.path)?;
        if path.is_empty() || there {
            return Ok(());
        }
        let owner = Self::owner(exec, make.owner.as_ref(), inputs)?.unwrap_or((0, 0));
        let new_folder = |path: &[u8]| {
            let mut entry = Entry::new(path, EntryKind::Dir { opaque: false });
            entry.mode = make.mode;
            (entry.uid, entry.gid) = owner;
            entry.mtime = self.now();
            entry
        };
        let missing: Vec<Entry> = ancestors(&path)
            .into_iter()
            .chain([path.as_slice()])
            .filter(|folder| base.lookup(folder).is_none())
            .map(new_folder)
            .collect();
        self.folders(base, &path, false, owner);
        for entry in missing {
            self.items.insert(entry.path.clone(), Item::new(entry));
        }
        Ok(())
    }

    fn make_file(&mut self, exec: &Exec, base: &View, make: &MakeFile, inputs: &[Product]) -> Result<(), ExecError> {
        let (dest, is_dir) = self.destination(base, &make.path)?;
        let path = if is_dir || make.path.ends_with('/') { join(&dest, make.name.as_bytes()) } else { dest };
        let content = make.content.clone().into_bytes();
        let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest::of(&content) };
        let mut entry = Entry::new(path.clone(), kind);
        if let Some(mode) = &make.mode {
            entry.mode = mode::apply(mode, entry.mode, false)?;
        }
        (entry.uid, entry.gid) = Self::owner(exec, make.owner.as_ref(), inputs)?.unwrap_or((0, 0));
        entry.mtime = self.now();
        self.folders(base, &path, false, (entry.uid, entry.gid));
        self.items.insert(path, Item::file(entry, Content::Bytes(content)));
        Ok(())
    }

    fn owner(exec: &Exec, owner: Option<&Owner>, inputs: &[Product]) -> Result<Option<(u32, u32)>, ExecError> {
        owner.map(|owner| users::owner(exec, owner, inputs)).transpose()
    }

    /// Where `dest` is in the base, links followed, and whether a folder is there (or planned to be).
    fn destination(&self, base: &View, dest: &str) -> Result<(Vec<u8>, bool), ExecError> {
        let found = base
            .resolve(dest.as_bytes(), LastLink::Follow)
            .map_err(|error| ExecError::Path(format!("{dest}: {error}")))?;
        let is_root = found.existing.is_empty() && found.missing.is_empty();
        let is_dir = found.missing.is_empty() && found.hit.as_ref().is_some_and(|hit| hit.entry.is_dir());
        let path = join(&found.existing, &found.missing);
        let planned = self.items.get(&path).is_some_and(|item| item.entry().is_dir());
        Ok((path, is_root || is_dir || planned))
    }

    /// Takes the folders above `path` (and `path` itself, if asked) over from the base, or plans new ones of `owner`.
    fn folders(&mut self, base: &View, path: &[u8], itself: bool, owner: (u32, u32)) {
        let all = ancestors(path).into_iter().chain(itself.then_some(path).filter(|path| !path.is_empty()));
        for folder in all {
            if self.items.contains_key(folder) {
                continue;
            }
            let there = base.lookup(folder).filter(|hit| hit.entry.is_dir());
            let entry = there.map_or_else(|| self.new_folder(folder, owner), |hit| folder_entry(hit.entry));
            self.items.insert(folder.to_vec(), Item::new(entry));
        }
    }

    fn new_folder(&self, path: &[u8], (uid, gid): (u32, u32)) -> Entry {
        Entry { mtime: self.now(), uid, gid, ..Entry::new(path, EntryKind::Dir { opaque: false }) }
    }

    /// The time of what is made here.
    fn now(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.epoch.unwrap_or(now)
    }
}

/// What people call that which an operation results in.
fn place(op: &Op) -> &'static str {
    match op {
        Op::Local(_) => "the build context",
        Op::Git(_) => "the repository",
        Op::Http(_) => "the download",
        Op::Image(_) | Op::Exec(_) | Op::File(_) | Op::Merge | Op::Package(_) => "the source image",
    }
}

/// Neither does a file replace a folder, nor the other way round.
fn in_the_way(path: &[u8], is_dir: bool) -> ExecError {
    let path = String::from_utf8_lossy(path);
    ExecError::Path(if is_dir {
        format!("cannot replace the folder /{path} with a file")
    } else {
        format!("cannot copy a folder to /{path}, which is not one")
    })
}

fn folder_entry(there: &Entry) -> Entry {
    Entry { kind: EntryKind::Dir { opaque: false }, ..there.clone() }
}

/// Digests of the selected regular files of a context, by path.
fn digests(exec: &Exec, context: &Context, found: &[Found<'_>]) -> Result<BTreeMap<Vec<u8>, ContentDigest>, ExecError> {
    let files = found.iter().filter(|found| matches!(found.hit.entry.kind, EntryKind::File { .. }));
    let paths: Vec<&[u8]> = files.map(|found| found.hit.entry.path.as_slice()).collect();
    let digests = context.digests(&exec.store, &paths)?;
    Ok(paths.into_iter().map(<[u8]>::to_vec).zip(digests).collect())
}

fn with_digest(entry: &Entry, known: &BTreeMap<Vec<u8>, ContentDigest>) -> Entry {
    let mut entry = entry.clone();
    if let EntryKind::File { digest, .. } = &mut entry.kind
        && let Some(known) = known.get(&entry.path)
    {
        *digest = *known;
    }
    entry
}

/// Adds to a key what an entry is, but for its times.
pub(super) fn describe(hasher: &mut blake3::Hasher, path: &[u8], entry: &Entry) {
    // Every part has a length or a fixed size, and what follows is told by its tag: no two entries look the same.
    let mut text = Vec::with_capacity(path.len() + 96);
    let mut part = |bytes: &[u8]| {
        text.extend((bytes.len() as u64).to_le_bytes());
        text.extend(bytes);
    };
    part(path);
    for number in [entry.mode, entry.uid, entry.gid] {
        part(&number.to_le_bytes());
    }
    match &entry.kind {
        EntryKind::File { size, digest } => {
            part(b"file");
            part(&size.to_le_bytes());
            part(&digest.0);
        }
        EntryKind::Dir { opaque } => part(if *opaque { b"opaque folder" } else { b"folder" }),
        EntryKind::Symlink { target } => {
            part(b"symbolic link");
            part(target);
        }
        EntryKind::HardLink { target } => {
            part(b"hard link");
            part(target);
        }
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
            part(if matches!(entry.kind, EntryKind::CharDevice { .. }) { b"characters" } else { b"blocks" });
            part(&major.to_le_bytes());
            part(&minor.to_le_bytes());
        }
        EntryKind::Fifo => part(b"fifo"),
        EntryKind::Whiteout => part(b"whiteout"),
    }
    part(&(entry.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &entry.xattrs {
        part(name);
        part(value);
    }
    hasher.update(&text);
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_vec(),
        (_, true) => folder.to_vec(),
        (false, false) => [folder, b"/", name].concat(),
    }
}

/// The folders above `path`, outermost first.
fn ancestors(path: &[u8]) -> Vec<&[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(index, _)| &path[..index]).collect()
}

fn os_path(path: &[u8]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(path).into()
}
