//! The table of changes: what a person changes, which steps run then, and which are found by what their inputs hold.
//!
//! The cases are data, `testdata/cache/changes.txt`. Each row of the table in `src/solver/key.rs` names the case, or the
//! test, that proves it.

use crate::harness::{BUSYBOX, Run, Workspace, is_root, native_platform, peer, skip};
use flashbuild::solver::event::{Hit, Outcome};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, SystemTime},
};

const CASES: &str = include_str!("../testdata/cache/changes.txt");

const DOCKERFILE: &str = r#"
FROM busybox AS tool
COPY tool/ /tool/
RUN head -n 1 /tool/version > /version

FROM busybox AS app
ARG FLAVOUR=plain
ENV MODE=release
COPY src/ /src/
RUN cat /src/main.c > /built
COPY --from=base:1 /data /data/
COPY --from=tool /version /version
RUN --mount=type=secret,id=token --mount=type=cache,target=/c cat /version > /stamp
COPY docs/ /docs/
ENV PORT=80
LABEL owner=me
CMD ["/built"]
"#;

/// The steps, by a part of their names, in the order of the file.
const STEPS: [(&str, &str); 11] = [
    ("base", "ADD busybox-"),
    ("image", "FROM base:1"),
    ("tool", "COPY tool/"),
    ("head", "RUN head"),
    ("src", "COPY src/"),
    ("build", "cat /src/main.c"),
    ("data", "/data/"),
    ("version", "/version /version"),
    ("stamp", "cat /version > /stamp"),
    ("docs", "docs/ /docs/"),
    ("true", "RUN true"),
];

/// How many cases are tried at once.
const AT_ONCE: usize = 2;

struct Case<'a> {
    change: &'a str,
    needs: Option<&'a str>,
    does: Vec<(&'a str, String)>,
    ran: BTreeSet<&'a str>,
    same: BTreeSet<&'a str>,
}

fn cases() -> Vec<Case<'static>> {
    let blocks = CASES.split("\n\n").filter(|block| !block.starts_with('#'));
    let case = |block: &'static str| {
        let of = |key: &str| -> Vec<&'static str> {
            let prefix = format!("{key}: ");
            block.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
        };
        let names = |key| of(key).into_iter().flat_map(|line| line.split(", ")).collect();
        let does = of("do").into_iter().map(|line| {
            let (verb, rest) = line.split_once(' ').unwrap();
            (verb, rest.replace("\\n", "\n"))
        });
        Case {
            change: of("change")[0],
            needs: of("needs").first().copied(),
            does: does.collect(),
            ran: names("ran"),
            same: names("same"),
        }
    };
    blocks.map(case).collect()
}

/// The project as it is before any change, built.
fn project(platforms: &[&str]) -> Option<Workspace> {
    let work = Workspace::with_busybox(platforms, &format!("{BUSYBOX}{DOCKERFILE}"))?;
    work.file("tool/version", "1\nnotes\n")
        .file("src/main.c", "int main() {}")
        .file("src/util.c", "util")
        .file("src/same.c", "util")
        .file("src/debug.log", "noise")
        .file("docs/readme", "read me")
        .file("unrelated", "")
        .file(".dockerignore", "**/*.log\n");
    symlink("main.c", work.path("context/src/link")).unwrap();
    base(&work, "data");
    build(&work, &Change::default());
    Some(work)
}

