//! `RUN --mount`: what a process is shown that is never part of a layer.
//!
//! | type | takes | default |
//! |---|---|---|
//! | `bind` | `from`, `source`, `target`, `rw` | of the context, read-only |
//! | `cache` | `id`, `sharing`, `from`, `source`, `target`, `mode`, `uid`, `gid`, `ro` | the target is the id; shared |
//! | `tmpfs` | `target`, `size` | |
//! | `secret` | `id`, `target`, `env`, `required`, `mode`, `uid`, `gid` | `/run/secrets/ID`, mode 0400 |
//! | `ssh` | `id`, `target`, `required`, `mode`, `uid`, `gid` | `default`, `/run/buildkit/ssh_agent.N`, mode 0600 |
//!
//! A field that the type does not take is an error: it would have no effect, and its author thinks otherwise. Variables
//! are expanded in all values but that of `from`, which the plan has to know.
//!
//! Files of the context are put into a tree of their own first, so that the process sees exactly the files that count
//! for its key, and no file that `.dockerignore` names.

use super::StageBuild;
use crate::{
    diagnostic::{Code, Diagnostic, Span, nearest},
    dockerfile::{
        instruction::{MountFlag, MountKey, Run},
        plan::{Origin, Step},
    },
    glob::has_wildcards,
    graph::{
        BindMount, CacheMount, CopyAction, CopySource, FileAction, FileOp, Mount, NodeId, Op, SecretMount, Sharing,
        SshMount, TmpfsMount,
    },
    path::{clean, join},
};
use std::collections::BTreeMap;

/// A build argument: caches of builds that give it different values are different.
const NAMESPACE_ARG: &str = "BUILDKIT_CACHE_MOUNT_NS";

