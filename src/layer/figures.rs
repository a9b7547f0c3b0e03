//! Figures for people: `cargo nextest run --run-ignored all layer::figures --no-capture`. With `FLASHBUILD_ROOTFS`, a
//! folder to measure, also those of a large layer.

use super::{tests::Scene, *};
use crate::image::ContentDigest;
use std::{fs, io::Write, path::Path, process::Command};

#[test]
#[ignore = "measures, asserts nothing"]
fn figures() {
    let say = |what: &str, start: std::time::Instant| {
        std::io::stderr().write_all(format!("{what}: {:?}\n", start.elapsed()).as_bytes()).unwrap();
    };
    let scene = Scene::new();
    let host = scene.folder.path().join("host");
    let mut items = Vec::new();
    let root = {
        fs::create_dir(&host).unwrap();
        open_root(&host).unwrap()
    };
    for folder in 0..500 {
        fs::create_dir(host.join(format!("d{folder}"))).unwrap();
        for index in 0..100 {
            let path = format!("d{folder}/f{index}.js");
            let line = format!("export const value{index} = require('module-{folder}');\n");
            let content = line.repeat(1 + (index * 7 + folder) % 35);
            fs::write(host.join(&path), &content).unwrap();
            let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest([0; 32]) };
            let content = Content::Host { root: Arc::clone(&root), path: path.clone().into() };
            items.push((Entry::new(path, kind), content));
        }
    }
    let items = || items.iter().map(|(entry, content)| Item::file_to_hash(entry.clone(), again(content))).collect();
    let start = std::time::Instant::now();
    let made = scene.layers.from_files(items(), None, Form::Blob(Compression::default())).unwrap();
    say("50,000 files to a gzip blob", start);
    let start = std::time::Instant::now();
    scene.layers.from_files(items(), None, Form::Folder).unwrap();
    say("50,000 files to a folder", start);
    let start = std::time::Instant::now();
    scene.layers.blob(&made.diff_id, &"zstd".parse().unwrap()).unwrap();
    say("50,000 files, folder to a zstd blob", start);

    let Some(rootfs) = std::env::var_os("FLASHBUILD_ROOTFS") else { return };
    let stage = scene.layers.store.stage_dir().unwrap();
    let upper = stage.path().join("upper");
    Command::new("cp").arg("-a").arg(Path::new(&rootfs)).arg(&upper).status().unwrap();
    let lower = View::default();
    let start = std::time::Instant::now();
    let request = UpperDir { path: &upper, lower: &lower, stubs: &[], epoch: None, owners: Owners::Real };
    let made = scene.layers.from_upper(&request).unwrap();
    say(&format!("upper directory of {} entries, {} bytes", made.toc.entries().len(), made.toc.content_size()), start);
    for compression in ["gzip", "zstd", "uncompressed"] {
        let start = std::time::Instant::now();
        let blob = scene.layers.blob(&made.diff_id, &compression.parse().unwrap()).unwrap();
        say(&format!("  to {compression} ({} bytes)", blob.size), start);
    }
    for compression in ["gzip", "zstd", "uncompressed"] {
        let blob = scene.layers.blob(&made.diff_id, &compression.parse().unwrap()).unwrap();
        let other = Scene::new();
        let file = scene.layers.store.open_blob(&blob.digest).unwrap().unwrap();
        let start = std::time::Instant::now();
        other.layers.apply(&made.diff_id, &[], file).unwrap();
        say(&format!("  {compression} to a folder"), start);
    }
    let start = std::time::Instant::now();
    let encoded = made.toc.encode();
    say(&format!("  table encoded ({} bytes)", encoded.len()), start);
    let start = std::time::Instant::now();
    Toc::decode(&encoded).unwrap();
    say("  table decoded", start);
    let view = View::new(vec![Arc::clone(&made.toc); 5]);
    let start = std::time::Instant::now();
    let found = made.toc.entries().iter().filter(|entry| view.lookup(&entry.path).is_some()).count();
    say(&format!("  {found} look-ups in five such layers"), start);
}

fn again(content: &Content) -> Content {
    match content {
        Content::Host { root, path } => Content::Host { root: Arc::clone(root), path: path.clone() },
        Content::None | Content::Bytes(_) | Content::Layer { .. } | Content::Stream(_) => Content::None,
    }
}