/// Builds the base image `base:1`, which holds this.
fn base(work: &Workspace, data: &str) {
    let context = work.path("base");
    fs::create_dir_all(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY data /data\n").unwrap();
    fs::write(context.join("data"), data).unwrap();
    let file = fs::File::options().write(true).open(context.join("data")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    // For two platforms, of which one test builds the second: nothing runs in it.
    let platforms = format!("{},linux/arm64", native_platform()).replace("linux/arm64,linux/arm64", "linux/arm64");
    let arguments = ["-t", "base:1", "--platform", &platforms, context.to_str().unwrap()];
    work.flashbuild("build", &arguments).epoch("2000000").succeeds();
}

/// What is said besides the files.
#[derive(Default)]
struct Change {
    flags: Vec<String>,
    variables: Vec<(String, String)>,
}

fn build(work: &Workspace, change: &Change) -> Run {
    let flags: Vec<&str> = change.flags.iter().map(String::as_str).collect();
    let mut build =
        work.build(&[&["--secret", "id=token,env=TOKEN"], &flags[..]].concat()).variable("TOKEN", "a-value");
    for (name, value) in &change.variables {
        build = build.variable(name, value);
    }
    build.succeeds()
}

/// A project of its own for one case, with the store as the first build left it.
fn copy_of(project: &Workspace) -> Workspace {
    let work = Workspace::new("");
    for folder in ["context", "store", "base"] {
        let _ = fs::remove_dir_all(work.path(folder));
        let copied = Command::new("cp").arg("-a").arg(project.path(folder)).arg(work.path("")).status();
        assert!(copied.unwrap().success());
    }
    work
}

/// Does one thing to a project.
fn apply(work: &Workspace, change: &mut Change, verb: &str, rest: &str) {
    let path = |name: &str| -> PathBuf { work.path("context").join(name) };
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "write" => drop(work.file(first, second)),
        "touch" => {
            let file = fs::File::options().write(true).open(path(first)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        }
        "sneak" => sneak(&path(first), second),
        "chmod" => {
            let mode = u32::from_str_radix(first, 8).unwrap();
            fs::set_permissions(path(second), fs::Permissions::from_mode(mode)).unwrap();
        }
        "chown" if is_root() => chown(path(second), Some(first.parse().unwrap()), None).unwrap(),
        "chown" => skip("only root gives files away"),
        "rename" => fs::rename(path(first), path(second)).unwrap(),
        "mkdir" => fs::create_dir(path(first)).unwrap(),
        "remove" => fs::remove_file(path(first)).unwrap(),
        "hardlink" => {
            fs::remove_file(path(second)).unwrap();
            fs::hard_link(path(first), path(second)).unwrap();
        }
        "symlink" => {
            fs::remove_file(path(second)).unwrap();
            symlink(first, path(second)).unwrap();
        }
        "replace" => {
            let (old, new) = rest.split_once(" ==> ").unwrap();
            let text = fs::read_to_string(path("Dockerfile")).unwrap();
            assert!(text.contains(old), "the Dockerfile says {old:?}");
            work.file("Dockerfile", text.replacen(old, new, 1));
        }
        "flag" => change.flags.extend(rest.replace("NATIVE", native_platform()).split(' ').map(str::to_owned)),
        "env" => {
            let (name, value) = rest.split_once('=').unwrap();
            change.variables.push((name.to_owned(), value.to_owned()));
        }
        "base" => base(work, rest),
        "prune" => drop(work.flashbuild("cache", &["prune", "--filter", rest]).succeeds()),
        other => panic!("nobody knows how to {other}"),
    }
}

/// Puts another file of the same size and time in the place of one.
fn sneak(path: &Path, content: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), content.len() as u64, "of the same size");
    let other = path.with_extension("other");
    fs::write(&other, content).unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(before.modified().unwrap()).unwrap();
    fs::rename(other, path).unwrap();
}

/// The steps with this outcome.
fn steps(run: &Run, outcome: &Outcome) -> BTreeSet<&'static str> {
    let named = |name: &str| {
        let step = STEPS.iter().find(|(_, part)| name.contains(part));
        step.unwrap_or_else(|| panic!("a step that nobody knows: {name}")).0
    };
    run.vertices().filter(|(_, ended)| *ended == outcome).map(|(name, _)| named(name)).collect()
}

#[test]
fn after_a_change_those_steps_run_that_have_to() {
    let arm = "linux/arm64";
    let Some(native) = project(&[native_platform()]) else { return };
    let foreign = peer("qemu-aarch64-static").and_then(|_| project(&[native_platform(), arm]));
    let (cases, next) = (cases(), AtomicUsize::new(0));
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let check = |case: &Case<'_>| -> Option<String> {
        let project = if case.needs.is_some() { foreign.as_ref()? } else { &native };
        let (work, mut change) = (copy_of(project), Change::default());
        for (verb, rest) in &case.does {
            apply(&work, &mut change, verb, rest);
        }
        let run = build(&work, &change);
        let came = (steps(&run, &Outcome::Ran), steps(&run, &Outcome::Cached(Hit::Content)));
        let expected = (case.ran.clone(), case.same.clone());
        (came != expected).then(|| format!("{}: ran and same\n  came {came:?}\n  not  {expected:?}", case.change))
    };
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(check(case));
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_of_the_table_of_keys_is_proved() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/solver/key.rs");
    let source = fs::read_to_string(source).unwrap();
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    let known: BTreeSet<&str> = cases().iter().map(|case| case.change).collect();
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let proofs = cells[cells.len() - 1];
        for proof in proofs.split("; ") {
            let is_test = || {
                let (file, name) = proof.trim_matches('`').split_once("::")?;
                let text = fs::read_to_string(format!("{}/integration/{file}.rs", env!("CARGO_MANIFEST_DIR"))).ok()?;
                text.contains(&format!("#[test]\nfn {name}(")).then_some(())
            };
            assert!(known.contains(proof) || is_test().is_some(), "{}: there is no proof {proof:?}", cells[0]);
        }
        count += 1;
    }
    assert!(count >= 15, "{count} rows");
}

#[test]
fn the_page_about_the_cache_has_the_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cache.md");
    let table: String = cases().iter().fold(String::new(), |table, case| {
        let list = |names: &BTreeSet<&str>| {
            let in_order = STEPS.iter().map(|(name, _)| *name).filter(|name| names.contains(name));
            in_order.collect::<Vec<_>>().join(", ")
        };
        table + &format!("| {} | {} | {} |\n", case.change, list(&case.ran), list(&case.same)).replace("  ", " ")
    });
    let text = fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once("<!-- changes -->\n").expect("a place for the table");
    let (_, after) = rest.split_once("<!-- end -->\n").expect("its end");
    let head = "| change | steps that run | found by what their inputs hold |\n|---|---|---|\n";
    let wanted = format!("{before}<!-- changes -->\n{head}{table}<!-- end -->\n{after}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(page, wanted).unwrap();
    } else {
        assert_eq!(text, wanted, "UPDATE_EXPECT=1 writes the page anew");
    }
}
