//! What a `DEPS node` comes to for one platform: lock, wishes and configuration into layers.

use super::{
    address, bun_lock, hidden_lock,
    layers::{Unpacked, layers},
    lock::{Lock, LockError, Package, Source},
    npmrc::Registries,
    package_lock, pnpm_lock,
    scripts::{self, Allowed, Project},
    select::{Omit, Unsupported, select},
    target::Target,
};
use crate::{
    layer::View,
    packages::{Address, Below, PackageError, Packages, Planned, libc::Libc},
};
use flashbuild_frontend::package::{ArtifactHash, DepsPlan, DepsRequest, PackageContent, PackageFile};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use url::Url;

/// Where packages go if nobody says.
const PREFIX: &str = "/app";
/// How long npm may take to say which registry it uses.
const PATIENCE: Duration = Duration::from_secs(10);

/// Formats of locks, by the names of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Npm,
    Bun,
    Pnpm,
}

/// What was asked for, understood.
struct Wishes {
    prefix: String,
    omit: Omit,
    target: Target,
}

/// Whether files of this name are locks that are read.
pub(in crate::packages) fn is_lock(name: &str) -> bool {
    Format::of(name).is_ok()
}

/// How much of the image below `request` has to be known: most locks have no package that is for one C library alone.
pub(in crate::packages) fn needs_below(packages: &Packages, request: &DepsRequest) -> Below {
    let says_libc = |file: &String| packages.files.read(file).is_ok_and(|text| text.contains("libc"));
    if request.flag("libc").is_none() && request.arguments.iter().any(says_libc) {
        Below::LowestLayer
    } else {
        Below::Nothing
    }
}

/// Which tarballs a lock means, and where they go.
pub(in crate::packages) async fn plan(
    packages: &Packages,
    request: &DepsRequest,
    below: &View,
) -> Result<Planned, PackageError> {
    let [file] = request.arguments.as_slice() else {
        let problem = "takes one lock file".to_owned();
        return Err(PackageError::Lock { file: "DEPS node".to_owned(), problem });
    };
    let wishes = Wishes::of(request, below)?;
    let format = Format::of(file)?;
    let text = packages.files.read(file)?;
    let lock = format.read(&text).map_err(|error| in_lock(file, &error))?;
    let kept =
        select(&lock, &wishes.target, wishes.omit).map_err(|error| unavailable(&lock, &error, &wishes.target))?;
    let unpacked = tarballs(&lock, &kept).map_err(|problem| PackageError::Lock { file: file.clone(), problem })?;
    let registries = registries(packages, file, lock_needs_registry(&lock, &unpacked)).await?;
    let addresses = addresses(packages, file, &lock, &unpacked, &registries)?;
    let files = match format {
        Format::Npm => note_of_npm(&text, &lock, &kept, &wishes.prefix),
        Format::Bun | Format::Pnpm => Vec::new(),
    };
    let layers = layers(&lock, &kept, &unpacked, &wishes.prefix, files, request.room);
    let allowed = allowed(packages, request, file, format, &lock)?;
    let downloaded = unpacked.iter().map(|it| &lock.packages[it.index]);
    let with_scripts = downloaded.filter(|package| package.has_install_script != Some(false));
    let (run, left): (Vec<&Package>, Vec<&Package>) = with_scripts.partition(|package| allowed.has(package));
    let path = request.variable("PATH");
    let artifact = |package: &Package| {
        let found = unpacked.iter().find(|it| lock.packages[it.index].path == package.path);
        found.map(|it| (it.artifact.clone(), named(package)))
    };
    let unsaid = left.iter().filter(|package| package.has_install_script.is_none());
    let unsure = unsaid.filter_map(|package| artifact(package)).collect();
    let steps = run.into_iter().map(|package| scripts::step(package, &wishes.prefix, path)).collect();
    Ok(Planned { plan: DepsPlan { layers, steps, ..DepsPlan::default() }, addresses, notes: notes(&left), unsure })
}

