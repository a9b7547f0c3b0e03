//! Two images compared: every file that a container would see, and every field of the configuration.
//!
//! How files are divided into layers never counts, because no container sees it. The rest counts unless
//! [`Rules::semantic`] asks only for what a container's behaviour can depend on:
//!
//! | of a file | strict | semantic |
//! |---|---|---|
//! | type, permissions, owner, size, content, link target, device, extended attributes | yes | yes |
//! | which paths are hard links of each other | yes | no |
//! | time | with [`Rules::times`] | no |
//!
//! | of the configuration | strict | semantic |
//! |---|---|---|
//! | the platform and what containers run (`config`) | yes | yes |
//! | a field that is absent or empty | differs | is the same |
//! | author, history, fields of other tools | yes | no |
//! | `created` and the times in `history` | with [`Rules::times`] | no |

use crate::layer::{EntryKind, Hit, View};
use flashbuild_frontend::config::ImageConfig;
use serde::Serialize;
use serde_json::Value;
use std::{cmp::Ordering, collections::BTreeSet};

/// An image of one platform.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// What containers run.
    pub config: &'a ImageConfig,
    /// All layers as one tree.
    pub files: &'a View,
}

/// What counts as a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Only what a container's behaviour can depend on.
    pub semantic: bool,
    /// Times as well.
    pub times: bool,
}

impl Rules {
    /// What is not compared, for people.
    pub fn ignored(&self) -> &'static str {
        match (self.semantic, self.times) {
            (true, _) => {
                "the division into layers, times, hard links, empty fields, author, history, other tools' fields"
            }
            (false, false) => "the division into layers, times",
            (false, true) => "the division into layers",
        }
    }
}

/// How two images differ; nothing in it if they do not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Fields of the configuration.
    pub config: Vec<FieldChange>,
    /// Files, sorted by path.
    pub files: Vec<FileChange>,
}

/// A property that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Its name; in the configuration, with the names above it: `config.Env[2]`.
    pub field: String,
    /// What the first image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What the second image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A path that is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Absolute; bytes that are no text are replaced.
    pub path: String,
    /// How.
    #[serde(flatten)]
    pub change: Change,
}

/// How a path differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change", content = "fields")]
pub enum Change {
    /// Only the second image has it.
    Added,
    /// Only the first image has it.
    Removed,
    /// Both have it, with these differences.
    Changed(Vec<FieldChange>),
}

impl Report {
    /// Whether the images hold the same.
    pub fn is_empty(&self) -> bool {
        self.config.is_empty() && self.files.is_empty()
    }
}

/// Compares two images.
pub fn compare(before: Side<'_>, after: Side<'_>, rules: Rules) -> Report {
    Report { config: configs(before.config, after.config, rules), files: files(before.files, after.files, rules) }
}

fn files(before: &View, after: &View, rules: Rules) -> Vec<FileChange> {
    let (mut before, mut after) = (before.walk(b"").peekable(), after.walk(b"").peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.entry.path.cmp(&b.entry.path),
        };
        let first = before.next_if(|_| order.is_le());
        let second = after.next_if(|_| order.is_ge());
        let (path, change) = match (first, second) {
            (Some(a), None) => (a.entry.display_path(), Change::Removed),
            (None, Some(b)) => (b.entry.display_path(), Change::Added),
            (Some(a), Some(b)) => match fields(a, b, rules) {
                fields if fields.is_empty() => continue,
                fields => (a.entry.display_path(), Change::Changed(fields)),
            },
            (None, None) => return changes,
        };
        changes.push(FileChange { path, change });
    }
}

