//! A package's file becomes items of a layer, and no process runs.

use super::{AptError, alternatives, ar, choices, merged_usr, paragraph::Paragraph, scripts, tree::PackageTree};
use crate::{
    layer::{Entry, EntryKind, Item, LayerError, Layers, Unpacked},
    packages::files::text_item,
};
use flashbuild_frontend::package::{DebLayout, Package};
use std::{
    collections::HashMap,
    io::{self, Read},
};

/// Largest control file that is read.
const MAX_CONTROL_FILE: u64 = 16 << 20;

/// A package's file, read and found to be what was asked for.
pub(super) struct Opened {
    name: String,
    /// Its control files.
    pub(super) control: Unpacked,
    /// What it brings, at the paths that it has there.
    pub(super) files: Unpacked,
    /// What it says of itself.
    pub(super) paragraph: Paragraph,
    /// The same as it is written.
    pub(super) text: String,
}

impl Opened {
    /// Reads the package that `file` holds.
    pub(super) fn new(layers: &Layers, package: &Package, file: impl Read + Send) -> Result<Self, AptError> {
        let Package { name, version, .. } = package;
        let refuse = |what: String| AptError::Package { package: name.clone(), what };
        let read = ar::read_package::<_, Failure>(file, |archive| Ok(layers.unpack_archive(archive)?));
        let (control, files) = read.map_err(|failure| match failure {
            Failure::Form(error) => refuse(error.to_string()),
            Failure::Layer(error) => AptError::Unpack { package: name.clone(), error },
        })?;
        let text = control_file(&control, "control");
        let text = text.map_err(|error| AptError::Unpack { package: name.clone(), error })?.unwrap_or_default();
        let fields = Paragraph::read_all(&text).ok().and_then(|mut read| (read.len() == 1).then(|| read.remove(0)));
        let paragraph = fields.ok_or_else(|| refuse("its control file is not one paragraph of fields".to_owned()))?;
        if paragraph.get("Package") != Some(name.as_str()) || paragraph.get("Version") != Some(version.as_str()) {
            let says = |field| paragraph.get(field).unwrap_or_default().to_owned();
            return Err(refuse(format!("it is {} {}, not {version}", says("Package"), says("Version"))));
        }
        Ok(Self { name: name.clone(), control, files, paragraph, text })
    }

    /// The error of a file of it that cannot be read.
    pub(super) fn failed(&self, error: LayerError) -> AptError {
        AptError::Unpack { package: self.name.clone(), error }
    }

    /// The error of something that no package may have.
    pub(super) fn refused(&self, what: String) -> AptError {
        AptError::Package { package: self.name.clone(), what }
    }
}

/// The files of `package`, which `file` holds, at their places in a layer. All have the same time: the packages of a
/// layer were not installed at any.
pub(in crate::packages) fn unpack(
    layers: &Layers,
    package: &Package,
    layout: &DebLayout,
    file: impl Read + Send,
    time: i64,
) -> Result<Vec<Item>, AptError> {
    let opened = Opened::new(layers, package, file)?;
    let Opened { name, control, files, text, .. } = &opened;
    let unpack = |error| opened.failed(error);
    let mut tree = PackageTree::new(files, time);
    place(&mut tree, files, layout, time)
        .map_err(unpack)?
        .map_err(|path| opened.refused(format!("it has {path} both in /usr and beside it")))?;
    // As distroless images have it: one file a package, so that layers do not share one, and scanners find all.
    let status = format!("var/lib/dpkg/status.d/{name}");
    tree.file(&status, format!("{}\n", text.trim_end()));
    if let Some(sums) = control_file(control, "md5sums").map_err(unpack)? {
        tree.file(&format!("{status}.md5sums"), sums);
    }
    let script = control_file(control, "postinst").map_err(unpack)?.unwrap_or_default();
    scripts::imitate(name, &script, &mut tree).map_err(unpack)?;
    Ok(tree.into_items())
}

/// What `package` says of its alternatives: a file, for [`choices`], or none.
pub(in crate::packages) fn said(
    layers: &Layers,
    package: &Package,
    mut file: impl Read + Send,
    time: i64,
) -> Result<Vec<Item>, AptError> {
    let name = &package.name;
    let failed = |error| AptError::Unpack { package: name.clone(), error };
    let read = ar::read_control::<_, Failure>(&mut file, &mut |archive| Ok(layers.unpack_archive(archive)?));
    let control = read.map_err(|failure| match failure {
        Failure::Form(error) => AptError::Package { package: name.clone(), what: error.to_string() },
        Failure::Layer(error) => failed(error),
    })?;
    let said = alternatives::said(&control_file(&control, "postinst").map_err(failed)?.unwrap_or_default());
    let path = format!("{}/{name}", choices::SAID);
    Ok(if said.is_empty() { Vec::new() } else { vec![text_item(path.as_bytes(), said.into_bytes(), 0o644, time)] })
}

