//! To a registry and back: what it has is not sent, what it serves is a base.

use crate::harness::{BUSYBOX, EPOCH, Registry, Workspace, native_platform};

fn workspace() -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nCOPY file /file\n"))?;
    work.file("file", "content\n");
    Some(work)
}

#[test]
fn a_second_push_sends_no_blobs() {
    let (Some(work), Some(registry)) = (workspace(), Registry::start()) else { return };
    let name = registry.name("app:1");
    let first = work.build(&["-t", &name, "--push"]).succeeds();
    let uploads = registry.requests("POST", "/blobs/uploads/");
    assert!(uploads > 0);
    let second = work.build(&["-t", &name, "--push"]).succeeds();
    assert_eq!(first.digest(), second.digest());
    assert_eq!(registry.requests("POST", "/blobs/uploads/"), uploads);
}

#[test]
fn a_push_from_another_store_sends_no_blobs_that_are_there() {
    let (Some(work), Some(registry)) = (workspace(), Registry::start()) else { return };
    let name = registry.name("app:1");
    work.build(&["-t", &name, "--push"]).store("one").epoch(EPOCH).succeeds();
    let uploads = registry.requests("PUT", "/blobs/uploads/");
    assert!(uploads > 0);
    work.build(&["-t", &name, "--push"]).store("two").epoch(EPOCH).succeeds();
    assert_eq!(registry.requests("PUT", "/blobs/uploads/"), uploads);
}

#[test]
fn a_pushed_image_is_a_base_for_others() {
    let (Some(work), Some(registry)) = (workspace(), Registry::start()) else { return };
    let base = registry.name("base:1");
    work.build(&["-t", &base, "--push"]).succeeds();

    let child = Workspace::new("ARG BASE\nFROM $BASE\nRUN cat /file /file > /twice\n");
    let app = registry.name("app:1");
    child.build(&["-t", &app, "--push", "--build-arg", &format!("BASE={base}")]).succeeds();

    let layers = |repository| image_layers(&registry, repository);
    let (below, all) = (layers("base"), layers("app"));
    assert_eq!(all[..below.len()], below);
    assert_eq!(all.len(), below.len() + 1);
}

/// Digests of the layers of the only image behind tag 1.
fn image_layers(registry: &Registry, repository: &str) -> Vec<String> {
    let mut manifest = registry.manifest(repository, "1");
    if let Some(images) = manifest["manifests"].as_array() {
        assert_eq!(images.len(), 1);
        manifest = registry.manifest(repository, images[0]["digest"].as_str().unwrap());
    }
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}
