//! `COPY` and `ADD` of files: what is taken, where it lands, what it looks like there, and what need not be pulled.

use crate::harness::{BUSYBOX, Registry, Run, Workspace, is_root, native_platform, skip, tree_report};
use flashbuild::solver::event::{Hit, Outcome};
use std::os::unix::fs::PermissionsExt as _;

/// Builds `instructions` on the empty tree from a small context, and reports the tree; nothing where this is not root.
fn tree_of(instructions: &str) -> Option<Vec<String>> {
    if !is_root() {
        skip("owners can be compared by root only");
        return None;
    }
    let work = context(instructions);
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    Some(tree_report(&work.path("out")))
}

/// The tree as paths alone.
fn paths_of(instructions: &str) -> Option<Vec<String>> {
    let path = |line: String| line.split(' ').nth(3).unwrap_or_default().to_owned();
    Some(tree_of(instructions)?.into_iter().map(path).collect())
}

fn context(instructions: &str) -> Workspace {
    let work = Workspace::new(&format!("FROM scratch\n{instructions}"));
    for file in ["a.txt", "b.md", "docs/api.md", "docs/img/x.png", "docs/img/y.txt", "src/a.rs", "src/deep/c.txt"] {
        work.file(file, file);
    }
    let script = work.path("context/src/a.rs");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    work
}

#[test]
fn what_is_excluded_stays_behind() {
    let Some(paths) = paths_of("COPY --exclude=*.md --exclude=img --exclude=!img/y.txt docs src /all/\n") else {
        return;
    };
    assert_eq!(paths, ["/all", "/all/a.rs", "/all/deep", "/all/deep/c.txt", "/all/img", "/all/img/y.txt"]);
    assert_eq!(paths_of("ADD --exclude=*.md *.* /all/\n").unwrap(), ["/all", "/all/a.txt"]);
}

#[test]
fn a_change_of_what_is_excluded_is_no_change() {
    let work = context("COPY --exclude=*.md docs /docs/\n");
    let build = || work.build(&["-t", "app"]).succeeds();
    let first = build();
    work.file("docs/api.md", "changed").file("docs/new.md", "new");
    let second = build();
    assert_eq!(second.outcomes("COPY"), [&Outcome::Cached(Hit::Definition)]);
    assert_eq!(first.digest(), second.digest());
    work.file("docs/img/x.png", "changed");
    assert_eq!(build().outcomes("COPY"), [&Outcome::Ran]);
}

#[test]
fn parents_are_kept_from_the_pivot_on() {
    let Some(paths) = paths_of("COPY --parents docs/img/x.png ./src/./deep/*.txt /p/\n") else { return };
    assert_eq!(paths, ["/p", "/p/deep", "/p/deep/c.txt", "/p/docs", "/p/docs/img", "/p/docs/img/x.png"]);
    let all = paths_of("COPY --parents --exclude=src **/*.txt /\n").unwrap();
    assert_eq!(all, ["/a.txt", "/docs", "/docs/img", "/docs/img/y.txt"]);
}

#[test]
fn parents_need_their_source_to_exist() {
    let run = context("COPY --parents docs/none/x.png /p/\n").build(&[]).exits_with(1);
    assert!(run.stderr.contains("\"docs/none/x.png\" not found in the build context"), "{}", run.stderr);
}

#[test]
fn a_pattern_may_match_nothing() {
    assert_eq!(paths_of("COPY a.txt none* /to/\n").unwrap_or_default(), ["/to", "/to/a.txt"]);
}

#[test]
fn modes_are_octal_or_symbolic() {
    let Some(tree) = tree_of(
        "COPY --chmod=640 a.txt /octal\nCOPY --chmod=u=rwX,go=rX src /symbolic/\nCOPY --chmod=go-rwx --chown=1:2 a.txt /t/\n",
    ) else {
        return;
    };
    let tree: Vec<_> = tree.iter().map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        tree,
        [
            "f 0640 0:0 /octal",
            "d 0755 0:0 /symbolic",
            "f 0755 0:0 /symbolic/a.rs",
            "d 0755 0:0 /symbolic/deep",
            "f 0644 0:0 /symbolic/deep/c.txt",
            "d 0755 1:2 /t",
            "f 0600 1:2 /t/a.txt",
        ]
    );
}