/// Puts the package's files into `tree`. The inner error is a path that it has twice.
fn place(
    tree: &mut PackageTree<'_>,
    files: &Unpacked,
    layout: &DebLayout,
    time: i64,
) -> Result<Result<(), String>, LayerError> {
    let is_wanted = |path: &[u8]| layout.docs || !is_documentation(path);
    let items = files.items_as(|entry| {
        is_wanted(&entry.path).then(|| Entry { path: merged_usr::place(entry), mtime: time, ..entry.clone() })
    })?;
    let mut kinds: HashMap<Vec<u8>, EntryKind> = HashMap::new();
    for item in items {
        let Entry { path, kind, .. } = item.entry();
        // Files that moved into /usr were often left as links to their new places.
        let stays = match kinds.get(path) {
            Some(EntryKind::Symlink { .. }) | None => true,
            Some(EntryKind::Dir { .. }) if matches!(kind, EntryKind::Dir { .. }) => true,
            Some(_) if matches!(kind, EntryKind::Symlink { .. }) => false,
            Some(_) => return Ok(Err(item.entry().display_path())),
        };
        if stays {
            kinds.insert(path.clone(), kind.clone());
            tree.insert(item);
        }
    }
    Ok(Ok(()))
}

/// What nobody reads in a container. Licences stay: most of them ask for it.
fn is_documentation(path: &[u8]) -> bool {
    let below = |folder: &[u8]| path.strip_prefix(folder);
    if let Some(rest) = below(b"usr/share/doc/") {
        let in_package = rest.iter().position(|&byte| byte == b'/').map(|slash| &rest[slash + 1..]);
        return in_package.is_some_and(|file| file != b"copyright");
    }
    [&b"usr/share/man/"[..], b"usr/share/info/", b"usr/share/lintian/", b"usr/share/doc-base/"]
        .iter()
        .any(|folder| below(folder).is_some())
}

