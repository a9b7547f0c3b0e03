//! What dpkg notes of packages that it has unpacked (`dpkg(1)`, "FILES"; `deb-triggers(5)`), as a folder for `configure.sh`:
//!
//! | path | holds |
//! |---|---|
//! | `packages` | a line each: name, version, and what dpkg calls its files |
//! | `order` | a line each: `preinst STEM`, `configure STEM…`, `all` |
//! | `new/STEM/status` | its paragraph of the status |
//! | `new/STEM/info/` | its control files and the list of its files, to become `/var/lib/dpkg/info/STEM.*` |
//! | `triggers/` | lines for the files of that name in `/var/lib/dpkg/triggers/` |

use super::{
    super::{
        AptError,
        installed::{FOLDER, STATUS},
        unpack::Opened,
    },
    order::{Action, Facts, order},
};
use crate::{
    layer::{EntryKind, Item, LayerError, Layers, Unpacked},
    packages::files::text_item,
};
use flashbuild_frontend::package::{Package, PackageContent, PackageFile};
use md5::{Digest as _, Md5};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
};

/// Largest file of a package that dpkg keeps.
const MAX_CONTROL_FILE: u64 = 16 << 20;
/// The name of the file with triggers for paths.
const FOR_PATHS: &str = "File";

/// The folder, for `packages` and the files that have them.
pub(in crate::packages) fn database(
    layers: &Layers,
    packages: Vec<(&Package, File)>,
    time: i64,
) -> Result<Vec<Item>, AptError> {
    let mut folder = Folder { items: Vec::new(), time };
    let mut facts = Vec::with_capacity(packages.len());
    let mut list = String::new();
    let mut triggers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (package, file) in packages {
        let opened = Opened::new(layers, package, file)?;
        let noted = Noted::of(&opened)?;
        let _ = writeln!(list, "{} {} {}", package.name, package.version, noted.stem);
        for (name, line) in interests(&noted)? {
            triggers.entry(name).or_default().insert(line);
        }
        facts.push(Facts::read(
            noted.stem.clone(),
            &package.name,
            &opened.paragraph,
            noted.files.iter().any(|file| file.name == "preinst"),
        ));
        folder.add(noted);
    }
    let lines = |actions: &[Action<'_>]| actions.iter().map(line).collect::<String>();
    folder.text("packages", list, 0o644);
    folder.text("order", lines(&order(&facts)), 0o644);
    for (name, lines) in triggers {
        folder.text(&format!("triggers/{name}"), lines.into_iter().collect::<String>(), 0o644);
    }
    Ok(folder.items)
}

/// The notes of `packages` as dpkg has them once they are installed, and the status of what stays beside them, which is among
/// `files`.
pub(in crate::packages) fn status(
    layers: &Layers,
    packages: Vec<(&Package, File)>,
    files: &[PackageFile],
    time: i64,
) -> Result<Vec<Item>, AptError> {
    let mut text = files
        .iter()
        .find_map(|file| match &file.content {
            PackageContent::Text(text) if file.path.trim_start_matches('/') == STATUS => Some(text.clone()),
            PackageContent::Text(_)
            | PackageContent::Folder
            | PackageContent::Link(_)
            | PackageContent::Alternatives
            | PackageContent::LoaderCache(_)
            | PackageContent::Absent => None,
        })
        .unwrap_or_default();
    let mut items = Vec::new();
    for (package, file) in packages {
        let Noted { stem, status, files } = Noted::of(&Opened::new(layers, package, file)?)?;
        let _ = writeln!(text, "{}", status.replacen("install ok unpacked", "install ok installed", 1));
        items.extend(files.into_iter().map(|ControlFile { name, bytes, mode }| {
            text_item(format!("{FOLDER}/info/{stem}.{name}").as_bytes(), bytes, mode, time)
        }));
    }
    items.push(text_item(STATUS.as_bytes(), text.into_bytes(), 0o644, time));
    Ok(items)
}

fn line(action: &Action<'_>) -> String {
    match action {
        Action::Preinst(stem) => format!("preinst {stem}\n"),
        Action::Configure(stems) => format!("configure {}\n", stems.join(" ")),
        Action::ConfigureAll => "all\n".to_owned(),
    }
}

/// The folder as it grows.
struct Folder {
    items: Vec<Item>,
    time: i64,
}

impl Folder {
    fn text(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) {
        self.items.push(text_item(path.as_bytes(), bytes.into(), mode, self.time));
    }

    fn add(&mut self, noted: Noted) {
        let stem = noted.stem;
        self.text(&format!("new/{stem}/status"), noted.status, 0o644);
        for ControlFile { name, bytes, mode } in noted.files {
            self.text(&format!("new/{stem}/info/{name}"), bytes, mode);
        }
    }
}

/// What dpkg notes of one package.
struct Noted {
    /// What its files are called.
    stem: String,
    status: String,
    files: Vec<ControlFile>,
}

struct ControlFile {
    name: String,
    bytes: Vec<u8>,
    mode: u32,
}

impl Noted {
    fn of(opened: &Opened) -> Result<Self, AptError> {
        let Opened { control, files: data, paragraph, text, .. } = opened;
        let failed = |error| opened.failed(error);
        let name = paragraph.get("Package").unwrap_or_default();
        let stem = match paragraph.get("Architecture") {
            // Several architectures of it can be installed beside each other.
            Some(architecture) if paragraph.get("Multi-Arch") == Some("same") => format!("{name}:{architecture}"),
            Some(_) | None => name.to_owned(),
        };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
        if stem.starts_with('.') || !stem.bytes().all(is_word) {
            return Err(opened.refused(format!("{stem:?} is no name and architecture")));
        }
        let mut files = Vec::new();
        for entry in control.toc().entries() {
            // dpkg keeps the paragraph elsewhere, and no folders.
            let (EntryKind::File { .. }, Ok(name)) = (&entry.kind, std::str::from_utf8(&entry.path)) else { continue };
            if name == "control" || name.contains('/') || name.starts_with('.') {
                continue;
            }
            let bytes = control.read(&entry.path, MAX_CONTROL_FILE).map_err(failed)?.unwrap_or_default();
            files.push(ControlFile { name: name.to_owned(), bytes, mode: entry.mode & 0o777 });
        }
        let mut status = format!("{}\nStatus: install ok unpacked\n", text.trim_end());
        if let Some(conffiles) = files.iter().find(|file| file.name == "conffiles") {
            status.push_str(&hashed(&conffiles.bytes, data).map_err(failed)?);
        }
        if files.iter().all(|file| file.name != "md5sums") {
            let bytes = sums(data).map_err(failed)?.into_bytes();
            files.push(ControlFile { name: "md5sums".to_owned(), bytes, mode: 0o644 });
        }
        files.push(ControlFile { name: "list".to_owned(), bytes: list(data), mode: 0o644 });
        Ok(Self { stem, status, files })
    }

    fn file(&self, name: &str) -> Option<&ControlFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// The paths of a package, as its archive has them.
fn list(data: &Unpacked) -> Vec<u8> {
    let mut list = b"/.\n".to_vec();
    for entry in data.toc().entries().iter().filter(|entry| !entry.path.is_empty()) {
        list.push(b'/');
        list.extend_from_slice(&entry.path);
        list.push(b'\n');
    }
    list
}

/// The field that says which files are the administrator's to change, and what they were.
fn hashed(conffiles: &[u8], data: &Unpacked) -> Result<String, LayerError> {
    let mut lines = String::new();
    for path in String::from_utf8_lossy(conffiles).lines().map(str::trim) {
        // One with a flag in front of it is to go.
        let Some(inside) = path.strip_prefix('/') else { continue };
        let is_file =
            data.toc().get(inside.as_bytes()).is_some_and(|entry| matches!(entry.kind, EntryKind::File { .. }));
        if is_file && !path.contains(' ') {
            let hash = md5_of(data, inside)?;
            let _ = writeln!(lines, " {path} {hash}");
        }
    }
    Ok(if lines.is_empty() { lines } else { format!("Conffiles:\n{lines}") })
}

/// The sums of all files, where a package has not brought them: dpkg makes them then.
fn sums(data: &Unpacked) -> Result<String, LayerError> {
    let mut lines = String::new();
    for entry in data.toc().entries() {
        let (EntryKind::File { .. }, Ok(path)) = (&entry.kind, std::str::from_utf8(&entry.path)) else { continue };
        let hash = md5_of(data, path)?;
        let _ = writeln!(lines, "{hash}  {path}");
    }
    Ok(lines)
}

fn md5_of(data: &Unpacked, path: &str) -> Result<String, LayerError> {
    let mut hasher = Md5::new();
    let mut file = data.open_file(path.as_bytes())?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(|error: io::Error| LayerError::Io { path: path.into(), error })?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// What a package wants to hear of: names of files in `triggers/`, and a line for each.
fn interests(noted: &Noted) -> Result<Vec<(String, String)>, AptError> {
    let text = noted.file("triggers").map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let waits = match words.next() {
            Some("interest" | "interest-await") => "",
            Some("interest-noawait") => "/noawait",
            // What it sets off itself, dpkg reads when it configures it.
            Some(_) | None => continue,
        };
        let Some(trigger) = words.next() else { continue };
        let is_name = |name: &str| !name.starts_with('.') && name != FOR_PATHS && !name.contains('/');
        let stem = &noted.stem;
        if trigger.starts_with('/') {
            found.push((FOR_PATHS.to_owned(), format!("{trigger} {stem}{waits}\n")));
        } else if is_name(trigger) {
            found.push((trigger.to_owned(), format!("{stem}{waits}\n")));
        } else {
            let what = format!("it names the trigger {trigger:?}, which is none");
            return Err(AptError::Package { package: stem.clone(), what });
        }
    }
    Ok(found)
}
