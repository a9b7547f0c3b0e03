//! Mounts that a step asked for, and images and steps that want out by way of them.

use super::super::{FileSource, FolderSource, MountSource, Sensitive, StepMount, TreeSource};
use super::{Image, Path, PathBuf, fs, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

/// A folder outside every root, and what is in it.
struct Sentinel(tempfile::TempDir);

impl Sentinel {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        fs::write(folder.path().join("folder/file"), "untouched").unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("folder")
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(fs::read_to_string(self.path().join("file")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(self.path()).unwrap().count(), 1, "something was made outside");
    }
}

fn mount(target: impl Into<PathBuf>, source: MountSource) -> StepMount {
    StepMount { target: target.into(), source, read_only: false }
}

fn folder(folder: &Path, path: &str) -> MountSource {
    MountSource::Folder(FolderSource { folder: folder.to_owned(), path: path.into() })
}

/// Another tree, with a link for each way out of it that one could think of.
fn other_tree(image: &Image, sentinel: &Sentinel, path: &str) -> MountSource {
    let root = image.folder.path().join("other");
    if !root.exists() {
        fs::create_dir_all(root.join("inside")).unwrap();
        fs::write(root.join("inside/file"), "of the tree").unwrap();
        symlink("/", root.join("root")).unwrap();
        symlink("../../../../../../../..", root.join("up")).unwrap();
        symlink(sentinel.path(), root.join("out")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
    }
    let writes = tempfile::tempdir_in(image.folder.path()).unwrap().keep();
    MountSource::Tree(TreeSource::new(vec![root], path, &writes).unwrap())
}

#[test]
fn a_source_that_is_a_link_stays_in_its_tree() {
    let sentinel = Sentinel::new();
    for path in ["/root", "/up", "/up/..", "../../..", "/inside/../.."] {
        let Some(mut image) = Image::busybox() else { return };
        let source = other_tree(&image, &sentinel, path);
        image.spec.mounts.push(mount("/m", source));
        let outside = sentinel.path();
        let script =
            format!("cat /m/inside/file; [ ! -e /m{0} ] && echo made > /m/new && ls /m/new", outside.display());
        assert_eq!(image.sh(&script).text(), "of the tree/m/new\n", "{path}");
        assert!(!image.folder.path().join("other/new").exists(), "what is written is forgotten");
        sentinel.check();
    }
    for path in ["/out", "/magic/etc", "/magic", "/inside/file/x"] {
        let Some(mut image) = Image::busybox() else { return };
        let source = other_tree(&image, &sentinel, path);
        image.spec.mounts.push(mount("/m", source));
        let error = image.sh("echo ran").error().to_string();
        assert!(error.starts_with("cannot mount on /m: cannot open "), "{error}");
        sentinel.check();
    }
}

#[test]
fn a_target_behind_a_link_is_in_the_tree_of_the_step() {
    let sentinel = Sentinel::new();
    for target in ["/link/made", "/up/made", "/link/../../made"] {
        let Some(mut image) = Image::busybox() else { return };
        symlink(sentinel.path(), image.layer().join("link")).unwrap();
        symlink("../../../../../..", image.layer().join("up")).unwrap();
        image.spec.mounts.push(mount(target, MountSource::Tmpfs { size: None }));
        image.sh(&format!("touch {target}/x && ls {target}")).text();
        sentinel.check();
    }
}

#[test]
fn nothing_is_mounted_inside_the_kernels_own_file_systems() {
    for target in ["/proc/sys", "/proc/self", "/sys/fs", "/proc", "/link"] {
        let Some(mut image) = Image::busybox() else { return };
        symlink("/proc/sys/kernel", image.layer().join("link")).unwrap();
        image.spec.mounts.push(mount(target, MountSource::Tmpfs { size: None }));
        let error = image.sh("echo ran").error().to_string();
        assert!(error.contains("nothing can be mounted inside /proc or /sys"), "{target}: {error}");
    }
}

#[test]
fn a_link_in_a_cache_leads_to_the_cache() {
    let sentinel = Sentinel::new();
    let Some(mut image) = Image::busybox() else { return };
    let cache = image.folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let out = sentinel.path();
    image.spec.mounts = vec![mount("/c", folder(&cache, "/"))];
    image.sh("mkdir /c/real && cat > /c/real/file < /dev/null").text();
    for (name, target) in [("out", out.as_path()), ("up", Path::new("../../../..")), ("root", Path::new("/"))] {
        symlink(target, cache.join(name)).unwrap();
    }
    for path in ["out", "out/deeper", "up", "root/made", "../../..", "up/../made"] {
        image.spec.mounts = vec![mount("/c", folder(&cache, path))];
        image.sh("touch /c/written && [ ! -e /c/etc ]").text();
        sentinel.check();
    }
}

#[test]
fn swapping_a_folder_for_a_link_leads_nowhere() {
    const MOUNTS: usize = 250;
    let sentinel = Sentinel::new();
    let Some(mut image) = Image::busybox() else { return };
    let cache = image.folder.path().join("cache");
    fs::create_dir_all(cache.join("sub")).unwrap();
    symlink(sentinel.path(), cache.join("link")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (one, other) = (cache.join("sub"), cache.join("link"));
                let at = rustix::fs::CWD;
                rustix::fs::renameat_with(at, &one, at, &other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..4 {
            let one = |number: usize| mount(format!("/m/{number}"), folder(&cache, "sub"));
            image.spec.mounts = (0..MOUNTS).map(one).collect();
            let outcome = image.sh("for m in /m/*; do touch $m/written; [ ! -e $m/file ] || echo out; done");
            assert_eq!(outcome.text(), "");
        }
        done.store(true, Ordering::Relaxed);
    });
    sentinel.check();
}

#[test]
fn a_file_in_memory_is_for_its_owner() {
    let Some(mut image) = Image::busybox() else { return };
    let content = Sensitive(b"value".to_vec());
    assert_eq!(format!("{content:?}"), "5 bytes");
    image.spec.mounts = vec![StepMount {
        target: "/run/secrets/a".into(),
        source: MountSource::File(FileSource { content, mode: 0o400, uid: 7, gid: 8 }),
        read_only: true,
    }];
    assert_eq!(image.sh("stat -c %a:%u:%g /run/secrets/a; cat /run/secrets/a").text(), "400:7:8\nvalue");
    image.spec.user = super::User { uid: 9, gid: 9, groups: Vec::new() };
    image.sh("! cat /run/secrets/a").text();
}
