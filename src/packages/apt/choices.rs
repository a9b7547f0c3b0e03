//! Which of several alternatives is the one that programs see: that of the highest priority, unless somebody chose another.
//!
//! A package's own layer has links to its own alternative. Where several packages offer one, that of the upper layer would
//! be seen; so their last layer has the links that `update-alternatives(1)` would have made, and its notes
//! (`/var/lib/dpkg/alternatives/NAME`), by which a later request and the program itself know what there is.
//!
//! The file has, a line each: `auto` or `manual`; the link; name and link of each slave; an empty line; then for each choice its
//! path, its priority, and the path of each slave, which may be empty; an empty line.

use super::alternatives::{self, Alternative, is_literal, is_path};
use crate::{
    layer::{Entry, EntryKind, Item, LastLink, View},
    packages::{PackageError, TreeBelow, files::text_item},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Where the notes are, in the spelling of [`Entry::path`].
pub(super) const FOLDER: &str = "var/lib/dpkg/alternatives";
/// In which folder of what the packages say of themselves each has a file.
pub(super) const SAID: &str = "alternatives";
/// Where the links to what is chosen are.
const CHOSEN: &str = "etc/alternatives";
/// Largest file of notes that is read.
const MAX_NOTES: u64 = 1 << 20;

/// What is known of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    /// Whether the highest priority wins.
    auto: bool,
    /// What programs use.
    link: String,
    /// Links of the slaves, by name.
    slaves: BTreeMap<String, String>,
    /// By path.
    choices: BTreeMap<String, Choice>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    priority: i64,
    /// Paths, by the slaves' names.
    slaves: BTreeMap<String, String>,
}

