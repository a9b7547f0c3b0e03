//! What a step asked to have mounted, made ready: trees as folders of layers, caches taken into use, secrets read,
//! agents forwarded.
//!
//! Caches are taken in the order of their identities, by all steps of all processes, so that two steps that each wait
//! for what the other has cannot be. A step that mounts one cache twice takes it once.

use super::{Exec, ExecError, Product, agent::Forwarded, cache_mount, devices, file, select::existing};
use crate::{
    export::{HardLinks, write_tree},
    image::DiffId,
    sandbox::{FileSource, FolderSource, Isolation, MountSource, Sensitive, StepMount, TreeSource},
    secrets::{SecretError, SecretValue},
    solver::event::Step,
    store::{CacheIdentity, CacheMount, CacheUse},
};
use flashbuild_frontend::graph::{self, BindMount, ExecOp, Mount, Node, SecretMount, Sharing, SshMount};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a cache that is in use is asked for again.
const PATIENCE: Duration = Duration::from_millis(50);

/// Mounts that are ready, and what has to be held while they are used.
pub(super) struct Ready {
    /// In the order of mounting.
    pub(super) mounts: Vec<StepMount>,
    /// `NAME=value` that come with the mounts, and win over what the step has.
    pub(super) env: Vec<String>,
    /// What the step must not be heard to say.
    pub(super) secrets: Vec<SecretValue>,
    agents: Vec<Forwarded>,
    caches: BTreeMap<CacheIdentity, CacheMount>,
}

/// The inputs whose tables [`facts`] looks into.
pub(super) fn looked_into<'a>(op: &'a ExecOp, inputs: &'a [Product]) -> impl Iterator<Item = &'a Product> {
    op.mounts.iter().filter_map(|mount| match mount {
        Mount::Bind(BindMount { from, source, .. }) if source != "/" => Some(&inputs[*from]),
        Mount::Bind(_) | Mount::Cache(_) | Mount::Tmpfs(_) | Mount::Secret(_) | Mount::Ssh(_) => None,
    })
}

/// What of its inputs a process sees: all of the first, and of the others what is mounted.
pub(super) fn facts(exec: &Exec, op: &ExecOp, inputs: &[Product]) -> Result<Vec<u8>, ExecError> {
    let mut facts = layers(&inputs[0]);
    for mount in &op.mounts {
        match mount {
            Mount::Bind(BindMount { from, source, .. }) => facts.extend(part(exec, &inputs[*from], source)?),
            Mount::Cache(cache) => {
                if let Some(from) = cache.from {
                    facts.extend(layers(&inputs[from]));
                }
            }
            Mount::Tmpfs(_) | Mount::Secret(_) | Mount::Ssh(_) => {}
        }
        facts.push(b'\n');
    }
    Ok(facts)
}

fn layers(tree: &Product) -> Vec<u8> {
    // A step that changed nothing leaves the tree as it was.
    let some = tree.layers().iter().filter(|layer| **layer != DiffId::empty());
    let names: Vec<String> = some.map(ToString::to_string).collect();
    names.join(" ").into_bytes()
}

/// A digest of what is at `source` of a tree and below it; times do not count, as with `COPY`.
fn part(exec: &Exec, tree: &Product, source: &str) -> Result<Vec<u8>, ExecError> {
    if source == "/" {
        // Its layers say the same, and need not be looked into.
        return Ok(layers(tree));
    }
    let view = exec.view(tree)?;
    let found = existing(&view, source.as_bytes(), source, "the tree to mount from")?;
    let mut hasher = blake3::Hasher::new();
    if let Some(hit) = found.hit {
        file::describe(&mut hasher, b"", hit.entry);
        if hit.entry.is_dir() {
            for below in view.walk(&found.existing) {
                file::describe(&mut hasher, &below.entry.path, below.entry);
            }
        }
    }
    Ok(hasher.finalize().as_bytes().to_vec())
}