/// Whose install scripts may run.
fn allowed(
    packages: &Packages,
    request: &DepsRequest,
    file: &str,
    format: Format,
    lock: &Lock,
) -> Result<Allowed, PackageError> {
    let mut allowed = Allowed::of(request)?;
    allowed.check(lock)?;
    if allowed.asks_project() {
        let beside = |name: &str| match format {
            Format::Npm | Format::Bun => None,
            Format::Pnpm => packages.files.read(&format!("{}{name}", folder_of(file))).ok(),
        };
        let (manifest, workspace) = (beside("package.json"), beside("pnpm-workspace.yaml"));
        allowed.add_project(lock, Project { manifest: manifest.as_deref(), workspace: workspace.as_deref() })?;
    }
    Ok(allowed)
}

/// The folder that a file is in, with the slash behind it.
fn folder_of(file: &str) -> String {
    file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"))
}

impl Format {
    fn of(file: &str) -> Result<Self, PackageError> {
        let unknown = |problem: &str| PackageError::Lock { file: file.to_owned(), problem: problem.to_owned() };
        match file.rsplit('/').next().unwrap_or(file) {
            "package-lock.json" | "npm-shrinkwrap.json" => Ok(Self::Npm),
            "bun.lock" => Ok(Self::Bun),
            "pnpm-lock.yaml" => Ok(Self::Pnpm),
            "bun.lockb" => Err(unknown("a binary lock: write it as text with `bun install --save-text-lockfile`")),
            "yarn.lock" => {
                Err(unknown("it does not say which folders packages go to: write a package-lock.json with npm"))
            }
            _ => Err(unknown("expected package-lock.json, npm-shrinkwrap.json, bun.lock or pnpm-lock.yaml")),
        }
    }

    fn read(self, text: &str) -> Result<Lock, LockError> {
        match self {
            Self::Npm => package_lock::read(text),
            Self::Bun => bun_lock::read(text),
            Self::Pnpm => pnpm_lock::read(text),
        }
    }
}

impl Wishes {
    fn of(request: &DepsRequest, below: &View) -> Result<Self, PackageError> {
        let prefix = request.flag("prefix").unwrap_or(PREFIX).trim_end_matches('/');
        if !prefix.starts_with('/') && !prefix.is_empty() || prefix.split('/').any(|name| matches!(name, "." | "..")) {
            return Err(PackageError::Flag { flag: "prefix", problem: "it takes an absolute path".to_owned() });
        }
        let libc = match request.flag("libc") {
            Some("glibc") => Libc::GLIBC,
            Some("musl") => Libc::MUSL,
            Some(_) => return Err(PackageError::Flag { flag: "libc", problem: "it is `glibc` or `musl`".to_owned() }),
            None => Libc::of_files(below).unwrap_or(Libc::GLIBC),
        };
        // As npm does; what is included is not omitted.
        let mut omitted: BTreeSet<&str> = request.flags("omit").flat_map(|value| value.split(',')).collect();
        if request.variable("NODE_ENV") == Some("production") {
            omitted.insert("dev");
        }
        for included in request.flags("include").flat_map(|value| value.split(',')) {
            omitted.remove(included);
        }
        let mut omit = Omit::default();
        for role in omitted {
            match role {
                "dev" => omit.dev = true,
                "optional" => omit.optional = true,
                "peer" => omit.peer = true,
                _ => {
                    let problem = format!("`{role}` is none of `dev`, `optional` and `peer`");
                    return Err(PackageError::Flag { flag: "omit", problem });
                }
            }
        }
        Ok(Self { prefix: prefix.to_owned(), omit, target: Target::new(&request.platform, libc) })
    }
}

/// Those of the kept packages that are downloaded. What cannot be is named, all at once.
fn tarballs(lock: &Lock, kept: &[usize]) -> Result<Vec<Unpacked>, String> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for &index in kept {
        let package = &lock.packages[index];
        match &package.source {
            Source::Tarball { integrity: Some(integrity), .. } => match integrity.artifact() {
                Some(artifact) => found.push(Unpacked { index, artifact }),
                None => problems.push(format!("{} has only a {} hash", named(package), integrity.algorithm.name())),
            },
            Source::Tarball { integrity: None, .. } => problems.push(format!("{} has no hash", named(package))),
            Source::Elsewhere(place) => problems.push(format!("{} comes from {place}", named(package))),
            Source::Bundled | Source::Link { .. } | Source::Project => {}
        }
    }
    if problems.is_empty() {
        return Ok(found);
    }
    let hint = "only packages of a registry, with a sha256 or sha512 hash, can be unpacked: delete the lock and node_modules \
                and install anew (npm keeps a weak hash that is in a lock), or use RUN";
    Err(format!("{}; {hint}", problems.join("; ")))
}

