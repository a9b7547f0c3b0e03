//! Both formats, read back by their own rules.

use super::{CHUNK, Chunked, ChunkedWriter};
use crate::{
    image::{DiffId, Digest},
    layer::{
        decompress,
        tar_writer::TarWriter,
        toc::{Entry, EntryKind},
    },
    store::BlobIndex,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
};

/// A file of a few bytes, one of several chunks, one of none, and what is no file.
fn sample() -> (Vec<u8>, BTreeMap<&'static str, Vec<u8>>) {
    let mut state = 7u32;
    let large: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24).to_le_bytes()[0] & 0x1f
    })
    .take(2 * CHUNK + 1000)
    .collect();
    let files = BTreeMap::from([("d/empty", Vec::new()), ("d/large", large), ("d/small", b"small".to_vec())]);
    let mut tar = TarWriter::new(Vec::new());
    let mut dir = Entry::new("d", EntryKind::Dir { opaque: false });
    dir.mtime = 1_700_000_000;
    dir.xattrs.insert(b"user.note".to_vec(), vec![0, 255]);
    tar.entry(&dir).unwrap();
    for (name, content) in &files {
        let kind = EntryKind::File { size: content.len() as u64, digest: crate::image::ContentDigest([0; 32]) };
        tar.file_bytes(&Entry::new(*name, kind), content).unwrap();
    }
    tar.entry(&Entry::new("d/z", EntryKind::Symlink { target: b"small".to_vec() })).unwrap();
    (tar.finish().unwrap().0, files)
}