const TYPES: [(&str, Type); 5] = [
    ("bind", Type::Bind),
    ("cache", Type::Cache),
    ("tmpfs", Type::Tmpfs),
    ("secret", Type::Secret),
    ("ssh", Type::Ssh),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Type {
    fn takes(self, key: MountKey) -> bool {
        use MountKey as K;
        let keys: &[MountKey] = match self {
            Self::Bind => &[K::From, K::Source, K::Target, K::ReadOnly, K::ReadWrite],
            Self::Cache => {
                &[K::Id, K::Sharing, K::From, K::Source, K::Target, K::Mode, K::Uid, K::Gid, K::ReadOnly, K::ReadWrite]
            }
            Self::Tmpfs => &[K::Target, K::Size, K::ReadWrite],
            // Some spell the id of a secret `source`.
            Self::Secret => &[K::Id, K::Source, K::Target, K::Env, K::Required, K::Mode, K::Uid, K::Gid],
            Self::Ssh => &[K::Id, K::Target, K::Required, K::Mode, K::Uid, K::Gid],
        };
        key == MountKey::Type || keys.contains(&key)
    }
}

/// The mounts of a `RUN`. Trees that they need are added to `inputs`.
pub(super) fn mounts(
    stage: &mut StageBuild<'_, '_>,
    step: &Step<'_>,
    run: &Run,
    inputs: &mut Vec<NodeId>,
) -> Result<Vec<Mount>, Diagnostic> {
    let mut mounts = Vec::new();
    let mut agents = 0;
    for (flag, from) in run.mounts.iter().zip(&step.mounts) {
        let fields = Fields::read(stage, flag)?;
        mounts.push(match fields.kind {
            Type::Bind => Mount::Bind(bind(stage, step, &fields, from.as_ref(), inputs)?),
            Type::Cache => Mount::Cache(cache(stage, step, &fields, from.as_ref(), inputs)?),
            Type::Tmpfs => Mount::Tmpfs(TmpfsMount {
                target: fields.target(stage)?,
                size: fields.text(MountKey::Size).map(|text| size(text, fields.span)).transpose()?,
            }),
            Type::Secret => Mount::Secret(secret(stage, &fields)?),
            Type::Ssh => {
                let default = format!("/run/buildkit/ssh_agent.{agents}");
                agents += 1;
                Mount::Ssh(SshMount {
                    id: fields.text(MountKey::Id).unwrap_or("default").to_owned(),
                    target: fields.optional_target(stage)?.unwrap_or(default),
                    required: fields.switch(MountKey::Required)?.unwrap_or(false),
                    mode: fields.mode(0o600)?,
                    uid: fields.number(MountKey::Uid)?,
                    gid: fields.number(MountKey::Gid)?,
                })
            }
        });
    }
    Ok(mounts)
}

/// The fields of one mount, expanded.
struct Fields {
    kind: Type,
    values: BTreeMap<MountKey, Option<String>>,
    span: Span,
}

impl Fields {
    fn read(stage: &StageBuild<'_, '_>, flag: &MountFlag) -> Result<Self, Diagnostic> {
        let mut values = BTreeMap::new();
        for field in &flag.fields {
            let value = match &field.value {
                Some(word) if field.key != MountKey::From => Some(stage.expand(word)?),
                value => value.as_ref().map(|word| word.value.clone()),
            };
            values.insert(field.key, value);
        }
        let span = flag.written.span;
        let name = values.get(&MountKey::Type).and_then(Option::as_deref).unwrap_or("bind").to_ascii_lowercase();
        let Some(&(_, kind)) = TYPES.iter().find(|(known, _)| *known == name) else {
            let error = Diagnostic::error(Code::UnknownMountType, format!("`{name}` is no type of mount"), span);
            return Err(match nearest(&name, TYPES.map(|(known, _)| known)) {
                Some(known) => error.with_hint(format!("did you mean `{known}`?")),
                None => error.with_hint("the types are bind, cache, tmpfs, secret and ssh"),
            });
        };
        if let Some(key) = values.keys().find(|key| !kind.takes(**key)) {
            return Err(Diagnostic::error(
                Code::MountFieldOfOtherType,
                format!("a mount of type {name} takes no `{}`", key.name()),
                span,
            ));
        }
        Ok(Self { kind, values, span })
    }

    /// A value; an empty one counts as none.
    fn text(&self, key: MountKey) -> Option<&str> {
        self.values.get(&key)?.as_deref().filter(|text| !text.is_empty())
    }

    fn switch(&self, key: MountKey) -> Result<Option<bool>, Diagnostic> {
        let Some(value) = self.values.get(&key) else { return Ok(None) };
        match value.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => {
                let message = format!("`{}` of the mount is true or false, not `{other}`", key.name());
                Err(Diagnostic::error(Code::InvalidMountValue, message, self.span))
            }
        }
    }

    fn number(&self, key: MountKey) -> Result<u32, Diagnostic> {
        let Some(text) = self.text(key) else { return Ok(0) };
        text.parse().map_err(|_| {
            Diagnostic::error(
                Code::InvalidMountValue,
                format!("`{}` of the mount is a number, not `{text}`", key.name()),
                self.span,
            )
        })
    }

    fn mode(&self, default: u32) -> Result<u32, Diagnostic> {
        let Some(text) = self.text(MountKey::Mode) else { return Ok(default) };
        u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| {
            Diagnostic::error(
                Code::InvalidMountValue,
                format!("`mode` of the mount is octal digits such as 0755, not `{text}`"),
                self.span,
            )
        })
    }

    fn writable(&self, default: bool) -> Result<bool, Diagnostic> {
        let (writable, read_only) = (self.switch(MountKey::ReadWrite)?, self.switch(MountKey::ReadOnly)?);
        match (writable, read_only) {
            (Some(true), Some(true)) => Err(Diagnostic::error(
                Code::InvalidMountValue,
                "the mount cannot be `readonly` and `readwrite` at once",
                self.span,
            )),
            (Some(writable), _) => Ok(writable),
            (None, Some(read_only)) => Ok(!read_only),
            (None, None) => Ok(default),
        }
    }

    fn optional_target(&self, stage: &StageBuild<'_, '_>) -> Result<Option<String>, Diagnostic> {
        let Some(written) = self.text(MountKey::Target) else { return Ok(None) };
        let target = join(&stage.working_dir(), written);
        if target == "/" {
            return Err(Diagnostic::error(Code::InvalidMountTarget, "nothing can be mounted over the root", self.span)
                .with_hint("choose a folder as the target"));
        }
        Ok(Some(target))
    }

    fn target(&self, stage: &StageBuild<'_, '_>) -> Result<String, Diagnostic> {
        self.optional_target(stage)?.ok_or_else(|| {
            Diagnostic::error(Code::InvalidMountTarget, "the mount needs a target", self.span)
                .with_hint("add `target=/PATH`")
        })
    }

    /// The source as an absolute path inside of what it is taken from.
    fn source(&self) -> String {
        clean(&format!("/{}", self.text(MountKey::Source).unwrap_or_default()))
    }
}

fn bind(
    stage: &mut StageBuild<'_, '_>,
    step: &Step<'_>,
    fields: &Fields,
    from: Option<&Origin>,
    inputs: &mut Vec<NodeId>,
) -> Result<BindMount, Diagnostic> {
    let target = fields.target(stage)?;
    let source = fields.source();
    let writable = fields.writable(false)?;
    let files = stage.source(from, step);
    let tree = match stage.target.graph.node(files).op {
        Op::Local(_) | Op::Http(_) | Op::Git(_) => only(stage, step, fields, files, &source, &source)?,
        Op::Image(_) | Op::Exec(_) | Op::File(_) | Op::Merge | Op::Package(_) => files,
    };
    Ok(BindMount { target, from: add(inputs, tree), source, writable })
}

