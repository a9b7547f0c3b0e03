//! The way to the root file system on kernels that cannot append layers to an overlay.

use super::super::overlay;
use super::{Image, Path, fs};
use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountPropagationFlags;

#[test]
fn five_hundred_layers_fit_a_page_of_options() {
    let Some(mut image) = Image::busybox() else { return };
    for number in 1..500 {
        let layer = image.folder.path().join(format!("layer-{number}"));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join("number"), format!("{number}")).unwrap();
        image.spec.lowers.push(layer);
    }
    // A mount namespace can be a thread's own; it ends with the thread.
    let mounted = std::thread::spawn(move || {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let upper = rustix::fs::open(&image.spec.upper, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let root = overlay::mount_by_option_string(image.spec.folders(), false, &upper).unwrap();
        let number = rustix::fs::openat(root.root(), Path::new("number"), OFlags::RDONLY, Mode::empty()).unwrap();
        std::io::read_to_string(fs::File::from(number)).unwrap()
    });
    assert_eq!(mounted.join().unwrap(), "499");
}
