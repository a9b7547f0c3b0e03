//! Node.js and Bun.

use super::{
    InitError, Project, Proposal,
    ignored::{self, dockerignore},
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The version of Node.js if the project does not say: one with long-term support.
const NODE: &str = "22";
/// Locks that can be unpacked, the best first.
const LOCKS: [&str; 4] = ["npm-shrinkwrap.json", "package-lock.json", "bun.lock", "pnpm-lock.yaml"];
/// What is left out of the context.
const IGNORED: [&str; 6] = ["coverage", "dist", ".next", "node_modules", "*.log", ".npmrc"];

/// The parts of a `package.json` that matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    main: Option<String>,
    scripts: BTreeMap<String, String>,
    engines: BTreeMap<String, String>,
    dependencies: BTreeMap<String, String>,
}

pub(super) fn propose(project: &Project) -> Option<Result<Proposal, InitError>> {
    let text = project.text("package.json")?;
    Some(propose_for(project, text))
}

fn propose_for(project: &Project, text: &str) -> Result<Proposal, InitError> {
    let manifest: Manifest = serde_json::from_str(text)
        .map_err(|error| InitError::Manifest { file: "package.json", problem: error.to_string() })?;
    let no_lock = || InitError::NoLock {
        manifest: "package.json",
        command: "npm install --package-lock-only",
        note: if project.has("yarn.lock") { ", which takes the versions from your yarn.lock" } else { "" },
    };
    let lock = project.first(&LOCKS).ok_or_else(no_lock)?;
    let bun = lock == "bun.lock";
    let mut reasons = vec![format!(
        "DEPS unpacks the packages of {lock}, a layer each, without an installer: the same layers for every platform and \
         project, and only what changed is built, pushed and pulled again"
    )];
    let base = base(project, &manifest, bun, &mut reasons);
    let build = manifest.scripts.contains_key("build").then(|| output_folder(project, &manifest));
    let runtime = if bun { "bun" } else { "node" };
    let start = start(project, &manifest, runtime, build.as_deref(), &mut reasons);
    let mut parts = Vec::new();
    if let Some(folder) = &build {
        reasons.push(format!(
            "the script `build` runs in a stage of its own on the machine that builds, with the development packages; only \
             {folder} goes into the image (change the COPY if it writes elsewhere)"
        ));
        let run = if bun { "bun" } else { "npm" };
        parts.push(format!(
            "FROM --platform=$BUILDPLATFORM {base} AS build\nWORKDIR /app\nDEPS node --prefix=/app {lock}\nCOPY . .\n\
             RUN {run} run build\n\n"
        ));
    }
    parts.push(format!(
        "FROM {base}\nENV NODE_ENV=production\nWORKDIR /app\nDEPS node --prefix=/app --omit=dev {lock}\n"
    ));
    match &build {
        Some(folder) => parts.push(format!("COPY package.json ./\nCOPY --from=build /app/{folder} ./{folder}\n")),
        None => parts.push("COPY . .\n".to_owned()),
    }
    reasons.push("code is copied last, so that a change of it is the last and smallest layer".to_owned());
    reasons.push(format!("USER {runtime}: the service is not root; the base image has this user"));
    if project.text(lock).is_some_and(|text| text.contains("\"hasInstallScript\": true")) {
        reasons.push(
            "some packages have install scripts, which DEPS does not run; most do without, as they bring their binaries along"
                .to_owned(),
        );
    }
    parts.push(format!("USER {runtime}\nCMD {start}\n"));
    reasons.push(ignored::REASON.to_owned());
    Ok(Proposal { dockerfile: parts.concat(), dockerignore: dockerignore(&IGNORED), reasons })
}

fn base(project: &Project, manifest: &Manifest, bun: bool, reasons: &mut Vec<String>) -> String {
    if bun {
        reasons.push("the base image is that of Bun, because the lock is".to_owned());
        return "oven/bun:1-slim".to_owned();
    }
    let files = [".nvmrc", ".node-version"].into_iter().filter_map(|file| Some((file, project.text(file)?)));
    let engines = manifest.engines.get("node").map(|wanted| ("engines in package.json", wanted.as_str()));
    for (place, text) in files.chain(engines) {
        if let Some(major) = major(text) {
            reasons.push(format!("node:{major}-slim: {place} asks for {}", text.trim()));
            return format!("node:{major}-slim");
        }
    }
    reasons.push(format!("node:{NODE}-slim has long-term support; the project does not say which version it needs"));
    format!("node:{NODE}-slim")
}

/// The first number of a version or a range; an older one than that of today's images is only taken if it is exact.
fn major(text: &str) -> Option<String> {
    let text = text.trim();
    let digits: String =
        text.chars().skip_while(|character| !character.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number: u32 = digits.parse().ok()?;
    let open = text.starts_with('>');
    let newest: u32 = NODE.parse().ok()?;
    Some(if open { number.max(newest) } else { number }.to_string())
}

/// Where the script `build` writes to, as far as that can be told.
fn output_folder(project: &Project, manifest: &Manifest) -> String {
    if manifest.dependencies.contains_key("next") {
        return ".next".to_owned();
    }
    let out_dir = project.text("tsconfig.json").and_then(|text| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with("\"outDir\""))?;
        let value = line.split('"').nth(3)?.trim_start_matches("./").trim_end_matches('/');
        (!value.is_empty() && !value.contains("..")).then(|| value.to_owned())
    });
    out_dir.unwrap_or_else(|| "dist".to_owned())
}

fn start(
    project: &Project,
    manifest: &Manifest,
    runtime: &str,
    build: Option<&str>,
    reasons: &mut Vec<String>,
) -> String {
    if let Some(script) = manifest.scripts.get("start") {
        let words: Vec<&str> = script.split_whitespace().collect();
        let plain = words.iter().all(|word| !word.contains(['&', '|', ';', '$', '\'', '"', '>', '<', '=']));
        if plain && words.first().is_some_and(|first| *first == runtime) {
            reasons
                .push(format!("CMD is the script `start`, without npm around it: {runtime} gets the signals itself"));
            return json(&words);
        }
        reasons.push("CMD is the script `start`; where it is more than one program, a shell runs it".to_owned());
        return json(&[if runtime == "bun" { "bun" } else { "npm" }, "start"]);
    }
    let named = manifest.main.as_deref();
    let guesses = ["server.js", "index.js", "app.js", "server.mjs", "index.mjs", "index.ts", "server.ts"];
    let found = named.or_else(|| guesses.into_iter().find(|name| project.has(name)));
    let file = found.map_or_else(
        || format!("{}index.js", build.map_or(String::new(), |folder| format!("{folder}/"))),
        ToOwned::to_owned,
    );
    reasons.push(format!("CMD starts {file}; a script `start` in package.json would say it better"));
    json(&[runtime, &file])
}

fn json(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(", "))
}