#[test]
fn heredocs_are_sources_like_others() {
    let dockerfile = "ARG NAME=world\nCOPY a.txt <<one.txt <<'two.txt' /to/\nhello $NAME\none.txt\nliteral $NAME\ntwo.txt\n\
                      COPY --chmod=755 <<EOF /run.sh\n#!/bin/sh\nEOF\n";
    let Some(tree) = tree_of(dockerfile) else { return };
    let paths: Vec<_> = tree.iter().map(|line| line.split(' ').take(5).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        paths,
        [
            "f 0755 0:0 /run.sh 10",
            "d 0755 0:0 /to",
            "f 0644 0:0 /to/a.txt 5",
            "f 0644 0:0 /to/one.txt 12",
            "f 0644 0:0 /to/two.txt 14"
        ]
    );
}

#[test]
fn archives_are_unpacked_unless_told_otherwise() {
    if !is_root() {
        return skip("owners can be compared by root only");
    }
    let work =
        Workspace::new("FROM scratch\nADD in.tar /unpacked/\nADD --unpack=false in.tar /kept/\nCOPY in.tar /copied/\n");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    archive.append_data(&mut header, "d/f", &b"x"[..]).unwrap();
    work.file("in.tar", archive.into_inner().unwrap());
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    let out = work.path("out");
    let exists: Vec<bool> =
        ["unpacked/d/f", "unpacked/in.tar", "kept/in.tar", "copied/in.tar"].map(|path| out.join(path).exists()).into();
    assert_eq!(exists, [true, false, true, true]);
}

#[test]
fn neither_does_a_file_replace_a_folder_nor_the_other_way_round() {
    for (instructions, expected) in [
        ("COPY a.txt /x/img\nCOPY docs /x/\n", "cannot copy a folder to /x/img, which is not one"),
        ("COPY a.txt /x/docs\nCOPY --parents docs/api.md /x/\n", "cannot copy a folder to /x/docs, which is not one"),
        ("COPY docs/img /x/y/a.txt\nCOPY a.txt b.md /x/y/\n", "cannot replace the folder /x/y/a.txt with a file"),
    ] {
        let run = context(instructions).build(&[]).exits_with(1);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
}

#[test]
fn a_copied_folder_gives_its_mode_to_the_one_that_is_there() {
    let work = context("COPY --chmod=700 docs /all/\nCOPY --chmod=700 docs /all/docs/\nCOPY . /all/\n");
    std::fs::set_permissions(work.path("context/docs/img"), std::fs::Permissions::from_mode(0o750)).unwrap();
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    let mode = |path: &str| std::fs::metadata(work.path("out").join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("all/img"), mode("all/docs/img")), (0o700, 0o750));
}

const LINKED: &str = "ARG BASE\nFROM $BASE\nCOPY --link file /linked/\n";

/// Pushes `base:1` and `base:2`, which differ.
fn bases(registry: &Registry) -> Option<(String, String)> {
    let work = Workspace::with_busybox(
        &[native_platform()],
        &format!("{BUSYBOX}FROM busybox\nARG N\nCOPY <<EOF /number\n$N\nEOF\n"),
    )?;
    let push = |number: &str| {
        let name = registry.name(&format!("base:{number}"));
        work.build(&["-t", &name, "--push", "--build-arg", &format!("N={number}")]).succeeds();
        name
    };
    Some((push("1"), push("2")))
}

