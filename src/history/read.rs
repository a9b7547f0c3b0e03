//! Builds of the past, read back.

use super::{
    HistoryError,
    event::{Asked, Ended, Footer, Header, Line, StepEnd},
    folder, lock_name,
};
use crate::{solver::Why, store::Store};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write},
    path::{Path, PathBuf},
};

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// What it is called.
    pub id: String,
    /// The version of flashbuild that made it.
    pub version: String,
    /// When it started, in milliseconds since 1970.
    pub started: i64,
    /// How long it took, in milliseconds; of one that did not end well, until the last that is known.
    pub took: u64,
    /// What was asked for.
    pub asked: Asked,
    /// How it ended.
    pub status: Status,
    /// Digest of the image or index, if there is one.
    pub digest: Option<String>,
    /// What was said of its failure.
    pub error: Option<String>,
    /// Rules that the build description went against.
    pub warnings: Vec<String>,
    /// Its steps, in the order in which they started.
    pub steps: Vec<StepRecord>,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has not.
    Running,
    /// Well.
    Done,
    /// With an error.
    Failed,
    /// It was killed.
    Killed,
}

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1 in the order in which steps started.
    pub number: u32,
    /// What it is called.
    pub name: String,
    /// Its definition key, if it is a vertex of the graph.
    pub key: Option<String>,
    /// When it started, in milliseconds since the build did.
    pub started: u64,
    /// How long it took, in milliseconds; nothing if it did not end.
    pub took: Option<u64>,
    /// How it ended.
    pub end: Option<StepEnd>,
    /// Why it ran.
    pub why: Option<Why>,
    /// Bytes that it wrote.
    pub log: u64,
}

/// All builds, the latest first. What cannot be read is left out.
pub fn builds(store: &Store) -> Result<Vec<BuildRecord>, HistoryError> {
    ids(store)?.iter().filter_map(|id| read(store, id).transpose()).collect()
}

/// The build whose name begins with `name`; the latest if there is none.
pub fn find(store: &Store, name: Option<&str>) -> Result<BuildRecord, HistoryError> {
    let ids = ids(store)?;
    let Some(name) = name else {
        let found = ids.iter().find_map(|id| read(store, id).transpose());
        return found.unwrap_or(Err(HistoryError::Empty));
    };
    let mut matching = ids.iter().filter(|id| id.starts_with(name));
    match (matching.next(), matching.next()) {
        (Some(id), None) => read(store, id)?.ok_or_else(|| HistoryError::NotFound(name.to_owned())),
        (None, _) => Err(HistoryError::NotFound(name.to_owned())),
        (Some(_), Some(_)) => Err(HistoryError::Ambiguous(name.to_owned())),
    }
}

impl BuildRecord {
    /// The steps that `text` means: one by its number, or those whose names contain it.
    pub fn steps(&self, text: &str) -> Result<Vec<&StepRecord>, HistoryError> {
        let number = text.trim_start_matches('#').parse().ok();
        let found: Vec<&StepRecord> = self
            .steps
            .iter()
            .filter(|step| number.map_or_else(|| step.name.contains(text), |number: u32| step.number == number))
            .collect();
        if found.is_empty() {
            return Err(HistoryError::NoStep { build: self.id.clone(), step: text.to_owned() });
        }
        Ok(found)
    }
}

/// Opens all that a step wrote; nothing if it wrote nothing.
pub fn log(store: &Store, build: &BuildRecord, step: &StepRecord) -> Result<Option<File>, HistoryError> {
    let path = folder(store).join(&build.id).join(format!("{}.log", step.number));
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HistoryError::Disk { path, error }),
    }
}

/// Forgets a build, unless it is running.
pub fn remove(store: &Store, build: &BuildRecord) -> Result<(), HistoryError> {
    if running(store, &build.id)? {
        return Err(HistoryError::Running(build.id.clone()));
    }
    let path = folder(store).join(&build.id);
    fs::remove_dir_all(&path).map_err(|error| HistoryError::Disk { path, error })
}