/// How one path of two images differs.
fn fields(a: Hit<'_>, b: Hit<'_>, rules: Rules) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    let mut compare = |field: &str, before: String, after: String| {
        if before != after {
            changes.push(FieldChange { field: field.to_owned(), before: Some(before), after: Some(after) });
        }
    };
    let same_type = type_of(a) == type_of(b);
    compare("type", type_of(a).to_owned(), type_of(b).to_owned());
    compare("mode", format!("{:04o}", a.entry.mode), format!("{:04o}", b.entry.mode));
    let owner = |hit: Hit<'_>| format!("{}:{}", hit.entry.uid, hit.entry.gid);
    compare("owner", owner(a), owner(b));
    if same_type {
        if let (Some((a_size, a_digest)), Some((b_size, b_digest))) = (a.file(), b.file()) {
            compare("size", a_size.to_string(), b_size.to_string());
            compare("content", a_digest.to_string(), b_digest.to_string());
        }
        compare("target", target(a), target(b));
        compare("device", device(a), device(b));
    }
    compare("xattrs", xattrs(a), xattrs(b));
    if !rules.semantic {
        compare("hard link to", hard_link(a), hard_link(b));
        if rules.times {
            compare("time", a.entry.mtime.to_string(), b.entry.mtime.to_string());
        }
    }
    changes
}

fn type_of(hit: Hit<'_>) -> &'static str {
    match hit.entry.kind {
        EntryKind::File { .. } | EntryKind::HardLink { .. } => "file",
        EntryKind::Dir { .. } => "folder",
        EntryKind::Symlink { .. } => "symbolic link",
        EntryKind::CharDevice { .. } => "character device",
        EntryKind::BlockDevice { .. } => "block device",
        EntryKind::Fifo => "named pipe",
        EntryKind::Whiteout => "whiteout",
    }
}

fn target(hit: Hit<'_>) -> String {
    if let EntryKind::Symlink { target } = &hit.entry.kind { text(target) } else { String::new() }
}

fn hard_link(hit: Hit<'_>) -> String {
    if let EntryKind::HardLink { target } = &hit.entry.kind { text(target) } else { String::new() }
}

fn device(hit: Hit<'_>) -> String {
    match hit.entry.kind {
        EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => format!("{major}:{minor}"),
        EntryKind::File { .. }
        | EntryKind::HardLink { .. }
        | EntryKind::Dir { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::Fifo
        | EntryKind::Whiteout => String::new(),
    }
}

fn xattrs(hit: Hit<'_>) -> String {
    let all = hit.entry.xattrs.iter().map(|(name, value)| format!("{}={}", text(name), value.escape_ascii()));
    all.collect::<Vec<_>>().join(" ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The configurations are compared as the documents that they are, so that fields of other tools count too.
fn configs(before: &ImageConfig, after: &ImageConfig, rules: Rules) -> Vec<FieldChange> {
    let document = |config: &ImageConfig| {
        let mut config = config.clone();
        // The division into layers.
        config.rootfs.diff_ids.clear();
        config.history.retain(|_| !rules.semantic);
        if rules.semantic {
            config.author = None;
            config.other.clear();
            config.config.other.clear();
        }
        if rules.semantic || !rules.times {
            config.created = None;
            config.history.iter_mut().for_each(|entry| entry.created = None);
        }
        serde_json::to_value(&config).unwrap_or_default()
    };
    let mut changes = Vec::new();
    values("", &document(before), &document(after), rules, &mut changes);
    changes
}

fn values(field: &str, before: &Value, after: &Value, rules: Rules, changes: &mut Vec<FieldChange>) {
    if before == after || (rules.semantic && is_blank(before) && is_blank(after)) {
        return;
    }
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let name = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                values(&name, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), rules, changes);
            }
        }
        _ => changes.push(FieldChange { field: field.to_owned(), before: shown(before), after: shown(after) }),
    }
}

