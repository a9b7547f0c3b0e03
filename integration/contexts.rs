//! Where files and the Dockerfile come from: folders, standard input, repositories, URLs, layouts, other images.

use crate::harness::{BUSYBOX, GitServer, Layout, Run, Web, Workspace, native_platform};
use flashbuild::solver::event::{Hit, Outcome};
use std::fs;

const COPY_ALL: &str = "FROM scratch\nCOPY . /\n";

/// A tar of files, compressed as nothing.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (index, (name, content)) in files.iter().enumerate() {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(1234);
        header.set_mtime(1_600_000_000 + index as u64);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// `build ARGUMENTS CONTEXT` with standard input, into `out/`.
fn build(work: &Workspace, context: &str, arguments: &[&str], stdin: impl Into<Vec<u8>>) -> Run {
    let output = format!("type=local,dest={}", work.path("out").display());
    work.flashbuild("build", &[arguments, &["-o", &output, context]].concat()).stdin(stdin).succeeds()
}

/// What is in `out/`, folders left out.
fn files(work: &Workspace) -> Vec<String> {
    let report = crate::harness::tree_report(&work.path("out"));
    let files = report.iter().filter(|line| !line.starts_with('d'));
    files.map(|line| line.split(' ').nth(3).unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_dockerfile_may_be_on_standard_input() {
    let work = Workspace::new("this is not read");
    work.file("a.txt", "a\n").file(".dockerignore", "Dockerfile\n.dockerignore\n");
    build(&work, ".", &["-f", "-"], COPY_ALL);
    assert_eq!(files(&work), ["/a.txt"]);
    let run = work.flashbuild("build", &["-f", "-", "."]).stdin("FROM scratch\nCOPPY a b\n").exits_with(1);
    assert!(run.stderr.contains("Dockerfile:2:1"), "{}", run.stderr);
}

#[test]
fn standard_input_is_an_archive_or_a_dockerfile_without_files() {
    let work = Workspace::new("this is not read");
    build(&work, "-", &[], archive(&[("Dockerfile", COPY_ALL), ("d/x", "x\n")]));
    assert_eq!(files(&work), ["/Dockerfile", "/d/x"]);

    let work = Workspace::new("this is not read");
    build(&work, "-", &["-f", "other"], archive(&[("other", COPY_ALL), ("x", "x\n")]));
    assert_eq!(files(&work), ["/other", "/x"]);

    let work = Workspace::new("this is not read");
    build(&work, "-", &[], "FROM scratch\nCOPY . /\nCOPY <<a /a\na\n");
    assert_eq!(files(&work), ["/a"]);

    let run = work.flashbuild("build", &["-f", "-", "-"]).exits_with(1);
    assert!(run.stderr.contains("standard input cannot be both"), "{}", run.stderr);
    let run = work.flashbuild("build", &["-"]).stdin(archive(&[("x", "x\n")])).exits_with(1);
    assert!(run.stderr.contains("no Dockerfile in standard input"), "{}", run.stderr);
}

#[test]
fn an_archive_shows_nothing_of_this_machine() {
    let mut links = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    links.append_link(&mut header, "Dockerfile", "/etc/passwd").unwrap();
    let work = Workspace::new("this is not read");
    let run = work.flashbuild("build", &["-"]).stdin(links.into_inner().unwrap()).exits_with(1);
    assert!(run.stderr.contains("no Dockerfile in standard input"), "{}", run.stderr);
}

#[test]
fn a_url_is_an_archive_or_a_dockerfile() {
    let web = Web::start();
    web.file("/context.tar", &[("ETag", "\"1\"")], archive(&[("Dockerfile", COPY_ALL), ("x", "x\n")]));
    web.file("/Dockerfile", &[], "FROM scratch\nCOPY <<a /a\na\n");
    let work = Workspace::new("this is not read");
    build(&work, &web.url("/context.tar"), &[], "");
    assert_eq!(files(&work), ["/Dockerfile", "/x"]);
    let again = build(&work, &web.url("/context.tar"), &[], "");
    assert_eq!(again.outcomes("COPY"), [&Outcome::Cached(Hit::Definition)]);
    assert_eq!(web.statuses("/context.tar"), [200, 304]);

    let work = Workspace::new("this is not read");
    build(&work, &web.url("/Dockerfile"), &[], "");
    assert_eq!(files(&work), ["/a"]);

    let run = work.flashbuild("build", &[&web.url("/none")]).exits_with(1);
    assert!(run.stderr.contains("/none not found (status 404)"), "{}", run.stderr);

    work.file("kept", "kept\n");
    fs::remove_dir_all(work.path("out")).unwrap();
    web.file("/elsewhere", &[], "FROM scratch\nCOPY kept /\n");
    build(&work, ".", &["-f", &web.url("/elsewhere")], "");
    assert_eq!(files(&work), ["/kept"]);
}

#[test]
fn a_repository_is_a_context() {
    let Some(server) = GitServer::start() else { return };
    server.commit("app", &[("Dockerfile", COPY_ALL), ("a", "a\n"), ("sub/Dockerfile", COPY_ALL), ("sub/b", "b\n")]);
    let url = server.url("app");
    let work = Workspace::new("this is not read");
    build(&work, &url, &[], "");
    assert_eq!(files(&work), ["/Dockerfile", "/a", "/sub/Dockerfile", "/sub/b"]);

    let work = Workspace::new("this is not read");
    build(&work, &format!("{url}#main:sub"), &[], "");
    assert_eq!(files(&work), ["/Dockerfile", "/b"]);

    let work = Workspace::new("this is not read");
    build(&work, &url, &["-f", "sub/Dockerfile", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"], "");
    assert!(work.path("out/.git/HEAD").is_file());

    let work = Workspace::new("this is not read");
    build(&work, &format!("{url}#:sub"), &["-f", "-"], "FROM scratch\nCOPY b /only\n");
    assert_eq!(files(&work), ["/only"]);

    std::os::unix::fs::symlink("/etc", server.folder("app").join("out")).unwrap();
    server.commit("app", &[]);
    let run = work.flashbuild("build", &[&format!("{url}#:out")]).exits_with(1);
    assert!(run.stderr.contains("no folder of the repository"), "{}", run.stderr);
}

#[test]
fn the_time_of_the_context_can_be_the_epoch() {
    let Some(server) = GitServer::start() else { return };
    server.commit("app", &[("Dockerfile", "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nCOPY a /\n"), ("a", "a\n")]);
    let created = |context: &str, arguments: &[&str], stdin: Vec<u8>| {
        let work = Workspace::new(COPY_ALL);
        let arguments = [&["-t", "app"], arguments, &[context]].concat();
        work.flashbuild("build", &arguments).stdin(stdin).succeeds();
        let shown = work.flashbuild("inspect", &["app"]).succeeds().stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["images"][0]["config"]["created"].as_str().unwrap().to_owned()
    };
    let by_flag = ["--build-arg", "SOURCE_DATE_EPOCH=context"];
    assert_eq!(created(&server.url("app"), &[], Vec::new()), "2020-09-13T12:26:40Z", "said by the Dockerfile");
    assert_eq!(created(&server.url("app"), &by_flag, Vec::new()), "2020-09-13T12:26:40Z");
    let newest = archive(&[("Dockerfile", COPY_ALL), ("x", "x")]);
    assert_eq!(created("-", &by_flag, newest), "2020-09-13T12:26:41Z", "the newest file of the archive");
    assert_eq!(created(".", &by_flag, Vec::new()), "1970-01-01T00:00:00Z", "a folder has no time");
}

#[test]
fn names_may_mean_folders_urls_and_repositories() {
    let web = Web::start();
    web.file("/tool", &[], "tool\n");
    let Some(server) = GitServer::start() else { return };
    server.commit("lib", &[("lib.c", "int x;\n")]);
    let work = Workspace::new(
        "FROM scratch\nCOPY --from=assets . /assets/\nCOPY --from=web context /bin/tool\nCOPY --from=lib lib.c /\n",
    );
    work.file("../shared/one", "1\n").file("../shared/two", "2\n").file("../shared/.dockerignore", "two\n");
    work.file(".dockerignore", "one\n");
    let contexts =
        ["assets=../shared".to_owned(), format!("web={}", web.url("/tool")), format!("lib={}", server.url("lib"))];
    let flags: Vec<&str> = contexts.iter().flat_map(|context| ["--build-context", context]).collect();
    build(&work, ".", &flags, "");
    assert_eq!(files(&work), ["/assets/.dockerignore", "/assets/one", "/bin/tool", "/lib.c"]);
    work.file("../shared/one", "changed\n");
    let run = build(&work, ".", &flags, "");
    assert_eq!(run.outcomes("COPY --from=assets"), [&Outcome::Ran]);

    let run = work.build(&["--build-context", "assets=../none"]).exits_with(1);
    assert!(run.stderr.contains("../none is not a folder"), "{}", run.stderr);
    work.build(&["--build-context", "assets"]).exits_with(2);
}

#[test]
fn a_context_takes_the_place_of_a_stage_or_an_image() {
    let dockerfile = "FROM scratch AS base\nCOPY nothing /\n\nFROM base AS one\nCOPY <<a /a\na\n\nFROM Alpine\nCOPY --from=one /a /from-one\n";
    let work = Workspace::new(&dockerfile.replace("Alpine", "docker.io/library/alpine"));
    work.file("../base/file", "base\n");
    build(&work, ".", &["--build-context", "base=../base", "--target", "one"], "");
    assert_eq!(files(&work), ["/a", "/file"]);
    fs::remove_dir_all(work.path("out")).unwrap();
    build(&work, ".", &["--build-context", "base=../base", "--build-context", "alpine:latest=../base"], "");
    assert_eq!(files(&work), ["/file", "/from-one"]);
    fs::remove_dir_all(work.path("out")).unwrap();
    let scratch = ["--build-context", "base=docker-image://scratch", "--build-context", "alpine=../base"];
    build(&work, ".", &[&scratch[..], &["--target", "one"]].concat(), "");
    assert_eq!(files(&work), ["/a"]);
}

#[test]
fn a_context_may_be_for_one_platform() {
    let work = Workspace::new("FROM scratch\nCOPY --from=files . /\n");
    work.file("../amd/is-amd", "").file("../other/is-other", "");
    let contexts = ["--build-context", "files::linux/amd64=../amd", "--build-context", "files=../other"];
    build(&work, ".", &[&contexts[..], &["--platform", "linux/amd64,linux/arm64"]].concat(), "");
    assert_eq!(files(&work), ["/linux_amd64/is-amd", "/linux_arm64/is-other"]);
}

#[test]
fn an_image_of_a_layout_is_a_base() {
    let platform = native_platform();
    let Some(base) = Workspace::with_busybox(&[platform], &format!("{BUSYBOX}FROM busybox\nENV FROM_BASE=yes\n"))
    else {
        return;
    };
    let image = base.path("image");
    base.build(&["-o", &format!("type=oci,tar=false,name=base:v1,dest={}", image.display())]).succeeds();
    let layers = Layout::verified(&image).layers(platform.trim_start_matches("linux/"));

    let work = Workspace::new("FROM base\nRUN echo $FROM_BASE > /said\n");
    let context = format!("base=oci-layout://{}:v1", image.display());
    build(&work, ".", &["--build-context", &context], "");
    assert_eq!(work.read("out/said"), "yes\n");

    let wrong = format!("base=oci-layout://{}:v2", image.display());
    let run = work.build(&["--build-context", &wrong]).exits_with(1);
    assert!(run.stderr.contains("it has no such image"), "{}", run.stderr);

    let layer = layers[0]["digest"].as_str().unwrap().replace(':', "/");
    fs::write(image.join("blobs").join(layer), "not the layer").unwrap();
    let run = work.build(&["--build-context", &context]).store("fresh").exits_with(3);
    assert!(run.stderr.contains("sha256:"), "{}", run.stderr);
}
