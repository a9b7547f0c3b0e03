//! Caches that builds share: a cold store that names one runs nothing, fetches what it needs, and believes nothing by name.

use crate::harness::{BUSYBOX, Layout, Registry, Run, Workspace, native_platform};
use flashbuild::{
    image::Digest,
    solver::event::{Hit, Outcome},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

const BY_DEFINITION: &Outcome = &Outcome::Cached(Hit::Definition);

/// Twelve steps, three of them in a stage of which only one file is in the image.
const TWELVE: &str = "
FROM busybox AS tool
RUN seq 1 20000 > /numbers
RUN sha256sum /numbers > /sum
RUN head -n 100 /numbers > /hundred
FROM busybox
COPY input /input
RUN cat /input > /1
RUN seq 1 1000 > /2
COPY --from=tool /hundred /hundred
RUN cat /hundred /1 > /3
RUN mkdir /d && seq 1 2000 > /d/4
RUN date > /when
RUN cat /d/4 /2 > /5
";

fn workspace(dockerfile: &str) -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))?;
    work.file("input", "one\n");
    Some(work)
}

/// Nothing ran.
#[track_caller]
fn all_cached(run: &Run) {
    let mut count = 0;
    for (name, outcome) in run.vertices() {
        assert_eq!(outcome, BY_DEFINITION, "{name}");
        count += 1;
    }
    assert!(count > 0);
}

fn size(descriptor: &Value) -> u64 {
    descriptor["size"].as_u64().unwrap()
}

fn sizes(layers: &[Value]) -> u64 {
    layers.iter().map(size).sum()
}

fn architecture() -> &'static str {
    native_platform().strip_prefix("linux/").unwrap()
}

/// `-o` for a layout in the workspace.
fn layout(work: &Workspace, name: &str) -> String {
    format!("type=oci,tar=false,dest={}", work.path(name).display())
}

#[test]
fn a_cold_store_runs_nothing_and_fetches_what_the_output_needs_from_a_registry() {
    let (Some(work), Some(registry)) = (workspace(TWELVE), Registry::start()) else { return };
    let (app, cache) = (registry.name("app:1"), registry.name("cache:main"));
    let to = format!("type=registry,ref={cache},mode=max");
    let first = work.build(&["-t", &app, "--cache-to", &to]).store("one").succeeds();
    assert_eq!(first.outcomes("").iter().filter(|outcome| ***outcome == Outcome::Ran).count(), 12);
    let manifest = registry.manifest("cache", "main");
    let (records, all_layers) = (size(&manifest["config"]), manifest["layers"].as_array().unwrap().clone());

    // Files are needed: the layers of the image, and none of the other stage.
    let before = registry.blob_bytes();
    let from = format!("type=registry,ref={cache}");
    let out = layout(&work, "out");
    let second = work.build(&["-o", &out, "--cache-from", &from]).store("two").succeeds();
    all_cached(&second);
    assert_eq!(second.digest(), first.digest());
    let layers = Layout::verified(&work.path("out")).layers(architecture());
    // Of the other stage, one step made the very layer that the copy of its file is.
    assert_eq!((layers.len(), all_layers.len()), (9, 11));
    assert_eq!(registry.blob_bytes() - before, records + sizes(&layers));

    // What goes to the same registry is linked there: the records alone are fetched.
    let (before, uploads) = (registry.blob_bytes(), registry.requests("PUT", "/blobs/uploads/"));
    let third = work.build(&["-t", &app, "--push", "--cache-from", &cache]).store("three").succeeds();
    all_cached(&third);
    assert_eq!(third.digest(), first.digest());
    assert_eq!(registry.blob_bytes() - before, records);
    assert_eq!(registry.requests("PUT", "/blobs/uploads/") - uploads, 1, "the image's configuration");

    // A change costs the steps after it, and the layers that those stand on.
    work.file("input", "two\n");
    let before = registry.blob_bytes();
    let changed = work.build(&["-t", &app, "--push", "--cache-from", &cache]).store("four").succeeds();
    assert_eq!(changed.outcomes("RUN head"), [BY_DEFINITION]);
    assert_eq!(changed.outcomes("COPY input"), [&Outcome::Ran]);
    assert_eq!(changed.outcomes("COPY --from=tool"), [&Outcome::Cached(Hit::Content)]);
    assert_eq!(changed.outcomes("RUN cat /d/4"), [&Outcome::Ran]);
    assert!(registry.blob_bytes() - before < records + sizes(&all_layers));
}

