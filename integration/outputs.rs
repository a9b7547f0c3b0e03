//! Where images go, and what other people's tools read there.

use crate::harness::{Dockerd, EPOCH, Layout, Registry, Served, Workspace, peer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

const DOCKERFILE: &str = "\
FROM scratch
ARG TARGETARCH
COPY sub /d/
COPY $TARGETARCH /arch
LABEL who=me
";
const BOTH: [&str; 2] = ["--platform", "linux/amd64,linux/arm64"];

fn workspace() -> Workspace {
    let work = Workspace::new(DOCKERFILE);
    work.file("sub/file", "content\n").file("amd64", "amd64\n").file("arm64", "arm64\n");
    std::os::unix::fs::symlink("file", work.path("context/sub/link")).unwrap();
    work
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command that has a subcommand of its own.
fn flashbuild(work: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashbuild"));
    command.args(arguments).env("FLASHBUILD_ROOT", work.path("store")).env("HOME", work.path("home"));
    command.current_dir(work.path("context"));
    command
}

#[test]
fn an_archive_of_dockers_kind_is_read_by_others() {
    let work = workspace();
    let archive = work.path("app.tar");
    work.build(&["-t", "app:1", "-o", "type=docker,dest=../app.tar"]).succeeds();
    if let Some(mut skopeo) = peer("skopeo") {
        let source = format!("docker-archive:{}:app:1", archive.display());
        let config: Value = serde_json::from_str(&succeeds(skopeo.args(["inspect", "--config", &source]))).unwrap();
        assert_eq!(config["config"]["Labels"]["who"], "me");
    }
    let two = work.build(&[&BOTH[..], &["-o", "type=docker,dest=../two.tar"]].concat()).exits_with(3);
    assert!(two.stderr.contains("one platform: choose one with --platform"), "{}", two.stderr);
    assert!(!work.path("two.tar").exists() && !work.path("two.tar.partial").exists());

    let Some(docker) = Dockerd::start() else { return };
    let label = |image: &str| {
        let format = "{{.Config.Labels.who}}";
        succeeds(docker.client().args(["inspect", "--format", format, image])).trim().to_owned()
    };
    succeeds(docker.client().args(["load", "-i"]).arg(&archive));
    assert_eq!(label("app:1"), "me");
    // The same without a client: into the socket.
    work.build(&["-t", "app:2", "--load"]).variable("DOCKER_HOST", docker.host()).succeeds();
    assert_eq!(label("app:2"), "me");
}

#[test]
fn files_come_as_folders_and_as_a_tar() {
    let work = workspace();
    fs::create_dir(work.path("out")).unwrap();
    fs::write(work.path("out/old"), "").unwrap();
    let outputs = [
        "-o",
        "type=local,dest=../out,mode=delete",
        "-o",
        "type=local,dest=../joined,platform-split=false",
        "-o",
        "type=tar,dest=../files.tar",
    ];
    work.build(&[&BOTH[..], &outputs].concat()).succeeds();
    assert!(!work.path("out/old").exists());
    assert_eq!(work.read("out/linux_arm64/arch"), "arm64\n");
    assert_eq!(work.read("joined/d/file"), "content\n");
    assert!(!work.path("joined/linux_arm64").exists());

    let listed = succeeds(Command::new("tar").arg("-tf").arg(work.path("files.tar")));
    let listed: BTreeSet<&str> = listed.lines().map(|line| line.trim_end_matches('/')).collect();
    for name in ["linux_amd64/arch", "linux_arm64/d/file", "linux_arm64/d/link"] {
        assert!(listed.contains(name), "{name} is not among {listed:?}");
    }
    work.build(&["-o", "../plain"]).succeeds();
    assert_eq!(fs::read_link(work.path("plain/d/link")).unwrap().to_str(), Some("file"));
}

#[test]
fn one_build_writes_several_forms() {
    let work = workspace();
    let outputs = [
        "-o",
        "type=oci,dest=../gzip,tar=false",
        "-o",
        "type=oci,dest=../zstd,tar=false,compression=zstd,compression-level=9",
        "-o",
        "type=oci,dest=../docker,tar=false,oci-mediatypes=false",
    ];
    work.build(&outputs).succeeds();
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        _ => "arm64",
    };
    for (folder, expected) in [
        ("gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("docker", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ] {
        let layers = Layout::verified(&work.path(folder)).layers(arch);
        assert!(layers.iter().all(|layer| layer["mediaType"] == expected), "{folder}: {layers:?}");
    }
}

#[test]
fn annotations_go_to_all_four_levels() {
    let work = workspace();
    let arguments = [
        "--annotation",
        "a=manifest",
        "--annotation",
        "manifest[linux/arm64]:only=arm",
        "--annotation",
        "index,index-descriptor:b=index",
        "-o",
        "type=oci,dest=../out,tar=false,annotation-manifest-descriptor.c=entry",
    ];
    work.build(&[&BOTH[..], &arguments].concat()).succeeds();
    let json = |name: &str| -> Value { serde_json::from_str(&work.read(&format!("out/{name}"))).unwrap() };
    let blob =
        |descriptor: &Value| json(&format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/")));
    let top = &json("index.json")["manifests"][0];
    assert_eq!(top["annotations"]["b"], "index");
    let index = blob(top);
    assert_eq!(index["annotations"], serde_json::json!({"b": "index"}));
    let [amd64, arm64] = [&index["manifests"][0], &index["manifests"][1]];
    assert_eq!(amd64["annotations"], serde_json::json!({"c": "entry"}));
    assert_eq!(blob(amd64)["annotations"], serde_json::json!({"a": "manifest"}));
    assert_eq!(blob(arm64)["annotations"], serde_json::json!({"a": "manifest", "only": "arm"}));

    let alone = work.build(&["--annotation", "index:a=b"]).exits_with(3);
    assert!(alone.stderr.contains("annotations of an index need one"), "{}", alone.stderr);
}

#[test]
fn the_layers_of_a_base_keep_their_blobs_unless_forced() {
    let (work, Some(registry)) = (workspace(), Registry::start()) else { return };
    let base = registry.name("base:1");
    work.build(&["-t", &base, "--push"]).succeeds();
    let child = Workspace::new(&format!("FROM {base}\nCOPY more /more\n"));
    child.file("more", "more\n");
    let kinds = |keys: &str, store: &str| {
        child.build(&["-o", &format!("type=oci,dest=../out,tar=false,compression=zstd{keys}")]).store(store).succeeds();
        let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        let layers = Layout::verified(&child.path("out")).layers(arch);
        let kind = |layer: &Value| layer["mediaType"].as_str().unwrap().rsplit('+').next().unwrap().to_owned();
        layers.iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("", "store"), ["gzip", "gzip", "zstd"]);
    // The same when the base is in the store already.
    assert_eq!(kinds("", "store"), ["gzip", "gzip", "zstd"]);
    assert_eq!(kinds(",force-compression=true", "other"), ["zstd", "zstd", "zstd"]);
}

#[test]
fn an_output_may_have_names_of_its_own() {
    let work = workspace();
    let served = Served::start(&work, "served", &["--read-write"]);
    let (one, two) = (served.name("one:1"), served.name("two:1"));
    let output = format!("type=image,\"name={one},{two}\",push=true");
    let built = work.build(&["-o", &output]).epoch(EPOCH).succeeds();
    let Some(mut skopeo) = peer("skopeo") else { return };
    let digest =
        skopeo.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"]).arg(format!("docker://{two}"));
    assert_eq!(succeeds(digest).trim(), built.digest());
}

#[test]
fn images_on_hand_are_named_saved_and_removed() {
    let work = workspace();
    work.build(&["-t", "app:1"]).succeeds();
    work.flashbuild("tag", &["app:1", "app:2", "other/name:x"]).succeeds();
    work.flashbuild("rmi", &["app:1"]).succeeds();
    let images = work.flashbuild("images", &[]).succeeds().stdout;
    assert!(!images.contains("app:1") && images.contains("app:2") && images.contains("other/name:x"), "{images}");
    work.flashbuild("save", &["app:2", "-o", "../app.tar"]).succeeds();
    if let Some(mut skopeo) = peer("skopeo") {
        let config = succeeds(
            skopeo.args(["inspect", "--config"]).arg(format!("oci-archive:{}", work.path("app.tar").display())),
        );
        assert_eq!(serde_json::from_str::<Value>(&config).unwrap()["config"]["Labels"]["who"], "me");
    }
    let raw = work.flashbuild("inspect", &["app:2", "--format", "raw"]).succeeds().stdout;
    let table = work.flashbuild("inspect", &["app:2", "--format", "table"]).succeeds().stdout;
    let digest = flashbuild::image::Digest::of(raw.as_bytes()).to_string();
    assert!(table.starts_with("PLATFORM") && table.contains(&digest), "{table}");
    let json: Value = serde_json::from_str(&work.flashbuild("inspect", &["app:2"]).succeeds().stdout).unwrap();
    assert_eq!((&json["digest"], &json["images"][0]["digest"]), (&digest.as_str().into(), &digest.as_str().into()));

    let gone = work.flashbuild("rmi", &["app:1"]).exits_with(1);
    assert!(gone.stderr.contains("no image app:1 in the local store"), "{}", gone.stderr);
}

#[test]
fn images_of_two_machines_become_one_index() {
    let (work, Some(registry)) = (workspace(), Registry::start()) else { return };
    for platform in ["amd64", "arm64"] {
        let name = registry.name(&format!("app:{platform}"));
        work.build(&["-t", &name, "--platform", &format!("linux/{platform}"), "--push"]).store(platform).succeeds();
    }
    // Somebody who has none of it.
    let [all, amd64, arm64] = ["joined:1", "app:amd64", "app:arm64"].map(|name| registry.name(name));
    succeeds(&mut flashbuild(&work, &["index", "create", &all, &amd64, &arm64]));
    work.flashbuild("push", &[&all]).succeeds();
    let index = registry.manifest("joined", "1");
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);

    // And back: pulled to another store, and built on without the registry.
    work.flashbuild("pull", &[&all, "--all-platforms"]).store("third").succeeds();
    drop(registry);
    let child = format!("FROM {all}\nCOPY amd64 /more\n");
    work.file("Dockerfile", child);
    work.build(&["--platform", "linux/arm64", "-o", "../pulled"]).store("third").succeeds();
    assert_eq!(work.read("pulled/arch"), "arm64\n");
}

/// Layers of a build whose layers are compressed as `compression`, read by an independent reader; their descriptors.
fn read_by_file(work: &Workspace, compression: &str, tools: &[&str]) -> Option<Vec<Value>> {
    for tool in tools {
        peer(tool)?;
    }
    let output = format!("type=oci,dest=../chunked,tar=false,compression={compression}");
    work.build(&["-t", "app:1", "-o", &output]).epoch(EPOCH).succeeds();
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let layers = Layout::verified(&work.path("chunked")).layers(arch);
    for layer in &layers {
        let blob = work.path("chunked/blobs").join(layer["digest"].as_str().unwrap().replace(':', "/"));
        let reader = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/read-chunked");
        let read = succeeds(Command::new(reader).arg(compression).arg(&blob).arg(layer["annotations"].to_string()));
        assert_ne!(read.trim(), "0");
    }
    // To those who know nothing of it, it is a layer like any other.
    if let Some(mut umoci) = peer("umoci").filter(|_| compression == "estargz") {
        let bundle = work.path(format!("bundle-{}", compression.replace(':', "-")));
        succeeds(
            umoci
                .args(["unpack", "--rootless", "--image"])
                .arg(format!("{}:1", work.path("chunked").display()))
                .arg(&bundle),
        );
        assert_eq!(fs::read_to_string(bundle.join("rootfs/d/file")).unwrap(), "content\n");
    }
    if let Some(mut skopeo) = peer("skopeo") {
        let source = format!("oci:{}", work.path("chunked").display());
        succeeds(skopeo.args(["copy", &source]).arg(format!("dir:{}", work.path("copied").display())));
    }
    Some(layers)
}

fn workspace_of_many_sizes() -> Workspace {
    let work = workspace();
    let noise: Vec<u8> =
        (0..5_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 27).to_le_bytes()[0]).collect();
    work.file("sub/large", &noise).file("sub/empty", "");
    fs::hard_link(work.path("context/sub/file"), work.path("context/sub/other")).unwrap();
    work
}

#[test]
fn an_estargz_is_read_file_by_file_by_others() {
    let work = workspace_of_many_sizes();
    let Some(layers) = read_by_file(&work, "estargz", &["python3"]) else { return };
    assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"));
    // What the configuration calls a layer is what is in its blob; that is built on, too.
    let child = "FROM app:1\nCOPY sub/file /more\n";
    work.file("Dockerfile", child);
    work.build(&["-o", "../out"]).succeeds();
    assert_eq!(work.read("out/more") + &work.read("out/d/file"), "content\ncontent\n");
}

#[test]
fn a_zstd_chunked_is_read_file_by_file_by_others() {
    let work = workspace_of_many_sizes();
    let Some(layers) = read_by_file(&work, "zstd:chunked", &["python3", "zstd"]) else { return };
    assert!(layers.iter().all(|layer| layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+zstd"));
}

#[test]
fn blobs_keep_their_annotations_where_they_are_built_on() {
    let (work, Some(registry)) = (workspace(), Registry::start()) else { return };
    let base = registry.name("base:1");
    work.build(&["-t", &base, "--push", "--compression", "zstd:chunked"]).succeeds();
    let child = Workspace::new(&format!("FROM {base}\nCOPY more /more\n"));
    child.file("more", "more\n");
    child.build(&["-o", "type=oci,dest=../out,tar=false"]).succeeds();
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let layers = Layout::verified(&child.path("out")).layers(arch);
    let has_list =
        |layer: &Value| layer["annotations"]["io.github.containers.zstd-chunked.manifest-position"].is_string();
    assert_eq!(layers.iter().map(has_list).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_level_changes_the_bytes_and_nothing_else() {
    let work = workspace_of_many_sizes();
    let size = |keys: &str| -> u64 {
        work.build(&["-o", &format!("type=oci,dest=../level,tar=false,{keys}")]).succeeds();
        let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
        Layout::verified(&work.path("level")).layers(arch).iter().map(|layer| layer["size"].as_u64().unwrap()).sum()
    };
    for kind in ["gzip", "zstd", "estargz", "zstd:chunked"] {
        let [fast, small] = ["1", "9"].map(|level| size(&format!("compression={kind},compression-level={level}")));
        assert!(small < fast, "{kind}: {small} {fast}");
    }
}
