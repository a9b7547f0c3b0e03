//! Packages that are too large for one layer. How large an artifact is says its lock, so small ones serve.

use crate::{
    deps_apt,
    deps_python::{sha256, wheel_with},
    harness::{DebianArchive, Layout, Run, Web, Workspace},
};
use flashbuild::solver::event::Outcome;
use std::collections::BTreeSet;

const DOCKERFILE: &str = "FROM scratch\nDEPS python --python=/usr/bin/python3.11 --target=/app pylock.toml\n";

/// Four parts.
const HUGE: u64 = 900 << 20;

/// Files that are dealt out by themselves, folders of small ones, a script and a module; one of them is `changed`.
fn files(version: &str, changed: &str) -> Vec<(String, String)> {
    let large = |name: &str| format!("library {name}\n").repeat(120_000);
    let mut files: Vec<(String, String)> =
        ["a", "b", "c", "d", "e"].map(|name| (format!("big/lib/{name}.so"), large(name))).into();
    files.extend((0..40).map(|number| (format!("big/include/{}/{number}.h", number % 8), format!("{number}\n"))));
    files.push((format!("big-{version}.data/scripts/tool"), "#!python\nprint(1)\n".to_owned()));
    files.push((format!("big-{version}.data/data/share/note.txt"), "note\n".to_owned()));
    files.push(("big/__init__.py".to_owned(), "answer = 1\n".to_owned()));
    for (path, content) in &mut files {
        if path == changed {
            content.push_str("changed\n");
        }
    }
    files
}

/// An index with a wheel of these files, and a lock that says so many bytes of it, if any.
fn lock(work: &Workspace, web: &Web, version: &str, files: &[(String, String)], size: Option<u64>) {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (&**path, &**content)).collect();
    let bytes = wheel_with("big", version, "x", &files);
    let (name, hash) = (format!("big-{version}-py3-none-any.whl"), sha256(&bytes));
    web.file(&format!("/files/{hash}/{name}"), &[], bytes);
    let page = format!("<a href=\"/files/{hash}/{name}#sha256={hash}\">{name}</a>");
    web.file("/simple/big/", &[("content-type", "text/html")], page);
    let size = size.map(|size| format!("size = {size}\n")).unwrap_or_default();
    work.file(
        "pylock.toml",
        format!(
            "lock-version = \"1.0\"\n[[packages]]\nname = \"big\"\nversion = {version:?}\n[[packages.wheels]]\n\
             name = {name:?}\n{size}hashes = {{ sha256 = {hash:?} }}\n"
        ),
    );
}

fn build(work: &Workspace, web: &Web, name: &str) -> Run {
    let layout = format!("type=oci,tar=false,dest={}", work.path(name).display());
    let arguments = ["--platform", "linux/amd64", "-t", name, "-o", &layout];
    work.build(&arguments).variable("PIP_INDEX_URL", web.url("/simple")).succeeds()
}