#[test]
fn a_cold_store_runs_nothing_with_the_cache_in_a_folder() {
    let Some(work) = workspace(TWELVE) else { return };
    let folder = work.path("cache").display().to_string();
    let to = format!("type=local,dest={folder},mode=max");
    let first = work.build(&["-t", "app", "--cache-to", &to]).store("one").succeeds();
    let blobs = names(&work.path("cache/blobs/sha256"));

    let out = layout(&work, "out");
    let from = format!("type=local,src={folder}");
    let second = work.build(&["-o", &out, "--cache-from", &from, "--cache-to", &to]).store("two").succeeds();
    all_cached(&second);
    assert_eq!(second.digest(), first.digest());
    assert_eq!(names(&work.path("cache/blobs/sha256")), blobs, "an export adds what is missing");

    let other = format!("type=local,dest={folder},tag=other,compression=zstd,image-manifest=false");
    work.build(&["-t", "app", "--cache-to", &other]).store("one").succeeds();
    let from = format!("type=local,src={folder},tag=other");
    let third = work.build(&["-t", "app", "--cache-from", &from]).store("three").succeeds();
    all_cached(&third);
    assert_eq!(third.digest(), first.digest(), "the image is as it was asked for, whatever its cache is like");
    let from = format!("type=local,src={folder},tag=none");
    assert!(
        work.build(&["-t", "app", "--cache-from", &from]).store("four").succeeds().raw.contains("there is no cache at")
    );
}

#[test]
fn an_image_is_the_cache_of_its_own_steps() {
    let (Some(work), Some(registry)) = (workspace(TWELVE), Registry::start()) else { return };
    let app = registry.name("app:1");
    let first = work.build(&["-t", &app, "--push", "--cache-to", "type=inline"]).store("one").succeeds();
    let inline = ["--build-arg", "BUILDKIT_INLINE_CACHE=1"];
    let second =
        work.build(&[&["-t", &app, "--push", "--cache-from", &app][..], &inline].concat()).store("two").succeeds();
    all_cached(&second);
    assert_eq!(second.digest(), first.digest());
}

#[test]
fn a_base_image_is_in_no_cache() {
    let (Some(base), Some(registry)) = (workspace("FROM busybox\nRUN seq 1 5000 > /base\n"), Registry::start()) else {
        return;
    };
    let (name, cache) = (registry.name("base:1"), registry.name("cache:1"));
    base.build(&["-t", &name, "--push"]).succeeds();
    let work = Workspace::new("ARG BASE\nFROM $BASE\nRUN cat /base /base > /twice\nRUN cat /twice > /thrice\n");
    let base = format!("BASE={name}");
    let app = registry.name("app:1");
    let build = |store, flags: &[&str]| {
        work.build(&[&["-t", &app, "--push", "--build-arg", &base], flags].concat()).store(store).succeeds()
    };
    let first = build("one", &["--cache-to", &cache]);
    assert_eq!(registry.manifest("cache", "1")["layers"].as_array().unwrap().len(), 2);
    let before = registry.blob_bytes();
    let second = build("two", &["--cache-from", &cache]);
    all_cached(&second);
    assert_eq!(second.digest(), first.digest());
    let documents = registry.blob_bytes() - before;
    assert!(documents < 4096, "{documents}: the base's configuration, and the records");
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// A cache in a folder, to be damaged.
struct Damaged<'a> {
    work: &'a Workspace,
}