fn control_file(control: &Unpacked, name: &str) -> Result<Option<String>, LayerError> {
    let bytes = control.read(name.as_bytes(), MAX_CONTROL_FILE)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Why a package cannot be read: its own form, or an archive in it.
enum Failure {
    Form(io::Error),
    Layer(LayerError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Form(error)
    }
}

impl From<LayerError> for Failure {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{Form, Limits, OverlayXattrs},
        packages::apt::ar::tests::archive,
        store::Store,
    };
    use flashbuild_frontend::package::ArtifactHash;
    use std::fmt::Write as _;
    use tar::{EntryType, Header};

    const CONTROL: &str = "Package: x\nVersion: 1\nArchitecture: all\n";
    const TIME: i64 = 7;

    /// A tar of entries: type, name, and content or target. Names are written as they are.
    fn tar(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (kind, name, content) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o644 });
            let data = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
            if data.is_empty() {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn file<'a>(name: &'a str, content: &'a str) -> (EntryType, &'a str, &'a str) {
        (EntryType::Regular, name, content)
    }

    fn deb(control: &[u8], data: &[u8]) -> Vec<u8> {
        archive(&[("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)])
    }

    /// What the package `x` in version 1 comes to: paths, with a link's target or a file's content.
    fn listing(package: &[u8], docs: bool) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let limits = Limits { free: 1 << 20, ..Limits::DEFAULT };
        let layers = Layers::new(store, OverlayXattrs::User).with_limits(limits);
        let hash = ArtifactHash::new("sha256", &"0".repeat(64)).unwrap();
        let layout = DebLayout { docs };
        let x = Package {
            name: "x".to_owned(),
            version: "1".to_owned(),
            artifact: hash,
            layout: flashbuild_frontend::package::PackageLayout::Deb(layout.clone()),
            part: None,
        };
        let items = unpack(&layers, &x, &layout, package, TIME).map_err(|error| error.to_string())?;
        let made = layers.from_files(items, None, Form::Folder).map_err(|error| error.to_string())?;
        let mut text = String::new();
        for entry in made.toc.entries() {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            let _ = match &entry.kind {
                EntryKind::Symlink { target } => writeln!(text, "{path} -> {}", String::from_utf8_lossy(target)),
                EntryKind::HardLink { target } => writeln!(text, "{path} = {}", String::from_utf8_lossy(target)),
                EntryKind::File { .. } => {
                    let mut content = String::new();
                    let mut file = layers.open_file(&made.diff_id, &entry.path).unwrap();
                    file.read_to_string(&mut content).unwrap();
                    assert_eq!(entry.mtime, TIME, "{path}");
                    writeln!(text, "{path}: {}", content.replace('\n', "|"))
                }
                EntryKind::Dir { .. } => Ok(()),
                other @ (EntryKind::CharDevice { .. }
                | EntryKind::BlockDevice { .. }
                | EntryKind::Fifo
                | EntryKind::Whiteout) => writeln!(text, "{path} {other:?}"),
            };
        }
        Ok(text)
    }

    fn control() -> Vec<u8> {
        tar(&[file("./control", CONTROL), file("./md5sums", "0  usr/bin/x\n")])
    }

    #[test]
    fn files_are_where_merged_usr_has_them_and_the_package_is_noted() {
        let data = tar(&[
            (EntryType::Directory, "./", ""),
            (EntryType::Directory, "./bin/", ""),
            file("./bin/x", "x"),
            (EntryType::Link, "./bin/y", "./bin/x"),
            (EntryType::Symlink, "./lib64/ld.so", "/lib/ld-1.so"),
            (EntryType::Symlink, "./sbin/z", "/usr/sbin/z"),
            file("./usr/sbin/z", "z"),
            file("./usr/share/doc/x/copyright", "free"),
            file("./usr/share/doc/x/README", "long"),
            file("./usr/share/man/man1/x.1", "longer"),
        ]);
        let expected = "\
usr/bin/x: x
usr/bin/y = usr/bin/x
usr/lib64/ld.so -> /lib/ld-1.so
usr/sbin/z: z
usr/share/doc/x/copyright: free
var/lib/dpkg/status.d/x: Package: x|Version: 1|Architecture: all|
var/lib/dpkg/status.d/x.md5sums: 0  usr/bin/x|
";
        assert_eq!(listing(&deb(&control(), &data), false).unwrap(), expected);
        let with_docs = listing(&deb(&control(), &data), true).unwrap();
        assert!(with_docs.contains("doc/x/README: long\n") && with_docs.contains("man1/x.1: longer\n"), "{with_docs}");
    }

    #[test]
    fn a_link_that_moved_does_not_hide_its_file_in_either_order() {
        for data in [
            tar(&[(EntryType::Symlink, "./bin/x", "/usr/bin/x"), file("./usr/bin/x", "x")]),
            tar(&[file("./bin/x", "x"), (EntryType::Symlink, "./usr/bin/x", "/bin/x")]),
        ] {
            assert!(listing(&deb(&control(), &data), true).unwrap().starts_with("usr/bin/x: x\n"));
        }
    }

    #[test]
    fn a_link_out_leads_into_the_layer() {
        let data = tar(&[(EntryType::Symlink, "./l", "../../etc"), file("./l/x", "x")]);
        assert!(listing(&deb(&control(), &data), true).unwrap().starts_with("etc/x: x\nl -> ../../etc\n"));
    }

    #[test]
    fn hostile_packages_are_refused() {
        let honest = tar(&[file("./usr/bin/x", "x")]);
        let bomb = zstd::encode_all(io::repeat(0).take(1 << 26), 1).unwrap();
        for (control, data, expected) in [
            (control(), tar(&[file("../x", "")]), "upwards"),
            (control(), tar(&[file("/etc/x", "")]), "absolute"),
            (control(), tar(&[file("./usr/../../x", "")]), "upwards"),
            (control(), tar(&[(EntryType::Link, "./x", "../../etc/passwd")]), "upwards"),
            (control(), tar(&[(EntryType::Link, "./x", "./absent")]), "a file that is not there"),
            (control(), tar(&[file("./.wh.bin", "")]), "means a deletion"),
            (control(), tar(&[file("./bin/x", "1"), file("./usr/bin/x", "2")]), "both in /usr and beside it"),
            (control(), b"no archive".repeat(100), "the archive is"),
            (control(), bomb, "bytes for each byte"),
            (tar(&[]), honest.clone(), "not one paragraph"),
            (tar(&[file("control", "Package: y\nVersion: 1\n")]), honest.clone(), "it is y 1, not 1"),
            (tar(&[file("control", "Package: x\nVersion: 2\n")]), honest, "it is x 2, not 1"),
        ] {
            let refused = listing(&deb(&control, &data), true).expect_err(expected);
            assert!(refused.starts_with('x') && refused.contains(expected), "{expected}: {refused}");
        }
    }
}