/// Whether a field says nothing.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_blank),
    }
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::ContentDigest,
        layer::{Entry, Toc},
    };
    use std::sync::Arc;

    fn tree(layers: &[&[Entry]]) -> View {
        View::new(layers.iter().map(|entries| Arc::new(Toc::new(entries.to_vec()).unwrap())).collect())
    }

    fn file(path: &str, content: &str) -> Entry {
        let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest::of(content.as_bytes()) };
        Entry::new(path, kind)
    }

    #[track_caller]
    fn check(before: &View, after: &View, rules: Rules, expected: &[&str]) {
        let config = ImageConfig::default();
        let report = compare(Side { config: &config, files: before }, Side { config: &config, files: after }, rules);
        let line = |file: &FileChange| match &file.change {
            Change::Added => format!("+ {}", file.path),
            Change::Removed => format!("- {}", file.path),
            Change::Changed(fields) => {
                let fields: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
                format!("{}: {}", file.path, fields.join(", "))
            }
        };
        assert_eq!(report.files.iter().map(line).collect::<Vec<_>>(), expected);
        assert_eq!(report.is_empty(), expected.is_empty());
    }

    #[test]
    fn the_division_into_layers_does_not_count() {
        let hidden = [file("a", "old"), file("b", "b")];
        let gone = Entry::new("gone", EntryKind::Whiteout);
        let one = tree(&[&[file("a", "new"), file("b", "b")]]);
        let several = tree(&[&[file("gone", "")], &hidden, &[file("a", "new"), gone]]);
        check(&one, &several, Rules { times: true, ..Rules::default() }, &[]);
    }

    #[test]
    fn every_property_of_a_file_counts() {
        let base = file("f", "12");
        let same_size = file("f", "13");
        let mut other = file("f", "123");
        (other.mode, other.uid) = (0o755, 1);
        other.xattrs.insert(b"user.a".to_vec(), b"\xff".to_vec());
        let strict = Rules::default();
        let [base, same_size, other] = [base, same_size, other].map(|entry| tree(&[&[entry]]));
        check(&base, &same_size, strict, &["/f: content"]);
        check(&base, &other, strict, &["/f: mode, owner, size, content, xattrs"]);
        let link = |target: &str| Entry::new("f", EntryKind::Symlink { target: target.into() });
        check(&tree(&[&[link("a")]]), &tree(&[&[link("b")]]), strict, &["/f: target"]);
        check(&base, &tree(&[&[link("b")]]), strict, &["/f: type, mode"]);
        let device = |minor| Entry::new("f", EntryKind::CharDevice { major: 1, minor });
        check(&tree(&[&[device(1)]]), &tree(&[&[device(2)]]), strict, &["/f: device"]);
        check(&base, &tree(&[&[file("g", "")]]), strict, &["- /f", "+ /g"]);
    }

    #[test]
    fn times_and_hard_links_count_if_asked_for() {
        let mut later = file("a", "x");
        later.mtime = 7;
        let linked = tree(&[&[later, Entry::new("b", EntryKind::HardLink { target: b"a".to_vec() })]]);
        let copied = tree(&[&[file("a", "x"), file("b", "x")]]);
        check(&linked, &copied, Rules { semantic: true, times: false }, &[]);
        check(&linked, &copied, Rules::default(), &["/b: hard link to"]);
        check(&linked, &copied, Rules { semantic: false, times: true }, &["/a: time", "/b: hard link to"]);
    }

    #[test]
    fn fields_of_the_configuration_have_names() {
        let mut before = ImageConfig { architecture: "amd64".to_owned(), ..ImageConfig::default() };
        let mut after = before.clone();
        before.config.env = vec!["A=1".to_owned()];
        before.config.cmd = Some(Vec::new());
        after.config.labels.insert("a.b".to_owned(), "c".to_owned());
        after.created = Some("2001-01-01T00:00:00Z".to_owned());
        after.author = Some("somebody".to_owned());
        let files = View::default();
        let fields = |rules| {
            let report =
                compare(Side { config: &before, files: &files }, Side { config: &after, files: &files }, rules);
            report.config.into_iter().map(|change| change.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(Rules::default()), ["author", "config.Cmd", "config.Env", "config.Labels"]);
        assert_eq!(fields(Rules { semantic: true, times: false }), ["config.Env", "config.Labels"]);
        let with_times = fields(Rules { semantic: false, times: true });
        assert!(with_times.contains(&"created".to_owned()), "{with_times:?}");
    }
}
