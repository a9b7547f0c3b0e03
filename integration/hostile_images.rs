//! Images that are not what they say: refused before anything of them is used.

use crate::harness::{EPOCH, FaultyRegistry, Workspace};
use flashbuild::image::Digest;
use serde_json::{Value, json};
use std::fs;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An OCI layout that is made as a test wants it.
struct Layout<'a>(&'a Workspace);

impl Layout<'_> {
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let folder = self.0.path("context/base/blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        let digest = Digest::of(bytes);
        fs::write(folder.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    fn top(&self, descriptor: &Value) {
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        self.0.file("base/index.json", index.to_string()).file("base/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    }

    /// An image with this configuration and these layers.
    fn image(&self, config: &Value, layers: &[Value]) {
        let config = self.document(CONFIG, config);
        self.top(&self.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": layers})));
    }
}

fn architecture() -> &'static str {
    if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }
}

fn config(diff_ids: &[String]) -> Value {
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    json!({"os": "linux", "architecture": architecture(), "rootfs": rootfs})
}

/// Builds on the layout that `make` writes; what is said when that fails.
fn said(dockerfile: &str, make: impl FnOnce(&Layout)) -> String {
    let work = Workspace::new(dockerfile);
    work.file("file", "content\n");
    make(&Layout(&work));
    let out = format!("type=local,dest={}", work.path("out").display());
    let run = work.build(&["--build-context", "base=oci-layout://base", "-o", &out]).fails();
    assert!(!work.path("out").exists(), "{run:?}");
    run.stderr
}

const COPY: &str = "FROM base\nCOPY file /file\n";
const RUN: &str = "FROM base\nRUN [\"/bin/true\"]\n";

#[test]
fn an_image_without_layers_runs_nothing() {
    // CVE-2026-24054: not on the host's root, nor on an empty one.
    let text = said(RUN, |layout| layout.image(&config(&[]), &[]));
    assert!(text.contains("/bin/true"), "{text}");
    let text = said(RUN, |layout| layout.image(&json!({"os": "linux", "architecture": architecture()}), &[]));
    assert!(!text.is_empty());
}

#[test]
fn an_image_for_another_machine_is_not_taken() {
    let other = json!({"os": "linux", "architecture": "s390x", "rootfs": {"type": "layers", "diff_ids": []}});
    let text = said(COPY, |layout| layout.image(&other, &[]));
    assert!(text.contains("it is for linux/s390x"), "{text}");
}

#[test]
fn documents_that_contradict_each_other_are_refused() {
    let tar = vec![0; 1024];
    let diff_id = Digest::of(b"another layer").to_string();
    for (why, make) in [
        (
            "count different layers",
            &(|layout: &Layout| layout.image(&config(&[]), &[layout.blob(LAYER, &tar)])) as &dyn Fn(&Layout),
        ),
        ("but the archive is", &|layout: &Layout| {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_size(1);
            archive.append_data(&mut header, "x", &b"x"[..]).unwrap();
            layout
                .image(&config(std::slice::from_ref(&diff_id)), &[layout.blob(LAYER, &archive.into_inner().unwrap())]);
        }),
        ("has not the 2000 bytes", &|layout: &Layout| {
            let mut layer = layout.blob(LAYER, &tar);
            layer["size"] = 2000.into();
            layout.image(&config(&[Digest::of(&tar).to_string()]), &[layer]);
        }),
        ("an image manifest and an image index at once", &|layout: &Layout| {
            let config = layout.document(CONFIG, &config(&[]));
            let both = json!({"schemaVersion": 2, "config": config, "layers": [], "manifests": []});
            layout.top(&layout.document(MANIFEST, &both));
        }),
        ("invalid digest", &|layout: &Layout| {
            layout.top(&json!({"mediaType": MANIFEST, "digest": "sha256:../../../../etc/passwd", "size": 1}));
        }),
        ("lead nowhere", &|layout: &Layout| {
            let mut entry = json!({"mediaType": MANIFEST, "digest": Digest::of(b"").to_string(), "size": 0});
            for _ in 0..20 {
                let index = json!({"schemaVersion": 2, "manifests": [entry]});
                entry = layout.document("application/vnd.oci.image.index.v1+json", &index);
            }
            layout.top(&entry);
        }),
        ("is damaged", &|layout: &Layout| {
            let config = layout.document(CONFIG, &config(&[]));
            let manifest = layout.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}));
            let hex = config["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
            layout.0.file(&format!("base/blobs/sha256/{hex}"), "{}");
            layout.top(&manifest);
        }),
    ] {
        let dockerfile = if why == "but the archive is" { "FROM base\nRUN [\"/x\"]\n" } else { COPY };
        let text = said(dockerfile, make);
        assert!(text.contains(why), "{why}: {text}");
    }
}

#[test]
fn a_tag_that_moves_meanwhile_changes_nothing() {
    let registry = FaultyRegistry::start(3, 0.0);
    let work = Workspace::new("FROM scratch\nARG TARGETARCH\nCOPY version /$TARGETARCH\n");
    FaultyRegistry::log_in(&[&registry], &work.path("home"));
    let both = ["--platform", "linux/amd64,linux/arm64"];
    let name = |tag: &str| format!("{}/base:{tag}", registry.host);
    for tag in ["1", "2"] {
        work.file("version", tag);
        work.build(&[&both[..], &["-t", &name(tag), "--push"]].concat()).store(tag).epoch(EPOCH).succeeds();
    }
    registry.move_when_asked("base", "1", "2");
    work.file("Dockerfile", format!("FROM {}\nCOPY version /mine\n", name("1")));
    let lines = registry.seen().lines.len();
    work.build(&[&both[..], &["-o", "../out"]].concat()).store("third").epoch(EPOCH).succeeds();
    assert_eq!((work.read("out/linux_amd64/amd64"), work.read("out/linux_arm64/arm64")), ("1".into(), "1".into()));
    let by_tag = registry.seen().lines.split_off(lines).into_iter().filter(|line| line.ends_with("/manifests/1"));
    assert_eq!(by_tag.count(), 1);
}
