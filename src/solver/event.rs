//! What happens during a build, as data. Only `progress/` turns events into text.
//!
//! A *step* is anything that a person watches: a vertex of the graph, or work around it (reading the Dockerfile,
//! exporting, pushing). [`Events::step`] starts one and gives its handle; dropping an unfinished handle says that the
//! step was cancelled. Sending never blocks and never fails: a build does not wait for its audience.

use super::why::Why;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

/// Number of a step, from 1 in the order in which steps started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub u32);

/// Something that happened, and when.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// What happened. A closed set: whoever shows events matches every case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A step started.
    Started {
        /// Which.
        step: StepId,
        /// What it is called.
        name: String,
        /// Definition key of the vertex, if the step is one.
        key: Option<String>,
        /// Definition keys of the steps whose results it takes.
        inputs: Vec<String>,
    },
    /// A step's process wrote something, to standard output or standard error: these are in the order in which it wrote.
    Output {
        /// Which.
        step: StepId,
        /// What, as is: not necessarily whole lines or UTF-8.
        bytes: Vec<u8>,
    },
    /// Bytes moved on behalf of a step.
    Transfer {
        /// Which step.
        step: StepId,
        /// What moves: a short name, unique within the step, such as `sha256:0123456789ab`.
        item: String,
        /// Bytes so far.
        done: u64,
        /// Bytes in all, if known.
        total: Option<u64>,
    },
    /// Why a step runs.
    Explained {
        /// Which.
        step: StepId,
        /// Why.
        why: Why,
    },
    /// A step ended.
    Finished {
        /// Which.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
    /// Work inside of steps or between them is done; for who wants to know where the time went.
    Worked {
        /// Of which kind.
        work: Work,
        /// What was done.
        name: String,
        /// When it began.
        began: Instant,
    },
    /// Something a person should know that is no error.
    Notice {
        /// The step that it is about, if any.
        step: Option<StepId>,
        /// One or two sentences.
        text: String,
    },
    /// The build description goes against a rule. Nothing stops; people are told at the end.
    Warning {
        /// The rule, what is wrong and where, in one line.
        text: String,
        /// A page that explains the rule.
        url: Option<String>,
    },
}

/// A kind of work inside of steps or between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Keys are made, and looked up.
    Solver,
    /// Files become a compressed layer.
    Compression,
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Solver, Self::Compression];

    /// As traces name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Solver => "solver",
            Self::Compression => "compression",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did its work.
    Ran,
    /// Its work was not needed.
    Cached(Hit),
    /// Somebody or something else ended the build.
    Cancelled,
    /// It failed; the text is the error.
    Failed(String),
}

/// Which key a cached step was found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hit {
    /// The definition: the same operation on the same definitions.
    Definition,
    /// The content: the same operation on inputs that came out the same.
    Content,
}

/// Where events go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::UnboundedSender<Event>,
    last_step: Arc<AtomicU32>,
}

impl Events {
    /// A channel for events and its other end, which yields nothing more once all handles are gone.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, last_step: Arc::default() }, receiver)
    }

    /// Starts a step that is not a vertex.
    pub fn step(&self, name: impl Into<String>) -> Step {
        self.start(name.into(), None, Vec::new())
    }

    /// Starts a step that is the vertex with this definition key, on top of those with the keys `inputs`.
    pub fn vertex(&self, name: impl Into<String>, key: String, inputs: Vec<String>) -> Step {
        self.start(name.into(), Some(key), inputs)
    }

    /// Tells people something that is about no step.
    pub fn notice(&self, text: impl Into<String>) {
        self.send(EventKind::Notice { step: None, text: text.into() });
    }

    /// Says that work that `began` then is done.
    pub fn worked(&self, work: Work, name: impl Into<String>, began: Instant) {
        self.send(EventKind::Worked { work, name: name.into(), began });
    }

    /// Tells people that the build description goes against a rule.
    pub fn warning(&self, text: impl Into<String>, url: Option<String>) {
        self.send(EventKind::Warning { text: text.into(), url });
    }

    fn start(&self, name: String, key: Option<String>, inputs: Vec<String>) -> Step {
        let id = StepId(self.last_step.fetch_add(1, Ordering::Relaxed) + 1);
        self.send(EventKind::Started { step: id, name, key, inputs });
        Step { id, events: self.clone(), finished: false }
    }

    fn send(&self, kind: EventKind) {
        // The receiver is gone only when nobody watches any more.
        let _ = self.sender.send(Event { at: Instant::now(), kind });
    }
}

/// A started step.
#[derive(Debug)]
pub struct Step {
    id: StepId,
    events: Events,
    finished: bool,
}

impl Step {
    /// Its number.
    pub fn id(&self) -> StepId {
        self.id
    }

    /// Its process wrote something, to whichever of its outputs.
    pub fn output(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.events.send(EventKind::Output { step: self.id, bytes: bytes.to_vec() });
    }

    /// Bytes of `item` have moved, `done` so far.
    pub fn transfer(&self, item: &str, done: u64, total: Option<u64>) {
        self.events.send(EventKind::Transfer { step: self.id, item: item.to_owned(), done, total });
    }

    /// Says why the step runs.
    pub fn explained(&self, why: Why) {
        self.events.send(EventKind::Explained { step: self.id, why });
    }

    /// Tells people something about the step.
    pub fn notice(&self, text: impl Into<String>) {
        self.events.send(EventKind::Notice { step: Some(self.id), text: text.into() });
    }

    /// The step did its work.
    pub fn ran(self) {
        self.finish(Outcome::Ran);
    }

    /// The step's work was not needed.
    pub fn cached(self, hit: Hit) {
        self.finish(Outcome::Cached(hit));
    }

    /// The step failed.
    pub fn failed(self, error: impl Into<String>) {
        self.finish(Outcome::Failed(error.into()));
    }

    fn finish(mut self, outcome: Outcome) {
        self.finished = true;
        self.events.send(EventKind::Finished { step: self.id, outcome });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            self.events.send(EventKind::Finished { step: self.id, outcome: Outcome::Cancelled });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_step_counts_as_cancelled() {
        let (events, mut receiver) = Events::channel();
        drop(events.step("push"));
        let kinds: Vec<EventKind> = std::iter::from_fn(|| receiver.try_recv().ok()).map(|event| event.kind).collect();
        let step = StepId(1);
        assert_eq!(kinds[0], EventKind::Started { step, name: "push".to_owned(), key: None, inputs: Vec::new() });
        assert_eq!(kinds[1], EventKind::Finished { step, outcome: Outcome::Cancelled });
    }
}
