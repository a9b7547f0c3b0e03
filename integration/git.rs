//! `ADD` of repositories: a commit's files, and no second fetch of the same commit.

use crate::harness::{GitServer, Run, Workspace, tree_report};
use flashbuild::solver::event::{Hit, Outcome};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

fn workspace(server: &GitServer, instructions: &str) -> Workspace {
    Workspace::new(&format!("FROM scratch\n{}", instructions.replace("APP", &server.url("app"))))
}

fn out(work: &Workspace) -> Run {
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds()
}

/// Kinds, modes and paths of what came out.
fn tree(work: &Workspace) -> Vec<String> {
    let line = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        format!("{} {} {}", words[0], words[1], words[3])
    };
    tree_report(&work.path("out")).iter().map(line).collect()
}

#[test]
fn a_repository_is_the_files_of_a_commit() {
    let Some(server) = GitServer::start() else { return };
    server.commit("app", &[("README", "one\n"), ("docs/a.md", "a\n"), ("run.sh", "#!/bin/sh\n")]);
    let script = server.folder("app").join("run.sh");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    symlink("README", server.folder("app").join("link")).unwrap();
    server.commit("app", &[]);
    let work = workspace(&server, "ADD APP /src\nADD --exclude=*.md APP#:docs /docs/\nADD APP#main:docs /named\n");
    out(&work);
    assert_eq!(
        tree(&work),
        [
            "d 0755 /docs",
            "d 0755 /named",
            "f 0644 /named/a.md",
            "d 0755 /src",
            "f 0644 /src/README",
            "d 0755 /src/docs",
            "f 0644 /src/docs/a.md",
            "l 0777 /src/link",
            "f 0755 /src/run.sh",
        ]
    );
    assert_eq!(work.path("out/src/README").metadata().unwrap().mtime(), 1_600_000_000);
}

#[test]
fn references_are_branches_tags_and_commits() {
    let Some(server) = GitServer::start() else { return };
    let first = server.commit("app", &[("file", "first\n")]);
    server.git("app", &["tag", "light"]);
    server.git("app", &["tag", "--annotate", "--message=x", "heavy"]);
    let tag = server.git("app", &["rev-parse", "heavy"]);
    server.git("app", &["branch", "old"]);
    let second = server.commit("app", &[("file", "second\n")]);
    for (reference, expected) in [
        ("", "second"),
        ("#main", "second"),
        ("#old", "first"),
        ("#refs/heads/old", "first"),
        ("#light", "first"),
        ("#heavy", "first"),
        ("?tag=heavy", "first"),
        ("?branch=old", "first"),
        (&format!("#{first}"), "first"),
        (&format!("?commit={}#heavy", &first[..7]), "first"),
        (&format!("?checksum={}#heavy", &tag[..7]), "first"),
        (&format!("?commit={second}&fetch-by-commit"), "second"),
    ] {
        let work = workspace(&server, &format!("ADD APP{reference} /\n"));
        out(&work);
        assert_eq!(work.read("out/file").trim(), expected, "{reference}");
    }
    for (instruction, expected) in [
        ("ADD APP#none /".to_owned(), "has no branch, tag or commit \"none\""),
        (format!("ADD --checksum={first} APP#main /"), "is not what was expected: its commit is"),
        ("ADD APPLE /".to_owned(), "cannot fetch git://127.0.0.1"),
    ] {
        let run = workspace(&server, &format!("{instruction}\n")).build(&[]).exits_with(1);
        assert!(run.stderr.contains(expected) && run.stderr.contains("Dockerfile:2:1"), "{}", run.stderr);
    }
}

#[test]
fn the_commit_is_the_key() {
    let Some(server) = GitServer::start() else { return };
    server.commit("app", &[("file", "first\n")]);
    let work = workspace(&server, "ADD APP#main /\n");
    let build = || work.build(&["-t", "app"]).succeeds();
    let first = build();
    assert_eq!(build().outcomes("ADD"), [&Outcome::Cached(Hit::Definition)]);
    server.commit("app", &[]);
    let same = build();
    assert_eq!(same.outcomes("ADD"), [&Outcome::Cached(Hit::Content)], "another commit, the same files");
    assert_eq!(same.digest(), first.digest());
    server.commit("app", &[("file", "second\n")]);
    assert_eq!(build().outcomes("ADD"), [&Outcome::Ran]);
}

#[test]
fn the_git_folder_stays_if_asked_for() {
    let Some(server) = GitServer::start() else { return };
    let commit = server.commit("app", &[("file", "x\n")]);
    let work = workspace(&server, "ADD --keep-git-dir=true APP /flag\nADD APP?keep-git-dir=1 /query\nADD APP /none\n");
    out(&work);
    assert!(!work.path("out/none/.git").exists());
    for folder in ["flag", "query"] {
        assert_eq!(work.read(&format!("out/{folder}/.git/HEAD")).trim(), commit);
        assert!(!work.path(format!("out/{folder}/.git/hooks")).exists());
    }
}

#[test]
fn submodules_come_along_unless_told_otherwise() {
    let Some(server) = GitServer::start() else { return };
    server.commit("inner", &[("inner.txt", "inner\n")]);
    server.commit("app", &[("file", "x\n")]);
    server.git("app", &["submodule", "--quiet", "add", &server.url("inner"), "lib"]);
    server.commit("app", &[]);
    let work = workspace(&server, "ADD APP /with\nADD APP?submodules=false /without\n");
    out(&work);
    assert_eq!(work.read("out/with/lib/inner.txt"), "inner\n");
    assert!(!work.path("out/with/lib/.git").exists());
    assert!(!work.path("out/without/lib/inner.txt").exists());
}

#[test]
fn a_repository_reaches_nothing_of_this_machine() {
    let Some(server) = GitServer::start() else { return };
    let secret = server.folder("secret");
    server.commit("secret", &[("key", "private\n")]);
    server.commit("app", &[("file", "x\n"), ("inside/file", "y\n")]);
    symlink("/proc", server.folder("app").join("etc")).unwrap();
    server.commit("app", &[]);

    // A link in the place of a folder is looked up inside of the repository.
    let run = workspace(&server, "ADD APP#:etc /\n").build(&[]).exits_with(1);
    assert!(run.stderr.contains("\"etc\" not found in the repository"), "{}", run.stderr);

    // A submodule from a path of this machine is refused.
    server.git("app", &["submodule", "--quiet", "add", &secret.display().to_string(), "stolen"]);
    server.commit("app", &[]);
    let run = workspace(&server, "ADD APP /\n").build(&[]).exits_with(1);
    assert!(run.stderr.contains("transport 'file' not allowed"), "{}", run.stderr);
}
