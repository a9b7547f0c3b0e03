//! Small images, slimmed and made whole again.

use super::{
    super::{Rewritten, check},
    Options, is_asked_for, plan,
};
use crate::{
    layer::{Entry, EntryKind},
    optimize::{
        owner::testing::{self, Node, file, node},
        passes::{PASSES, Trust},
    },
};
use flashbuild_frontend::config::ImageConfig;
use std::collections::BTreeSet;

fn gone(path: &str) -> Node {
    node(path, EntryKind::Whiteout)
}

fn link(path: &str, target: &str) -> Node {
    node(path, EntryKind::HardLink { target: target.into() })
}

/// Slims with all passes of this trust; returns what each saved, and the paths of the layers above the base.
fn slim(layers: &[Vec<Node>], trust: &[Trust]) -> (Vec<(&'static str, u64)>, Vec<Vec<String>>) {
    let image = testing::Image::of_layers(layers);
    let config = ImageConfig::default();
    let subject = image.subject(&config);
    let passes = PASSES.iter().filter(|pass| trust.contains(&pass.trust)).collect();
    let plan = plan(&subject, &Options { passes, gpus: Vec::new() }, None).unwrap();
    let made = plan.make(&subject).unwrap();
    // With what was dropped on top, all of it is there again.
    let whole = [&made.diff_ids[..], &[plan.dropped(&subject).unwrap()]].concat();
    check(&subject, &Rewritten { diff_ids: whole, ..made.clone() }, |file| {
        is_asked_for(file, &BTreeSet::new(), &BTreeSet::new())
    })
    .unwrap();
    let saved = plan.savings.iter().filter(|it| it.files > 0).map(|it| (it.pass.name, it.bytes)).collect();
    let shown = |entry: &Entry| match &entry.kind {
        EntryKind::Whiteout => format!("-{}", String::from_utf8_lossy(&entry.path)),
        EntryKind::HardLink { target } => {
            format!("{}={}", String::from_utf8_lossy(&entry.path), String::from_utf8_lossy(target))
        }
        EntryKind::File { .. }
        | EntryKind::Dir { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::CharDevice { .. }
        | EntryKind::BlockDevice { .. }
        | EntryKind::Fifo => String::from_utf8_lossy(&entry.path).into_owned(),
    };
    let own = made.diff_ids[1..].iter();
    let paths = own.map(|id| image.layers.toc(id).unwrap().entries().iter().map(shown).collect()).collect();
    (saved, paths)
}

#[track_caller]
fn check_slim(layers: &[Vec<Node>], saved: &[(&str, u64)], kept: &[&[&str]]) {
    let (actual, paths) = slim(layers, &[Trust::Proven]);
    assert_eq!(
        (actual.as_slice(), paths),
        (saved, kept.iter().map(|it| it.iter().map(ToString::to_string).collect()).collect())
    );
}

#[test]
fn hidden_bytes_go_and_so_do_deletions_of_them() {
    check_slim(
        &[
            vec![file("base", "b")],
            vec![file("a", "old"), file("d/x", "12345"), file("keep", "k")],
            vec![file("a", "new"), gone("d"), gone("base")],
        ],
        &[("hidden", 8)],
        &[&["keep"], &["a", "-base"]],
    );
}

#[test]
fn a_layer_of_which_nothing_is_left_is_gone() {
    check_slim(
        &[vec![file("base", "b")], vec![file("d/x", "12345")], vec![gone("d"), file("y", "y")]],
        &[("hidden", 5)],
        &[&["y"]],
    );
}

#[test]
fn bytes_that_another_name_shows_stay_under_that_name() {
    check_slim(
        &[vec![file("base", "b")], vec![file("a", "bytes"), link("b", "a"), link("c", "a")], vec![gone("a")]],
        &[],
        &[&["b", "c=b"]],
    );
}

#[test]
fn caches_go_and_do_not_uncover_older_ones() {
    check_slim(
        &[
            vec![file("var/lib/apt/lists/of-base", "1"), file("var/log/dpkg.log", "1")],
            vec![file("var/lib/apt/lists/own", "22"), file("var/log/dpkg.log", "333"), file("a", "a")],
        ],
        &[("caches", 5)],
        &[&["a", "var", "var/lib", "var/lib/apt", "var/lib/apt/lists", "var/log", "-var/log/dpkg.log"]],
    );
}

#[test]
fn equal_files_become_names_of_one() {
    let text = "x".repeat(3000);
    check_slim(
        &[vec![file("base", "b")], vec![file("a", &text), file("b", &text), link("c", "b")]],
        &[("links", 3000)],
        &[&["a", "b=a", "c=a"]],
    );
}

#[test]
fn profiles_are_done_when_asked_for_and_can_be_undone() {
    let layers = [
        vec![file("base", "b")],
        vec![
            file("usr/share/man/man1/x.1", "page"),
            link("usr/share/man/man1/y.1", "usr/share/man/man1/x.1"),
            file("z", "z"),
        ],
    ];
    assert_eq!(slim(&layers, &[Trust::Proven]).0, []);
    let (saved, paths) = slim(&layers, &[Trust::Proven, Trust::Profile]);
    assert_eq!(saved, [("docs", 4)]);
    assert_eq!(paths[0].last().unwrap(), "z");
}
