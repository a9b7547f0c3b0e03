//! Python.

use super::{
    InitError, Project, Proposal,
    ignored::{self, dockerignore},
};

use serde::Deserialize;
use std::collections::BTreeMap;

/// The minor version of Python 3 if the project allows it.
const MINOR: u32 = 13;
/// Locks that can be unpacked, the best first.
const LOCKS: [&str; 5] = ["uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "requirements.txt"];
/// What is left out of the context.
const IGNORED: [&str; 8] =
    [".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".venv", "**/__pycache__", "**/*.pyc", "venv"];
/// Where the application may be.
const MODULES: [(&str, &str); 6] = [
    ("main.py", "main"),
    ("app.py", "app"),
    ("app/main.py", "app.main"),
    ("src/main.py", "src.main"),
    ("server.py", "server"),
    ("wsgi.py", "wsgi"),
];

pub(super) fn propose(project: &Project) -> Option<Result<Proposal, InitError>> {
    let known = ["pyproject.toml", "requirements.txt", "Pipfile.lock", "pylock.toml"];
    (project.first(&known).is_some() || project.has("Pipfile")).then(|| propose_for(project))
}

fn propose_for(project: &Project) -> Result<Proposal, InitError> {
    let (manifest, writer) =
        if project.has("Pipfile") { ("Pipfile", "pipenv lock") } else { ("pyproject.toml", "uv lock") };
    let lock = project.first(&LOCKS).ok_or(InitError::NoLock { manifest, command: writer, note: "" })?;
    let mut reasons = vec![format!(
        "DEPS unpacks the wheels of {lock}, a layer each, without an installer and without emulation: the same layers for \
         every project, and only what changed is built, pushed and pulled again"
    )];
    if lock == "requirements.txt" && !project.text(lock).is_some_and(|text| text.contains("--hash=")) {
        reasons.push(
            "requirements.txt has no hashes: `uv pip compile --generate-hashes` or `uv lock` would pin what is installed".to_owned(),
        );
    }
    let minor = minor(project, &mut reasons);
    let Start { command, path } = start(project, lock, &mut reasons);
    let dockerfile = format!(
        "FROM python:3.{minor}-slim\nENV PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH{path}\nWORKDIR /app\n\
         DEPS python --prefix=/opt/venv {lock}\nCOPY . .\nUSER 10001\nCMD {command}\n"
    );
    reasons.push("code is copied last, so that a change of it is the last and smallest layer".to_owned());
    reasons.push("USER 10001: the service is not root, and needs no entry in /etc/passwd".to_owned());
    reasons.push(ignored::REASON.to_owned());
    Ok(Proposal { dockerfile, dockerignore: dockerignore(&IGNORED), reasons })
}

/// The minor version of Python 3.
fn minor(project: &Project, reasons: &mut Vec<String>) -> u32 {
    let exact = project.text(".python-version").and_then(|text| minor_of(text.trim()));
    if let Some(minor) = exact {
        reasons.push(format!("python:3.{minor}-slim: .python-version asks for it"));
        return minor;
    }
    let required = project.text("pyproject.toml").and_then(|text| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with("requires-python"))?;
        Some(line.split_once('=')?.1.trim().trim_matches(['"', '\'']))
    });
    let Some(required) = required else {
        reasons.push(format!("python:3.{MINOR}-slim: the project does not say which version it needs"));
        return MINOR;
    };
    let minor = allowed(required);
    reasons.push(format!("python:3.{minor}-slim: requires-python is {required}"));
    minor
}

/// The newest minor version that a specifier allows, but none that is newer than usual.
fn allowed(specifier: &str) -> u32 {
    let mut newest = MINOR;
    let mut oldest = 0;
    for clause in specifier.split(',').map(str::trim) {
        let operator: String = clause.chars().take_while(|character| !character.is_ascii_digit()).collect();
        let Some(minor) = minor_of(&clause[operator.len()..]) else { continue };
        match operator.trim() {
            "<" => newest = newest.min(minor.saturating_sub(1)),
            "<=" => newest = newest.min(minor),
            "==" | "===" => (oldest, newest) = (minor, minor),
            "~=" if clause.matches('.').count() > 1 => (oldest, newest) = (minor, minor),
            ">=" | "~=" | ">" => oldest = oldest.max(minor),
            _ => {}
        }
    }
    newest.max(oldest)
}

/// `12` in `3.12`, `3.12.4`, `cpython-3.12`.
fn minor_of(version: &str) -> Option<u32> {
    let version = version.trim_start_matches(|character: char| !character.is_ascii_digit());
    version.strip_prefix("3.")?.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// How the application is started.
struct Start {
    /// The value of CMD.
    command: String,
    /// One more variable, so that its modules are found.
    path: &'static str,
}

impl Start {
    fn of(command: String) -> Self {
        Self { command, path: "" }
    }
}

fn start(project: &Project, lock: &str, reasons: &mut Vec<String>) -> Start {
    let locked = |package: &str| {
        let text = project.text(lock).unwrap_or_default().to_lowercase();
        let marks = ["=", "<", ">", "[", "\"", " ", "\n", "~"];
        marks
            .iter()
            .any(|mark| text.contains(&format!("\n{package}{mark}")) || text.contains(&format!("\"{package}{mark}")))
            || text.starts_with(package)
    };
    let with = |text: &str| MODULES.iter().find(|(file, _)| project.text(file).is_some_and(|code| code.contains(text)));
    if let Some((file, module)) = with("FastAPI(").or_else(|| with("Starlette(")) {
        if locked("uvicorn") {
            reasons.push(format!("CMD serves the application in {file} with uvicorn, which the lock has"));
            let command = format!("[\"uvicorn\", \"{module}:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]");
            return Start::of(command);
        }
        reasons.push(format!("{file} is an ASGI application, but the lock has no server for it: add uvicorn"));
    }
    if let Some((file, module)) = with("Flask(") {
        if locked("gunicorn") {
            reasons.push(format!("CMD serves the application in {file} with gunicorn, which the lock has"));
            return Start::of(format!("[\"gunicorn\", \"--bind\", \"0.0.0.0:8000\", \"{module}:app\"]"));
        }
        reasons.push(format!("{file} is a WSGI application, but the lock has no server for it: add gunicorn"));
    }
    if project.has("manage.py") {
        reasons.push("CMD is Django's own server: put gunicorn and the project's wsgi module in its place".to_owned());
        return Start::of("[\"python\", \"manage.py\", \"runserver\", \"0.0.0.0:8000\"]".to_owned());
    }
    if let Some(start) = script(project, reasons) {
        return start;
    }
    let found = MODULES.iter().find(|(file, _)| project.text(file).is_some());
    let file = match found {
        Some((file, _)) => {
            reasons.push(format!("CMD starts {file}"));
            file
        }
        None => {
            reasons.push(
                "CMD starts main.py, which is not there: put what starts your application in its place".to_owned(),
            );
            "main.py"
        }
    };
    Start::of(format!("[\"python\", \"{file}\"]"))
}

/// The parts of a `pyproject.toml` that say what starts the application.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    project: Table,
}

/// `[project]` (packaging specification "pyproject.toml").
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Table {
    name: String,
    scripts: BTreeMap<String, String>,
}

/// The script that has the project's name, or else the first, called as its wrapper would call it (packaging specification
/// "entry points"): the project itself is not installed.
fn script(project: &Project, reasons: &mut Vec<String>) -> Option<Start> {
    let Manifest { project: table } = toml::from_str(project.text("pyproject.toml")?).ok()?;
    let (name, target) = table.scripts.get_key_value(&table.name).or_else(|| table.scripts.first_key_value())?;
    let (module, function) = target.split('[').next()?.trim().split_once(':')?;
    let (module, function) = (module.trim(), function.trim());
    let are_names = |text: &str| text.split('.').all(is_name);
    if !are_names(module) || !are_names(function) {
        return None;
    }
    let package = module.split('.').next()?;
    let is_in =
        |folder: &str| project.has(&format!("{folder}{package}")) || project.has(&format!("{folder}{package}.py"));
    let path = if is_in("src/") {
        reasons.push("PYTHONPATH: the modules are in src".to_owned());
        " PYTHONPATH=/app/src"
    } else if is_in("") {
        ""
    } else {
        return None;
    };
    reasons.push(format!("CMD calls {target}, as the script {name} of pyproject.toml does"));
    let imported = function.split('.').next()?;
    let command = format!("[\"python\", \"-c\", \"from {module} import {imported}; raise SystemExit({function}())\"]");
    Some(Start { command, path })
}

/// Whether something can be the name of a module or a function; those of other alphabets are left to people.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}
