//! How many layers an image has, however many packages it is made of.

use crate::{
    deps_apt::{archive, build},
    harness::Workspace,
};
use serde_json::Value;

/// Three requests of sixty packages each, on one another: container engines take 127 layers, and somebody may build on them.
#[test]
fn many_packages_leave_room_for_who_builds_on_them() {
    let Some(mut archive) = archive(&["amd64"]) else { return };
    let mut requests = Vec::new();
    for group in ["a", "b", "c"] {
        let names: Vec<String> = (0..60).map(|number| format!("package-{group}{number}")).collect();
        for (number, name) in names.iter().enumerate() {
            // So many are large that each request would have some fifty layers.
            let text = name.repeat(if number < 35 { 8000 } else { 1 });
            archive.add(name, "1", "amd64", "none", "", &[(&format!("usr/share/{name}"), &text)]);
        }
        requests.push(format!("DEPS apt {}\n", names.join(" ")));
    }
    archive.publish();
    let config = archive.apt_config();
    let work = Workspace::new(&format!("FROM scratch\n{}COPY Dockerfile /\n", requests.concat()));
    build(&work, &config, &["--platform", "linux/amd64", "-t", "many"]).succeeds();
    let inspected = work.flashbuild("inspect", &["many", "--format", "json"]).succeeds();
    let image: Value = serde_json::from_str(&inspected.stdout).unwrap();
    let layers = image["images"][0]["layers"].as_array().unwrap().len();
    assert!((50..110).contains(&layers), "{layers}");

    // What comes first has as many as it always had.
    work.file("Dockerfile", format!("FROM scratch\n{}", requests[0]));
    let alone = build(&work, &config, &["--platform", "linux/amd64"]).succeeds();
    assert!(alone.vertices().all(|(_, outcome)| matches!(outcome, flashbuild::solver::event::Outcome::Cached(_))));
}
