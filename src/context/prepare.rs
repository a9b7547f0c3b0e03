//! From what was given to folders, a Dockerfile and the contexts that it may name.

use super::{
    ContextError, Given, Layouts, Main, NamedSource,
    dockerfile::{self, Found, ignored, of_checkout, of_folder},
};
use crate::{
    git::{self, Repository},
    http::{Download, Web},
    image::BlobDigest,
    layer::{Entry, EntryKind, Layers, is_archive},
    secrets::Secrets,
    solver::event::{Events, Hit},
    store::{StageDir, Store},
};
use flashbuild_frontend::{
    dockerfile::NamedContext,
    graph::LocalOp,
    remote::{GitAddress, shown},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// What contexts are made with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    /// Where folders lie that are made here.
    pub store: &'a Store,
    /// Unpacks archives.
    pub layers: &'a Layers,
    /// Downloads.
    pub web: &'a Web,
    /// What servers are shown.
    pub secrets: &'a Secrets,
    /// Who is told.
    pub events: &'a Events,
}

/// A build that can begin.
#[derive(Debug)]
pub struct Prepared {
    /// What the Dockerfile is called in messages.
    pub name: String,
    /// The Dockerfile.
    pub text: String,
    /// The folder that it is in; that of the context if it is in none.
    pub folder: PathBuf,
    /// Patterns of files of the context that the build does not see.
    pub ignore: Vec<String>,
    /// Folders with files, by the names that [`LocalOp`] has for them.
    pub folders: BTreeMap<String, Folder>,
    /// What a Dockerfile may name, for lowering.
    pub named: BTreeMap<String, NamedContext>,
    /// Images of OCI layouts among these.
    pub layouts: Layouts,
    /// What came from elsewhere, by the same names; the Dockerfile, if it came alone, as [`Prepared::DOCKERFILE`].
    pub fetched: BTreeMap<String, Fetched>,
    /// The time of the context, seconds since 1970: of a commit, of what was downloaded, or of the newest file in that.
    pub epoch: Option<i64>,
    /// Folders that are removed when nobody needs them any more.
    made: Vec<StageDir>,
}

/// What came from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it was, as it was typed.
    pub address: String,
    /// What it was.
    pub digest: FetchedDigest,
}

/// What something from elsewhere was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchedDigest {
    /// A commit, in hexadecimal digits.
    Commit(String),
    /// A file.
    File(BlobDigest),
}

/// A folder with files to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The time of its commit, if it is a checkout; else its files have times and modes of their own.
    pub commit_time: Option<i64>,
}

/// Where the Dockerfile of a context is looked for.
enum Place {
    /// In a folder of the person who builds.
    Own(PathBuf),
    /// In a folder of files that came from elsewhere; `what` they are for messages.
    Brought { folder: PathBuf, what: String },
    /// Nowhere: it is all that came.
    Alone(Found),
}

impl Given {
    /// Fetches what is elsewhere, and finds the Dockerfile.
    pub async fn prepare(&self, tools: Tools<'_>) -> Result<Prepared, ContextError> {
        let mut prepared = Prepared {
            name: String::new(),
            text: String::new(),
            folder: PathBuf::new(),
            ignore: Vec::new(),
            folders: BTreeMap::new(),
            named: BTreeMap::new(),
            layouts: Layouts::default(),
            fetched: BTreeMap::new(),
            epoch: None,
            made: Vec::new(),
        };
        let elsewhere = self.file_elsewhere(tools, &mut prepared).await?;
        let place = self.main(tools, &mut prepared).await?;
        let found = match (elsewhere, place) {
            (Some(found), _) | (None, Place::Alone(found)) => found,
            (None, Place::Own(folder)) => of_folder(&folder, self.file.as_deref())?,
            (None, Place::Brought { folder, what }) => of_checkout(&folder, &what, self.file.as_deref())?,
        };
        if let Main::Folder(path) = &self.main {
            prepared.ignore = ignored(path, found.path.as_deref())?;
        }
        let beside = found.path.as_deref().and_then(Path::parent).map(Path::to_owned);
        prepared.folder = beside.unwrap_or_else(|| prepared.folders[Prepared::MAIN].path.clone());
        (prepared.name, prepared.text) = (found.name, found.text);
        for named in &self.named {
            let context = self.named(tools, &mut prepared, &named.name, &named.source).await?;
            prepared.named.insert(named.name.clone(), context);
        }
        Ok(prepared)
    }

