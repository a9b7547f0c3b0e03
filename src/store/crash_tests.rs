//! `kill -9` at any moment: processes that write, look up and collect in one store are killed at random moments, and
//! what the store then says that it has is checked byte by byte.

use super::{
    GcPolicy, GcRule, LayerRow, RecordKey, RecordKind, RecordLayer, Store, index::Index, scratch::unique_name,
};
use crate::image::{BlobDigest, DiffId, Digest};
use std::{
    env, fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const ROOT: &str = "FLASHBUILD_TEST_STORE_TO_BE_KILLED_IN";

/// How many different things are written: few, so that processes meet.
const THINGS: u64 = 24;

fn random(below: u64) -> u64 {
    let name = unique_name();
    u64::from_str_radix(name.rsplit('-').next().unwrap(), 16).unwrap() % below
}

/// What a test writes under `number`; larger than a buffer, so that a kill can fall in between.
fn content(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(30_000)
}

fn diff_id(number: u64) -> DiffId {
    DiffId(Digest::of(&number.to_le_bytes()))
}

fn key(number: u64) -> RecordKey {
    RecordKey(*Digest::of(&content(number)).as_bytes())
}

/// Does what a step does: a folder, a contents table, a blob, the facts, a record.
fn write(store: &Store, number: u64) {
    let diff_id = diff_id(number);
    if store.layer_dir(&diff_id).unwrap().is_none() {
        let stage = store.stage_dir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(stage.path().join(name), number.to_string()).unwrap();
        }
        store.commit_layer_dir(stage.path(), &diff_id).unwrap();
    }
    let toc = store.put_blob(format!("contents {number}").as_bytes()).unwrap();
    store.put_layer(&LayerRow { diff_id, toc: Some(toc), size: number, canonical: true }).unwrap();
    let mut blob = store.blob_writer().unwrap();
    for part in content(number).chunks(50_000) {
        blob.write_all(part).unwrap();
    }
    let (digest, size) = blob.finish(None).unwrap();
    store.put_layer_blob(&diff_id, "gzip-6-v1", &digest, size, "gzip").unwrap();
    let layers = [RecordLayer { diff_id, remote: false }];
    store.put_record(key(number), RecordKind::Definition, &number.to_le_bytes(), &layers).unwrap();
}

/// The life of a process that is killed. Does nothing as a test of its own.
#[test]
fn to_be_killed() {
    let Some(root) = env::var_os(ROOT) else { return };
    loop {
        let store = Store::open(Path::new(&root)).unwrap();
        for _ in 0..random(20) {
            write(&store, random(THINGS));
        }
        match random(4) {
            0 => store.make_durable().unwrap(),
            1 => drop(
                store.collect_garbage(&GcPolicy::of(GcRule { max_used: Some(1 << 20), ..GcRule::default() })).unwrap(),
            ),
            _ => {}
        }
    }
}

fn start(root: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::crash_tests::to_be_killed", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Checks all that the index says; returns how many records can be used.
fn verify(store: &Store) -> usize {
    let blobs: Vec<BlobDigest> = column(store.index(), "SELECT digest FROM blobs");
    for digest in blobs {
        let bytes = store.read_blob(&digest, u64::MAX).unwrap().expect("a blob that has a row");
        assert_eq!(BlobDigest(Digest::of(&bytes)), digest);
    }
    let layers: Vec<DiffId> = column(store.index(), "SELECT diff_id FROM layer_dirs");
    for layer in layers {
        let number = (0..THINGS).find(|number| diff_id(*number) == layer).unwrap();
        let path = store.layer_dir(&layer).unwrap().expect("a layer that has a row");
        for name in ["a", "b", "c"] {
            assert_eq!(fs::read_to_string(path.join(name)).unwrap(), number.to_string());
        }
    }
    let keys: Vec<_> = (0..THINGS).map(key).collect();
    let records = store.records(&keys).unwrap();
    for (number, key) in keys.iter().enumerate() {
        let Some(value) = records.get(key) else { continue };
        let number = number as u64;
        assert_eq!(value[..], number.to_le_bytes());
        assert!(store.layer(&diff_id(number)).unwrap().unwrap().toc.is_some());
        let compressed = store.layer_blob(&diff_id(number), "gzip-6-v1").unwrap().unwrap();
        assert!(compressed.here || store.layer_dir(&diff_id(number)).unwrap().is_some());
    }
    records.len()
}

fn column<T: rusqlite::types::FromSql>(index: &Index, query: &str) -> Vec<T> {
    index.read(|index| Ok(index.prepare(query)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)).unwrap()
}

/// Names in a folder of the store.
fn names(store: &Store, folder: &str) -> usize {
    fs::read_dir(store.root().join(folder)).unwrap().count()
}

#[test]
fn killed_processes_leave_nothing_that_is_wrong_and_nothing_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut usable = 0;
    for _ in 0..10 {
        let mut children: Vec<_> = (0..3).map(|_| start(folder.path())).collect();
        for child in &mut children {
            thread::sleep(Duration::from_millis(20 + random(60)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(names(&store, "tmp"), 0, "dead processes' folders are gone");
        usable += verify(&store);
        store.collect_garbage(&GcPolicy::default()).unwrap();
        verify(&store);
    }
    assert!(usable > 0, "the processes came to write something");

    let store = Store::open(folder.path()).unwrap();
    store.collect_garbage(&GcPolicy::of(GcRule { all: true, ..GcRule::default() })).unwrap();
    let usage = store.disk_usage().unwrap();
    assert!(usage.kinds.values().all(|usage| usage.count == 0), "{usage:?}");
    assert_eq!(names(&store, "locks"), 1, "our own");
}

/// A power cut leaves names whose content never came to the disk. What was made durable is whole; the rest is written
/// anew.
#[test]
fn a_power_cut_between_two_builds_is_mended_by_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open_under_boot(folder.path(), "first".into()).unwrap();
    (0..8).for_each(|number| write(&first, number));
    first.make_durable().unwrap();
    (8..THINGS).for_each(|number| write(&first, number));
    drop(first);

    let second = Store::open_under_boot(folder.path(), "second".into()).unwrap();
    for number in 8..THINGS {
        let blob = BlobDigest(Digest::of(&content(number)));
        fs::write(second.blob_file(&blob), b"").unwrap();
        fs::remove_file(second.layer_file(&diff_id(number)).join("b")).unwrap();
    }
    assert_eq!(verify(&second), 8);
    (0..THINGS).for_each(|number| write(&second, number));
    assert_eq!(verify(&second), usize::try_from(THINGS).unwrap());
}
