//! The tree that a step finds, and what it leaves in the upper folder.

use super::{Image, Path, PathBuf, fs, skip, symlink};
use crate::sandbox::{Network, ShownFile};
use std::os::unix::fs::FileTypeExt;

#[test]
fn changes_go_to_the_upper_folder_and_mount_points_are_reported() {
    let Some(mut image) = Image::busybox() else { return };
    let exit = image.sh("echo new > /new; cat /etc/resolv.conf /etc/hosts /etc/hostname > /dev/null").exit();
    assert!(exit.status.success());
    assert_eq!(fs::read_to_string(image.upper().join("new")).unwrap(), "new\n");
    let expected = ["etc", "etc/resolv.conf", "etc/hosts", "etc/hostname", "proc", "sys", "dev"];
    assert_eq!(exit.stubs, expected.map(PathBuf::from));
    for stub in &exit.stubs {
        assert!(fs::symlink_metadata(image.upper().join(stub)).is_ok(), "{}", stub.display());
    }
}

#[test]
fn mount_points_of_the_image_are_no_stubs_and_folders_keep_their_times() {
    let Some(mut image) = Image::busybox() else { return };
    for folder in ["etc", "proc", "sys", "dev"] {
        fs::create_dir(image.layer().join(folder)).unwrap();
    }
    fs::write(image.layer().join("etc/hosts"), "").unwrap();
    let before = fs::metadata(image.layer().join("etc")).unwrap().modified().unwrap();
    let exit = image.run(&["true"]).exit();
    assert_eq!(exit.stubs, ["etc/resolv.conf", "etc/hostname"].map(PathBuf::from));
    assert_eq!(fs::metadata(image.upper().join("etc")).unwrap().modified().unwrap(), before);
}

#[test]
fn a_dangling_link_gets_its_target_inside_the_tree() {
    let Some(mut image) = Image::busybox() else { return };
    fs::create_dir(image.layer().join("etc")).unwrap();
    symlink("../run/resolve/stub.conf", image.layer().join("etc/resolv.conf")).unwrap();
    let exit = image.sh("[ -f /run/resolve/stub.conf ]").exit();
    assert!(exit.status.success());
    let made = ["run", "run/resolve", "run/resolve/stub.conf"].map(PathBuf::from);
    assert_eq!(exit.stubs[..3], made);
}

#[test]
fn files_of_etc_are_generated_and_changes_to_them_forgotten() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.hosts.push(crate::sandbox::HostEntry { address: [10, 1, 2, 3].into(), name: "db".to_owned() });
    let text =
        image.sh("cat /etc/hostname; grep 10.1 /etc/hosts; echo x > /etc/resolv.conf; cat /etc/resolv.conf").text();
    assert_eq!(text, "sandbox\n10.1.2.3\tdb\nx\n");
    assert_eq!(fs::read(image.upper().join("etc/resolv.conf")).unwrap(), b"");
}

#[test]
fn name_servers_are_the_hosts_unless_there_is_no_network() {
    let Some(mut image) = Image::busybox() else { return };
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(image.run(&["cat", "/etc/resolv.conf"]).text(), host);
    let Some(mut image) = Image::busybox() else { return };
    image.spec.network = Network::None;
    assert_eq!(image.run(&["cat", "/etc/resolv.conf"]).text(), "");
}

#[test]
fn shown_files_can_be_executed_but_not_changed() {
    let Some(mut image) = Image::busybox() else { return };
    for path in ["/run/script", "/dev/pipes/script"] {
        image.spec.files.push(ShownFile {
            path: path.into(),
            content: b"#!/bin/sh\necho ran $0\n".to_vec(),
            mode: 0o755,
        });
    }
    let text = image.sh("/run/script; /dev/pipes/script; echo x 2>/dev/null >> /run/script || echo refused").text();
    assert_eq!(text, "ran /run/script\nran /dev/pipes/script\nrefused\n");
}