impl Damaged<'_> {
    fn path(&self, digest: &Value) -> PathBuf {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        self.work.path("cache/blobs/sha256").join(hex)
    }

    fn json(&self, path: &Path) -> Value {
        let _ = self;
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    fn index(&self) -> Value {
        self.json(&self.work.path("cache/index.json"))
    }

    fn manifest(&self) -> Value {
        self.json(&self.path(&self.index()["manifests"][0]["digest"]))
    }

    fn records(&self) -> Value {
        self.json(&self.path(&self.manifest()["config"]["digest"]))
    }

    /// Writes other records, under a manifest and an index that fit them: what somebody may who can write to the cache.
    fn publish(&self, records: &Value) {
        let mut manifest = self.manifest();
        let write = |document: &Value| {
            let bytes = serde_json::to_vec(document).unwrap();
            let digest = Digest::of(&bytes);
            fs::write(self.work.path("cache/blobs/sha256").join(digest.hex()), &bytes).unwrap();
            (Value::from(digest.to_string()), Value::from(bytes.len()))
        };
        let mut index = self.index();
        (manifest["config"]["digest"], manifest["config"]["size"]) = write(records);
        (index["manifests"][0]["digest"], index["manifests"][0]["size"]) = write(&manifest);
        fs::write(self.work.path("cache/index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    }

    fn flip(&self, path: &Path) {
        let _ = self;
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

type Damage = fn(&Damaged<'_>);

#[test]
fn what_was_tampered_with_is_refused_and_the_step_runs() {
    const DOCKERFILE: &str = "FROM busybox\nRUN seq 1 3000 > /a\nRUN seq 1 4000 > /b\n";
    let all = ["RUN seq 1 3000", "RUN seq 1 4000"];
    let cases: [(&str, Damage, &[&str], &str); 7] = [
        (
            "a layer",
            |cache| cache.flip(&cache.path(&cache.largest_layers()[1]["blob"]["digest"])),
            &all[1..],
            "is refused",
        ),
        ("records", |cache| cache.flip(&cache.path(&cache.manifest()["config"]["digest"])), &all, "is not used"),
        ("the manifest", |cache| cache.flip(&cache.path(&cache.index()["manifests"][0]["digest"])), &all, "is damaged"),
        (
            "a layer that is lost",
            |cache| fs::remove_file(cache.path(&cache.largest_layers()[1]["blob"]["digest"])).unwrap(),
            &all[1..],
            "has lost the blob",
        ),
        (
            "a layer in place of another",
            |cache| {
                let (mut records, layers) = (cache.records(), cache.largest_layers());
                for layer in records["layers"].as_array_mut().unwrap() {
                    if layer["diffId"] == layers[1]["diffId"] {
                        layer["blob"] = layers[0]["blob"].clone();
                    }
                }
                cache.publish(&records);
            },
            &all[1..],
            "is refused",
        ),
        (
            "a layer that the manifest does not have",
            |cache| {
                let mut records = cache.records();
                let digest = Digest::of(b"elsewhere").to_string();
                records["layers"].as_array_mut().unwrap().iter_mut().find(|layer| layer["blob"].is_object()).unwrap()
                    ["blob"]["digest"] = Value::from(digest);
                cache.publish(&records);
            },
            &all,
            "is not in its manifest",
        ),
        (
            "a record that leads nowhere",
            |cache| {
                let mut records = cache.records();
                records["records"][0]["layers"] = serde_json::json!([999]);
                cache.publish(&records);
            },
            &all,
            "layers that it does not have",
        ),
    ];
    let Some(work) = workspace(DOCKERFILE) else { return };
    let folder = work.path("cache").display().to_string();
    let (from, to) = (format!("type=local,src={folder}"), format!("type=local,dest={folder},mode=max"));
    let out = layout(&work, "out");
    let first = work.build(&["-o", &out, "--cache-to", &to]).epoch("1700000000").store("one").succeeds();
    for (number, (what, damage, ran, said)) in cases.into_iter().enumerate() {
        let _ = fs::remove_dir_all(work.path("cache"));
        work.build(&["--cache-to", &to]).epoch("1700000000").store("one").succeeds();
        damage(&Damaged { work: &work });
        let store = format!("store-{number}");
        let run = work.build(&["-o", &out, "--cache-from", &from]).epoch("1700000000").store(&store).succeeds();
        for step in all {
            let expected = if ran.contains(&step) { &Outcome::Ran } else { BY_DEFINITION };
            assert_eq!(run.outcomes(step).last(), Some(&expected), "{what}: {step}\n{}", run.raw);
        }
        assert!(run.raw.contains(said), "{what}: {}", run.raw);
        assert_eq!(run.digest(), first.digest(), "{what}");
    }
}

impl Damaged<'_> {
    /// The layers of the two steps, by size; busybox is larger.
    fn largest_layers(&self) -> Vec<Value> {
        let mut layers = self.records()["layers"].as_array().unwrap().clone();
        layers.retain(|layer| layer["blob"].is_object());
        layers.sort_by_key(|layer| size(&layer["blob"]));
        layers.truncate(2);
        layers
    }
}

/// A step whose result differs each time it runs: whose result a build has shows where it came from.
const DIFFERENT: &str = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\nRUN cat /id > /copy\n";

#[test]
fn who_reads_an_untrusted_cache_leaves_nothing_to_others() {
    let Some(work) = workspace(DIFFERENT) else { return };
    let cache = |name: &str| work.path(name).display().to_string();
    let build = |store, flags: &[&str]| {
        let out = format!("type=local,dest={}", work.path("out").display());
        work.build(&[&["-o", &out], flags].concat()).store(store).succeeds();
        let (id, copy) = (work.read("out/id"), work.read("out/copy"));
        assert_eq!(id, copy);
        id
    };
    // Two who export the same step, each with a result of its own.
    let main = build("main", &["--cache-to", &format!("type=local,dest={},mode=max", cache("trusted"))]);
    let evil = build("evil", &["--cache-to", &format!("type=local,dest={},mode=max", cache("pull"))]);
    assert_ne!(main, evil);
    let from_main = format!("type=local,src={}", cache("trusted"));
    let from_pull = format!("type=local,src={}", cache("pull"));

    // In a store that all share, the build of a pull request gets what it asks for, and says where it is from.
    assert_eq!(build("shared", &["--cache-from", &from_pull]), evil);
    // Also without the cache itself, by the records that were kept of it.
    fs::rename(work.path("pull"), work.path("hidden")).unwrap();
    assert_eq!(build("shared", &["--cache-from", &from_pull]), evil);
    fs::rename(work.path("hidden"), work.path("pull")).unwrap();
    // What it ran on top is not for others either.
    work.file("Dockerfile", format!("{BUSYBOX}{DIFFERENT}RUN cat /copy > /more\n"));
    assert_eq!(build("shared", &["--cache-from", &from_pull]), evil);
    assert_eq!(build("shared", &["--cache-from", &from_main]), main);
    let ours = build("shared", &[]);
    assert!(ours != main && ours != evil);
    // What was made here comes first from then on.
    assert_eq!(build("shared", &["--cache-from", &from_pull]), ours);
}

#[test]
fn reading_a_cache_does_not_write_to_it() {
    let (Some(work), Some(registry)) = (workspace(DIFFERENT), Registry::start()) else { return };
    let (main, pull) = (registry.name("cache:main"), registry.name("cache:pull-1"));
    work.build(&["--cache-to", &format!("type=registry,ref={main},mode=max")]).store("one").succeeds();
    let trusted = registry.manifest("cache", "main");
    work.file("Dockerfile", format!("{BUSYBOX}{DIFFERENT}RUN echo evil > /more\n"));
    let run = work.build(&["--cache-from", &main, "--cache-to", &pull]).store("two").succeeds();
    assert_eq!(run.outcomes("RUN cat"), [BY_DEFINITION, BY_DEFINITION]);
    assert_eq!(registry.manifest("cache", "main"), trusted);
    assert_ne!(registry.manifest("cache", "pull-1"), trusted);
}

#[test]
fn what_an_image_is_told_comes_from_no_cache() {
    let work = Workspace::new("");
    work.file("app", "1");
    let folder = work.path("cache").display().to_string();
    let config = |told: &str, store, flag: &str, spec: String| {
        work.file("Dockerfile", format!("FROM scratch\n{told}\nCOPY app /\n"));
        let out = layout(&work, store);
        let run = work.build(&["-o", &out, flag, &spec]).store(store).succeeds();
        let digest = run.metadata()["containerimage.config.digest"].as_str().unwrap().to_owned();
        let blob = work.path(store).join("blobs").join(digest.replace(':', "/"));
        (run, fs::read_to_string(blob).unwrap())
    };
    let evil = "HEALTHCHECK CMD evil\nONBUILD RUN evil\nENTRYPOINT [\"evil\"]";
    let (_, told) = config(evil, "out-one", "--cache-to", format!("type=local,dest={folder},mode=max"));
    assert_eq!(told.matches("evil").count(), 5, "with what the history says: {told}");
    let (run, told) = config("LABEL good=1", "out-two", "--cache-from", format!("type=local,src={folder}"));
    all_cached(&run);
    assert!(!told.contains("evil"), "{told}");
}

#[test]
fn a_cache_that_cannot_be_had_is_no_reason_not_to_build() {
    let Some(work) = workspace("FROM busybox\nRUN echo 1 > /a\n") else { return };
    let nowhere = "localhost:1/cache";
    let run = work.build(&["--cache-from", nowhere]).succeeds();
    assert!(run.raw.contains("the cache localhost:1/cache:latest is not used: cannot reach registry"), "{}", run.raw);
    let to = format!("type=registry,ref={nowhere}");
    let refused = work.build(&["--cache-to", &to]).exits_with(3);
    assert!(
        refused.stderr.contains("the cache was not exported: cannot reach registry localhost:1"),
        "{}",
        refused.stderr
    );
    work.build(&["--cache-to", &format!("{to},ignore-error=true")]).succeeds();
}

/// A step that fills a cache of eight megabytes if it is empty, adds a line, and shows what is in it.
const MOUNT: &str = "FROM busybox
ARG NUMBER
RUN --mount=type=cache,id=m,target=/m \\
    test -f /m/big || dd if=/dev/urandom of=/m/big bs=65536 count=128; \\
    mkdir -p /m/d && echo $NUMBER >> /m/d/log && chown 7:8 /m/d/log && cat /m/d/log > /log && sha256sum /m/big > /sum \\
    && stat -c '%u %g %Y' /m/d/log /m/big > /stat
";

fn folder_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_cache_of_steps_travels_and_a_small_change_costs_little() {
    let Some(work) = workspace(MOUNT) else { return };
    let cache = work.path("cache").display().to_string();
    let (from, to) = (format!("type=local,src={cache},mounts=m"), format!("type=local,dest={cache},mounts=m"));
    let run = |store, number: &str, flags: &[&str]| {
        let (out, number) = (format!("type=local,dest={}", work.path("out").display()), format!("NUMBER={number}"));
        let run = work.build(&[&["-o", &out, "--build-arg", &number], flags].concat()).store(store).succeeds();
        let read = |name: &str| work.read(&format!("out/{name}"));
        (read("log"), read("sum"), read("stat"), run.raw)
    };
    let (_, sum, stat, _) = run("one", "1", &["--cache-to", &to]);
    let whole = folder_bytes(&work.path("cache/blobs/sha256"));
    assert!(whole > 8 << 20, "{whole}");

    let (log, restored, again, _) = run("two", "2", &["--cache-from", &from, "--cache-to", &to]);
    assert_eq!((log.as_str(), &restored), ("1\n2\n", &sum));
    let big = |stat: &str| stat.lines().nth(1).unwrap().to_owned();
    assert_eq!(big(&again), big(&stat), "owner and time are what they were");
    let grown = folder_bytes(&work.path("cache/blobs/sha256")) - whole;
    assert!(grown < whole / 3, "{grown} of {whole}");

    // Who does not ask for it gets none of it.
    let (log, other, _, _) = run("three", "3", &["--cache-from", &format!("type=local,src={cache}")]);
    assert_eq!(log, "3\n");
    assert_ne!(other, sum);

    // One file takes it along, too.
    let team = work.path("team").display().to_string();
    work.flashbuild("cache", &["export", &team, "--mounts", "m"]).store("two").succeeds();
    let said = work.flashbuild("cache", &["import", &team]).store("four").succeeds().stdout;
    assert!(said.contains("1 caches of steps"), "{said}");
    let (log, restored, _, _) = run("four", "4", &[]);
    assert_eq!((log.as_str(), &restored), ("1\n2\n4\n", &sum));

    // What is damaged is refused: the step begins with an empty cache.
    let damaged = Damaged { work: &work };
    let chunks = damaged.records()["mounts"][0]["chunks"].as_array().unwrap().clone();
    damaged.flip(&damaged.path(&chunks[3]["digest"]));
    let (log, _, _, said) = run("five", "5", &["--cache-from", &from]);
    assert_eq!(log, "5\n");
    assert!(said.contains("is refused"), "{said}");
    // So is a whole one of which another promised something else.
    damaged.flip(&damaged.path(&chunks[3]["digest"]));
    let mut records = damaged.records();
    records["mounts"][0]["chunks"].as_array_mut().unwrap().remove(2);
    damaged.publish(&records);
    let (log, _, _, said) = run("six", "6", &["--cache-from", &from]);
    assert_eq!(log, "6\n");
    assert!(said.contains("is refused"), "{said}");
}
