//! What a `RUN` leaves behind is what the image holds: changes, removals, and everything a file can be.

use crate::harness::{BUSYBOX, Layout, Workspace, is_root, native_platform, peer, skip, tree_report};

/// Builds for this machine, lets umoci unpack what came out, and reports the part of the tree below `/data`.
fn data_after(instructions: &str) -> Option<Vec<String>> {
    if !is_root() {
        skip("owners can be compared by root only");
        return None;
    }
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\n{instructions}"))?;
    let image = work.path("image");
    work.build(&["-o", &format!("type=oci,dest={},tar=false,name=latest", image.display())]).succeeds();
    Layout::verified(&image);
    let bundle = work.path("bundle");
    let unpacked = peer("umoci")?.args(["unpack", "--image"]).arg(&image).arg(&bundle).status();
    assert!(unpacked.unwrap().success());
    Some(tree_report(&bundle.join("rootfs/data")))
}

#[test]
fn removed_files_are_gone() {
    let Some(data) = data_after("RUN mkdir /data && touch /data/kept /data/removed\nRUN rm /data/removed\n") else {
        return;
    };
    assert_eq!(data, ["f 0644 0:0 /kept 0 e3b0c442"]);
}

#[test]
fn a_folder_made_anew_hides_the_one_before() {
    let steps = "RUN mkdir -p /data/folder && touch /data/folder/old\nRUN rm -r /data/folder && mkdir /data/folder && \
                 touch /data/folder/new\n";
    let Some(data) = data_after(steps) else { return };
    assert_eq!(data, ["d 0755 0:0 /folder", "f 0644 0:0 /folder/new 0 e3b0c442"]);
}

#[test]
fn a_file_in_place_of_a_folder_and_the_other_way_round() {
    let steps = "RUN mkdir -p /data/a && touch /data/a/inside /data/b\nRUN rm -r /data/a /data/b && touch /data/a && \
                 mkdir /data/b\n";
    let Some(data) = data_after(steps) else { return };
    assert_eq!(data, ["f 0644 0:0 /a 0 e3b0c442", "d 0755 0:0 /b"]);
}

#[test]
fn every_kind_of_file_keeps_its_kind_mode_and_owner() {
    let steps = "RUN mkdir /data && cd /data && mknod device c 1 3 && mkfifo pipe && echo hello > file && ln file twin && \
                 ln -s /nowhere link && mkdir -m 1777 shared && chmod 6755 file && chown 1234:99 pipe\n";
    let Some(data) = data_after(steps) else { return };
    assert_eq!(
        data,
        [
            "c 0644 0:0 /device 1,3",
            "f 6755 0:0 /file 6 5891b5b5",
            "l 0777 0:0 /link -> /nowhere",
            "p 0644 1234:99 /pipe",
            "d 1777 0:0 /shared",
            "h 6755 0:0 /twin = /file",
        ]
    );
}

#[test]
fn a_change_of_mode_is_a_change() {
    let Some(data) = data_after("RUN mkdir /data && echo hello > /data/file\nRUN chmod 0600 /data/file\n") else {
        return;
    };
    assert_eq!(data, ["f 0600 0:0 /file 6 5891b5b5"]);
}

#[test]
fn a_step_that_changes_nothing_adds_nothing() {
    let Some(data) = data_after("RUN mkdir /data\nRUN true\nRUN touch /data/f && rm /data/f\n") else { return };
    assert_eq!(data, [""; 0]);
}
