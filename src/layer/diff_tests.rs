use super::*;
use crate::layer::{
    pack::{Packed, pack},
    test_archive::{is_root, listing, skip_without_root},
    toc::{Entry, Toc},
};
use rustix::fs::{Mode, mknodat};
use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    time::{Duration, Instant, SystemTime},
};

/// An upper directory, and the tree it lies on.
struct Step {
    upper: tempfile::TempDir,
    lower: View,
    stubs: Vec<PathBuf>,
    epoch: Option<i64>,
}

fn entry(path: &str, kind: EntryKind) -> Entry {
    let mut entry = Entry::new(path, kind);
    (entry.uid, entry.gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    entry
}

fn file(path: &str, content: &str) -> Entry {
    let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest::of(content.as_bytes()) };
    entry(path, kind)
}

fn dir(path: &str) -> Entry {
    entry(path, EntryKind::Dir { opaque: false })
}

impl Step {
    fn on(lower: Vec<Entry>) -> Self {
        let lower = View::new(vec![Arc::new(Toc::new(lower).unwrap())]);
        Self { upper: tempfile::tempdir().unwrap(), lower, stubs: Vec::new(), epoch: None }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.upper.path().join(path)
    }

    fn dir(&self, path: &str) -> &Self {
        fs::create_dir(self.path(path)).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        fs::write(self.path(path), content).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o644)).unwrap();
        self
    }

    fn whiteout(&self, path: &str) -> &Self {
        let folder = open_root(self.upper.path()).unwrap();
        mknodat(&folder, path, rustix::fs::FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        self
    }

    fn attribute(&self, path: &str, name: &str, value: &[u8]) -> &Self {
        xattr::set(self.path(path), name, value).unwrap();
        self
    }

    fn diff(&self) -> Result<Packed, LayerError> {
        let owners = if is_root() { Owners::Real } else { Owners::Single };
        let upper =
            UpperDir { path: self.upper.path(), lower: &self.lower, stubs: &self.stubs, epoch: self.epoch, owners };
        pack(diff(&upper)?, None, Path::new("tar"), io::sink()).map(|(packed, _)| packed)
    }

    fn check(&self, expected: &[&str]) {
        assert_eq!(listing(self.diff().unwrap().toc.entries()), expected);
        // What is no part of the layer is not in its folder either.
        let root = open_root(self.upper.path()).unwrap();
        let left: Vec<_> = upper::walk(&root).unwrap().into_iter().map(|found| found.entry).collect();
        assert_eq!(left.len(), expected.len(), "{:?}", listing(&left));
    }
}

#[test]
fn what_changed_nothing_is_dropped() {
    let step =
        Step::on(vec![dir("etc"), file("etc/same", "1"), file("etc/other", "1"), file("etc/longer", "1"), dir("opt")]);
    step.dir("etc").dir("opt").file("etc/same", "1").file("etc/other", "2").file("etc/longer", "11").file("new", "");
    step.check(&["etc/", "etc/longer 2", "etc/other 1", "new 0"]);
}