#[test]
fn the_working_folder_is_made_and_stays() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.cwd = "/srv/app".into();
    let outcome = image.run(&["pwd"]);
    assert_eq!(outcome.text(), "/srv/app\n");
    assert!(image.upper().join("srv/app").is_dir());
    assert!(!image.run(&["true"]).exit().stubs.contains(&PathBuf::from("srv")));
}

#[test]
fn root_may_make_devices_and_owners() {
    let Some(mut image) = Image::busybox() else { return };
    if !super::super::overlay::is_initial_user_namespace() {
        return skip("it takes the first user namespace").unwrap_or(());
    }
    image.sh("mknod /null c 1 3 && touch /owned && chown 1234:5678 /owned").text();
    assert!(fs::metadata(image.upper().join("null")).unwrap().file_type().is_char_device());
    let owned = fs::metadata(image.upper().join("owned")).unwrap();
    assert_eq!(
        (std::os::unix::fs::MetadataExt::uid(&owned), std::os::unix::fs::MetadataExt::gid(&owned)),
        (1234, 5678)
    );
}

#[test]
fn devices_are_the_usual_ones() {
    let Some(mut image) = Image::busybox() else { return };
    let text = image.sh("cd /dev; ls; echo x > null; ls pts; readlink ptmx; wc -c < full 2>/dev/null & sleep 0").text();
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ptmx pts/ptmx";
    assert_eq!(text.split_whitespace().take(16).collect::<Vec<_>>().join(" "), expected);
}

#[test]
fn the_kernel_is_hidden_and_cannot_be_written_to() {
    let Some(mut image) = Image::busybox() else { return };
    let text = image
        .sh("cat /proc/keys /proc/timer_list /proc/interrupts; ls /proc/acpi /sys/firmware | grep -v :;
             for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper; do
                 (echo x > $file) 2>/dev/null && echo wrote $file
             done; ls /proc/sys/fs/binfmt_misc; true")
        .text();
    assert_eq!(text.trim(), "");
}

#[test]
fn many_layers_are_one_tree() {
    for count in [100, 500] {
        let Some(mut image) = Image::busybox() else { return };
        for number in 1..count {
            let layer = image.folder.path().join(format!("layer-{number}"));
            fs::create_dir(&layer).unwrap();
            fs::write(layer.join("number"), format!("{number}\n")).unwrap();
            fs::write(layer.join(format!("file-{number}")), "").unwrap();
            image.spec.lowers.push(layer);
        }
        let text = image.sh("cat /number; ls / | grep -c file-").text();
        assert_eq!(text, format!("{0}\n{0}\n", count - 1));
    }
}

#[test]
fn more_layers_than_overlayfs_takes_are_refused_in_words() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.lowers = vec![image.layer(); 501];
    let message = image.run(&["true"]).error().to_string();
    assert_eq!(message, "a tree of 501 layers cannot be run on: overlayfs takes 500");
}

#[test]
fn without_a_layer_the_upper_folder_is_the_tree() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.lowers.clear();
    fs::rename(image.layer().join("bin"), image.upper().join("bin")).unwrap();
    assert_eq!(image.sh("echo made > /made; cat /made").text(), "made\n");
    assert!(image.upper().join("made").is_file());
}

#[test]
fn a_folder_that_was_moved_is_copied_not_redirected() {
    let Some(mut image) = Image::busybox() else { return };
    fs::create_dir(image.layer().join("old")).unwrap();
    fs::write(image.layer().join("old/file"), "x").unwrap();
    image.run(&["busybox", "mv", "/old", "/new"]).text();
    assert_eq!(fs::read(image.upper().join("new/file")).unwrap(), b"x");
    let redirect = xattr::get(image.upper().join("new"), "trusted.overlay.redirect").unwrap();
    assert_eq!(redirect, None);
    assert!(fs::symlink_metadata(image.upper().join("old")).unwrap().file_type().is_char_device());
}

#[test]
fn nothing_is_left_mounted() {
    let Some(mut image) = Image::busybox() else { return };
    image.run(&["true"]).text();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let place: &Path = image.folder.path();
    assert!(!mounts.contains(place.to_str().unwrap()));
    image.run(&["true"]).text();
}