/// Makes the mounts of a step ready. `folder` is an empty folder of the step's own; the caller removes it.
pub(super) async fn prepare(
    exec: &Exec,
    node: &Node,
    op: &ExecOp,
    inputs: &[Product],
    folder: &Path,
    step: &Step,
) -> Result<Ready, ExecError> {
    let caches = take_caches(exec, node, op, inputs, step).await?;
    let mut ready = Ready { mounts: Vec::new(), env: Vec::new(), secrets: Vec::new(), agents: Vec::new(), caches };
    for (number, mount) in op.mounts.iter().enumerate() {
        let folder = folder.join(number.to_string());
        match mount {
            Mount::Bind(bind) if exec.options.isolation == Isolation::Chroot => {
                // Nothing can be mounted, so that the step gets a copy.
                let layers = inputs[bind.from].layers();
                tokio::task::block_in_place(|| write_tree(&exec.layers, layers, &folder, HardLinks::Kept))?;
                let source = FolderSource { folder, path: PathBuf::from(&bind.source) };
                ready.add(&bind.target, MountSource::Folder(source), !bind.writable);
            }
            Mount::Bind(bind) => {
                let lowers = tokio::task::block_in_place(|| folders(exec, &inputs[bind.from]))?;
                let source = fs::create_dir(&folder)
                    .and_then(|()| TreeSource::new(lowers, &bind.source, &folder))
                    .map_err(|error| ExecError::Context { path: folder, error })?;
                ready.add(&bind.target, MountSource::Tree(source), !bind.writable);
            }
            Mount::Tmpfs(tmpfs) => ready.add(&tmpfs.target, MountSource::Tmpfs { size: tmpfs.size }, false),
            Mount::Cache(cache) => {
                let path = if cache.from.is_some() { "/" } else { &cache.source };
                let held = &ready.caches[&identity(exec, node, cache, inputs)];
                let source = FolderSource { folder: held.data(), path: path.into() };
                ready.add(&cache.target, MountSource::Folder(source), cache.read_only);
            }
            Mount::Secret(secret) => ready.add_secret(exec, secret)?,
            Mount::Ssh(ssh) => ready.add_agent(exec, ssh, &folder)?,
        }
    }
    for device in &op.devices {
        match devices::find(device)? {
            Some(brought) => {
                ready.mounts.extend(brought.mounts);
                ready.env.extend(brought.env);
            }
            None => step.notice(format!("this machine has no device {:?}: the step goes on without it", device.name)),
        }
    }
    // What is mounted deeper comes later, or it would be covered; else the order of the file holds.
    ready.mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(ready)
}

impl Ready {
    fn add(&mut self, target: &str, source: MountSource, read_only: bool) {
        self.mounts.push(StepMount { target: PathBuf::from(target), source, read_only });
    }

    fn add_secret(&mut self, exec: &Exec, secret: &SecretMount) -> Result<(), ExecError> {
        let Some(value) = tokio::task::block_in_place(|| exec.grants.secrets.get(&secret.id))? else {
            return if secret.required { Err(ExecError::NoSecret(secret.id.clone())) } else { Ok(()) };
        };
        if let Some(name) = &secret.env {
            let text = std::str::from_utf8(value.expose()).ok().filter(|text| !text.contains('\0'));
            let text = text.ok_or_else(|| SecretError {
                id: secret.id.clone(),
                error: io::Error::other("a variable cannot hold its bytes: mount it as a file"),
            })?;
            self.env.push(format!("{name}={text}"));
        }
        if let Some(target) = &secret.target {
            let (uid, gid) = if exec.single_id { (0, 0) } else { (secret.uid, secret.gid) };
            let content = Sensitive(value.expose().to_vec());
            self.add(target, MountSource::File(FileSource { content, mode: secret.mode, uid, gid }), true);
        }
        self.secrets.push(value);
        Ok(())
    }

