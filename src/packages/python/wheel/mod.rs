//! A wheel to the files of a layer ("Binary distribution format" and "Recording installed projects" of the Python packaging
//! specifications).
//!
//! 1. The archive's directory is read and checked ([`archive`]): names, sizes, no links, no bomb.
//! 2. `RECORD` says what each file must hold ([`record`]); that is checked while the layer is packed.
//! 3. Files go where their scheme says: the root and `purelib`, `platlib` into the folder of modules, `scripts`, `headers` and
//!    `data` from the `.data` folder to theirs.
//! 4. Scripts start the image's interpreter, and entry points become scripts ([`script`]).
//! 5. Modules get their bytecode, if that is asked for ([`bytecode`]).
//! 6. `RECORD` is written anew, with what was made here.

mod archive;
mod bytecode;
mod record;
mod script;

use super::tags::normalised;
use crate::{
    image::ContentDigest,
    layer::{Content, Entry, EntryKind, Item},
    packages::{PackageError, files::text_item},
};
use archive::{Archive, Member};
pub(super) use bytecode::can_compile;
use flashbuild_frontend::package::{Package, WheelLayout};
use record::Record;
use std::{collections::BTreeMap, fs::File, sync::Arc};

pub(crate) use record::fields as csv_fields;

/// Largest metadata file that is read whole, in bytes.
const MAX_METADATA: u64 = 64 << 20;

/// The files of a wheel where `layout` puts them.
pub(super) fn unpack(
    package: &Package,
    layout: &WheelLayout,
    artifact: File,
    time: i64,
) -> Result<Vec<Item>, PackageError> {
    let refuse =
        |problem: String| PackageError::Artifact { name: format!("{} {}", package.name, package.version), problem };
    Wheel::open(package, layout, artifact, time).and_then(Wheel::files).map_err(refuse)
}

/// A wheel that is being laid out. Problems are texts until the package's name is put to them.
struct Wheel<'a> {
    package: &'a Package,
    layout: &'a WheelLayout,
    time: i64,
    archive: Archive,
    /// `name-version.dist-info`
    info: String,
    record: Record,
    /// By path in the layer.
    items: BTreeMap<Vec<u8>, Item>,
    /// To compile.
    modules: Vec<bytecode::Module>,
}

impl<'a> Wheel<'a> {
    fn open(package: &'a Package, layout: &'a WheelLayout, artifact: File, time: i64) -> Result<Self, String> {
        let archive = Archive::open(artifact)?;
        let info = dist_info(&archive, &package.name)?;
        let text = |name: &str| archive.text(&format!("{info}/{name}"), MAX_METADATA);
        let wheel = text("WHEEL")?.ok_or("it has no WHEEL file")?;
        let version = field(&wheel, "Wheel-Version").unwrap_or_default();
        if !version.starts_with("1.") {
            return Err(format!("its Wheel-Version is {version:?}, and only 1.x is known"));
        }
        let record = Record::parse(&text("RECORD")?.ok_or("it has no RECORD")?)?;
        Ok(Self { package, layout, time, archive, info, record, items: BTreeMap::new(), modules: Vec::new() })
    }

    fn files(mut self) -> Result<Vec<Item>, String> {
        let members: Vec<Arc<Member>> = self.archive.members().to_vec();
        let mut written = record::Rows::default();
        let own_record = format!("{}/RECORD", self.info);
        for member in members.iter().filter(|member| member.name != own_record) {
            self.place(member, &mut written)?;
        }
        self.entry_points(&mut written)?;
        self.compile(&mut written)?;
        let info = format!("{}/{}", self.layout.site, self.info);
        self.make(&format!("{info}/INSTALLER"), b"flashbuild\n".to_vec(), 0o644, &mut written)?;
        if self.layout.requested {
            self.make(&format!("{info}/REQUESTED"), Vec::new(), 0o644, &mut written)?;
        }
        let rows = written.finish(&format!("{}/RECORD", self.info));
        self.put(text_item(&layer_path(&format!("{info}/RECORD")), rows.into_bytes(), 0o644, self.time))?;
        Ok(self.items.into_values().collect())
    }

    /// Puts one file of the archive where it belongs.
    fn place(&mut self, member: &Arc<Member>, written: &mut record::Rows) -> Result<(), String> {
        let (path, is_script) = self.destination(&member.name)?;
        let recorded = self.record.get(&member.name)?;
        let start = if is_script { script::rewritten(member, &self.layout.interpreter, MAX_METADATA)? } else { None };
        if let Some(bytes) = start {
            if let Some(expected) = recorded.and_then(|row| row.hash.as_ref()) {
                expected.check(&script::original(member)?).map_err(|why| format!("{}: {why}", member.name))?;
            }
            return self.make(&path, bytes, 0o755, written);
        }
        if self.layout.bytecode.is_some() && !is_script && path.ends_with(".py") && path.starts_with(&self.layout.site)
        {
            self.modules.push((path.clone(), member.bytes(MAX_METADATA)?));
        }
        let mode = if is_script || member.executable { 0o755 } else { 0o644 };
        written.keep(&self.relative(&path), recorded);
        // The digest is found out as the file is read.
        let kind = EntryKind::File { size: member.size, digest: ContentDigest::of(b"") };
        let entry = Entry { mode, mtime: self.time, ..Entry::new(layer_path(&path), kind) };
        let stream =
            archive::Recorded { member: Arc::clone(member), expected: recorded.and_then(|row| row.hash.clone()) };
        self.put(Item::file_to_hash(entry, Content::Stream(Arc::new(stream))))
    }

