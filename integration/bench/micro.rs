//! What single parts cost: `cargo bench --bench micro`.
//!
//! | group | one iteration |
//! |---|---|
//! | `key` | the definition keys of a chain of steps |
//! | `solver` | solves a chain of steps that do nothing, known or not: what a vertex costs beside its work |
//! | `records` | looks up the hundred records of a graph in stores of two sizes |
//! | `context` | lists a folder, and computes its digests from the stat cache or from its bytes |
//! | `layer` | makes the layer of a folder: reading, hashing, tar, compression |

#![allow(missing_docs)] // The macros of criterion make public functions.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flashbuild::{
    exec::context::Context,
    layer::{Compression, Content, Entry, EntryKind, Form, Item, Layers, OverlayXattrs},
    solver::{
        self, Executor, FileFact, Identity, Key, Past, Recipe,
        event::{Events, Step},
    },
    store::{RecordKey, RecordKind, Store},
};
use flashbuild_frontend::{
    dockerfile::{Dockerfile, Inputs, Options},
    graph::{Graph, NodeId},
};
use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

const FILES: usize = 5_000;

/// Remembers in memory, and does nothing.
#[derive(Default)]
struct Idle {
    known: Mutex<HashMap<Key, u64>>,
}

impl Executor for Idle {
    type Value = u64;
    type Error = Infallible;
    type Guard = ();

    async fn definition_facts(&self, _: NodeId) -> Result<Vec<u8>, Infallible> {
        Ok(Vec::new())
    }

    fn find_definitions(&self, keys: &[Key]) -> Result<HashMap<Key, u64>, Infallible> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().filter_map(|key| Some((*key, *known.get(key)?))).collect())
    }

    async fn content_facts(&self, node: NodeId, _: &[u64]) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(Some(node.index().to_le_bytes().to_vec()))
    }

    fn find_content(&self, key: Key, _: &[u64]) -> Result<Option<u64>, Infallible> {
        Ok(self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied())
    }

    async fn lock(&self, _: Key) -> Result<(), Infallible> {
        Ok(())
    }

    async fn execute(&self, node: NodeId, _: &[u64], _: &Step) -> Result<u64, Infallible> {
        Ok(node.index() as u64)
    }

    fn settled(&self, _: NodeId, _: &u64) {}

    fn record(&self, _: NodeId, definition: Key, content: Option<Key>, value: &u64) -> Result<(), Infallible> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(std::iter::once(definition).chain(content).map(|key| (key, *value)));
        Ok(())
    }

    fn selected(&self, _: NodeId) -> Vec<FileFact> {
        Vec::new()
    }

    fn keep_recipe(&self, _: &Identity, _: Key, _: &Recipe) -> Result<(), Infallible> {
        Ok(())
    }

    fn past(&self, _: &Identity) -> Result<Vec<Past>, Infallible> {
        Ok(Vec::new())
    }

    fn changed_lines(&self, _: NodeId, _: &str, _: Key) -> Option<usize> {
        None
    }
}

fn chain(steps: usize) -> Arc<Graph> {
    let mut text = "FROM scratch\n".to_owned();
    for step in 0..steps {
        writeln!(text, "RUN step {step}").expect("a String takes any text");
    }
    let file = Dockerfile::parse(&text).expect("the file is well written");
    let options = Options::for_platform("linux/amd64".parse().expect("a platform"));
    Arc::new(file.lower(&options, &Inputs::default()).expect("nothing is missing"))
}

fn key(criterion: &mut Criterion) {
    let graph = chain(1_000);
    let mut group = criterion.benchmark_group("key");
    group.throughput(Throughput::Elements(graph.len() as u64));
    group.bench_function("definition", |bencher| {
        bencher.iter(|| {
            let mut keys: Vec<Key> = Vec::with_capacity(graph.len());
            for (_, node) in graph.nodes() {
                let inputs: Vec<Key> = node.inputs.iter().map(|input| keys[input.index()]).collect();
                keys.push(solver::key::definition(node, graph.epoch, &[], &inputs));
            }
            keys
        });
    });
    group.finish();
}

