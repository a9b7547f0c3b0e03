//! The Dockerfile and its `.dockerignore`.

use super::ContextError;
use flashbuild_frontend::{diagnostic::nearest, ignore::IgnoreRules};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

/// More than any real Dockerfile holds, in bytes.
const LONGEST: u64 = 16 << 20;

/// In a folder of more files than this, names are not compared with all of them.
const MANY: usize = 10_000;

/// A Dockerfile, and where it was.
pub(super) struct Found {
    /// For messages.
    pub(super) name: String,
    pub(super) text: String,
    /// The file, if it is one of the person who builds.
    pub(super) path: Option<PathBuf>,
}

/// Reads the Dockerfile of a folder of the person who builds: `file`, as they typed it, or the usual one in `folder`.
pub(super) fn of_folder(folder: &Path, file: Option<&str>) -> Result<Found, ContextError> {
    let usual = || {
        let names = ["Dockerfile", "dockerfile"];
        names.map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
    };
    let none =
        || ContextError::NoDockerfile { place: folder.display().to_string(), similar: similar(folder, "Dockerfile") };
    let path = match file {
        Some(file) => PathBuf::from(file),
        None => usual().ok_or_else(none)?,
    };
    let shown = path.display().to_string();
    let open = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let named = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Err(ContextError::NoFile { path: shown, similar: similar(beside, &named) });
        }
        opened => opened.map_err(ContextError::unreadable(&shown))?,
    };
    let text = read(open, &shown)?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok(Found { name, text, path: Some(path) })
}

/// Reads the Dockerfile of a context that came from elsewhere: `file` or the usual one, below `folder` and nowhere else.
pub(super) fn of_checkout(folder: &Path, place: &str, file: Option<&str>) -> Result<Found, ContextError> {
    let names = file.map_or_else(|| vec!["Dockerfile", "dockerfile"], |file| vec![file]);
    for name in names {
        let opened = open_inside(folder, name);
        if let Ok(opened) = opened {
            return Ok(Found { name: name.to_owned(), text: read(opened, name)?, path: None });
        }
        if let (Some(_), Err(error)) = (file, opened) {
            return Err(ContextError::Unreadable { what: format!("{name} of {place}"), problem: error.to_string() });
        }
    }
    Err(ContextError::NoDockerfile { place: place.to_owned(), similar: similar(folder, "Dockerfile") })
}

/// The file in `folder` that was probably meant by `name`: one whose name differs by little, or by its case alone, or goes on
/// behind it, as `Dockerfile.dev` does.
fn similar(folder: &Path, name: &str) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().is_file());
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok()).take(MANY);
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".dockerignore")).collect();
    names.sort();
    let goes_on = |other: &&str| other.to_lowercase().strip_prefix(&name.to_lowercase()).is_some();
    let all = || names.iter().map(String::as_str);
    nearest(name, all()).or_else(|| all().find(goes_on)).map(str::to_owned)
}

/// Opens a regular file; links are followed inside of `folder`.
fn open_inside(folder: &Path, name: &str) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags, ResolveFlags};
    let root = File::open(folder)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened =
        rustix::fs::openat2(&root, name, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?;
    let file = File::from(opened);
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    Ok(file)
}

/// Reads all of a Dockerfile.
pub(super) fn read(from: impl std::io::Read, what: &str) -> Result<String, ContextError> {
    let mut bytes = Vec::new();
    from.take(LONGEST + 1).read_to_end(&mut bytes).map_err(ContextError::unreadable(what))?;
    text(bytes, what)
}

/// Takes bytes for a Dockerfile.
fn text(bytes: Vec<u8>, what: &str) -> Result<String, ContextError> {
    let wrong = |problem: String| ContextError::Unreadable { what: what.to_owned(), problem };
    if bytes.len() as u64 > LONGEST {
        return Err(wrong(format!("it has more than {LONGEST} bytes, so it is no Dockerfile")));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text, so it is no Dockerfile".to_owned()))
}

/// The patterns of files that the build does not see: of `DOCKERFILE.dockerignore`, else of `.dockerignore` in the folder.
pub(super) fn ignored(folder: &Path, dockerfile: Option<&Path>) -> Result<Vec<String>, ContextError> {
    let beside = dockerfile.map(|path| {
        let mut beside = path.to_owned().into_os_string();
        beside.push(".dockerignore");
        PathBuf::from(beside)
    });
    let candidates = beside.into_iter().chain([folder.join(".dockerignore")]);
    let Some(path) = candidates.into_iter().find(|path| path.is_file()) else { return Ok(Vec::new()) };
    let shown = path.display().to_string();
    let text = fs::read_to_string(&path).map_err(ContextError::unreadable(&shown))?;
    IgnoreRules::parse(&text).map_err(|error| ContextError::Unreadable { what: shown, problem: error.to_string() })
}