fn layers(work: &Workspace, name: &str) -> Vec<String> {
    let layers = Layout::verified(&work.path(name)).layers("amd64");
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

fn downloads(web: &Web) -> usize {
    web.requests().iter().filter(|asked| asked.path.starts_with("/files/")).count()
}

#[test]
fn a_huge_wheel_is_several_layers_and_the_same_tree() {
    let (work, web) = (Workspace::new(DOCKERFILE), Web::start());
    lock(&work, &web, "1.0", &files("1.0", ""), Some(HUGE));
    let parts = build(&work, &web, "parts");
    for number in 1..=4 {
        assert_eq!(parts.outcomes(&format!("DEPS python big 1.0 ({number} of 4)")), [&Outcome::Ran]);
    }
    assert_eq!(downloads(&web), 1);
    assert_eq!(layers(&work, "parts").len(), 4);
    let history = work.flashbuild("inspect", &["--format", "json", "parts"]).succeeds().stdout;
    assert!(history.contains("DEPS python big 1.0 (3 of 4)"), "{history}");

    lock(&work, &web, "1.0", &files("1.0", ""), None);
    let whole = build(&work, &web, "whole");
    assert_eq!(whole.outcomes("DEPS python big 1.0").len(), 1);
    assert_eq!((layers(&work, "whole").len(), downloads(&web)), (1, 1));
    let json = work.flashbuild("diff", &["--times", "--format", "json", "whole", "parts"]).run().stdout;
    let differences: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(differences["files"], serde_json::json!([]), "only layers and their history differ");
    let packages = work.flashbuild("analyze", &["--format", "json", "parts"]).succeeds().stdout;
    let packages: serde_json::Value = serde_json::from_str(&packages).unwrap();
    assert_eq!(packages["packages"].as_array().unwrap().len(), 1, "{}", packages["packages"]);
}

#[test]
fn a_new_version_changes_the_parts_whose_files_changed() {
    let (work, web) = (Workspace::new(DOCKERFILE), Web::start());
    lock(&work, &web, "1.0", &files("1.0", ""), Some(HUGE));
    build(&work, &web, "old");
    let old: BTreeSet<String> = layers(&work, "old").into_iter().collect();
    let changes = |changed: &str| {
        lock(&work, &web, "1.1", &files("1.1", changed), Some(HUGE));
        build(&work, &web, "new");
        layers(&work, "new").into_iter().filter(|layer| !old.contains(layer)).count()
    };
    // What is written about the package and its code are in the first part, and the former changes with every version.
    assert_eq!((changes("nothing"), changes("big/__init__.py")), (1, 1));
    let counts = ["a", "b", "c", "d", "e"].map(|name| changes(&format!("big/lib/{name}.so")));
    assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
    assert!(
        counts.iter().filter(|count| **count == 2).count() >= 3,
        "most files are not in the first part: {counts:?}"
    );
}

#[test]
fn a_part_without_files_is_no_layer() {
    let (work, web) = (Workspace::new(DOCKERFILE), Web::start());
    // One module, and no script.
    let nothing = ("big-1.0.dist-info/entry_points.txt".to_owned(), String::new());
    lock(&work, &web, "1.0", &[nothing], Some(HUGE));
    let run = build(&work, &web, "small");
    assert_eq!((run.outcomes("DEPS python big 1.0").len(), layers(&work, "small").len()), (4, 1));
}

#[test]
fn a_huge_package_of_debian_is_several_layers_and_the_same_tree() {
    let Some(mut archive) = DebianArchive::new(&["amd64"]) else { return };
    let files: Vec<(String, String)> =
        (0..40).map(|number| (format!("usr/share/big/{}/{number}", number % 8), format!("{number}\n"))).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (&**path, &**content)).collect();
    files.extend([("usr/bin/big", "#!/bin/sh\n"), ("usr/bin/large", "-> big"), ("DEBIAN/md5sums", "0  usr/bin/big\n")]);
    archive.add("big", "1", "amd64", "xz", "", &files);
    archive.add("base-files", "1", "amd64", "gzip", "", &[("usr/lib/os-release", "ID=test\n")]);
    archive.publish();
    let config = archive.apt_config();
    let work = Workspace::new("FROM scratch\nDEPS apt big\n");
    let build = |name: &str| {
        let layout = format!("type=oci,tar=false,dest={}", work.path(name).display());
        deps_apt::build(&work, &config, &["--platform", "linux/amd64", "-t", name, "-o", &layout]).succeeds()
    };
    work.flashbuild("lock", &["--platform", "linux/amd64", "."]).variable("APT_CONFIG", &config).succeeds();
    build("whole");
    // Of a package that is here, the lock says how large it is.
    let text = work.read("context/flashbuild.lock");
    let (before, after) = text.split_at(text.find("\"big\"").unwrap());
    let (size, rest) = after.split_once("\"size\": ").unwrap();
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    work.file("flashbuild.lock", format!("{before}{size}\"size\": {HUGE}{rest}"));
    let parts = build("parts");
    assert_eq!(parts.outcomes("DEPS apt big 1 (2 of 4)"), [&Outcome::Ran]);
    assert!(layers(&work, "parts").len() > layers(&work, "whole").len() + 1);
    let json = work.flashbuild("diff", &["--times", "--format", "json", "whole", "parts"]).run().stdout;
    let differences: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(differences["files"], serde_json::json!([]), "only layers and their history differ");
}