/// Whether `path` has to be here to be read.
pub(super) fn is_setting(path: &[u8]) -> bool {
    path.strip_prefix(FOLDER.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

/// What changes in `tree`, given what its new packages say of themselves. `before` is the tree without them.
pub(super) fn make(said: &TreeBelow, tree: &TreeBelow, before: &View, time: i64) -> Result<Vec<Item>, PackageError> {
    let view = tree.view();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for package in said.names_in(SAID.as_bytes()) {
        let text = said.read(format!("{SAID}/{package}").as_bytes(), MAX_NOTES)?.unwrap_or_default();
        for call in alternatives::calls(&text) {
            let (Some((master, slaves)), Some(priority)) = (call.group.split_first(), call.priority) else { continue };
            if !exists(view, &master.target) {
                continue;
            }
            if !groups.contains_key(&master.name) {
                let known = tree.read(format!("{FOLDER}/{}", master.name).as_bytes(), MAX_NOTES)?;
                let known = known.and_then(|text| Group::parse(&text)).unwrap_or_else(|| Group::new(&master.link));
                groups.insert(master.name.clone(), known);
            }
            if let Some(group) = groups.get_mut(&master.name) {
                group.add(master, priority, slaves);
            }
        }
    }
    let mut items = Vec::new();
    for (name, mut group) in groups {
        group.choices.retain(|path, _| exists(view, path));
        group.links(&name, view, before, time, &mut items);
        items.push(text_item(format!("{FOLDER}/{name}").as_bytes(), group.write().into_bytes(), 0o644, time));
    }
    Ok(items)
}

impl Group {
    fn new(link: &str) -> Self {
        Self { auto: true, link: link.to_owned(), slaves: BTreeMap::new(), choices: BTreeMap::new() }
    }

    /// Of a file. One in which something leads out of its place counts for nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let auto = match lines.next()? {
            "auto" => true,
            "manual" => false,
            _ => return None,
        };
        let mut group = Self { auto, ..Self::new(lines.next().filter(|link| is_path(link))?) };
        let mut names = Vec::new();
        while let Some(name) = lines.next().filter(|name| !name.is_empty()) {
            let link = lines.next().filter(|link| is_path(link) && is_name(name))?;
            group.slaves.insert(name.to_owned(), link.to_owned());
            names.push(name.to_owned());
        }
        while let Some(path) = lines.next().filter(|path| !path.is_empty()) {
            let priority = lines.next()?.parse().ok()?;
            let mut slaves = BTreeMap::new();
            for name in &names {
                let target = lines.next().filter(|target| target.is_empty() || is_path(target))?;
                if !target.is_empty() {
                    slaves.insert(name.clone(), target.to_owned());
                }
            }
            group.choices.insert(path.to_owned(), Choice { priority, slaves }).is_none().then_some(())?;
            is_path(path).then_some(())?;
        }
        Some(group)
    }

    fn write(&self) -> String {
        let mut text = format!("{}\n{}\n", if self.auto { "auto" } else { "manual" }, self.link);
        for (name, link) in &self.slaves {
            let _ = writeln!(text, "{name}\n{link}");
        }
        text.push('\n');
        for (path, Choice { priority, slaves }) in &self.choices {
            let _ = writeln!(text, "{path}\n{priority}");
            for name in self.slaves.keys() {
                let _ = writeln!(text, "{}", slaves.get(name).map_or("", String::as_str));
            }
        }
        text.push('\n');
        text
    }

    fn add(&mut self, master: &Alternative, priority: i64, slaves: &[Alternative]) {
        self.link.clone_from(&master.link);
        self.slaves.extend(slaves.iter().map(|slave| (slave.name.clone(), slave.link.clone())));
        let slaves = slaves.iter().map(|slave| (slave.name.clone(), slave.target.clone())).collect();
        self.choices.insert(master.target.clone(), Choice { priority, slaves });
    }

    /// The highest priority; of equal ones, the path that comes first.
    fn best(&self) -> Option<(&str, &Choice)> {
        let choices = self.choices.iter().rev();
        choices.max_by_key(|(_, choice)| choice.priority).map(|(path, choice)| (path.as_str(), choice))
    }

    /// The links, as far as `view` has others. What somebody chose `before` stays, if it is still there.
    fn links(&mut self, name: &str, view: &View, before: &View, time: i64, items: &mut Vec<Item>) {
        let chosen = before.lookup(format!("{CHOSEN}/{name}").as_bytes()).and_then(|hit| {
            let EntryKind::Symlink { target } = &hit.entry.kind else { return None };
            self.choices.get_key_value(std::str::from_utf8(target).ok()?)
        });
        self.auto |= chosen.is_none();
        let own = chosen.filter(|_| !self.auto).map(|(path, choice)| (path.as_str(), choice));
        let Some((path, choice)) = own.or_else(|| self.best()) else { return };
        let mut put = |link: &str, target: &str| {
            let Ok(found) = view.resolve(link.as_bytes(), LastLink::Keep) else { return };
            let kind = EntryKind::Symlink { target: target.as_bytes().to_vec() };
            let (is_free, is_same) = found.hit.filter(|_| found.exists()).map_or((true, false), |hit| {
                (matches!(hit.entry.kind, EntryKind::Symlink { .. }), hit.entry.kind == kind)
            });
            if is_free && !is_same {
                items.push(Item::new(Entry { mode: 0o777, mtime: time, ..Entry::new(found.path(), kind) }));
            }
        };
        put(&self.link, &format!("/{CHOSEN}/{name}"));
        put(&format!("/{CHOSEN}/{name}"), path);
        let is_there = |slave: &String| choice.slaves.get(slave).filter(|target| exists(view, target));
        for (slave, link) in &self.slaves {
            if let Some(target) = is_there(slave) {
                put(link, &format!("/{CHOSEN}/{slave}"));
                put(&format!("/{CHOSEN}/{slave}"), target);
            }
        }
        // What goes with another choice only.
        for (slave, link) in self.slaves.iter().filter(|(slave, _)| is_there(slave).is_none()) {
            for link in [link.clone(), format!("/{CHOSEN}/{slave}")] {
                let Ok(found) = view.resolve(link.as_bytes(), LastLink::Keep) else { continue };
                let is_link = |entry: &Entry| matches!(entry.kind, EntryKind::Symlink { .. });
                if found.exists() && found.hit.is_some_and(|hit| is_link(hit.entry)) {
                    items.push(Item::new(Entry::new(found.existing, EntryKind::Whiteout)));
                }
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    is_literal(name) && !name.contains('/') && !name.starts_with('.')
}

fn exists(view: &View, path: &str) -> bool {
    view.resolve(path.as_bytes(), LastLink::Follow).is_ok_and(|found| found.exists() && found.hit.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{Form, Layers, OverlayXattrs},
        store::Store,
    };

    const MAWK: &str =
        "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 --slave /usr/bin/nawk nawk /usr/bin/mawk";
    const GAWK: &str = "update-alternatives --install /usr/bin/awk awk /usr/bin/gawk 10";

    /// What is written: paths, and what they lead to or hold. `files` are what is there; a text that starts with `-> ` is a
    /// link. `said` are the packages' scripts.
    fn written(files: &[(&str, &str)], said: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::new(Store::open(folder.path()).unwrap(), OverlayXattrs::User);
        let item = |(path, text): (&str, &str)| match text.strip_prefix("-> ") {
            Some(target) => Item::new(Entry::new(path, EntryKind::Symlink { target: target.into() })),
            None => text_item(path.as_bytes(), text.as_bytes().to_vec(), 0o644, 0),
        };
        let tree = |items: Vec<Item>| {
            let made = layers.from_files(items, None, Form::Folder).unwrap();
            TreeBelow::of_files(layers.clone(), vec![made.diff_id]).unwrap()
        };
        let below = tree(files.iter().copied().map(item).collect());
        let notes: Vec<_> = said.iter().enumerate().map(|(number, text)| (format!("{SAID}/{number}"), *text)).collect();
        let said = tree(notes.iter().map(|(path, text)| item((path, text))).collect());
        let items = make(&said, &below, below.view(), 0).unwrap();
        let made = layers.from_files(items.into_iter().collect(), None, Form::Folder).unwrap();
        let shown = |entry: &Entry| {
            let path = String::from_utf8_lossy(&entry.path);
            if let EntryKind::Symlink { target } = &entry.kind {
                return format!("{path} -> {}", String::from_utf8_lossy(target));
            }
            if entry.kind == EntryKind::Whiteout {
                return format!("{path} is gone");
            }
            let mut text = String::new();
            let mut file = layers.open_file(&made.diff_id, &entry.path).unwrap();
            std::io::Read::read_to_string(&mut file, &mut text).unwrap();
            format!("{path}: {}", text.replace('\n', "|"))
        };
        made.toc.entries().iter().filter(|entry| !entry.is_dir()).map(shown).collect()
    }

    const BOTH: [(&str, &str); 6] = [
        ("usr/bin/mawk", "m"),
        ("usr/bin/gawk", "g"),
        ("usr/bin/awk", "-> /etc/alternatives/awk"),
        ("usr/bin/nawk", "-> /etc/alternatives/nawk"),
        ("etc/alternatives/awk", "-> /usr/bin/mawk"),
        ("etc/alternatives/nawk", "-> /usr/bin/mawk"),
    ];

    #[test]
    fn the_highest_priority_wins_and_what_went_with_the_other_goes() {
        let notes = "var/lib/dpkg/alternatives/awk: auto|/usr/bin/awk|nawk|/usr/bin/nawk||/usr/bin/gawk|10||/usr/bin/mawk|5|/usr/bin/mawk||";
        for said in [[MAWK, GAWK], [GAWK, MAWK]] {
            let expected = [
                "etc/alternatives/awk -> /usr/bin/gawk",
                "etc/alternatives/nawk is gone",
                "usr/bin/nawk is gone",
                notes,
            ];
            assert_eq!(written(&BOTH, &said), expected);
        }
        // What is not there is no choice.
        let without: Vec<_> = BOTH.iter().copied().filter(|(path, _)| !path.ends_with("gawk")).collect();
        let lines = written(&without, &[MAWK, GAWK]);
        assert_eq!(
            lines,
            ["var/lib/dpkg/alternatives/awk: auto|/usr/bin/awk|nawk|/usr/bin/nawk||/usr/bin/mawk|5|/usr/bin/mawk||"]
        );
    }

    #[test]
    fn what_is_noted_below_counts_and_what_somebody_chose_stays() {
        let auto = "auto\n/usr/bin/awk\n\n/usr/bin/gawk\n10\n\n";
        let gawk_first = |notes: &'static str| {
            let mut files = BOTH.to_vec();
            files[4].1 = "-> /usr/bin/gawk";
            files.push(("var/lib/dpkg/alternatives/awk", notes));
            files
        };
        let has = |lines: &[String], start: &str| lines.iter().any(|line| line.starts_with(start));
        let lines = written(&gawk_first(auto), &[MAWK]);
        assert!(
            !has(&lines, "etc/alternatives/awk ") && has(&lines, "var/lib/dpkg/alternatives/awk: auto"),
            "{lines:?}"
        );

        let mut files = BOTH.to_vec();
        files.push(("var/lib/dpkg/alternatives/awk", "manual\n/usr/bin/awk\n\n/usr/bin/mawk\n5\n\n"));
        let lines = written(&files, &[GAWK]);
        assert!(
            !has(&lines, "etc/alternatives/awk ") && has(&lines, "var/lib/dpkg/alternatives/awk: manual"),
            "{lines:?}"
        );

        for hostile in
            ["auto\n/../x\n\n", "auto\n/usr/bin/awk\n../x\n/y\n\n", "auto\n/usr/bin/awk\n\n/usr/bin/gawk\nmany\n\n", ""]
        {
            let mut files = BOTH.to_vec();
            files.push(("var/lib/dpkg/alternatives/awk", hostile));
            let lines = written(&files, &[GAWK]);
            assert!(has(&lines, "var/lib/dpkg/alternatives/awk: auto|/usr/bin/awk||/usr/bin/gawk|10||"), "{lines:?}");
        }
    }
}
