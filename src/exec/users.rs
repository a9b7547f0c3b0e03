//! Users and groups by name, from the tree's own `/etc/passwd` and `/etc/group`.
//!
//! The files come from an image and are hostile until checked: only regular files of the tree are read, links are
//! resolved inside the tree, and nothing is read beyond [`LIMIT`].

use super::{Exec, ExecError, Product};
use crate::{
    image::DiffId,
    layer::{LastLink, Layers},
    sandbox::User,
};
use flashbuild_frontend::graph::{Id, Owner};
use std::io::Read as _;

/// More than any real user database holds, in bytes.
const LIMIT: u64 = 4 << 20;

/// Rows of a user database, split at colons.
type Rows = Vec<Vec<String>>;

fn rows(layers: &Layers, tree: &[DiffId], path: &str) -> Result<Rows, ExecError> {
    let view = layers.view(tree)?;
    let found = view.resolve(path.as_bytes(), LastLink::Follow).map_err(|error| ExecError::Path(error.to_string()))?;
    let Some(hit) = found.hit.filter(|hit| found.missing.is_empty() && hit.file().is_some()) else {
        return Ok(Vec::new());
    };
    let mut text = Vec::new();
    let file = layers.open_file(&tree[hit.layer], &hit.entry.path)?;
    file.take(LIMIT).read_to_end(&mut text).map_err(|error| ExecError::Context { path: path.into(), error })?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(|line| line.split(':').map(ToOwned::to_owned).collect()).collect())
}

fn number(row: &[String], column: usize) -> Option<u32> {
    row.get(column)?.parse().ok()
}

fn named<'a>(rows: &'a Rows, name: &str) -> Option<&'a Vec<String>> {
    rows.iter().find(|row| row[0] == name)
}

/// User and group of `--chown`.
pub(super) fn owner(exec: &Exec, owner: &Owner, inputs: &[Product]) -> Result<(u32, u32), ExecError> {
    let tree = inputs.get(owner.names_in).ok_or(ExecError::Internal("an owner is looked up in no input"))?;
    let (layers, tree) = (&exec.layers, tree.layers());
    let (uid, primary) = match &owner.user {
        Id::Number(uid) => (*uid, *uid),
        Id::Name(name) => {
            let users = rows(layers, tree, "/etc/passwd")?;
            let row = named(&users, name).and_then(|row| Some((number(row, 2)?, number(row, 3)?)));
            row.ok_or_else(|| ExecError::NoUser { kind: "user", name: name.clone(), file: "/etc/passwd" })?
        }
    };
    let gid = match &owner.group {
        None => primary,
        Some(id) => group(layers, tree, id)?,
    };
    Ok((uid, gid))
}

fn group(layers: &Layers, tree: &[DiffId], id: &Id) -> Result<u32, ExecError> {
    match id {
        Id::Number(gid) => Ok(*gid),
        Id::Name(name) => named(&rows(layers, tree, "/etc/group")?, name)
            .and_then(|row| number(row, 2))
            .ok_or_else(|| ExecError::NoUser { kind: "group", name: name.clone(), file: "/etc/group" }),
    }
}

fn id(text: &str) -> Id {
    text.parse().map_or_else(|_| Id::Name(text.to_owned()), Id::Number)
}

/// Who a process is, and the home folder, for `USER user[:group]` (empty: root) in a tree of layers.
pub fn process_user(layers: &Layers, tree: &[DiffId], user: &str) -> Result<(User, String), ExecError> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let users = rows(layers, tree, "/etc/passwd")?;
    let row = match id(name) {
        Id::Number(uid) => users.iter().find(|row| number(row, 2) == Some(uid)),
        Id::Name(name) => {
            Some(named(&users, &name).ok_or(ExecError::NoUser { kind: "user", name, file: "/etc/passwd" })?)
        }
    };
    let uid = match (id(name), row) {
        (Id::Number(uid), _) => uid,
        (Id::Name(_), row) => row.and_then(|row| number(row, 2)).unwrap_or(0),
    };
    let primary = row.and_then(|row| number(row, 3)).unwrap_or(0);
    let home = row.and_then(|row| row.get(5)).filter(|home| !home.is_empty()).cloned();
    let home = home.unwrap_or_else(|| if uid == 0 { "/root".to_owned() } else { "/".to_owned() });
    let (gid, groups) = if let Some(group_name) = group_name {
        (group(layers, tree, &id(group_name))?, Vec::new())
    } else {
        let login = row.map(|row| row[0].clone()).unwrap_or_default();
        let member = |row: &&Vec<String>| row.get(3).is_some_and(|all| all.split(',').any(|one| one == login));
        let all = if login.is_empty() { Vec::new() } else { rows(layers, tree, "/etc/group")? };
        (primary, all.iter().filter(member).filter_map(|row| number(row, 2)).collect())
    };
    Ok((User { uid, gid, groups }, home))
}
