//! A file tree as text, so that two of them can be compared and a difference read.

use flashbuild::image::Digest;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// One line for everything below `dir`, in the order of paths: type, mode, owner, path, then what there is to say.
///
/// | type | |
/// |---|---|
/// | `d` folder | |
/// | `f` file | size and start of its SHA-256 |
/// | `h` further name of a file | `= ` the first name |
/// | `l` symbolic link | `-> ` where to |
/// | `c` `b` device | major and minor number |
/// | `p` pipe, `s` socket | |
///
/// Extended attributes follow in brackets.
pub(crate) fn tree_report(dir: &Path) -> Vec<String> {
    let mut report = Report { root: dir, names: BTreeMap::new(), lines: Vec::new() };
    report.folder(dir);
    report.lines
}

struct Report<'a> {
    root: &'a Path,
    /// The first name of every file with several.
    names: BTreeMap<(u64, u64), String>,
    lines: Vec<String>,
}

impl Report<'_> {
    fn folder(&mut self, dir: &Path) {
        let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let metadata = path.symlink_metadata().unwrap();
            self.entry(&path, &metadata);
            if metadata.is_dir() {
                self.folder(&path);
            }
        }
    }

    fn entry(&mut self, path: &Path, metadata: &Metadata) {
        let name = format!("/{}", path.strip_prefix(self.root).unwrap().display());
        let (letter, detail) = self.describe(path, &name, metadata);
        let mode = metadata.permissions().mode() & 0o7777;
        let mut line = format!("{letter} {mode:04o} {}:{} {name}{detail}", metadata.uid(), metadata.gid());
        for attribute in xattr::list(path).unwrap() {
            let value = xattr::get(path, &attribute).unwrap().unwrap_or_default();
            let _ = write!(line, " [{}={}]", attribute.display(), String::from_utf8_lossy(&value));
        }
        self.lines.push(line);
    }

    fn describe(&mut self, path: &Path, name: &str, metadata: &Metadata) -> (char, String) {
        let kind = metadata.file_type();
        if kind.is_dir() {
            ('d', String::new())
        } else if kind.is_symlink() {
            ('l', format!(" -> {}", fs::read_link(path).unwrap().display()))
        } else if kind.is_file() {
            let file = (metadata.dev(), metadata.ino());
            if let Some(first) = self.names.get(&file) {
                return ('h', format!(" = {first}"));
            }
            self.names.insert(file, name.to_owned());
            let digest = Digest::of(&fs::read(path).unwrap()).hex();
            ('f', format!(" {} {}", metadata.len(), &digest[..8]))
        } else if kind.is_fifo() {
            ('p', String::new())
        } else if kind.is_socket() {
            ('s', String::new())
        } else {
            let device = metadata.rdev();
            let numbers = format!(" {},{}", rustix::fs::major(device), rustix::fs::minor(device));
            (if kind.is_block_device() { 'b' } else { 'c' }, numbers)
        }
    }
}

#[test]
fn a_tree_is_told_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("folder/file"), "hello\n").unwrap();
    fs::hard_link(dir.path().join("folder/file"), dir.path().join("folder/twin")).unwrap();
    std::os::unix::fs::symlink("folder/file", dir.path().join("link")).unwrap();
    let report: Vec<_> =
        tree_report(dir.path()).iter().map(|line| line.split(' ').skip(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(report, ["/folder", "/folder/file 6 5891b5b5", "/folder/twin = /folder/file", "/link -> folder/file"]);
}