    /// The Dockerfile, if `--file` names none of the context.
    async fn file_elsewhere(&self, tools: Tools<'_>, prepared: &mut Prepared) -> Result<Option<Found>, ContextError> {
        let text = match self.file.as_deref() {
            Some("-") if self.main == Main::Stdin => {
                let problem = "standard input cannot be both the context and the Dockerfile".to_owned();
                return Err(ContextError::Typed(problem));
            }
            Some("-") => dockerfile::read(io::stdin(), "standard input")?,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                let download = download(tools, url).await?;
                prepared.put_fetched(Prepared::DOCKERFILE, url, &download);
                let file = tools.store.open_blob(&download.blob)?.ok_or_else(|| gone(url))?;
                dockerfile::read(file, url)?
            }
            Some(_) | None => return Ok(None),
        };
        Ok(Some(Found { name: "Dockerfile".to_owned(), text, path: None }))
    }

    /// Brings the files of the main context.
    async fn main(&self, tools: Tools<'_>, prepared: &mut Prepared) -> Result<Place, ContextError> {
        match &self.main {
            Main::Folder(path) => {
                if !path.is_dir() {
                    return Err(ContextError::NoFolder(path.clone()));
                }
                prepared.put_main(Folder { path: path.clone(), commit_time: None });
                Ok(Place::Own(path.clone()))
            }
            Main::Stdin => {
                let stage = tools.store.stage_dir()?;
                let path = stage.path().join("stdin");
                let failed = || ContextError::unreadable("standard input");
                let mut kept = File::create_new(&path).map_err(failed())?;
                tokio::task::block_in_place(|| io::copy(&mut io::stdin(), &mut kept)).map_err(failed())?;
                prepared.made.push(stage);
                archive_or_dockerfile(tools, prepared, &path, "standard input")
            }
            Main::Repository(address) => {
                let keep = address.keep_git_dir.or(self.keep_git_dir).unwrap_or(false);
                let folder = check_out(tools, prepared, Prepared::MAIN, address, keep).await?;
                prepared.epoch = folder.commit_time;
                let place = Place::Brought { folder: folder.path.clone(), what: shown(&address.remote) };
                prepared.put_main(folder);
                Ok(place)
            }
            Main::Url(url) => {
                let download = download(tools, url).await?;
                prepared.put_fetched(Prepared::MAIN, url, &download);
                let path = tools.store.blob_path(&download.blob)?.ok_or_else(|| gone(url))?;
                let place = archive_or_dockerfile(tools, prepared, &path, &shown(url))?;
                prepared.epoch = download.last_modified.or(prepared.epoch);
                Ok(place)
            }
        }
    }

    async fn named(
        &self,
        tools: Tools<'_>,
        prepared: &mut Prepared,
        name: &str,
        source: &NamedSource,
    ) -> Result<NamedContext, ContextError> {
        let folder = match source {
            NamedSource::Scratch => return Ok(NamedContext::Scratch),
            NamedSource::Image(reference) => return Ok(NamedContext::Image(reference.clone())),
            NamedSource::Layout { folder, tag, digest } => {
                let reference = prepared.layouts.add(name, folder, tag.as_deref(), digest.as_deref())?;
                return Ok(NamedContext::Image(reference));
            }
            NamedSource::Folder(path) if !path.is_dir() => return Err(ContextError::NoFolder(path.clone())),
            NamedSource::Folder(path) => Folder { path: path.clone(), commit_time: None },
            NamedSource::Repository(address) => {
                check_out(tools, prepared, name, address, address.keep_git_dir.unwrap_or(false)).await?
            }
            NamedSource::Url(url) => {
                let download = download(tools, url).await?;
                prepared.put_fetched(name, url, &download);
                let stage = tools.store.stage_dir()?;
                let path = tools.store.blob_path(&download.blob)?.ok_or_else(|| gone(url))?;
                let folder = Folder { path: stage.path().to_owned(), commit_time: None };
                std::fs::copy(path, stage.path().join("context")).map_err(ContextError::unreadable(url))?;
                prepared.made.push(stage);
                folder
            }
        };
        let exclude = match source {
            NamedSource::Folder(path) => ignored(path, None)?,
            NamedSource::Repository(_)
            | NamedSource::Url(_)
            | NamedSource::Scratch
            | NamedSource::Image(_)
            | NamedSource::Layout { .. } => Vec::new(),
        };
        prepared.folders.insert(name.to_owned(), folder);
        Ok(NamedContext::Files(LocalOp { name: name.to_owned(), exclude }))
    }
}

