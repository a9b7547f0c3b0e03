//! What a build sends to registries, and when: counted by a registry of the test's own.

use crate::harness::{BUSYBOX, EPOCH, FaultyRegistry, Workspace, native_platform};

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
