//! `RUN --mount`: fields between commas, as written.
//!
//! Names of fields are checked here, so that a mistyped one is refused wherever it stands, in a trigger too. What the
//! fields mean together depends on variables, and is the business of lowering.

use super::Word;
use crate::diagnostic::{Code, Diagnostic, Span, nearest};

/// One `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The fields in their order. Of a field that is given twice, the last counts.
    pub fields: Vec<MountField>,
    /// The whole flag, as written.
    pub written: Word,
}

/// `key=value`, or a key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountField {
    /// Which.
    pub key: MountKey,
    /// The value, not expanded.
    pub value: Option<Word>,
}

/// What can be said of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MountKey {
    /// `type`
    Type,
    /// `from`
    From,
    /// `source`, `src`
    Source,
    /// `target`, `dst`, `destination`
    Target,
    /// `readonly`, `ro`
    ReadOnly,
    /// `readwrite`, `rw`
    ReadWrite,
    /// `id`
    Id,
    /// `sharing`
    Sharing,
    /// `required`
    Required,
    /// `size`
    Size,
    /// `mode`
    Mode,
    /// `uid`
    Uid,
    /// `gid`
    Gid,
    /// `env`
    Env,
}

const NAMES: [(&str, MountKey); 19] = [
    ("type", MountKey::Type),
    ("from", MountKey::From),
    ("source", MountKey::Source),
    ("src", MountKey::Source),
    ("target", MountKey::Target),
    ("dst", MountKey::Target),
    ("destination", MountKey::Target),
    ("readonly", MountKey::ReadOnly),
    ("ro", MountKey::ReadOnly),
    ("readwrite", MountKey::ReadWrite),
    ("rw", MountKey::ReadWrite),
    ("id", MountKey::Id),
    ("sharing", MountKey::Sharing),
    ("required", MountKey::Required),
    ("size", MountKey::Size),
    ("mode", MountKey::Mode),
    ("uid", MountKey::Uid),
    ("gid", MountKey::Gid),
    ("env", MountKey::Env),
];

impl MountKey {
    /// The name that the reference manual uses.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }

    /// Whether the key alone says something: `true`.
    fn is_switch(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadWrite | Self::Required)
    }
}

impl MountFlag {
    /// Whether a field was given, with a value or alone.
    pub fn has(&self, key: MountKey) -> bool {
        self.fields.iter().any(|field| field.key == key)
    }

    /// The value of a field, if it was given one.
    pub fn value(&self, key: MountKey) -> Option<&Word> {
        self.fields.iter().rev().find(|field| field.key == key)?.value.as_ref()
    }
}

/// Reads the value of the flag.
pub(super) fn read(flag: &Word) -> Result<MountFlag, Diagnostic> {
    let mut fields = Vec::new();
    for part in flag.value.split(',') {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value)),
            None => (part.trim(), None),
        };
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some(&(_, key)) = known else { return Err(unknown(name, flag.span)) };
        if value.is_none() && !key.is_switch() {
            return Err(Diagnostic::error(
                Code::MountFieldWithoutValue,
                format!("the field `{name}` of the mount needs a value"),
                flag.span,
            )
            .with_hint(format!("write `{name}=VALUE`")));
        }
        fields.push(MountField { key, value: value.map(|value| Word::new(value.to_owned(), flag.span)) });
    }
    Ok(MountFlag { fields, written: flag.clone() })
}

fn unknown(name: &str, span: Span) -> Diagnostic {
    let error = Diagnostic::error(Code::UnknownMountField, format!("a mount has no field `{name}`"), span);
    let names = NAMES.map(|(known, _)| known);
    match nearest(name, names) {
        Some(known) => error.with_hint(format!("did you mean `{known}`?")),
        None => error.with_hint(format!("the fields are {}", names.join(", "))),
    }
}