fn blob(format: Chunked, threads: usize, tar: &[u8]) -> (Vec<u8>, BlobIndex) {
    let mut writer = ChunkedWriter::new(format, 3, threads, Vec::new());
    for piece in tar.chunks(70_001 * threads) {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap()
}

fn content(blob: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    decompress::reader(blob).unwrap().read_to_end(&mut content).unwrap();
    content
}

/// The bytes of each file, from the list alone: every chunk is read where the list says that it begins.
fn files(list: &Value, blob: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let number = |entry: &Value, key: &str| usize::try_from(entry[key].as_u64().unwrap_or(0)).unwrap();
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in list["entries"].as_array().unwrap() {
        let (kind, name) = (entry["type"].as_str().unwrap(), entry["name"].as_str().unwrap());
        if !matches!(kind, "reg" | "chunk") {
            continue;
        }
        let bytes = found.entry(name.to_owned()).or_default();
        assert_eq!(number(entry, "chunkOffset"), bytes.len());
        if kind == "reg" && number(entry, "size") == 0 {
            continue;
        }
        let whole = list["entries"].as_array().unwrap().iter().find(|first| first["name"] == name).unwrap();
        let left = number(whole, "size") - bytes.len();
        let length = match number(entry, "chunkSize") {
            0 => left,
            told => told,
        };
        let mut chunk = vec![0; length];
        decompress::reader(&blob[number(entry, "offset")..]).unwrap().read_exact(&mut chunk).unwrap();
        if let Some(digest) = entry["chunkDigest"].as_str() {
            assert_eq!(digest, Digest::of(&chunk).to_string(), "{name}");
        }
        bytes.extend(chunk);
    }
    for entry in list["entries"].as_array().unwrap().iter().filter(|entry| entry["digest"].is_string()) {
        assert_eq!(entry["digest"], Digest::of(&found[entry["name"].as_str().unwrap()]).to_string());
    }
    found
}

fn check(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<&'static str, Vec<u8>>) {
    for (name, bytes) in expected {
        assert!(found[*name] == *bytes, "{name}");
    }
}

#[test]
fn an_estargz_is_read_from_its_end() {
    let (tar, expected) = sample();
    let (blob, index) = blob(Chunked::Estargz, 3, &tar);
    let footer = &blob[blob.len() - 51..];
    assert!(footer.starts_with(&[0x1f, 0x8b]) && &footer[32..38] == b"STARGZ" && content(footer).is_empty());
    let offset = usize::from_str_radix(std::str::from_utf8(&footer[16..32]).unwrap(), 16).unwrap();
    let tail = content(&blob[offset..]);
    assert!(tail.starts_with(b"stargz.index.json\0"));
    let size = usize::from_str_radix(std::str::from_utf8(&tail[124..135]).unwrap(), 8).unwrap();
    let list = &tail[512..512 + size];
    let digest = &index.annotations["containerd.io/snapshot/stargz/toc.digest"];
    assert_eq!(*digest, Digest::of(list).to_string());
    let list: Value = serde_json::from_slice(list).unwrap();
    check(&files(&list, &blob), &expected);
    let entries = list["entries"].as_array().unwrap();
    assert_eq!(entries[0]["name"], ".no.prefetch.landmark");
    assert_eq!(
        entries[1],
        serde_json::json!({"type": "dir", "name": "d/", "mode": 0o755, "modtime": "2023-11-14T22:13:20Z",
            "xattrs": {"user.note": "AP8="}})
    );
    assert_eq!(entries.last().unwrap()["linkName"], "small");

    // To everybody else it is a tar with two files more.
    let whole = content(&blob);
    assert_eq!(index.diff_id, DiffId(Digest::of(&whole)));
    assert_eq!(index.annotations["io.containers.estargz.uncompressed-size"], whole.len().to_string());
    assert!(whole[1024..].starts_with(&tar[..tar.len() - 1024]));
}

#[test]
fn a_zstd_chunked_is_the_tar_and_frames_that_are_skipped() {
    let (tar, expected) = sample();
    let (blob, index) = blob(Chunked::Zstd, 3, &tar);
    assert!(content(&blob) == tar);
    assert_eq!(index.diff_id, DiffId(Digest::of(&tar)));
    let footer = &blob[blob.len() - 64..];
    assert_eq!(&footer[56..], b"GNUlInUx");
    let number = |at: usize| u64::from_le_bytes(footer[8 * at..8 * at + 8].try_into().unwrap());
    let annotation = |name: &str| &index.annotations[&format!("io.github.containers.zstd-chunked.{name}")];
    let shown = |range: std::ops::Range<usize>| range.map(|at| number(at).to_string()).collect::<Vec<_>>().join(":");
    assert_eq!(*annotation("manifest-position"), shown(0..4));
    assert_eq!(*annotation("tarsplit-position"), shown(4..7));
    let part = |at: usize| {
        let start = usize::try_from(number(at)).unwrap();
        &blob[start..start + usize::try_from(number(at + 1)).unwrap()]
    };
    assert_eq!(*annotation("manifest-checksum"), Digest::of(part(0)).to_string());
    let list = content(part(0));
    assert_eq!(list.len() as u64, number(2));
    let list: Value = serde_json::from_slice(&list).unwrap();
    assert_eq!(list["tarSplitDigest"], Digest::of(part(4)).to_string());
    let found = files(&list, &blob);
    check(&found, &expected);

    // And back: the tar, from its files and from what is between them.
    let mut again = Vec::new();
    for line in String::from_utf8(content(part(4))).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        match (line["type"].as_u64(), line["payload"].as_str()) {
            (Some(2), Some(bytes)) => {
                again.extend(base64::Engine::decode(&base64::engine::general_purpose::STANDARD, bytes).unwrap());
            }
            (Some(1), Some(_)) => again.extend(&found[line["name"].as_str().unwrap()]),
            (kind, payload) => assert_eq!((kind, payload), (Some(1), None)),
        }
    }
    assert!(again == tar);
}

#[test]
fn the_number_of_threads_does_not_show() {
    let (tar, _) = sample();
    for format in [Chunked::Estargz, Chunked::Zstd] {
        assert!(blob(format, 1, &tar) == blob(format, 5, &tar));
    }
}

#[test]
fn an_estargz_made_of_an_estargz_is_the_same() {
    let (tar, _) = sample();
    let (once, index) = blob(Chunked::Estargz, 2, &tar);
    let (twice, again) = blob(Chunked::Estargz, 2, &content(&once));
    assert!(once == twice && index == again);
}

#[test]
fn a_name_that_is_no_text_is_refused() {
    let mut tar = TarWriter::new(Vec::new());
    tar.entry(&Entry::new(&b"\xff"[..], EntryKind::Fifo)).unwrap();
    let mut writer = ChunkedWriter::new(Chunked::Zstd, 3, 1, Vec::new());
    writer.write_all(&tar.finish().unwrap().0).unwrap();
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.ends_with("use gzip or zstd"), "{error}");
}
