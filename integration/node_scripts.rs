//! `DEPS node --allow-scripts`: install scripts, of packages that are named and of no others.

use crate::{
    harness::{BUSYBOX, Invocation, Workspace, native_platform, peer, skip, tree_report},
    node::{Package, lock, project, registry},
};
use flashbuild::solver::event::{Hit, Outcome};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A package with all scripts of an installation, and one that never runs.
const BUILDS: Package = Package::new(
    "@scope/builds",
    "1.0.0",
    &[
        (
            "package.json",
            r#"{"name": "@scope/builds", "version": "1.0.0", "bin": {"builds": "cli.js"}, "engines": {"node": ">=1"},
            "config": {"port": "8080", "deep": {"er": true}}, "dependencies": {"helper": "1"},
            "scripts": {"preinstall": "echo pre >> log", "install": "helper install && echo \"$0 $#\" >> log",
            "postinstall": "node probe.js", "prepare": "echo never >> log", "test": "echo never >> log"}}"#,
        ),
        ("cli.js", "#!/usr/bin/env node\n"),
        ("probe.js", PROBE),
    ],
);
/// What a script finds, where npm and this program have to agree: paths relative to the project.
const PROBE: &str = r"
const project = process.env.INIT_CWD;
const told = Object.keys(process.env).filter((name) => /^npm_(package|lifecycle)_/.test(name) || name === 'INIT_CWD').sort();
const bins = process.env.PATH.split(':').filter((at) => at.startsWith(project) && at.endsWith('.bin'));
const lines = told.map((name) => `${name}=${process.env[name]}`).concat(bins, process.cwd());
const text = lines.join('\n').split(project).join('.') + '\n';
require('fs').writeFileSync('probe.txt', text);
";
/// A program that another package's script starts.
const HELPER: Package = Package::new(
    "helper",
    "1.0.0",
    &[
        ("package.json", r#"{"name": "helper", "version": "1.0.0", "bin": "helper.js"}"#),
        ("helper.js", "#!/usr/bin/env node\nrequire('fs').appendFileSync('log', `helper ${process.argv[2]}\\n`);\n"),
    ],
);
/// Something to build, and nothing said about it.
const NATIVE: Package = Package::new(
    "native",
    "2.0.0",
    &[
        ("package.json", r#"{"name": "native", "version": "2.0.0", "dependencies": {"node-gyp": "1"}}"#),
        ("binding.gyp", "{}"),
    ],
);
/// The name of the program that builds, and nothing else of it.
const GYP: Package = Package::new(
    "node-gyp",
    "1.0.0",
    &[
        ("package.json", r#"{"name": "node-gyp", "version": "1.0.0", "bin": {"node-gyp": "gyp.js"}}"#),
        ("gyp.js", "#!/usr/bin/env node\nrequire('fs').writeFileSync('built', process.argv.slice(2).join(' '));\n"),
    ],
);
const FAILS: Package = Package::new(
    "fails",
    "1.0.0",
    &[(
        "package.json",
        r#"{"name": "fails", "version": "1.0.0", "scripts": {"postinstall": "echo no such luck >&2; exit 7"}}"#,
    )],
);
const ALL: [&Package; 5] = [&BUILDS, &FAILS, &HELPER, &NATIVE, &GYP];

/// A workspace whose stage `image` has this machine's Node.js and a shell; nothing if there is none.
fn workspace(registry: &str, dockerfile: &str) -> Option<Workspace> {
    let image = "FROM busybox AS image\nCOPY root /\nENV PATH=/usr/bin:/usr/local/bin:/bin\n";
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}\n{image}{dockerfile}"))?;
    work.bring("node")?;
    fs::write(work.path("home/.npmrc"), format!("registry={registry}\n")).unwrap();
    Some(work)
}

fn exported<'a>(work: &'a Workspace, folder: &'a str) -> Invocation<'a> {
    let root = "--progress";
    let dest = format!("type=local,dest={}", work.path(folder).display());
    // Leaked: as long as the test.
    work.build(&[root, "plain", "-o", Box::leak(dest.into_boxed_str())])
}

fn entries() -> Vec<String> {
    vec![
        r#""": {"name": "app", "version": "1.0.0", "dependencies": {"@scope/builds": "1", "native": "2", "fails": "1"}}"#
            .to_owned(),
        BUILDS.entry(r#""hasInstallScript": true, "bin": {"builds": "cli.js"}, "dependencies": {"helper": "1"}"#),
        FAILS.entry(r#""hasInstallScript": true"#),
        HELPER.entry(r#""bin": {"helper": "helper.js"}"#),
        NATIVE.entry(r#""hasInstallScript": true, "dependencies": {"node-gyp": "1"}"#),
        GYP.entry(r#""bin": {"node-gyp": "gyp.js"}"#),
    ]
}

#[test]
fn scripts_run_for_packages_that_are_named_and_the_others_are_told_of() {
    let web = registry(&ALL);
    let Some(work) = workspace(&web.url("/"), "FROM image\nDEPS node package-lock.json\n") else { return };
    work.file("package-lock.json", lock(&entries()));
    let none = exported(&work, "none").succeeds();
    let notice = "install scripts are not run: @scope/builds 1.0.0, fails 1.0.0, native 2.0.0;";
    assert_eq!(none.stderr.matches(notice).count(), 1, "{}", none.stderr);
    assert!(!work.path("none/app/node_modules/@scope/builds/log").exists());

    let dockerfile = work
        .read("context/Dockerfile")
        .replace("node package", "node --allow-scripts=@scope/builds,native@2.0.0 package");
    work.file("Dockerfile", &dockerfile);
    let some = exported(&work, "some").succeeds();
    assert!(some.stderr.contains("install scripts are not run: fails 1.0.0; "), "{}", some.stderr);
    assert_eq!(work.read("some/app/node_modules/@scope/builds/log"), "pre\nhelper install\nsh 0\n");
    assert_eq!(work.read("some/app/node_modules/native/built"), "rebuild");
    // Each is a step, and what it changed is its layer: nothing else is there, and nothing of its own `/tmp`.
    let before = tree_report(&work.path("none"));
    let mut new: Vec<String> =
        tree_report(&work.path("some")).into_iter().filter(|line| !before.contains(line)).collect();
    new.iter_mut().for_each(|line| *line = line.split(' ').nth(3).unwrap().to_owned());
    let in_modules = |name: &str| format!("/app/node_modules/{name}");
    assert_eq!(new, ["@scope/builds/log", "@scope/builds/probe.txt", "native/built"].map(in_modules));

    let again = work.build(&["-t", "app"]).succeeds();
    for name in ["@scope/builds 1.0.0: install scripts", "native 2.0.0: install scripts"] {
        assert_eq!(again.outcomes(name), [&Outcome::Cached(Hit::Definition)], "{name}");
    }
    // The same again comes out the same.
    let anew = work.build(&["-t", "app", "--no-cache"]).succeeds();
    assert_eq!(anew.outcomes("@scope/builds 1.0.0: install scripts"), [&Outcome::Ran]);
    assert_eq!(anew.digest(), again.digest());

    work.file("Dockerfile", dockerfile.replace("native@2.0.0", "native@2.0.1"));
    let other = exported(&work, "other").succeeds();
    assert!(other.stderr.contains("install scripts are not run: fails 1.0.0, native 2.0.0;"), "{}", other.stderr);
    assert!(!work.path("other/app/node_modules/native/built").exists());
}

#[test]
fn a_script_sees_what_npm_shows_it() {
    let web = registry(&ALL);
    let dockerfile = "FROM image\nDEPS node --allow-scripts=@scope/builds package-lock.json\n";
    let (Some(work), Some(mut npm)) = (workspace(&web.url("/"), dockerfile), peer("npm")) else { return };
    let only = |entry: &&String| {
        ["\"\"", "builds", "helper"].iter().any(|name| entry.split(':').next().unwrap().contains(name))
    };
    let entries: Vec<String> =
        entries().iter().filter(only).map(|entry| entry.replace(r#", "native": "2", "fails": "1""#, "")).collect();
    // npm would ask the registry for more than tarballs if the lock did not say where those are.
    let placed = |entry: String| {
        let package = [&BUILDS, &HELPER].into_iter().find(|package| entry.contains(&package.integrity()));
        package.map_or(entry.clone(), |package| {
            entry.replace(r#""integrity""#, &format!(r#""resolved": "{}", "integrity""#, web.url(&package.path())))
        })
    };
    work.file("package-lock.json", lock(&entries.into_iter().map(placed).collect::<Vec<_>>()));
    work.file("package.json", r#"{"name": "app", "version": "1.0.0", "dependencies": {"@scope/builds": "1"}}"#);
    exported(&work, "ours").succeeds();
    let folder = work.path("npm");
    fs::create_dir(&folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(work.path("context").join(file), folder.join(file)).unwrap();
    }
    let output = npm
        .args(["ci", "--no-audit", "--no-fund", "--foreground-scripts"])
        .current_dir(&folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", work.path("home"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = |folder: &str| -> Vec<String> {
        let told = work.read(&format!("{folder}/node_modules/@scope/builds/probe.txt"));
        // npm itself says these or not, depending on which of its commands runs the script; and of the tarball, what its
        // lock says.
        let differs = |line: &&str| {
            ["config_", "engines_", "resolved=", "integrity=", "dev=", "optional=", "dev_optional=", "peer="]
                .iter()
                .any(|name| line.strip_prefix("npm_package_").is_some_and(|rest| rest.starts_with(name)))
        };
        told.lines().filter(|line| !differs(line)).map(str::to_owned).collect()
    };
    assert_eq!(told("ours/app"), told("npm"));
    assert_eq!(work.read("ours/app/node_modules/@scope/builds/log"), work.read("npm/node_modules/@scope/builds/log"));
}

#[test]
fn the_project_is_asked_only_where_that_is_said() {
    let web = registry(&ALL);
    let Some(work) = workspace(&web.url("/"), "FROM image\nDEPS node pnpm-lock.yaml\n") else { return };
    let package = |package: &Package, more: &str| {
        format!(
            "  '{}@{}': {{resolution: {{integrity: {}}}{more}}}\n",
            package.name,
            package.version,
            package.integrity()
        )
    };
    work.file(
        "pnpm-lock.yaml",
        format!(
            "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      '@scope/builds': {{specifier: '1', version: 1.0.0}}\n\
             \x20     fails: {{specifier: '1', version: 1.0.0}}\npackages:\n{}{}{}snapshots:\n  '@scope/builds@1.0.0': {{dependencies: {{helper: 1.0.0}}}}\n\
             \x20 helper@1.0.0: {{}}\n  fails@1.0.0: {{}}\n",
            package(&BUILDS, ", hasBin: true"),
            package(&HELPER, ", hasBin: true"),
            package(&FAILS, ""),
        ),
    );
    work.file("package.json", r#"{"name": "app", "pnpm": {"onlyBuiltDependencies": ["@scope/builds"]}}"#);
    // Its lock does not say which packages have scripts: they are told of when they are unpacked.
    let none = exported(&work, "none").succeeds();
    assert_eq!(
        none.stderr.matches("install scripts are not run: @scope/builds 1.0.0, fails 1.0.0; ").count(),
        1,
        "{}",
        none.stderr
    );

    work.file("Dockerfile", work.read("context/Dockerfile").replace("node pnpm", "node --allow-scripts=@project pnpm"));
    exported(&work, "some").succeeds();
    // pnpm gives a package programs of what it needs, wherever those lie.
    let log = "some/app/node_modules/.pnpm/@scope+builds@1.0.0/node_modules/@scope/builds/log";
    assert_eq!(work.read(log), "pre\nhelper install\nsh 0\n");
}

#[test]
fn what_cannot_run_is_told_with_what_to_do() {
    let web = registry(&ALL);
    let Some(work) = workspace(&web.url("/"), "") else { return };
    work.file("package-lock.json", lock(&entries()));
    let head = work.read("context/Dockerfile");
    for (stage, flag, words) in [
        (
            "scratch",
            "fails",
            &["there is no node in the image", "`DEPS apt nodejs`", "DEPS node --allow-scripts=fails"][..],
        ),
        ("image", "fails", &["no such luck", "fails 1.0.0: its postinstall script failed: exit code 7"]),
        ("image", "absent", &["--allow-scripts: the lock has no absent"]),
        ("image", "*", &["\"*\" is no name of a package"]),
        ("image", "@project", &["this project has none: name the packages instead"]),
    ] {
        work.file("Dockerfile", format!("{head}FROM {stage}\nDEPS node --allow-scripts={flag} package-lock.json\n"));
        let run = work.build(&["--progress", "plain"]).exits_with(1);
        for words in words {
            assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
        }
    }
}

#[test]
fn a_popular_package_is_built_as_npm_builds_it() {
    let dockerfile = "FROM image\nDEPS node --allow-scripts=esbuild package-lock.json\n";
    let Some(work) = workspace("", dockerfile) else { return };
    fs::remove_file(work.path("home/.npmrc")).unwrap();
    project(&work, "testdata/node/scripts");
    let folder = work.path("npm");
    fs::create_dir(&folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(work.path("context").join(file), folder.join(file)).unwrap();
    }
    let Some(modules) = by_npm(&folder) else { return };
    exported(&work, "out").succeeds();
    let report = |folder: &Path| -> Vec<String> {
        tree_report(folder).into_iter().filter(|line| !line.contains(" /.package-lock.json ")).collect()
    };
    assert_eq!(report(&work.path("out/app/node_modules")), report(&modules));
    // What came as a script is now the program itself.
    let program = fs::read(work.path("out/app/node_modules/esbuild/bin/esbuild")).unwrap();
    assert_eq!(&program[..4], b"\x7fELF");
}

/// `npm ci` with the user's own configuration; nothing if npm gets no packages.
fn by_npm(folder: &Path) -> Option<PathBuf> {
    let output = Command::new(peer("npm")?.get_program())
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .output()
        .unwrap();
    if !output.status.success() {
        skip(&format!("npm cannot install packages here: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    Some(folder.join("node_modules"))
}