/// Forgets all builds that are not running; returns how many.
pub fn remove_all(store: &Store) -> Result<usize, HistoryError> {
    let mut count = 0;
    for id in ids(store)? {
        if !running(store, &id)? {
            let path = folder(store).join(&id);
            fs::remove_dir_all(&path).map_err(|error| HistoryError::Disk { path, error })?;
            count += 1;
        }
    }
    Ok(count)
}

/// Writes all files of a build as a tar archive, below a folder that is called as the build.
pub fn write_archive(store: &Store, build: &BuildRecord, writer: impl Write) -> Result<(), HistoryError> {
    let path = folder(store).join(&build.id);
    let mut archive = tar::Builder::new(writer);
    archive.mode(tar::HeaderMode::Deterministic);
    let written = archive.append_dir_all(&build.id, &path).and_then(|()| archive.finish());
    written.map_err(|error| HistoryError::Disk { path, error })
}

/// Whether somebody holds the lock of a build.
pub(super) fn running(store: &Store, id: &str) -> Result<bool, HistoryError> {
    Ok(store.try_lock(&lock_name(id))?.is_none())
}

/// The names of all builds, the latest first.
fn ids(store: &Store) -> Result<Vec<String>, HistoryError> {
    let path = folder(store);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HistoryError::Disk { path, error }),
    };
    let mut ids: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    Ok(ids)
}

/// Reads a build; `None` if it was killed before it said anything, or is not a build.
fn read(store: &Store, id: &str) -> Result<Option<BuildRecord>, HistoryError> {
    let path = folder(store).join(id);
    let Some(header) = document::<Header>(&path.join("build.json")) else { return Ok(None) };
    let mut build = BuildRecord {
        id: id.to_owned(),
        version: header.version,
        started: header.started,
        took: 0,
        asked: header.asked,
        status: Status::Killed,
        digest: None,
        error: None,
        warnings: Vec::new(),
        steps: Vec::new(),
    };
    build.read_events(&path);
    match document::<Footer>(&path.join("result.json")) {
        Some(Footer { took, ended }) => {
            build.took = took;
            match ended {
                Ended::Done { digest } => (build.status, build.digest) = (Status::Done, Some(digest)),
                Ended::Failed { error } => (build.status, build.error) = (Status::Failed, Some(error)),
            }
        }
        None if running(store, id)? => build.status = Status::Running,
        None => {}
    }
    Ok(Some(build))
}

impl BuildRecord {
    /// Takes the events in. A last line that was cut short ends them.
    fn read_events(&mut self, path: &Path) {
        let Ok(file) = File::open(path.join("events.jsonl")) else { return };
        for line in BufReader::new(file).lines() {
            let Some(line) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
            match line {
                Line::Started { step: number, at, name, key } => {
                    let log = fs::metadata(path.join(format!("{number}.log"))).map_or(0, |metadata| metadata.len());
                    self.took = self.took.max(at);
                    let (took, end, why) = (None, None, None);
                    self.steps.push(StepRecord { number, name, key, started: at, took, end, why, log });
                }
                Line::Explained { step, why } => {
                    if let Some(step) = self.step(step) {
                        step.why = Some(why);
                    }
                }
                Line::Warning { text } => self.warnings.push(text),
                Line::Finished { step, at, end } => {
                    self.took = self.took.max(at);
                    if let Some(step) = self.step(step) {
                        (step.took, step.end) = (Some(at.saturating_sub(step.started)), Some(end));
                    }
                }
                Line::Unknown => {}
            }
        }
    }

    fn step(&mut self, number: u32) -> Option<&mut StepRecord> {
        self.steps.iter_mut().rev().find(|step| step.number == number)
    }
}

/// A file of a build, if it is there and says what it should.
fn document<T: DeserializeOwned>(path: &PathBuf) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
