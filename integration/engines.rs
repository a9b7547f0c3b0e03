//! Container engines read what is written for them, and what is served.

use crate::harness::{Containerd, Served, Workspace, is_root, peer, skip};
use serde_json::Value;
use std::process::Command;

const BOTH: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

fn workspace() -> Workspace {
    let work =
        Workspace::new("FROM scratch\nARG TARGETARCH\nCOPY file /d/file\nCOPY $TARGETARCH /arch\nLABEL who=me\n");
    work.file("file", "content\n").file("amd64", "amd64\n").file("arm64", "arm64\n");
    work
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn podman_loads_both_kinds_of_archives() {
    let Some(_) = peer("podman") else { return };
    if !is_root() {
        return skip("podman's storage of the test's own needs root here");
    }
    let work = workspace();
    let podman = |arguments: &[&str]| {
        let mut podman = Command::new("podman");
        podman.args(["--storage-driver", "vfs", "--root"]).arg(work.path("podman")).arg("--runroot");
        podman.arg(work.path("podman-run")).args(arguments).env("HOME", work.path("home"));
        succeeds(&mut podman)
    };
    for kind in ["docker", "oci"] {
        let name = format!("example.org/{kind}:1");
        work.build(&["-t", &name, "-o", &format!("type={kind},dest=../{kind}.tar")]).succeeds();
        podman(&["load", "--quiet", "-i", work.path(format!("{kind}.tar")).to_str().unwrap()]);
        let found: Value = serde_json::from_str(&podman(&["image", "inspect", &name])).unwrap();
        assert_eq!(found[0]["Labels"]["who"], "me", "{kind}: {found}");
    }
    podman(&["rmi", "--all", "--force"]);
}

/// Major version of what `--version` says.
fn major(program: &str) -> Option<u32> {
    let mut program = peer(program)?;
    let said = succeeds(program.arg("--version"));
    let number = said.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
    number.and_then(|digits| digits.parse().ok())
}

/// Of layers that can be read file by file, a newer podman reads the files that it has not.
#[test]
fn podman_pulls_only_what_it_lacks() {
    let Some(version) = major("podman") else { return };
    if !is_root() || version < 5 {
        return skip(&format!("podman {version} pulls no parts of layers, or this is not root"));
    }
    let work = Workspace::new("FROM scratch\nCOPY . /d/\n");
    let mut random = fastrand::Rng::with_seed(3);
    let large: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(3 << 20).collect();
    work.file("large", large).file("small", "one\n");
    let served = Served::start(&work, "store", &[]);
    let storage = work.path("storage.conf");
    let podman = |arguments: &[&str]| {
        let mut podman = Command::new("podman");
        let output =
            podman.args(arguments).env("HOME", work.path("home")).env("CONTAINERS_STORAGE_CONF", &storage).output();
        let output = output.expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    // Of estargz it says that nobody vouches for what the layer is as a whole, and wants to be told that this is fine.
    for kind in ["zstd:chunked", "estargz"] {
        let root = work.path(format!("podman-{}", &kind[..4]));
        let text = format!(
            "[storage]\ndriver = \"overlay\"\nrunroot = \"{0}/run\"\ngraphroot = \"{0}/root\"\n[storage.options.pull_options]\n\
             enable_partial_images = \"true\"\ninsecure_allow_unpredictable_image_contents = \"true\"\n",
            root.display()
        );
        std::fs::write(&storage, text).unwrap();
        let pull = |tag: &str, small: &str| {
            work.file("small", small);
            work.build(&["-t", tag, "--compression", kind]).succeeds();
            podman(&["--log-level", "debug", "pull", "--tls-verify=false", &served.name(tag)]).1
        };
        pull("app:1", "one\n");
        let said = pull("app:2", "two\n");
        let (_, missing) = said.rsplit_once("Missing ").unwrap_or_else(|| panic!("{kind}: {said}"));
        let missing: u64 = missing.split(' ').next().unwrap().parse().unwrap();
        assert!(said.contains("Retrieved partial blob") && missing < 100, "{kind}: {said}");
        let (mounted, _) = podman(&["image", "mount", &served.name("app:2")]);
        let read = |file: &str| std::fs::read(format!("{}/d/{file}", mounted.trim()));
        if let Ok(small) = read("small") {
            assert_eq!(small, b"two\n");
            assert!(read("large").unwrap() == std::fs::read(work.path("context/large")).unwrap());
        }
        podman(&["image", "umount", "--all"]);
        podman(&["rmi", "--all", "--force"]);
    }
}

#[test]
fn buildx_reads_the_index_and_what_is_said_of_it() {
    let Some(mut docker) = peer("docker") else { return };
    if !docker.args(["buildx", "version"]).output().is_ok_and(|output| output.status.success()) {
        return skip("docker has no buildx");
    }
    let work = workspace();
    let name = "app:1";
    work.build(&[&BOTH[..], &["-t", name, "--sbom", "--provenance=max"]].concat()).succeeds();
    let served = Served::start(&work, "store", &[]);
    let inspect = |format: &str| -> Value {
        let mut docker = Command::new("docker");
        docker.args(["buildx", "imagetools", "inspect", "--format", format, &served.name(name)]);
        serde_json::from_str(&succeeds(docker.env("HOME", work.path("home")))).unwrap()
    };
    assert_eq!(inspect("{{json .Manifest}}")["manifests"].as_array().unwrap().len(), 4);
    for platform in ["linux/amd64", "linux/arm64"] {
        assert_eq!(inspect("{{json .Image}}")[platform]["config"]["Labels"]["who"], "me");
        let sbom = &inspect("{{json .SBOM}}")[platform]["SPDX"];
        assert_eq!(sbom["spdxVersion"], "SPDX-2.3", "{sbom}");
        let provenance = &inspect("{{json .Provenance}}")[platform]["SLSA"];
        assert!(provenance["buildDefinition"]["internalParameters"]["buildConfig"]["steps"].is_array(), "{provenance}");
    }
}

#[test]
fn containerd_imports_and_pulls() {
    let Some(containerd) = Containerd::start() else { return };
    let work = workspace();
    let name = "example.org/app:1";
    work.build(&[&BOTH[..], &["-t", name, "-o", "type=oci,dest=../app.tar"]].concat()).succeeds();
    let images = |command: &str| {
        let mut ctr = containerd.ctr("imported");
        ctr.args(["images", command]);
        ctr
    };
    succeeds(images("import").args(["--all-platforms", "--no-unpack"]).arg(work.path("app.tar")));
    let listed = succeeds(&mut images("ls"));
    assert!(listed.contains(name) && listed.contains("linux/amd64,linux/arm64"), "{listed}");

    let served = Served::start(&work, "store", &[]);
    let image = served.name("app:1");
    work.flashbuild("tag", &[name, "app:1"]).succeeds();
    let mut pull = containerd.ctr("pulled");
    succeeds(pull.args(["images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", &image]));
    let checked = succeeds(containerd.ctr("pulled").args(["images", "check", "--snapshotter", "native"]));
    assert!(checked.contains(&image) && checked.contains("complete"), "{checked}");
}

#[test]
fn an_image_goes_into_containerd_and_is_unpacked() {
    let Some(containerd) = Containerd::start() else { return };
    let work = workspace();
    let name = "example.org/app:1";
    let output = format!(
        "type=containerd,address={},namespace=test,unpack=true,snapshotter=native,name-canonical=true",
        containerd.socket().display()
    );
    let build = work.build(&[&BOTH[..], &["-t", name, "-o", &output]].concat());
    let run = build.run();
    if run.stderr.contains("without the feature `containerd`") {
        return skip("this flashbuild was built without containerd");
    }
    assert_eq!(run.code, Some(0), "{run:?}");
    let ctr = |arguments: &[&str]| succeeds(containerd.ctr("test").args(arguments));
    let listed = ctr(&["images", "ls"]);
    for wanted in [name, &format!("example.org/app@{}", run.digest())] {
        let line = listed.lines().find(|line| line.starts_with(wanted)).unwrap_or_else(|| panic!("{listed}"));
        assert!(line.contains(run.digest()) && line.contains("linux/amd64,linux/arm64"), "{line}");
    }
    let checked = ctr(&["images", "check", "--snapshotter", "native"]);
    let line = checked.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line.contains("complete") && line.trim_end().ends_with("true"), "{line}");
    let snapshots = ctr(&["snapshots", "--snapshotter", "native", "ls"]);
    assert_eq!(snapshots.lines().filter(|line| line.contains("Committed")).count(), 2, "{snapshots}");

    // Garbage is collected, and the image stays whole.
    ctr(&["images", "tag", name, "example.org/gone:1"]);
    ctr(&["images", "rm", "--sync", "example.org/gone:1"]);
    assert_eq!(ctr(&["images", "check", "--snapshotter", "native"]), checked);
    // The files, as containerd has them.
    let out = work.path("mounted");
    std::fs::create_dir(&out).unwrap();
    ctr(&["images", "mount", "--snapshotter", "native", name, out.to_str().unwrap()]);
    let content = std::fs::read_to_string(out.join("d/file"));
    ctr(&["images", "unmount", "--snapshotter", "native", "--rm", out.to_str().unwrap()]);
    assert_eq!(content.unwrap(), "content\n");

    // Again, under another name: nothing is sent, and nothing is lost.
    work.build(&[&BOTH[..], &["-t", "example.org/other:1", "-o", &output]].concat()).succeeds();
    assert!(ctr(&["images", "ls"]).contains("example.org/other:1"));
}

#[test]
fn an_image_is_known_by_its_digest_if_asked() {
    let work = workspace();
    let built = work.build(&["-t", "app:1", "-o", "type=image,name-canonical=true"]).succeeds();
    let images = work.flashbuild("images", &[]).succeeds().stdout;
    assert!(images.contains("app:1") && images.contains(&format!("app@{}", built.digest())), "{images}");
}
