//! Which room of `src/` may know which: each imports only rooms below it, and nothing of ours reaches into the solver.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the top floor down.
const ROOMS: [&str; 25] = [
    "main", "cli", "init", "pipeline", "attest", "exec", "cache", "export", "serve", "context", "resolve", "optimize",
    "packages", "registry", "http", "git", "layer", "progress", "history", "store", "solver", "image", "config",
    "secrets", "sandbox",
];

/// The only rooms of the frontend that the solver knows, and it knows no room of ours.
const SOLVER_KNOWS: [&str; 4] = ["graph", "package", "platform", "secret_name"];

#[test]
fn rooms_import_only_rooms_below() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut violations = Vec::new();
    for file in rust_files(&sources) {
        let path = file.strip_prefix(&sources).unwrap();
        let name = path.to_string_lossy().into_owned();
        let room = path.components().next().unwrap().as_os_str().to_string_lossy();
        let room = room.trim_end_matches(".rs");
        // It declares the rooms, and uses none.
        if room != "lib" {
            violations.extend(violations_in(room, &name, &fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(violations.is_empty(), "imports against the direction of dependence:\n{}", violations.join("\n"));
}

#[test]
fn the_frontend_knows_nothing_of_the_core() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("frontend/src");
    for file in rust_files(&sources) {
        let text = without_comments(&fs::read_to_string(&file).unwrap());
        assert!(paths_after(&text, "flashbuild::").is_empty(), "{} imports the core", file.display());
    }
}

/// What one file of a room imports that it must not.
fn violations_in(room: &str, file: &str, text: &str) -> Vec<String> {
    let Some(floor) = ROOMS.iter().position(|known| *known == room) else {
        return vec![format!("{file}: `{room}` is no room: give it its place in ROOMS")];
    };
    let text = without_comments(text);
    let mut imported = paths_after(&text, "crate::");
    imported.extend(paths_after(&text, "flashbuild::"));
    imported.remove(room);
    let mut violations = Vec::new();
    for import in imported {
        match ROOMS.iter().position(|known| *known == import) {
            Some(other) if other < floor => {
                violations.push(format!("{file}: `{room}` imports `{import}`, which is above it"));
            }
            Some(_) if room == "solver" => violations.push(format!("{file}: the solver imports `{import}`")),
            // A name that `lib.rs` itself has (there are none), or a macro: not a room, so not our question.
            Some(_) | None => {}
        }
    }
    if room == "solver" {
        let unknown = paths_after(&text, "flashbuild_frontend::");
        let unknown = unknown.iter().filter(|import| !SOLVER_KNOWS.contains(&import.as_str()));
        violations.extend(unknown.map(|import| format!("{file}: the solver imports `{import}` of the frontend")));
    }
    violations
}

/// First names of all paths that start with `prefix`: of `crate::{a::B, c}` they are `a` and `c`.
fn paths_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (start, _) in text.match_indices(prefix) {
        let before = text[..start].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == '$') {
            continue;
        }
        let rest = &text[start + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(first_names_of_group(group)),
            None => names.extend(identifier(rest)),
        }
    }
    names
}

/// First names of what stands between braces, the opening one not included.
fn first_names_of_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut at_start = true;
    for (position, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && !character.is_whitespace() => {
                names.extend(identifier(&group[position..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The text without what follows `//` on a line: documentation may link upwards.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[track_caller]
fn check(room: &str, text: &str, expected: &[&str]) {
    assert_eq!(violations_in(room, "x.rs", text), expected);
}

#[test]
fn an_import_of_a_room_below_is_fine() {
    check("layer", "use crate::store::Store;\nuse crate::{image::DiffId, layer::toc};\n", &[]);
    check("main", "fn main() { flashbuild::cli::run() }\n", &[]);
}

#[test]
fn an_import_of_a_room_above_is_found() {
    check(
        "store",
        "use crate::{image::DiffId, registry::{Client, layer}};\n",
        &["x.rs: `store` imports `registry`, which is above it"],
    );
    check("sandbox", "fn f() { crate::solver::run() }\n", &["x.rs: `sandbox` imports `solver`, which is above it"]);
}

#[test]
fn documentation_may_link_upwards() {
    check("store", "//! Filled by [`crate::layer`].\n", &[]);
}

#[test]
fn the_solver_knows_graphs_and_nothing_else() {
    check("solver", "use flashbuild_frontend::graph::Graph;\n", &[]);
    check(
        "solver",
        "use crate::image::DiffId;\nuse flashbuild_frontend::dockerfile::Missing;\n",
        &["x.rs: the solver imports `image`", "x.rs: the solver imports `dockerfile` of the frontend"],
    );
}

#[test]
fn a_new_room_needs_a_place() {
    check("util", "", &["x.rs: `util` is no room: give it its place in ROOMS"]);
}
