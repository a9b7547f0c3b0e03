//! What is remembered of steps, so that a later build can say why it did them again.

use super::{Exec, ExecError, context::Context};
use crate::{
    layer::{Entry, EntryKind},
    solver::{FileFact, FileKind, Identity, Key, Past, Recipe, ShortDigest},
    store::{RecordKey, StepIdentity},
};
use flashbuild_frontend::graph::{NodeId, Op};
use std::{collections::HashMap, io::Read as _, sync::Arc};

/// Larger files are not compared line by line.
const LARGEST: u64 = 1 << 20;

/// What is remembered of a selected file.
pub(super) fn fact(entry: &Entry) -> FileFact {
    let (kind, content) = match &entry.kind {
        EntryKind::File { digest, .. } => (FileKind::File, ShortDigest::from_digest(&digest.0)),
        EntryKind::Dir { .. } => (FileKind::Folder, ShortDigest::of(b"")),
        EntryKind::Symlink { target } => (FileKind::Link, ShortDigest::of(target)),
        EntryKind::HardLink { target } => (FileKind::Other, ShortDigest::of(target)),
        EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } | EntryKind::Fifo | EntryKind::Whiteout => {
            (FileKind::Other, ShortDigest::of(b""))
        }
    };
    let path = String::from_utf8_lossy(&entry.path).into_owned();
    FileFact { path, kind, mode: entry.mode, owner: (entry.uid, entry.gid), content }
}

pub(super) fn keep(exec: &Exec, step: &Identity, key: Key, recipe: &Recipe) -> Result<(), ExecError> {
    let value = serde_json::to_vec(recipe).expect("a recipe is plain data");
    Ok(exec.store.put_recipe(&known_by(step), RecordKey(key.0), &value)?)
}

pub(super) fn find(exec: &Exec, step: &Identity) -> Result<Vec<Past>, ExecError> {
    let rows = exec.store.recipes(&known_by(step))?.into_iter();
    // One that cannot be read was written by another version.
    let past = rows.filter_map(|row| {
        let recipe = serde_json::from_slice(&row.value).ok()?;
        Some(Past { key: Key(row.key.0), recipe, same_project: row.same_project })
    });
    Ok(past.collect())
}

fn known_by(step: &Identity) -> StepIdentity {
    StepIdentity { project: step.project, text: step.text, place: step.place }
}

/// How many lines of a file of a context differ from those that are in the layer of the record `before`. Only what is at
/// hand is looked at: no layer is unpacked for it.
pub(super) fn changed_lines(exec: &Exec, id: NodeId, path: &str, before: Key) -> Option<usize> {
    let record = exec.store.records(&[RecordKey(before.0)]).ok()?;
    let layers: Vec<crate::image::DiffId> = serde_json::from_slice(record.values().next()?).ok()?;
    let layer = layers.last()?;
    let name = path.rsplit('/').next()?.as_bytes();
    let toc = exec.layers.toc(layer).ok()?;
    let mut named = toc.entries().iter().filter(|entry| {
        let size = if let EntryKind::File { size, .. } = entry.kind { Some(size) } else { None };
        entry.path.rsplit(|byte| *byte == b'/').next() == Some(name) && size.is_some_and(|size| size <= LARGEST)
    });
    // The path in the layer is not the path in the context; but if there is only one of that name, it is that.
    let (Some(entry), None) = (named.next(), named.next()) else { return None };
    exec.store.layer_dir(layer).ok()??;
    let mut old = Vec::new();
    exec.layers.open_file(layer, &entry.path).ok()?.read_to_end(&mut old).ok()?;
    let new = exec.graph.node(id).inputs.iter().find_map(|input| read(exec, *input, path))?;
    (is_text(&old) && is_text(&new)).then(|| count(&old, &new))
}

fn read(exec: &Exec, input: NodeId, path: &str) -> Option<Vec<u8>> {
    let Op::Local(_) = exec.graph.node(input).op else { return None };
    let context: Arc<Context> = match exec.listing(input) {
        Ok(context) => context,
        Err(_) => return None,
    };
    let mut bytes = Vec::new();
    context.open(path.as_bytes()).ok()?.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST).then_some(bytes)
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
}

/// How many lines are in one and not in the other, a changed line counted once.
fn count(old: &[u8], new: &[u8]) -> usize {
    let mut balance: HashMap<&[u8], isize> = HashMap::new();
    for line in old.split(|byte| *byte == b'\n') {
        *balance.entry(line).or_default() -= 1;
    }
    for line in new.split(|byte| *byte == b'\n') {
        *balance.entry(line).or_default() += 1;
    }
    let added: isize = balance.values().filter(|count| **count > 0).sum();
    let removed: isize = balance.values().filter(|count| **count < 0).sum();
    // Lines that only changed places.
    added.max(-removed).unsigned_abs().max(1)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn a_changed_line_counts_once() {
        for (old, new, expected) in [
            ("a\nb\nc\n", "a\nx\nc\n", 1),
            ("a\n", "a\nb\nc\n", 2),
            ("a\nb\nc\n", "a\n", 2),
            ("a\nb\n", "b\na\n", 1),
            ("a\nb\n", "c\nd\ne\n", 3),
        ] {
            assert_eq!(count(old.as_bytes(), new.as_bytes()), expected, "{old:?} {new:?}");
        }
    }
}
