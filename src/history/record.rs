//! Writes down a build as it happens.

use super::{
    Bounds, HistoryError,
    event::{Asked, Ended, Footer, Header, Line},
    folder, lock_name,
};
use crate::{
    solver::event::{Event, EventKind, StepId},
    store::{NameLock, Store},
};
use serde::Serialize;
use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc::{self, UnboundedReceiver, error::TryRecvError};

/// What a log ends with that would have been larger than all history may be.
const CUT: &[u8] = b"\n[the rest is not kept: history.max-size]\n";

/// A build that is being written down.
#[derive(Debug)]
pub struct Recorder {
    id: String,
    path: PathBuf,
    began: Instant,
    bounds: Bounds,
    writer: Option<JoinHandle<()>>,
    /// Tells others that the build runs.
    _lock: NameLock,
}

impl Recorder {
    /// Begins the record of a build, and removes those that it is one too many for.
    pub fn begin(store: &Store, asked: Asked, bounds: Bounds) -> Result<Self, HistoryError> {
        let all = folder(store);
        let at = |path: &Path, error| HistoryError::Disk { path: path.to_owned(), error };
        match DirBuilder::new().mode(0o700).create(&all) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(&all, error)),
            Ok(()) | Err(_) => {}
        }
        bounds.make_room(store)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let id = new_id(now);
        let lock = store.lock(&lock_name(&id))?;
        let path = all.join(&id);
        fs::create_dir(&path).map_err(|error| at(&path, error))?;
        let header = Header { id: id.clone(), version: env!("CARGO_PKG_VERSION").to_owned(), started, asked };
        whole(&path.join("build.json"), &header).map_err(|error| at(&path, error))?;
        Ok(Self { id, path, began: Instant::now(), bounds, writer: None, _lock: lock })
    }

    /// What the build is called.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Listens to the events, and hands them on.
    pub fn listen(&mut self, mut events: UnboundedReceiver<Event>) -> UnboundedReceiver<Event> {
        let (forward, forwarded) = mpsc::unbounded_channel();
        let (path, began, left) = (self.path.clone(), self.began, self.bounds.bytes);
        // Its own thread: neither the disk nor the audience waits for the other.
        self.writer = Some(thread::spawn(move || {
            let mut writing = Writing::new(&path, began, left);
            loop {
                let event = match events.try_recv() {
                    Ok(event) => Some(event),
                    Err(TryRecvError::Disconnected) => None,
                    Err(TryRecvError::Empty) => {
                        writing.flush();
                        events.blocking_recv()
                    }
                };
                let Some(event) = event else { break };
                writing.event(&event);
                // Nobody watches any more, but the record goes on.
                let _ = forward.send(event);
            }
            writing.flush();
        }));
        forwarded
    }

    /// Writes down how it ended, once all events are here.
    pub fn finish(mut self, ended: Ended) {
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so; the build is not to blame.
            let _ = writer.join();
        }
        let footer = Footer { took: milliseconds(self.began, Instant::now()), ended };
        // Without a result, the build counts as killed.
        let _ = whole(&self.path.join("result.json"), &footer);
    }
}

/// The files of a build. The first error ends the writing.
struct Writing {
    folder: PathBuf,
    began: Instant,
    events: Option<BufWriter<File>>,
    logs: HashMap<StepId, File>,
    /// Bytes that may still be written.
    left: u64,
}

impl Writing {
    fn new(folder: &Path, began: Instant, left: u64) -> Self {
        let events = File::create(folder.join("events.jsonl")).ok().map(BufWriter::new);
        Self { folder: folder.to_owned(), began, events, logs: HashMap::new(), left }
    }

    fn event(&mut self, event: &Event) {
        let at = milliseconds(self.began, event.at);
        match &event.kind {
            EventKind::Started { step, name, key, .. } => {
                self.line(&Line::Started { step: step.0, at, name: name.clone(), key: key.clone() });
            }
            EventKind::Output { step, bytes, .. } => self.log(*step, bytes),
            EventKind::Explained { step, why } => self.line(&Line::Explained { step: step.0, why: why.clone() }),
            EventKind::Finished { step, outcome } => {
                self.logs.remove(step);
                self.line(&Line::Finished { step: step.0, at, end: outcome.into() });
            }
            EventKind::Warning { text, .. } => self.line(&Line::Warning { text: text.clone() }),
            EventKind::Transfer { .. } | EventKind::Worked { .. } | EventKind::Notice { .. } => {}
        }
    }

    fn line(&mut self, line: &Line) {
        let mut text = serde_json::to_vec(line).expect("a line is plain data");
        text.push(b'\n');
        if self.events.as_mut().is_some_and(|events| events.write_all(&text).is_err()) {
            self.events = None;
        }
    }

    fn log(&mut self, step: StepId, bytes: &[u8]) {
        if self.left == 0 {
            return;
        }
        let wanted = bytes.len() as u64;
        let path = self.folder.join(format!("{}.log", step.0));
        let file = match self.logs.entry(step) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => match File::create(path) {
                Ok(file) => entry.insert(file),
                Err(_) => return,
            },
        };
        let written = if wanted <= self.left { file.write_all(bytes) } else { file.write_all(CUT) };
        self.left = if written.is_ok() { self.left.saturating_sub(wanted) } else { 0 };
    }

    /// What was written is there for others, and survives this process.
    fn flush(&mut self) {
        if self.events.as_mut().is_some_and(|events| events.flush().is_err()) {
            self.events = None;
        }
    }
}

/// Writes a file so that it is there as a whole or not at all.
fn whole(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let staged = path.with_extension("new");
    fs::write(&staged, serde_json::to_vec_pretty(value)?)?;
    fs::rename(&staged, path)
}

fn milliseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

/// A name that sorts by time and that no other build has.
///
/// To the microsecond: a build in which nothing has to be done takes few milliseconds.
fn new_id(since_1970: Duration) -> String {
    let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{:06x}", time.strftime("%Y%m%dT%H%M%S%6f"), fastrand::u32(..1 << 24)).replace('.', "")
}