impl Prepared {
    /// What the main context is called among [`Prepared::folders`].
    pub const MAIN: &str = "context";
    /// What a Dockerfile is called among [`Prepared::fetched`].
    pub const DOCKERFILE: &str = "dockerfile";

    fn put_fetched(&mut self, name: &str, url: &str, download: &Download) {
        let fetched = Fetched { address: url.to_owned(), digest: FetchedDigest::File(download.blob) };
        self.fetched.insert(name.to_owned(), fetched);
    }

    fn put_main(&mut self, folder: Folder) {
        self.folders.insert(Self::MAIN.to_owned(), folder);
    }
}

/// Checks a repository out, and takes the folder of it that is meant.
async fn check_out(
    tools: Tools<'_>,
    prepared: &mut Prepared,
    name: &str,
    address: &GitAddress,
    keep_git_dir: bool,
) -> Result<Folder, ContextError> {
    let authorization = tokio::task::block_in_place(|| tools.secrets.for_repository(&address.remote))?;
    let repository = Repository { keep_git_dir, authorization: authorization.as_ref(), ..Repository::of(address) };
    let step = tools.events.step(format!("load git source {}", repository.shown()));
    let stage = tools.store.stage_dir()?;
    let checkout = stage.path().join("checkout");
    let made = async {
        if tools.web.is_offline() {
            return Err(git::GitError::Offline(repository.shown()));
        }
        let commit = repository.resolve().await?;
        let time = repository.check_out(&commit, &checkout).await?;
        Ok::<_, git::GitError>((git::folder_in(&checkout, address.subdir.as_deref().unwrap_or(""))?, time, commit))
    };
    let (path, time, commit) = match made.await {
        Ok(made) => {
            step.ran();
            made
        }
        Err(error) => {
            step.failed(error.to_string());
            return Err(error.into());
        }
    };
    prepared.made.push(stage);
    let reference = address.reference.as_ref().map(|reference| format!("#{reference}")).unwrap_or_default();
    let subdir = address.subdir.as_ref().map(|subdir| format!(":{subdir}")).unwrap_or_default();
    let separator = if reference.is_empty() && !subdir.is_empty() { "#" } else { "" };
    let fetched = Fetched {
        address: format!("{}{reference}{separator}{subdir}", address.remote),
        digest: FetchedDigest::Commit(commit.id),
    };
    prepared.fetched.insert(name.to_owned(), fetched);
    Ok(Folder { path, commit_time: Some(time) })
}

async fn download(tools: Tools<'_>, url: &str) -> Result<Download, ContextError> {
    let authorization = tokio::task::block_in_place(|| tools.secrets.for_file(url))?;
    let step = tools.events.step(format!("download {}", shown(url)));
    match tools
        .web
        .download(url, authorization.as_ref(), None, |done, total| step.transfer("context", done, total))
        .await
    {
        Ok(download) => {
            if download.is_new {
                step.ran();
            } else {
                step.cached(Hit::Content);
            }
            Ok(download)
        }
        Err(error) => {
            step.failed(error.to_string());
            Err(error.into())
        }
    }
}

/// Takes a file for an archive with a context, or else for a Dockerfile without one.
fn archive_or_dockerfile(
    tools: Tools<'_>,
    prepared: &mut Prepared,
    path: &Path,
    what: &str,
) -> Result<Place, ContextError> {
    let open = || File::open(path).map_err(ContextError::unreadable(what));
    if !is_archive(open()?) {
        let stage = tools.store.stage_dir()?;
        let empty = stage.path().join("empty");
        std::fs::create_dir(&empty).map_err(ContextError::unreadable(what))?;
        prepared.put_main(Folder { path: empty, commit_time: None });
        prepared.made.push(stage);
        let text = dockerfile::read(open()?, what)?;
        return Ok(Place::Alone(Found { name: "Dockerfile".to_owned(), text, path: None }));
    }
    let unpack = || tools.layers.unpack_archive_to_folder(open()?).map_err(ContextError::from);
    let (toc, stage) = tokio::task::block_in_place(unpack)?;
    let folder = stage.path().to_owned();
    let is_file = |entry: &&Entry| matches!(entry.kind, EntryKind::File { .. });
    prepared.epoch = toc.entries().iter().filter(is_file).map(|entry| entry.mtime).max();
    prepared.made.push(stage);
    prepared.put_main(Folder { path: folder.clone(), commit_time: None });
    Ok(Place::Brought { folder, what: what.to_owned() })
}

fn gone(url: &str) -> ContextError {
    ContextError::Unreadable { what: url.to_owned(), problem: "it is gone from the store".to_owned() }
}
