//! The store stays within its bounds, and what a build uses stays in the store.
//!
//! Both tests of load are short here. `FLASHBUILD_TEST_GC_SECONDS=300` and `FLASHBUILD_TEST_GC_LIMIT=2000000000` make them
//! as long, and the store as large, as in earnest.

use crate::harness::{BUSYBOX, Layout, Workspace, native_platform};
use serde_json::Value;
use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

fn setting(name: &str, usual: u64) -> u64 {
    env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The bytes that a folder takes on the disk. What goes away meanwhile is gone.
fn on_disk(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let inside = if metadata.is_dir() { fs::read_dir(path).ok() } else { None };
    let below = inside.into_iter().flatten().flatten().map(|entry| on_disk(&entry.path())).sum::<u64>();
    metadata.blocks() * 512 + below
}

fn du(work: &Workspace) -> Value {
    serde_json::from_str(&work.flashbuild("cache", &["du", "--format", "json"]).succeeds().stdout).unwrap()
}

fn workspace(steps: &str) -> Option<Workspace> {
    Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\n{steps}"))
}

#[test]
fn builds_at_once_and_pruning_do_not_hurt_each_other() {
    let Some(work) = workspace("") else { return };
    let dockerfile = |name: &str| {
        format!(
            "{BUSYBOX}FROM busybox AS one\nCOPY {name} /in\nRUN cat /in /in > /twice\n\
             FROM busybox\nCOPY --from=one /twice /\nRUN --mount=type=cache,target=/c cp /twice /c/x && mv /twice /out\n"
        )
    };
    for name in ["a", "b"] {
        work.file(&format!("{name}.Dockerfile"), dockerfile(name));
    }
    let end = Instant::now() + Duration::from_secs(setting("FLASHBUILD_TEST_GC_SECONDS", 5));
    let (builds, prunes) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for name in ["a", "b"] {
            let (work, builds) = (&work, &builds);
            scope.spawn(move || {
                let out = format!("type=oci,tar=false,dest={}", work.path(format!("out-{name}")).display());
                for round in 0_u64.. {
                    if Instant::now() > end {
                        return;
                    }
                    // Some states come back, so that records are found that are about to go.
                    work.file(name, format!("{name} {}\n", round % 3));
                    let _ = fs::remove_dir_all(work.path(format!("out-{name}")));
                    work.build(&["-f", &format!("{name}.Dockerfile"), "-o", &out]).succeeds();
                    Layout::verified(&work.path(format!("out-{name}")));
                    builds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while Instant::now() < end {
                work.flashbuild("cache", &["prune", "--all"]).succeeds();
                prunes.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    let (builds, prunes) = (builds.into_inner(), prunes.into_inner());
    assert!(builds >= 2 && prunes >= 2, "{builds} builds beside {prunes} prunings");
    // Whatever is still recorded can be used.
    for name in ["a", "b"] {
        let out = work.path(format!("last-{name}"));
        let spec = format!("type=oci,tar=false,dest={}", out.display());
        work.build(&["-f", &format!("{name}.Dockerfile"), "-o", &spec]).succeeds();
        Layout::verified(&out);
    }
    work.flashbuild("cache", &["prune", "--all"]).succeeds();
    let left = du(&work);
    for kind in ["record", "layer", "blob", "download", "cache-mount"] {
        assert_eq!(left["kinds"][kind]["count"], 0, "{kind}: {left}");
    }
}

#[test]
fn a_bounded_store_stays_within_its_bounds_while_builds_write_much_more() {
    let limit = setting("FLASHBUILD_TEST_GC_LIMIT", 60_000_000);
    // Each build writes its part twice: as a layer, and compressed.
    let (rounds, part) = (30, limit / 12);
    let count = part / 1_000_000;
    let step =
        format!("ARG ROUND\nRUN echo $ROUND && dd if=/dev/urandom of=/data bs=1000000 count={count} 2>/dev/null\n");
    let Some(work) = workspace(&step) else { return };
    let store = work.path("store");
    let done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(on_disk(&store));
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        for round in 0..rounds {
            work.build(&["--build-arg", &format!("ROUND={round}")])
                .variable("FLASHBUILD_GC_MAX_USED_SPACE", limit.to_string())
                .variable("FLASHBUILD_GC_RESERVED_SPACE", "0")
                .variable("FLASHBUILD_GC_MIN_FREE_SPACE", "0")
                .succeeds();
        }
        done.store(true, Ordering::Relaxed);
        watched.join().unwrap()
    });
    assert!(most > limit / 2, "it is used: {most}");
    assert!(most <= limit, "{most} of {limit}");
}

#[test]
fn named_images_keep_what_they_need_and_more_unless_all_is_to_go() {
    let Some(work) = workspace("COPY file /file\nRUN cat /file > /copy\n") else { return };
    work.file("file", "content\n");
    work.build(&["-t", "kept"]).succeeds();
    work.file("file", "other\n");
    work.build(&[]).succeeds();
    let shown = du(&work);
    assert!(shown["images"]["docker.io/library/kept:latest"]["bytes"].as_u64().unwrap() > 0, "{shown}");
    assert!(shown["kinds"]["layer"]["shared"].as_u64().unwrap() > 0);

    let said = work.flashbuild("cache", &["prune", "--dry-run"]).succeeds().stdout;
    assert!(said.starts_with("would remove ") && said.contains(" of layer"), "{said}");
    assert_eq!(du(&work)["kinds"]["layer"], shown["kinds"]["layer"], "nothing was");
    let said = work.flashbuild("cache", &["prune", "--filter", "type=cache-mount"]).succeeds().stdout;
    assert_eq!(said, "removed nothing\n");
    work.flashbuild("cache", &["prune", "--unused-for", "1h"]).succeeds();
    assert_eq!(du(&work)["kinds"]["layer"], shown["kinds"]["layer"], "all is younger");

    work.flashbuild("cache", &["prune"]).succeeds();
    let left = du(&work);
    assert_eq!(left["kinds"]["layer"]["bytes"], left["kinds"]["layer"]["shared"], "{left}");
    work.file("file", "content\n");
    let again = work.build(&["-t", "kept"]).succeeds();
    assert!(again.vertices().all(|(_, outcome)| *outcome != flashbuild::solver::event::Outcome::Ran));
    work.flashbuild("cache", &["prune", "--all"]).succeeds();
    assert_eq!(du(&work)["kinds"]["layer"]["count"], 0);
    work.flashbuild("save", &["kept", "-o", "kept.tar"]).succeeds();
}

#[test]
fn a_policy_of_ones_own_is_obeyed_and_a_wrong_one_refused() {
    let Some(work) = workspace("RUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/x bs=65536 count=64\n") else {
        return;
    };
    let folder = work.path("home/.config/flashbuild");
    fs::create_dir_all(&folder).unwrap();
    let rule = "[[gc.policy]]\nkinds = [\"cache-mount\"]\nmax-used-space = \"1MB\"\n";
    fs::write(folder.join("config.toml"), rule).unwrap();
    work.build(&[]).succeeds();
    // The mount was in use until the end; the next build finds that there is too much.
    let stamp = work.path("store/collected");
    let _ = fs::remove_file(&stamp);
    work.build(&[]).succeeds();
    let left = du(&work);
    assert_eq!(left["kinds"]["cache-mount"]["count"], 0, "{left}");
    assert!(left["kinds"]["layer"]["count"].as_u64().unwrap() > 0, "the rule is not about layers: {left}");

    fs::write(folder.join("config.toml"), rule.replace("cache-mount", "cachemount")).unwrap();
    let refused = work.build(&[]).exits_with(2);
    assert!(refused.stderr.contains("config.toml:1: gc.policy: there is no kind \"cachemount\""), "{}", refused.stderr);
}