    /// Absolute path of a file of the archive, and whether it is a script.
    fn destination(&self, name: &str) -> Result<(String, bool), String> {
        let layout = self.layout;
        let data = format!("{}.data/", self.info.strip_suffix(".dist-info").unwrap_or_default());
        let Some(behind) = name.strip_prefix(&data) else { return Ok((format!("{}/{name}", layout.site), false)) };
        let (scheme, path) = behind.split_once('/').ok_or_else(|| format!("{name} belongs to no scheme"))?;
        Ok(match scheme {
            "purelib" | "platlib" => (format!("{}/{path}", layout.site), false),
            "scripts" => (format!("{}/{path}", layout.scripts), true),
            "headers" => (format!("{}/{}/{path}", layout.headers, self.package.name), false),
            "data" => (format!("{}/{path}", layout.data), false),
            other => return Err(format!("{name} belongs to the scheme {other:?}, which is not known")),
        })
    }

    /// Scripts for `console_scripts` and `gui_scripts`.
    fn entry_points(&mut self, written: &mut record::Rows) -> Result<(), String> {
        let Some(text) = self.archive.text(&format!("{}/entry_points.txt", self.info), MAX_METADATA)? else {
            return Ok(());
        };
        let mut launchers = script::launchers(&text, &self.layout.interpreter)?;
        if self.package.name == "pip"
            && let Some(version) = self.python_version()
        {
            script::name_for_version(&mut launchers, version);
        }
        for (name, launcher) in launchers {
            self.make(&format!("{}/{name}", self.layout.scripts), launcher.into_bytes(), 0o755, written)?;
        }
        Ok(())
    }

    /// Bytecode of the modules, but for those that bring their own.
    fn compile(&mut self, written: &mut record::Rows) -> Result<(), String> {
        let Some(version) = &self.layout.bytecode else { return Ok(()) };
        let modules = std::mem::take(&mut self.modules);
        for (path, bytes) in bytecode::compile(version, &modules)? {
            if !self.items.contains_key(&layer_path(&path)) {
                // As installers do: it can be made anew, so nothing vouches for it.
                written.keep(&self.relative(&path), None);
                self.put(text_item(&layer_path(&path), bytes, 0o644, self.time))?;
            }
        }
        Ok(())
    }

    /// Version of the interpreter, such as `3.11`, as far as the paths in the image say it.
    fn python_version(&self) -> Option<&'a str> {
        let parts = self.layout.site.split('/').chain(self.layout.interpreter.split('/'));
        parts.filter_map(|part| part.strip_prefix("python")).find(|version| version.starts_with("3."))
    }

    /// Adds a file that is made here.
    fn make(&mut self, path: &str, bytes: Vec<u8>, mode: u32, written: &mut record::Rows) -> Result<(), String> {
        written.made(&self.relative(path), &bytes);
        self.put(text_item(&layer_path(path), bytes, mode, self.time))
    }

    fn put(&mut self, item: Item) -> Result<(), String> {
        let path = item.entry().path.clone();
        if path == layer_path(&self.layout.interpreter)
            || path.ends_with(b"/pyvenv.cfg") && !path.starts_with(&layer_path(&self.layout.site))
        {
            return Err(format!("{} would replace a part of the environment", item.entry().display_path()));
        }
        self.items.insert(path, item);
        Ok(())
    }

    /// A path as `RECORD` has it: seen from the folder of modules.
    fn relative(&self, path: &str) -> String {
        let mut from = self.layout.site.trim_matches('/').split('/').filter(|part| !part.is_empty()).peekable();
        let mut to = path.trim_matches('/').split('/').peekable();
        while from.peek().is_some() && from.peek() == to.peek() {
            from.next();
            to.next();
        }
        let up = from.map(|_| "..");
        up.chain(to).collect::<Vec<_>>().join("/")
    }
}

/// A path as layers have it.
fn layer_path(path: &str) -> Vec<u8> {
    path.trim_start_matches('/').as_bytes().to_vec()
}

/// The one folder of metadata, which must be the package's own.
fn dist_info(archive: &Archive, name: &str) -> Result<String, String> {
    let mut folders: Vec<&str> = archive
        .members()
        .iter()
        .filter_map(|member| member.name.split_once('/').map(|(folder, _)| folder))
        .filter(|folder| folder.ends_with(".dist-info"))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    let [folder] = folders.as_slice() else {
        return Err(format!("it has {} .dist-info folders instead of one", folders.len()));
    };
    let of = folder.split('-').next().unwrap_or_default();
    if normalised(of) != name {
        return Err(format!("its metadata is that of {of:?}"));
    }
    Ok((*folder).to_owned())
}

/// The value of a field of a file of the form of e-mail headers.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests;