fn solver(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let options = solver::Options { jobs: 4, ..solver::Options::default() };
    let solve = |graph: &Arc<Graph>, executor: &Arc<Idle>| {
        let (events, _receiver) = Events::channel();
        runtime.block_on(solver::solve(graph, executor, &events, &options)).expect("nothing fails");
    };
    let mut group = criterion.benchmark_group("solver");
    group.sample_size(10);
    for steps in [1_000, 10_000] {
        let graph = chain(steps);
        group.throughput(Throughput::Elements(steps as u64));
        group.bench_with_input(BenchmarkId::new("nothing known", steps), &graph, |bencher, graph| {
            bencher.iter(|| solve(graph, &Arc::default()));
        });
        let known = Arc::default();
        solve(&graph, &known);
        group.bench_with_input(BenchmarkId::new("all known", steps), &graph, |bencher, graph| {
            bencher.iter(|| solve(graph, &known));
        });
    }
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    group.throughput(Throughput::Elements(100));
    for size in [1_000, 100_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let key = |number: usize| RecordKey(*blake3::hash(&number.to_le_bytes()).as_bytes());
        for number in 0..size {
            store.put_record(key(number), RecordKind::Definition, b"value", &[]).expect("room");
        }
        let wanted: Vec<RecordKey> = (0..100).map(|number| key(number * size / 100)).collect();
        group.bench_function(BenchmarkId::new("100 of", size), |bencher| {
            bencher.iter(|| assert_eq!(store.records(&wanted).expect("a store").len(), wanted.len()));
        });
    }
    group.finish();
}

fn context(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    write_tree(&tree);
    let store = Store::open(&folder.path().join("store")).expect("a store");
    let list = || Context::list(&tree, &[]).expect("a context");
    let digests = |store: &Store| {
        let listed = list();
        let files = listed.toc.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
        let paths: Vec<&[u8]> = files.map(|entry| entry.path.as_slice()).collect();
        assert_eq!(listed.digests(store, &paths).expect("readable files").len(), FILES);
    };
    let mut group = criterion.benchmark_group("context");
    group.sample_size(20).throughput(Throughput::Elements(FILES as u64));
    group.bench_function("list", |bencher| bencher.iter(list));
    digests(&store);
    group.bench_function("list and digests, unchanged", |bencher| bencher.iter(|| digests(&store)));
    group.bench_function("list and digests, all new", |bencher| {
        let fresh = || {
            let folder = tempfile::tempdir().expect("a folder");
            let store = Store::open(folder.path()).expect("a store");
            (folder, store)
        };
        bencher.iter_batched(fresh, |(_folder, store)| digests(&store), criterion::BatchSize::PerIteration);
    });
    group.finish();
}

fn layer(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    let bytes = write_tree(&tree);
    let listed = Context::list(&tree, &[]).expect("a context");
    let layers = Layers::new(Store::open(&folder.path().join("store")).expect("a store"), OverlayXattrs::User);
    let items = || {
        let item = |entry: &Entry| {
            if let EntryKind::File { .. } = entry.kind {
                let path = String::from_utf8_lossy(&entry.path).into_owned().into();
                Item::file_to_hash(entry.clone(), Content::Host { root: Arc::clone(&listed.root), path })
            } else {
                Item::new(entry.clone())
            }
        };
        listed.toc.entries().iter().map(item).collect()
    };
    let forms: BTreeMap<&str, Form> = ["gzip", "zstd", "uncompressed"]
        .map(|name| (name, Form::Blob(name.parse::<Compression>().expect("a compression"))))
        .into_iter()
        .chain([("folder", Form::Folder)])
        .collect();
    let mut group = criterion.benchmark_group("layer");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    for (name, form) in forms {
        group.bench_function(name, |bencher| {
            bencher.iter(|| layers.from_files(items(), None, form).expect("room"));
        });
    }
    group.finish();
}

/// Files of up to 12 KiB that compress as sources do; returns how many bytes they are.
fn write_tree(root: &Path) -> u64 {
    let mut bytes = 0;
    for number in 0..FILES {
        let folder = root.join(format!("d{}", number / 100));
        fs::create_dir_all(&folder).expect("room");
        let line = format!("export const value{number} = require('module-{}');\n", number * 7919 % 1000);
        let content = line.repeat(1 + number * 31 % 220);
        bytes += content.len() as u64;
        fs::write(folder.join(format!("f{number}.js")), content).expect("room");
    }
    bytes
}

criterion_group!(benches, key, solver, records, context, layer);
criterion_main!(benches);