#[test]
fn changed_metadata_is_a_change() {
    let step = Step::on(vec![dir("d"), dir("e"), file("f", "1"), file("x", "1")]);
    step.dir("d").dir("e").file("f", "1").file("x", "1");
    fs::set_permissions(step.path("d"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(step.path("f"), fs::Permissions::from_mode(0o4755)).unwrap();
    step.attribute("x", "user.note", b"1");
    step.check(&["d/", "f 1", "x 1"]);
}

#[test]
fn deletions_are_kept_where_something_was() {
    let step = Step::on(vec![dir("a"), file("a/b", ""), file("c", "")]);
    step.dir("a").whiteout("a/b").whiteout("c").whiteout("never-there");
    step.check(&["a/", "a/b gone", "c gone"]);
}

#[test]
fn deletions_and_opaque_folders_may_be_attributes() {
    let step = Step::on(vec![dir("a"), file("a/b", ""), dir("d"), file("d/e", ""), file("was-file", "")]);
    step.dir("a").file("a/b", "").attribute("a/b", "user.overlay.whiteout", b"");
    step.dir("d").attribute("d", "user.overlay.opaque", b"y");
    step.dir("was-file").attribute("was-file", "user.overlay.opaque", b"y");
    step.dir("new").attribute("new", "user.overlay.opaque", b"y");
    step.check(&["a/", "a/b gone", "d/ opaque", "new/", "was-file/"]);
}

#[test]
fn the_kernels_own_attributes_are_read_as_root() {
    if skip_without_root("trusted attributes") {
        return;
    }
    let step = Step::on(vec![dir("d"), file("d/e", "")]);
    step.dir("d").attribute("d", "trusted.overlay.opaque", b"y").attribute("d", "trusted.overlay.origin", b"?");
    step.check(&["d/ opaque"]);
    let redirected = Step::on(Vec::new());
    redirected.dir("d").attribute("d", "trusted.overlay.redirect", b"/etc");
    assert!(redirected.diff().map(drop).unwrap_err().to_string().contains("redirect_dir"));
}

#[test]
fn empty_stubs_go_and_used_ones_stay() {
    let mut step = Step::on(vec![dir("etc")]);
    step.stubs = ["/etc/resolv.conf", "/etc/hosts", "/proc", "/dev", "/dev/pts", "/run"].map(PathBuf::from).to_vec();
    step.dir("etc").file("etc/resolv.conf", "").file("etc/hosts", "127.0.0.1");
    step.dir("proc").dir("dev").dir("dev/pts").dir("run").file("run/pid", "1");
    step.check(&["etc/", "etc/hosts 9", "run/", "run/pid 1"]);
}

#[test]
fn links_pipes_and_sockets() {
    let step = Step::on(vec![
        entry("same", EntryKind::Symlink { target: b"x".to_vec() }),
        file("z", "1"),
        file("now-a-socket", ""),
    ]);
    symlink("x", step.path("same")).unwrap();
    symlink("y", step.path("link")).unwrap();
    step.file("z", "1");
    fs::hard_link(step.path("z"), step.path("b")).unwrap();
    let folder = open_root(step.upper.path()).unwrap();
    mknodat(&folder, "pipe", rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    drop(UnixListener::bind(step.path("socket")).unwrap());
    drop(UnixListener::bind(step.path("now-a-socket")).unwrap());
    step.check(&["b 1", "link -> y", "now-a-socket gone", "pipe |", "z = b"]);
}

#[test]
fn names_that_mean_deletions_cannot_be_files() {
    let step = Step::on(Vec::new());
    step.file(".wh.x", "");
    assert!(step.diff().map(drop).unwrap_err().to_string().contains("/.wh.x cannot be part of a layer"));
}

#[test]
fn times_are_whole_and_not_after_the_epoch_in_table_and_folder() {
    let mut step = Step::on(Vec::new());
    step.epoch = Some(1_000_000_000);
    step.dir("d").file("d/new", "").file("d/old", "");
    symlink("x", step.path("d/link")).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::new(999_999_999, 5);
    fs::File::options().write(true).open(step.path("d/old")).unwrap().set_modified(old).unwrap();
    let packed = step.diff().unwrap();
    for entry in packed.toc.entries() {
        let expected = if entry.path == b"d/old" { 999_999_999 } else { 1_000_000_000 };
        assert_eq!(entry.mtime, expected, "{}", entry.display_path());
        let stat = fs::symlink_metadata(step.path(std::str::from_utf8(&entry.path).unwrap())).unwrap();
        assert_eq!((stat.mtime(), stat.mtime_nsec()), (expected, 0), "{}", entry.display_path());
    }
    assert_eq!(step.diff().unwrap().diff_id, packed.diff_id);
}

#[test]
fn a_small_change_costs_little() {
    let lower = (0..20_000).map(|index| file(&format!("f{index:05}"), "1")).collect();
    let step = Step::on(lower);
    for index in 0..100 {
        step.file(&format!("f{:05}", index * 200), &format!("{index}"));
    }
    let start = Instant::now();
    step.diff().unwrap();
    // No limit that a loaded machine would break; the figure is for people.
    let message = format!("100 changes on 20,000 files: {:?}\n", start.elapsed());
    io::stderr().write_all(message.as_bytes()).unwrap();
}
