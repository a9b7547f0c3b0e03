//! `ADD` of URLs: downloaded once, checked, named and dated as the server says.

use crate::harness::{Run, Web, Workspace, is_root, skip, tree_report};
use flashbuild::solver::event::{Hit, Outcome};
use std::os::unix::fs::MetadataExt as _;

const OLD: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const LATER: &str = "Wed, 21 Oct 2015 07:28:59 GMT";

fn workspace(web: &Web, instructions: &str) -> Workspace {
    Workspace::new(&format!("FROM scratch\n{}", instructions.replace("WEB", web.url("").trim_end_matches('/'))))
}

fn out(work: &Workspace) -> Run {
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds()
}

#[test]
fn a_url_is_a_file_of_0600_with_the_servers_time() {
    if !is_root() {
        return skip("owners can be compared by root only");
    }
    let web = Web::start();
    web.file("/dir/a.txt", &[("Last-Modified", OLD)], "hello\n").file("/a%20b?x=/y", &[], "two\n");
    let work =
        workspace(&web, "ADD WEB/dir/a.txt WEB/a%20b?x=/y /to/\nADD --chmod=755 --chown=1:2 WEB/dir/a.txt /bin/tool\n");
    out(&work);
    let tree = tree_report(&work.path("out"));
    assert_eq!(
        tree,
        [
            "d 0755 1:2 /bin",
            "f 0755 1:2 /bin/tool 6 5891b5b5",
            "d 0755 0:0 /to",
            "f 0600 0:0 /to/a b 4 27dd8ed4",
            "f 0600 0:0 /to/a.txt 6 5891b5b5",
        ]
    );
    let time = |path: &str| work.path("out").join(path).metadata().unwrap().mtime();
    assert_eq!((time("to/a.txt"), time("to/a b")), (1_445_412_480, 0));
}

#[test]
fn a_file_that_did_not_change_is_not_downloaded_again() {
    let web = Web::start();
    let by_tag = [("ETag", "\"one\"")];
    let by_time = [("Last-Modified", OLD), ("Date", LATER)];
    let unsettled = [("Last-Modified", OLD), ("Date", OLD)];
    web.file("/tag", &by_tag, "tag").file("/time", &by_time, "time").file("/unsettled", &unsettled, "unsettled");
    let work = workspace(&web, "ADD WEB/tag WEB/time WEB/unsettled /\n");
    let build = || work.build(&["-t", "app"]).succeeds();
    let first = build();
    let second = build();
    assert_eq!(first.digest(), second.digest());
    assert_eq!(second.outcomes("ADD"), [&Outcome::Cached(Hit::Definition)]);
    assert_eq!(web.statuses("/tag"), [200, 304]);
    assert_eq!(web.statuses("/time"), [200, 304]);
    assert_eq!(web.statuses("/unsettled"), [200, 200], "it may have changed in that very second");

    web.file("/tag", &[("ETag", "\"two\"")], "tag");
    assert_eq!(build().outcomes("ADD"), [&Outcome::Cached(Hit::Definition)], "the same bytes");
    web.file("/tag", &[("ETag", "\"three\"")], "changed");
    assert_eq!(build().outcomes("ADD"), [&Outcome::Ran]);
    assert_eq!(web.statuses("/tag"), [200, 304, 200, 200]);
}

#[test]
fn a_checksum_is_checked_and_spares_the_question() {
    let web = Web::start();
    web.file("/a", &[], "hello\n");
    let sum = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    let work = workspace(&web, &format!("ADD --checksum={sum} WEB/a /\n"));
    work.build(&[]).succeeds();
    work.build(&[]).succeeds();
    assert_eq!(web.statuses("/a"), [200]);

    web.file("/a", &[], "something else\n");
    let run = work.build(&[]).store("fresh").exits_with(1);
    assert!(run.stderr.contains("is not what was expected"), "{}", run.stderr);
    assert!(run.stderr.contains("Dockerfile:2:1"), "{}", run.stderr);
}

#[test]
fn redirects_are_followed_without_what_is_not_for_others() {
    let (web, other) = (Web::start(), Web::start());
    web.answer("/start", 302, &[("Location", "/next")], "").answer(
        "/next",
        307,
        &[("Location", &other.url("/end"))],
        "",
    );
    other.file("/end", &[], "found\n");
    let url = web.url("/start").replace("http://", "http://me:secret@");
    let work = Workspace::new(&format!("FROM scratch\nADD {url} /file\n"));
    let run = out(&work);
    assert_eq!(work.read("out/file"), "found\n");
    let authorized =
        |web: &Web| web.requests().iter().map(|asked| asked.headers.contains_key("authorization")).collect::<Vec<_>>();
    assert_eq!(authorized(&web), [true, true]);
    assert_eq!(authorized(&other), [false]);
    assert!(!run.stderr.contains("secret"), "{}", run.stderr);
}

#[test]
fn what_does_not_come_is_told_with_its_line() {
    let web = Web::start();
    web.answer("/private", 401, &[], "").answer("/loop", 302, &[("Location", "/loop")], "");
    web.answer("/out", 302, &[("Location", "file:///etc/passwd")], "");
    for (path, expected) in [
        ("/none", "/none not found (status 404): check the address"),
        ("/private", "/private is not for everybody (status 401)"),
        ("/loop", "/loop: it redirects more than 10 times"),
        ("/out", "/out: it redirects to file:///etc/passwd, which is neither http nor https"),
    ] {
        let run = workspace(&web, &format!("ADD WEB{path} /\n")).build(&[]).exits_with(1);
        assert!(run.stderr.contains(expected) && run.stderr.contains("Dockerfile:2:1"), "{}", run.stderr);
    }
}

#[test]
fn an_archive_is_unpacked_only_if_asked_for() {
    let web = Web::start();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o644);
    archive.append_data(&mut header, "d/f", &b"x"[..]).unwrap();
    web.file("/in.tar", &[], archive.into_inner().unwrap());
    let work = workspace(&web, "ADD WEB/in.tar /kept/\nADD --unpack --link WEB/in.tar /unpacked/\n");
    out(&work);
    let exists = |path: &str| work.path("out").join(path).exists();
    assert_eq!((exists("kept/in.tar"), exists("unpacked/d/f"), exists("unpacked/in.tar")), (true, true, false));
    assert_eq!(web.statuses("/in.tar"), [200], "one address is one download");
}