#[test]
fn what_is_linked_needs_nothing_of_its_base() {
    let Some(registry) = Registry::start() else { return };
    let Some((one, two)) = bases(&registry) else { return };
    let work = Workspace::new(LINKED);
    work.file("file", "content\n");
    let app = registry.name("app:1");
    let build = |base: &str| -> Run {
        work.build(&["-t", &app, "--push", "--build-arg", &format!("BASE={base}")]).store("fresh").succeeds()
    };
    let blobs = || registry.requests("GET", "/blobs/");
    let before = blobs();
    build(&one);
    assert_eq!(blobs() - before, 1, "the configuration of the base, and none of its layers");
    for (name, outcome) in build(&one).vertices() {
        assert_eq!(outcome, &Outcome::Cached(Hit::Definition), "{name}");
    }
    let moved = build(&two);
    assert_eq!(moved.outcomes("COPY --link"), [&Outcome::Cached(Hit::Definition)], "another base, the same layer");

    // A step that runs on the same base in the same store gets what it needs now.
    let child =
        Workspace::new("ARG BASE\nFROM $BASE\nCOPY --link file /linked/\nRUN cat /linked/file /number > /both\n");
    child.file("file", "content\n");
    let store = work.path("fresh").display().to_string();
    let out = child.path("out");
    let run = child
        .build(&["--build-arg", &format!("BASE={two}"), "-o", &format!("type=local,dest={}", out.display())])
        .store(&store)
        .succeeds();
    assert_eq!(run.outcomes("COPY --link"), [&Outcome::Cached(Hit::Definition)]);
    assert_eq!(std::fs::read_to_string(out.join("both")).unwrap(), "content\n2\n");
}

#[test]
fn a_layout_gets_the_layers_that_were_never_pulled() {
    let Some(registry) = Registry::start() else { return };
    let Some((one, _)) = bases(&registry) else { return };
    let work = Workspace::new(LINKED);
    work.file("file", "content\n");
    let image = work.path("image");
    let output = format!("type=oci,tar=false,dest={}", image.display());
    work.build(&["-o", &output, "--build-arg", &format!("BASE={one}")]).succeeds();
    assert!(crate::harness::Layout::verified(&image).layers(native_platform().trim_start_matches("linux/")).len() >= 2);
}

#[test]
fn a_link_that_is_a_source_is_what_it_leads_to_under_its_own_name() {
    let work =
        Workspace::new("FROM scratch\nCOPY link folder /one/\nCOPY l* /two/\nCOPY link /three\nCOPY tree /four/\n");
    work.file("sub/target", "t\n").file("tree/file", "f\n");
    for (link, to) in [("link", "sub/target"), ("folder", "sub"), ("tree/link", "file")] {
        std::os::unix::fs::symlink(to, work.path("context").join(link)).unwrap();
    }
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    let report = tree_report(&work.path("out"));
    let words = report.iter().map(|line| line.split(' ').collect::<Vec<_>>());
    let kinds: Vec<String> =
        words.filter(|words| words[0] != "d").map(|words| format!("{} {}", words[0], words[3])).collect();
    assert_eq!(kinds, ["f /four/file", "l /four/link", "f /one/link", "f /one/target", "f /three", "f /two/link"]);
}

#[test]
fn a_file_that_a_pattern_finds_under_another_name_is_copied_anew() {
    let work = Workspace::new("FROM scratch\nCOPY *.txt /texts/\n");
    let output = format!("type=local,dest={},mode=delete", work.path("out").display());
    work.file("a.txt", "same\n");
    work.build(&["-o", &output]).succeeds();
    std::fs::rename(work.path("context/a.txt"), work.path("context/b.txt")).unwrap();
    let run = work.build(&["-o", &output]).succeeds();
    assert_eq!(run.outcomes("COPY"), [&Outcome::Ran]);
    assert!(work.path("out/texts/b.txt").exists() && !work.path("out/texts/a.txt").exists());
}

#[test]
fn archives_are_unpacked_however_they_are_compressed() {
    use std::io::Write as _;
    let work = Workspace::new("FROM scratch\nADD a.tar.gz a.tar.bz2 a.tar.zst plain.tar text.gz /\n");
    let archive = |name: &str| {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &b"x"[..]).unwrap();
        archive.into_inner().unwrap()
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&archive("bzip2")).unwrap();
    work.file("a.tar.gz", gzip(&archive("gzip"))).file("a.tar.bz2", bzip2.finish().unwrap());
    work.file("a.tar.zst", zstd::encode_all(&archive("zstd")[..], 1).unwrap()).file("plain.tar", archive("plain"));
    work.file("text.gz", gzip(b"no archive\n"));
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    let mut names: Vec<_> =
        std::fs::read_dir(work.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bzip2", "gzip", "plain", "text.gz", "zstd"]);
}