    fn add_agent(&mut self, exec: &Exec, ssh: &SshMount, folder: &Path) -> Result<(), ExecError> {
        let Some(agent) = tokio::task::block_in_place(|| exec.grants.agents.socket(&ssh.id))? else {
            return if ssh.required { Err(ExecError::NoAgent(ssh.id.clone())) } else { Ok(()) };
        };
        let owner = (!exec.single_id).then_some((ssh.uid, ssh.gid));
        let forwarded = fs::create_dir(folder)
            .and_then(|()| Forwarded::new(folder, agent, ssh.mode, owner))
            .map_err(|error| ExecError::Agent { id: ssh.id.clone(), error })?;
        self.add(&ssh.target, MountSource::Socket(forwarded.path.clone()), false);
        if self.agents.is_empty() {
            self.env.push(format!("SSH_AUTH_SOCK={}", ssh.target));
        }
        self.agents.push(forwarded);
        Ok(())
    }
}

/// The folders of a tree's layers, lowest first.
pub(super) fn folders(exec: &Exec, tree: &Product) -> Result<Vec<PathBuf>, ExecError> {
    let layers = overlaid(tree.layers()).into_iter();
    Ok(layers.map(|layer| exec.layers.folder(layer)).collect::<Result<_, _>>()?)
}

/// Those of `layers` that an overlay is made of: none that is empty, and each once, because an overlay takes no folder
/// twice. Packages that come a second time make a tree that has a layer twice; whatever the lower one has or hides, the
/// upper one has or hides just so.
pub fn overlaid(layers: &[DiffId]) -> Vec<&DiffId> {
    let above = |index: usize| &layers[index + 1..];
    let counts = |(index, layer): &(usize, &DiffId)| **layer != DiffId::empty() && !above(*index).contains(*layer);
    layers.iter().enumerate().filter(counts).map(|(_, layer)| layer).collect()
}

fn identity(exec: &Exec, node: &Node, cache: &graph::CacheMount, inputs: &[Product]) -> CacheIdentity {
    CacheIdentity {
        id: cache.id.clone(),
        platform: node.platform.as_ref().filter(|_| !exec.grants.share_caches).map(ToString::to_string),
        seed: cache.from.map(|from| blake3::hash(&layers(&inputs[from])).to_hex().to_string()),
    }
}

async fn take_caches(
    exec: &Exec,
    node: &Node,
    op: &ExecOp,
    inputs: &[Product],
    step: &Step,
) -> Result<BTreeMap<CacheIdentity, CacheMount>, ExecError> {
    let mut wanted: BTreeMap<CacheIdentity, (CacheUse, &graph::CacheMount)> = BTreeMap::new();
    for mount in &op.mounts {
        let Mount::Cache(cache) = mount else { continue };
        let usage = match cache.sharing {
            // What is renamed into a tree can be in one tree only.
            Sharing::Shared if exec.options.isolation == Isolation::Chroot => CacheUse::Alone,
            Sharing::Shared => CacheUse::Together,
            Sharing::Private => CacheUse::AnyAlone,
            Sharing::Locked => CacheUse::Alone,
        };
        let known = wanted.entry(identity(exec, node, cache, inputs)).or_insert((usage, cache));
        known.0 = known.0.max(usage);
    }
    let mut taken = BTreeMap::new();
    for (identity, (usage, cache)) in wanted {
        let mut told = false;
        let held = loop {
            let fill = |data: &Path| cache_mount::fill(exec, cache, inputs, (&identity, data), step);
            match tokio::task::block_in_place(|| exec.store.try_cache_mount(&identity, usage, fill))? {
                Some(held) => break held,
                None if told => {}
                None => {
                    told = true;
                    step.notice(format!("waiting for the cache {:?}, which another step uses", identity.id));
                }
            }
            tokio::time::sleep(PATIENCE).await;
        };
        taken.insert(identity, held);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_layers_the_topmost_is_overlaid() {
        let [a, b] = ["a", "b"].map(|digit| format!("sha256:{}", digit.repeat(64)).parse::<DiffId>().unwrap());
        let empty = DiffId::empty();
        assert_eq!(overlaid(&[a, empty, b, a, empty]), [&b, &a]);
        assert_eq!(overlaid(&[]), [&a; 0]);
    }
}