fn cache(
    stage: &mut StageBuild<'_, '_>,
    step: &Step<'_>,
    fields: &Fields,
    from: Option<&Origin>,
    inputs: &mut Vec<NodeId>,
) -> Result<CacheMount, Diagnostic> {
    let target = fields.target(stage)?;
    let source = fields.source();
    let sharing = match fields.text(MountKey::Sharing) {
        None | Some("shared") => Sharing::Shared,
        Some("private") => Sharing::Private,
        Some("locked") => Sharing::Locked,
        Some(other) => {
            return Err(Diagnostic::error(
                Code::InvalidMountValue,
                format!("`{other}` is no way to share a cache"),
                fields.span,
            )
            .with_hint("the ways are shared, private and locked"));
        }
    };
    let mut id = fields.text(MountKey::Id).unwrap_or(&target).to_owned();
    if let Some(namespace) = stage.target.options.build_arg(NAMESPACE_ARG) {
        id = format!("{namespace}/{id}");
    }
    let (mode, uid, gid) = (fields.mode(0o755)?, fields.number(MountKey::Uid)?, fields.number(MountKey::Gid)?);
    let read_only = !fields.writable(true)?;
    let from = match from {
        None => None,
        Some(origin) => {
            let files = stage.source(Some(origin), step);
            let seed = only(stage, step, fields, files, &source, "/")?;
            Some(add(inputs, seed))
        }
    };
    Ok(CacheMount { target, id, sharing, from, source, mode, uid, gid, read_only })
}

fn secret(stage: &StageBuild<'_, '_>, fields: &Fields) -> Result<SecretMount, Diagnostic> {
    let written = fields.optional_target(stage)?;
    let env = fields.text(MountKey::Env).map(str::to_owned);
    let id = match (fields.text(MountKey::Id), fields.text(MountKey::Source)) {
        (Some(_), Some(_)) => {
            return Err(Diagnostic::error(
                Code::InvalidSecret,
                "the secret has both an `id` and a `source`",
                fields.span,
            )
            .with_hint("they mean the same: leave one out"));
        }
        (Some(id), None) | (None, Some(id)) => id.to_owned(),
        (None, None) => match written.as_deref().and_then(|target| target.rsplit('/').next()) {
            Some(name) => name.to_owned(),
            None => {
                return Err(Diagnostic::error(Code::InvalidSecret, "the secret has no name", fields.span)
                    .with_hint("add `id=NAME`"));
            }
        },
    };
    if let Some(name) = env.as_deref().filter(|name| name.contains('=')) {
        return Err(Diagnostic::error(
            Code::InvalidSecret,
            format!("`{name}` cannot be the name of a variable"),
            fields.span,
        ));
    }
    let target = match (written, &env) {
        (Some(target), _) => Some(target),
        (None, Some(_)) => None,
        (None, None) => Some(join("/run/secrets", clean(&format!("/{id}")).trim_start_matches('/'))),
    };
    Ok(SecretMount {
        id,
        target,
        env,
        required: fields.switch(MountKey::Required)?.unwrap_or(false),
        mode: fields.mode(0o400)?,
        uid: fields.number(MountKey::Uid)?,
        gid: fields.number(MountKey::Gid)?,
    })
}

/// A tree that holds what is at `source` of `files`, placed at `dest`, and nothing else.
fn only(
    stage: &mut StageBuild<'_, '_>,
    step: &Step<'_>,
    fields: &Fields,
    files: NodeId,
    source: &str,
    dest: &str,
) -> Result<NodeId, Diagnostic> {
    if has_wildcards(source) {
        return Err(Diagnostic::error(
            Code::InvalidMountSource,
            "the source of a mount is one path, not a pattern",
            fields.span,
        )
        .with_hint("mount the folder"));
    }
    let copy = FileAction::Copy(CopyAction {
        from: 1,
        sources: vec![CopySource::Flat(source.to_owned())],
        exclude: Vec::new(),
        dest: dest.to_owned(),
        into_dir: false,
        owner: None,
        mode: None,
        unpack: false,
    });
    let empty = stage.target.empty_tree();
    let name = stage.progress.upcoming(&format!("files to mount: {source}"));
    Ok(stage.add(Op::File(FileOp { actions: vec![copy] }), vec![empty, files], name, step))
}

/// The index of `tree` among `inputs`.
fn add(inputs: &mut Vec<NodeId>, tree: NodeId) -> usize {
    // The first input is what the process changes, even where it mounts the same tree.
    if let Some(known) = inputs.iter().skip(1).position(|input| *input == tree) {
        return known + 1;
    }
    inputs.push(tree);
    inputs.len() - 1
}

/// A number of bytes: `64m`, `1g`, `4096`.
fn size(text: &str, span: Span) -> Result<u64, Diagnostic> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches("ib").trim_end_matches('b');
    let (number, unit) = match digits.char_indices().find(|(_, character)| !character.is_ascii_digit()) {
        Some((at, _)) => digits.split_at(at),
        None => (digits, ""),
    };
    let shift = match unit {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    shift.and_then(|shift| number.parse::<u64>().ok()?.checked_mul(1 << shift)).ok_or_else(|| {
        Diagnostic::error(Code::InvalidMountValue, format!("`{text}` is no size"), span)
            .with_hint("write a number of bytes, or one like 64m")
    })
}
