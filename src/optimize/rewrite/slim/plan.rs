//! What goes of an image, and what that saves.

use super::{
    Image, Options, RewriteError, Saving, Slimmed,
    kept::{Changed, Layer},
};
use crate::{
    layer::{EntryKind, LayerError, Toc, View},
    optimize::{
        analyze::is_code,
        observed::{Needed, Observed, Tally, emptied, forget},
        owner::{Elf, ImageTree, Inventory},
        passes::{
            Action, Candidate, Pass, Seen, Trust,
            hidden::{Hidden, hidden},
            links,
        },
        strip::{self, Cut, Stripped},
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    sync::Arc,
};

/// Finds out what goes, and of what was `observed` that nobody asked for. Nothing is made yet.
pub fn plan(image: &Image<'_>, options: &Options, observed: Option<&Observed>) -> Result<Slimmed, RewriteError> {
    let tree = ImageTree::new(image.view, image.layers, image.diff_ids);
    let inventory = Inventory::of_owners(&tree)?;
    let needed = observed.map(|observed| Needed::of(&tree, &inventory, observed)).transpose()?;
    let mut savings = Savings::of(&options.passes);
    let mut untouched = Tally::default();
    let mut removed = removed(image, &inventory, needed.as_ref(), &mut savings, &mut untouched);
    let mut databases = BTreeMap::new();
    if let Some(needed) = &needed {
        let forgotten = forget(&tree, &inventory, needed, &removed, image.base)?;
        databases = forgotten.databases;
        for (path, package) in forgotten.files {
            let Some(hit) = image.view.lookup(&path) else { continue };
            let bytes = if let EntryKind::File { size, .. } = hit.entry.kind { size } else { 0 };
            untouched.add(Some(package), bytes);
            savings.add_observed(bytes);
            removed.insert(path, hit.layer);
        }
        let emptied = emptied(image.view, image.base, needed, |path| removed.contains_key(path));
        removed.extend(emptied);
    }
    let found: Vec<Hidden<'_>> = if savings.has(Action::DropHidden) {
        hidden(image.view).into_iter().filter(|file| file.layer >= image.base).collect()
    } else {
        Vec::new()
    };
    savings.add(Action::DropHidden, found.iter().map(|file| file.bytes));
    let unseen: HashSet<(usize, &[u8])> = found.iter().map(|file| (file.layer, file.path)).collect();

    let cut = Cut {
        debug_sections: savings.has(Action::Strip),
        gpus: if savings.has(Action::BlankGpuCode) { options.gpus.as_slice().into() } else { Arc::default() },
    };
    let mut slimmed = Slimmed {
        savings: Vec::new(),
        removed: removed.keys().cloned().collect(),
        dropped: observed.map(|_| untouched.finish(&inventory)),
        notes: Vec::new(),
        changed: BTreeMap::new(),
        relinked: BTreeMap::new(),
        layers_of_removed: removed.clone().into_iter().collect(),
        tables: vec![None; image.base],
    };
    let mut below: Vec<Arc<Toc>> = image.view.layers()[..image.base].to_vec();
    for layer in image.base..image.diff_ids.len() {
        let stays = |path: &[u8]| !removed.contains_key(path) && !databases.contains_key(path);
        let equal = if savings.has(Action::LinkEqual) { equal_files(image, layer, stays) } else { HashMap::new() };
        savings.add(Action::LinkEqual, equal.values().map(|(_, bytes)| *bytes));
        let goes =
            |path: &[u8]| removed.contains_key(path) || equal.contains_key(path) || unseen.contains(&(layer, path));
        let programs = programs(image, layer, &tree, &cut, goes, &mut slimmed.notes)?;
        savings.add(Action::Strip, programs.values().map(|it| it.debug_bytes).filter(|bytes| *bytes > 0));
        savings.add(Action::BlankGpuCode, programs.values().map(|it| it.gpu_bytes).filter(|bytes| *bytes > 0));
        let mut changed: BTreeMap<Vec<u8>, Changed> =
            programs.into_iter().map(|(path, program)| (path, Changed::Program(program))).collect();
        let of_layer =
            databases.iter().filter(|(path, _)| image.view.lookup(path).is_some_and(|hit| hit.layer == layer));
        changed.extend(of_layer.map(|(path, text)| (path.clone(), Changed::Database(text.clone()))));
        let under = View::new(below.clone());
        let decide = Layer {
            image,
            index: layer,
            drops_hidden: savings.has(Action::DropHidden),
            unseen: &unseen,
            removed: &removed,
            equal: &equal,
            changed: &changed,
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
        for entry in old {
            let target = if let EntryKind::HardLink { target } = &entry.kind { target } else { &entry.path };
            if equal.contains_key(&target[..]) {
                slimmed.relinked.insert(entry.path.clone(), layer);
            }
            let target = equal.get(&target[..]).map_or(&target[..], |(first, _)| first);
            // All names of a file that changes show what it is then.
            if changed.contains_key(target) {
                slimmed.changed.insert((layer, entry.path.clone()), None);
            }
        }
        slimmed.changed.extend(changed.into_iter().map(|(path, changed)| match changed {
            Changed::Program(program) => ((layer, path), program.debug_path),
            Changed::Database(_) => ((layer, path), None),
        }));
        slimmed.tables.push((!same).then_some(kept));
    }
    Ok(Slimmed { savings: savings.0, ..slimmed })
}

/// What each pass saves, as far as is known.
struct Savings(Vec<Saving>);

impl Savings {
    fn of(passes: &[&'static Pass]) -> Self {
        Self(passes.iter().map(|pass| Saving { pass, bytes: 0, files: 0 }).collect())
    }

    fn has(&self, action: Action) -> bool {
        self.0.iter().any(|saving| saving.pass.action == action)
    }

    /// The first pass that removes a file.
    fn of_file(&mut self, file: &Candidate<'_>) -> Option<&mut Saving> {
        self.0.iter_mut().find(|saving| saving.pass.removes(file))
    }

    /// A file of so many bytes that nobody asked for.
    fn add_observed(&mut self, bytes: u64) {
        if let Some(saving) = self.0.iter_mut().find(|saving| saving.pass.trust == Trust::Observed) {
            saving.files += 1;
            saving.bytes += bytes;
        }
    }

    /// Files of so many bytes, by a pass with this action, if it is done.
    fn add(&mut self, action: Action, files: impl Iterator<Item = u64>) {
        let Some(saving) = self.0.iter_mut().find(|saving| saving.pass.action == action) else { return };
        for bytes in files {
            saving.files += 1;
            saving.bytes += bytes;
        }
    }
}

/// Files that are removed, with the positions of the layers that have them.
fn removed(
    image: &Image<'_>,
    inventory: &Inventory,
    needed: Option<&Needed<'_>>,
    savings: &mut Savings,
    untouched: &mut Tally,
) -> BTreeMap<Vec<u8>, usize> {
    let mut removed = BTreeMap::new();
    for hit in image.view.walk(b"").filter(|hit| !hit.entry.is_dir()) {
        let path = &hit.entry.path;
        let owner = inventory.owner_index(path);
        let seen = match needed {
            None => Seen::NotObserved,
            Some(needed) if needed.has(&hit) => Seen::Needed,
            Some(_) => Seen::Untouched,
        };
        let file = Candidate { path, owner: owner.map(|owner| &inventory.packages[owner]), seen };
        let Some(saving) = savings.of_file(&file) else { continue };
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
    removed
}

/// Programs of a layer that do not go, and of which something can be cut out.
fn programs(
    image: &Image<'_>,
    layer: usize,
    tree: &ImageTree<'_>,
    cut: &Cut,
    goes: impl Fn(&[u8]) -> bool,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<Vec<u8>, Stripped>, RewriteError> {
    let mut found = BTreeMap::new();
    if *cut == Cut::default() {
        return Ok(found);
    }
    for entry in image.view.layers()[layer].entries() {
        let EntryKind::File { size, .. } = entry.kind else { continue };
        let path = entry.path.as_slice();
        let Some(hit) = image.view.lookup(path).filter(|hit| hit.layer == layer) else { continue };
        // What is signed as it is has to stay so.
        let is_signed = entry.xattrs.keys().any(|name| name.starts_with(b"security.ima"));
        if goes(path) || is_signed || !Elf::may_be(size) || !is_code(path, entry.mode) {
            continue;
        }
        let shown = String::from_utf8_lossy(path);
        let note = |why: String| notes.push(format!("/{shown} stays as it is: {why}"));
        let stripped = strip::strip(tree.open_hit(&hit)?, path, cut, note)
            .map_err(|error: io::Error| LayerError::Io { path: shown.to_string().into(), error })?;
        found.extend(stripped.map(|stripped| (path.to_vec(), stripped)));
    }
    Ok(found)
}

/// Equal files of a layer that stay as they are: the first of them, and the bytes that a link saves.
fn equal_files<'a>(
    image: &Image<'a>,
    layer: usize,
    stays: impl Fn(&[u8]) -> bool,
) -> HashMap<&'a [u8], (&'a [u8], u64)> {
    let found = links::equal(image.view, layer).into_iter();
    found.filter(|it| stays(it.path) && stays(it.first)).map(|it| (it.path, (it.first, it.bytes))).collect()
}
