//! Images that want out. Each has a sentinel on the host, which must be as it was.

use super::{Image, PathBuf, ShownFile, fs, symlink};

/// A file outside every root, and how it was.
struct Sentinel {
    folder: tempfile::TempDir,
}

impl Sentinel {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "untouched").unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(fs::read_to_string(self.path()).unwrap(), "untouched");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_kernel_folder_that_is_a_link_is_refused() {
    let sentinel = Sentinel::new();
    for name in ["proc", "sys", "dev"] {
        let Some(mut image) = Image::busybox() else { return };
        symlink(sentinel.folder.path(), image.layer().join(name)).unwrap();
        let message = image.sh("echo ran").error().to_string();
        assert_eq!(message, format!("cannot mount on /{name}: it is not a folder in this image"));
        sentinel.check();
    }
}

#[test]
fn files_of_etc_that_are_links_lead_into_the_tree() {
    let sentinel = Sentinel::new();
    for name in ["resolv.conf", "hosts", "hostname"] {
        let Some(mut image) = Image::busybox() else { return };
        fs::create_dir(image.layer().join("etc")).unwrap();
        symlink(sentinel.path(), image.layer().join("etc").join(name)).unwrap();
        image.sh(&format!("echo written > /etc/{name}")).text();
        sentinel.check();
        let Some(mut image) = Image::busybox() else { return };
        fs::create_dir(image.layer().join("etc")).unwrap();
        let up = format!("../../../../../../../..{}", sentinel.path().display());
        symlink(up, image.layer().join("etc").join(name)).unwrap();
        image.sh(&format!("echo written > /etc/{name}")).text();
        sentinel.check();
    }
}

#[test]
fn an_etc_that_is_the_root_is_a_folder_of_the_tree() {
    for target in ["/", "..", "../../..", "."] {
        let Some(mut image) = Image::busybox() else { return };
        symlink(target, image.layer().join("etc")).unwrap();
        let outcome = image.sh("cat /hostname");
        match outcome.result {
            Ok(_) => assert_eq!(outcome.stdout, "sandbox\n", "{target}"),
            Err(error) => assert!(error.to_string().contains("symbolic links"), "{error}"),
        }
    }
}

#[test]
fn circles_of_links_end() {
    let Some(mut image) = Image::busybox() else { return };
    symlink("b", image.layer().join("a")).unwrap();
    symlink("a", image.layer().join("b")).unwrap();
    symlink("/a/x", image.layer().join("etc")).unwrap();
    assert!(image.sh("true").error().to_string().contains("Too many levels of symbolic links"));
}

#[test]
fn devices_of_the_image_are_not_used() {
    let Some(mut image) = Image::busybox() else { return };
    let sentinel = Sentinel::new();
    fs::create_dir(image.layer().join("dev")).unwrap();
    for name in ["null", "console", "pts", "shm", "ptmx", "fd", "mqueue"] {
        symlink(sentinel.path(), image.layer().join("dev").join(name)).unwrap();
    }
    image.sh("echo x > /dev/null; [ -c /dev/null ] && [ ! -e /dev/console ]").text();
    sentinel.check();
}

#[test]
fn a_working_folder_of_magic_links_leads_nowhere() {
    for cwd in ["/proc/self/fd/7", "/proc/1/fd/8/../../..", "/proc/self/root/../..", "/link/up"] {
        for number in 3..12 {
            let Some(mut image) = Image::busybox() else { return };
            symlink(format!("/proc/self/fd/{number}"), image.layer().join("link")).unwrap();
            image.spec.cwd = cwd.replace('7', &number.to_string()).into();
            let outcome = image.sh("ls ../../../../../.. | grep -x work; pwd");
            match outcome.result {
                Ok(_) => {
                    let text = outcome.stdout;
                    assert!(text.starts_with('/') && !text.contains("work"), "{text}");
                }
                Err(error) => assert!(error.to_string().contains(image.spec.cwd.to_str().unwrap()), "{error}"),
            }
        }
    }
}

#[test]
fn a_shown_file_follows_links_inside_the_tree_only() {
    let Some(mut image) = Image::busybox() else { return };
    let sentinel = Sentinel::new();
    symlink(sentinel.folder.path(), image.layer().join("run")).unwrap();
    image.spec.files.push(ShownFile { path: "/run/made".into(), content: b"mine".to_vec(), mode: 0o644 });
    assert_eq!(image.run(&["cat", "/run/made"]).text(), "mine");
    sentinel.check();
}

#[test]
fn our_own_binary_cannot_be_opened_for_writing() {
    let Some(mut image) = Image::busybox() else { return };
    // The kernel opens the interpreter while process 1 is still ours; the program of this test prints what it is.
    let script = image.layer().join("bin/again");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = image.run(&["again"]);
    // Without a loader in the image it does not start; with one, its file system is read-only.
    assert!(outcome.result.is_err() || !outcome.result.unwrap().status.success());
    let own = super::super::run::own_program().unwrap();
    let flags = rustix::fs::statvfs(own).unwrap().f_flag;
    assert!(flags.contains(rustix::fs::StatVfsMountFlags::RDONLY));
}
