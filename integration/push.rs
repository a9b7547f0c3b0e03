//! What a build sends to registries, and when: counted by a registry of the test's own.

use crate::harness::{BUSYBOX, EPOCH, FaultyRegistry, Workspace, native_platform};
use flashbuild::solver::event::Outcome;

#[test]
fn layers_are_sent_while_later_steps_run() {
    let registry = FaultyRegistry::start(0, 0.0);
    // The second step ends when both layers below it are in the registry: never, if they were sent after the last step.
    let dockerfile = format!(
        "{BUSYBOX}FROM busybox\nCOPY file /file\nRUN --network=host wget -q -O - http://{}/when-blobs-are/2\n",
        registry.host
    );
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    work.file("file", "content\n");
    FaultyRegistry::log_in(&[&registry], &work.path("home"));
    let name = format!("{}/app:1", registry.host);
    let built = work.build(&["-t", &name, "--push", "--allow", "network.host"]).succeeds();
    assert_eq!(registry.digest("app", "1").as_deref(), Some(built.digest()));

    let seen = registry.seen();
    let position = |wanted: &str| seen.lines.iter().position(|line| line.contains(wanted)).unwrap();
    let uploads =
        |lines: &[String]| lines.iter().filter(|line| line.starts_with("PUT ") && line.contains("/uploads/")).count();
    assert_eq!(uploads(&seen.lines[..position("200 /when-blobs-are/2")]), 2);
    // The rest, each once, and the tag last.
    assert_eq!(seen.blob_bytes, registry.size());
    assert!(seen.lines.last().unwrap().starts_with("PUT /v2/app/manifests/1"), "{:?}", seen.lines);
    let asked: Vec<_> = seen.lines.iter().filter(|line| line.starts_with("HEAD /v2/app/blobs/")).collect();
    let distinct: std::collections::BTreeSet<_> = asked.iter().collect();
    assert_eq!(asked.len(), distinct.len(), "a blob is asked for once: {asked:?}");
}

#[test]
fn layers_go_to_a_cache_while_later_steps_run() {
    let registry = FaultyRegistry::start(0, 0.0);
    // Of another stage, which is in no image but in the cache: `mode=max`.
    let dockerfile = format!(
        "{BUSYBOX}FROM busybox AS tool\nRUN seq 1 100 > /seq\nRUN --network=host wget -q -O - http://{}/when-blobs-are/2\n\
         FROM scratch\nCOPY --from=tool /seq /seq\n",
        registry.host
    );
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    FaultyRegistry::log_in(&[&registry], &work.path("home"));
    let cache = format!("type=registry,ref={}/app:cache", registry.host);
    let to = format!("{cache},mode=max");
    let build = |store, arguments: &[&str]| {
        work.build(&[&["-t", "app", "--allow", "network.host"], arguments].concat()).store(store)
    };
    let first = build("one", &["--cache-to", &to]).succeeds();
    let seen = registry.seen();
    let position = |wanted: &str| seen.lines.iter().position(|line| line.contains(wanted)).unwrap();
    let uploads =
        |lines: &[String]| lines.iter().filter(|line| line.starts_with("PUT ") && line.contains("/uploads/")).count();
    assert_eq!(uploads(&seen.lines[..position("200 /when-blobs-are/2")]), 2, "{:?}", seen.lines);
    // The rest, each once, and the manifest last.
    assert_eq!(seen.blob_bytes, registry.size());
    assert!(seen.lines.last().unwrap().starts_with("PUT /v2/app/manifests/cache"), "{:?}", seen.lines);
    let second = build("two", &["--cache-from", &cache]).succeeds();
    assert!(second.vertices().all(|(_, outcome)| matches!(outcome, Outcome::Cached(_))), "{}", second.raw);
    assert_eq!(second.digest(), first.digest());
}

#[test]
fn a_cache_that_refuses_fails_a_build_only_if_nobody_said_otherwise() {
    let Some(work) =
        Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN echo 1 > /one\n"))
    else {
        return;
    };
    let nobody = "type=local,dest=/proc/cache";
    let folder = format!("type=local,dest={}", work.path("cache").display());
    let build = |first: &str| work.build(&["-t", "app", "--no-cache", "--cache-to", first, "--cache-to", &folder]);
    let refused = build(nobody).exits_with(3);
    assert!(refused.stderr.contains("the cache was not exported"), "{}", refused.stderr);
    assert!(!work.path("cache/index.json").exists());
    let run = build(&format!("{nobody},ignore-error=true")).succeeds();
    assert!(run.raw.contains("the cache was not exported"), "{}", run.raw);
    assert!(work.path("cache/index.json").exists(), "the other one is written");
}

#[test]
fn many_names_cost_what_one_does() {
    let registries = [FaultyRegistry::start(1, 0.0), FaultyRegistry::start(2, 0.0)];
    let work = Workspace::new("FROM scratch\nCOPY a /a\nCOPY b /b\n");
    work.file("a", "a\n").file("b", "b\n");
    FaultyRegistry::log_in(&registries.each_ref(), &work.path("home"));
    let [one, two] = registries.each_ref().map(|registry| registry.host.as_str());
    let names = [format!("{one}/app:1"), format!("{one}/app:2"), format!("{one}/copy:1"), format!("{two}/app:1")];
    let tags: Vec<&str> = names.iter().flat_map(|name| ["-t", name]).collect();
    let built = work.build(&[&tags[..], &["--push"]].concat()).epoch(EPOCH).succeeds();
    for registry in &registries {
        assert_eq!(registry.seen().blob_bytes, registry.size());
        assert_eq!(registry.seen().violations, Vec::<String>::new());
    }
    for (registry, repository, tag) in [(0, "app", "1"), (0, "app", "2"), (0, "copy", "1"), (1, "app", "1")] {
        assert_eq!(registries[registry].digest(repository, tag).as_deref(), Some(built.digest()));
    }

    // The same again: questions, and nothing else.
    let before = registries.each_ref().map(|registry| registry.seen().lines.len());
    work.build(&[&tags[..], &["--push"]].concat()).epoch(EPOCH).succeeds();
    for (registry, before) in registries.iter().zip(before) {
        let lines = registry.seen().lines.split_off(before);
        assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("HEAD ")), "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("/manifests/")), "{lines:?}");
    }
}

#[test]
fn a_registry_that_refuses_does_not_stop_the_others() {
    let [good, bad] = [FaultyRegistry::start(1, 0.0), FaultyRegistry::start(2, 0.0)];
    let work = Workspace::new("FROM scratch\nCOPY a /a\n");
    work.file("a", "a\n");
    FaultyRegistry::log_in(&[&good], &work.path("home"));
    let names = [format!("{}/app:1", good.host), format!("{}/app:1", bad.host)];
    let run = work.build(&["-t", &names[0], "-t", &names[1], "--push"]).exits_with(3);
    assert!(run.stderr.contains("refused access") && run.stderr.contains(&bad.host), "{}", run.stderr);
    assert!(good.digest("app", "1").is_some());
}