fn lock_needs_registry(lock: &Lock, unpacked: &[Unpacked]) -> bool {
    let has_no_address = |it: &Unpacked| matches!(lock.packages[it.index].source, Source::Tarball { url: None, .. });
    unpacked.iter().any(has_no_address)
}

/// The registries of the person who builds and of the project, made known to the client.
async fn registries(packages: &Packages, file: &str, needed: bool) -> Result<Registries, PackageError> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let project = packages.files.read(&format!("{}.npmrc", folder_of(file))).ok();
    let user_files = Registries::user_files(&environment);
    let failed =
        |error: super::npmrc::NpmrcError| PackageError::Lock { file: ".npmrc".to_owned(), problem: error.to_string() };
    let mut found = Registries::load(&user_files, project.as_deref(), &environment).map_err(failed)?;
    if needed && !found.has_default() {
        found = found.or_default(registry_of_npm().await);
    }
    found.configure(&packages.client);
    Ok(found)
}

/// What npm uses if nobody configured anything: only npm itself knows.
async fn registry_of_npm() -> Option<Url> {
    let asked = tokio::process::Command::new("npm")
        .args(["config", "get", "registry"])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().parse().ok().filter(|url: &Url| matches!(url.scheme(), "http" | "https"))
}

fn addresses(
    packages: &Packages,
    file: &str,
    lock: &Lock,
    unpacked: &[Unpacked],
    registries: &Registries,
) -> Result<Vec<(ArtifactHash, Address)>, PackageError> {
    let mut found = Vec::new();
    for Unpacked { index, artifact } in unpacked {
        let package = &lock.packages[*index];
        let urls = address::addresses(package, registries);
        for url in urls.map_err(|error| PackageError::Lock { file: file.to_owned(), problem: error.to_string() })? {
            packages.client.check(&url)?;
            found.push((artifact.clone(), Address::Web(url)));
        }
    }
    Ok(found)
}

fn note_of_npm(text: &str, lock: &Lock, kept: &[usize], prefix: &str) -> Vec<PackageFile> {
    let mut installed: BTreeSet<&str> = kept.iter().map(|index| lock.packages[*index].path.as_str()).collect();
    let members = lock.packages.iter().filter(|package| package.source == Source::Project && !package.path.is_empty());
    installed.extend(members.map(|package| package.path.as_str()));
    let note = hidden_lock::write(text, &installed).map(|note| PackageFile {
        path: format!("{prefix}/{}", hidden_lock::PATH),
        mode: 0o644,
        content: PackageContent::Text(note),
    });
    note.into_iter().collect()
}

/// What a person should know: which packages want something to be run that is not. Locks that do not say so are made up
/// for when their packages are unpacked.
fn notes(left: &[&Package]) -> Vec<String> {
    let with_script = left.iter().filter(|package| package.has_install_script == Some(true));
    let names: Vec<String> = with_script.map(|package| named(package)).collect();
    scripts::not_run(&names).into_iter().collect()
}

fn named(package: &Package) -> String {
    if package.version.is_empty() { package.name.clone() } else { format!("{} {}", package.name, package.version) }
}

fn in_lock(file: &str, error: &LockError) -> PackageError {
    PackageError::Lock { file: file.to_owned(), problem: error.to_string() }
}

fn unavailable(lock: &Lock, error: &Unsupported, target: &Target) -> PackageError {
    let names: Vec<String> = error.0.iter().map(|index| named(&lock.packages[*index])).collect();
    PackageError::Unavailable(format!(
        "{} cannot run on {} {} ({}), and the project cannot do without: leave the platform out, or make it an optional \
         dependency",
        names.join(", "),
        target.os,
        target.cpu,
        target.libc.name(),
    ))
}
