//! Tells why steps run, and keeps what later builds tell it by.

use super::{
    Executor, Identity, Key, Recipe,
    event::Step,
    solve::{Options, awaited},
    why::{FileChange, Reason, Why},
};
use flashbuild_frontend::graph::{Graph, NodeId, Op};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Of so many changed files, people are told how many lines.
const COUNTED: usize = 3;

/// A record of a step, from this build or an earlier one.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its definition key.
    pub key: Key,
    /// What that was made of.
    pub recipe: Recipe,
    /// Whether it is of the same project.
    pub same_project: bool,
}

/// What a solve knows to explain itself by.
#[derive(Debug)]
pub(super) struct Explainer {
    options: Options,
    graph: Arc<Graph>,
    keys: BTreeMap<NodeId, Key>,
    facts: BTreeMap<NodeId, Vec<u8>>,
    ran: Mutex<BTreeMap<NodeId, Ran>>,
    told: AtomicBool,
}

/// A node that ran in this build.
#[derive(Debug)]
struct Ran {
    why: Why,
    /// The earliest that had reasons of its own, of this node and all that it rests on. Kept, because a chain of steps that
    /// all run would else be walked down from each of them.
    earliest: Option<NodeId>,
}

impl Explainer {
    pub(super) fn new(
        options: &Options,
        graph: &Arc<Graph>,
        keys: BTreeMap<NodeId, Key>,
        facts: BTreeMap<NodeId, Vec<u8>>,
    ) -> Self {
        let (options, graph) = (options.clone(), Arc::clone(graph));
        Self { options, graph, keys, facts, ran: Mutex::default(), told: AtomicBool::new(false) }
    }

    /// The definition key of a node.
    pub(super) fn key(&self, id: NodeId) -> Key {
        self.keys[&id]
    }

    /// The definition keys of the steps whose results a node takes.
    pub(super) fn awaited(&self, id: NodeId) -> Vec<String> {
        awaited(&self.graph, &self.keys, id)
    }

    /// What the key of node `id` is made of.
    pub(super) fn recipe<E: Executor>(&self, executor: &E, id: NodeId) -> Recipe {
        Recipe::of(&self.graph, id, &self.keys, &self.facts, executor.selected(id))
    }

    /// Keeps what the key of node `id` was made of.
    pub(super) fn keep<E: Executor>(&self, executor: &E, id: NodeId, recipe: &Recipe) -> Result<(), E::Error> {
        executor.keep_recipe(&self.identity(id), self.keys[&id], recipe)
    }

    /// Says why node `id` runs: as data, and to people where they asked for it or it is the first that they wait for.
    pub(super) fn explain<E: Executor>(
        &self,
        executor: &E,
        id: NodeId,
        recipe: &Recipe,
        asked: bool,
        step: &Step,
    ) -> Result<(), E::Error> {
        let why = if asked { Why::only(Reason::Asked) } else { self.why(executor, id, recipe)? };
        let root = self.root(id, &why);
        let waited_for = matches!(self.graph.node(id).op, Op::Exec(_)) && root.is_own() && !asked;
        if self.options.explains {
            for reason in &why.reasons {
                step.notice(format!("ran: {reason}"));
            }
        } else if waited_for && !self.told.swap(true, Ordering::Relaxed) {
            step.notice(format!("ran: {root}"));
        }
        step.explained(why);
        Ok(())
    }

    fn identity(&self, id: NodeId) -> Identity {
        Identity::of(&self.options.project, self.graph.node(id))
    }

    /// What differs from the nearest record: of those of the same project, else of all, that from which least does.
    fn why<E: Executor>(&self, executor: &E, id: NodeId, recipe: &Recipe) -> Result<Why, E::Error> {
        let past = executor.past(&self.identity(id))?;
        let own = past.iter().any(|past| past.same_project);
        let compared = past.iter().filter(|past| past.same_project == own).map(|past| {
            let removed = past.key == self.keys[&id];
            let why = if removed { Why::only(Reason::Removed) } else { Why::between(&past.recipe, recipe) };
            (past.key, removed, why)
        });
        let Some((before, _, mut why)) = compared.min_by_key(|(_, removed, why)| (!*removed, why.reasons.len())) else {
            return Ok(Why::only(Reason::New));
        };
        let contents = why.reasons.iter_mut().filter_map(|reason| match reason {
            Reason::File { path, change: FileChange::Content { lines } } => Some((path, lines)),
            Reason::File { .. }
            | Reason::New
            | Reason::Asked
            | Reason::Removed
            | Reason::Version
            | Reason::Base { .. }
            | Reason::Argument { .. }
            | Reason::MoreFiles { .. }
            | Reason::Step { .. }
            | Reason::OtherStep { .. }
            | Reason::Unknown => None,
        });
        for (path, lines) in contents.take(COUNTED) {
            *lines = executor.changed_lines(id, path, before);
        }
        Ok(why)
    }

    /// What is behind `why` of a node that runs: if it is an earlier step that ran in this build, that one's reasons.
    fn root(&self, id: NodeId, why: &Why) -> Why {
        let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        let below = self.earliest_below(&ran, id);
        let (root, earliest) = match below {
            Some(earliest) if !why.is_own() => (ran[&earliest].why.clone(), below),
            Some(_) => (why.clone(), below),
            None => (why.clone(), why.is_own().then_some(id)),
        };
        ran.insert(id, Ran { why: why.clone(), earliest });
        root
    }

    /// The earliest node with reasons of its own that `id` rests on: the rest may follow from it.
    fn earliest_below(&self, ran: &BTreeMap<NodeId, Ran>, id: NodeId) -> Option<NodeId> {
        let mut waiting = self.graph.node(id).inputs.clone();
        let mut seen = BTreeSet::new();
        let mut earliest: Option<NodeId> = None;
        while let Some(input) = waiting.pop() {
            if let Some(known) = ran.get(&input) {
                earliest = earliest.into_iter().chain(known.earliest).min();
            } else if seen.insert(input) {
                waiting.extend(&self.graph.node(input).inputs);
            }
        }
        earliest
    }
}
