//! The story of a solve; see the module's steps.

use super::{
    Identity, Recipe,
    admission::Admission,
    event::{Events, Hit, Step, Work},
    explain::{Explainer, Past},
    key::{self, Key},
    order,
    recipe::FileFact,
};
use flashbuild_frontend::graph::{Graph, Node, NodeId, Op};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::Arc,
    time::Instant,
};
use tokio::{sync::watch, task::JoinSet};

/// Who does the work that the solver orders.
pub trait Executor: Send + Sync + 'static {
    /// The result of a vertex. Cheap to clone.
    type Value: Clone + Send + Sync + 'static;
    /// Why a vertex failed.
    type Error: std::error::Error + Send + Sync + 'static;
    /// Holds a lock as long as it lives.
    type Guard: Send;

    /// What the definition key takes besides the operation: the selected files of the person who builds.
    fn definition_facts(&self, node: NodeId) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
    /// What is recorded under definition keys.
    fn find_definitions(&self, keys: &[Key]) -> Result<HashMap<Key, Self::Value>, Self::Error>;
    /// What the result depends on of what the inputs came out as; `None` if there is nothing to be saved by asking.
    fn content_facts(
        &self,
        node: NodeId,
        inputs: &[Self::Value],
    ) -> impl Future<Output = Result<Option<Vec<u8>>, Self::Error>> + Send;
    /// What is recorded under a content key, on top of these inputs.
    fn find_content(&self, key: Key, inputs: &[Self::Value]) -> Result<Option<Self::Value>, Self::Error>;
    /// Waits until nobody else on this machine works on `key`.
    fn lock(&self, key: Key) -> impl Future<Output = Result<Self::Guard, Self::Error>> + Send;
    /// Does the work.
    fn execute(
        &self,
        node: NodeId,
        inputs: &[Self::Value],
        step: &Step,
    ) -> impl Future<Output = Result<Self::Value, Self::Error>> + Send;
    /// Hears of each result as soon as it is known, while others are still worked on. If there is no work at all, it
    /// hears nothing.
    fn settled(&self, node: NodeId, value: &Self::Value);
    /// Remembers a result.
    fn record(
        &self,
        node: NodeId,
        definition: Key,
        content: Option<Key>,
        value: &Self::Value,
    ) -> Result<(), Self::Error>;

    /// The files that the node selects from contexts, once [`Executor::definition_facts`] has been asked.
    fn selected(&self, node: NodeId) -> Vec<FileFact>;
    /// Remembers what the key of a record was made of.
    fn keep_recipe(&self, step: &Identity, definition: Key, recipe: &Recipe) -> Result<(), Self::Error>;
    /// What was remembered of a step, its own project's first, then the latest.
    fn past(&self, step: &Identity) -> Result<Vec<Past>, Self::Error>;
    /// How many lines of a selected file differ from those that the record `before` took, if that is easily known.
    fn changed_lines(&self, node: NodeId, path: &str, before: Key) -> Option<usize>;
}

/// How a graph is solved.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many processes run at once.
    pub jobs: usize,
    /// How many do while the machine has something left; no more than `jobs` means that none are added.
    pub most_jobs: usize,
    /// What the graph is part of, from one build to the next: steps are compared with those of the same project.
    pub project: String,
    /// Whether people are told of every step why it ran; else of the first.
    pub explains: bool,
}

/// What a solve came to.
#[derive(Debug)]
pub struct Solved<V> {
    /// The result of each output's root, in the order of the outputs.
    pub roots: Vec<V>,
    /// What became of each vertex that was looked at.
    pub steps: Vec<StepReport>,
    /// The definition keys of all vertices that have records.
    pub keys: BTreeMap<NodeId, Key>,
}

/// What became of a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// Which.
    pub node: NodeId,
    /// By which key it was found; `None` if it ran.
    pub hit: Option<Hit>,
}

/// A vertex failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SolveError<E: std::error::Error> {
    /// Which.
    pub node: Option<NodeId>,
    /// Why.
    pub error: E,
}

type Slots<V> = BTreeMap<NodeId, watch::Receiver<Option<V>>>;

/// Solves `graph`.
pub async fn solve<E: Executor>(
    graph: &Arc<Graph>,
    executor: &Arc<E>,
    events: &Events,
    options: &Options,
) -> Result<Solved<E::Value>, SolveError<E::Error>> {
    let began = Instant::now();
    let facts = definition_facts(graph, executor).await?;
    let keys = definition_keys(graph, &facts);
    let whole = |error| SolveError { node: None, error };
    let unknown = above_fresh(graph);
    let is_wanted = |id: &NodeId| has_record(graph, *id) && !unknown.contains(id);
    let wanted: Vec<Key> = keys.iter().filter(|(id, _)| is_wanted(id)).map(|(_, key)| *key).collect();
    let found: HashMap<Key, E::Value> =
        if wanted.is_empty() { HashMap::new() } else { executor.find_definitions(&wanted).map_err(whole)? };

    events.worked(Work::Solver, format!("keys of {} vertices, and what is known of them", keys.len()), began);

    let recorded = keys.iter().filter(|(id, _)| has_record(graph, **id)).map(|(id, key)| (*id, *key)).collect();

    let mut hits = BTreeMap::new();
    let mut left = BTreeSet::new();
    let mut waiting: Vec<NodeId> = graph.outputs.iter().map(|output| output.root).collect();
    while let Some(id) = waiting.pop() {
        if hits.contains_key(&id) || left.contains(&id) {
            continue;
        }
        if let Some(value) = found.get(&keys[&id]).filter(|_| is_wanted(&id)) {
            hits.insert(id, value.clone());
        } else {
            left.insert(id);
            waiting.extend(&graph.node(id).inputs);
        }
    }

    let mut steps = Vec::new();
    for (id, key) in &keys {
        let known = !left.contains(id) && is_wanted(id) && found.contains_key(key);
        if known && is_shown(graph, *id) {
            events.vertex(shown_name(graph, *id), key.hex(), awaited(graph, &keys, *id)).cached(Hit::Definition);
            steps.push(StepReport { node: *id, hit: Some(Hit::Definition) });
        }
    }

    let mut slots: Slots<E::Value> = BTreeMap::new();
    for (id, value) in &hits {
        slots.insert(*id, watch::channel(Some(value.clone())).1);
        if !left.is_empty() {
            executor.settled(*id, value);
        }
    }
    let running = Admission::new(options.jobs);
    // Ends with the solve: aborted when it is dropped.
    let mut lending = JoinSet::new();
    if options.most_jobs > options.jobs && !left.is_empty() {
        lending.spawn(Arc::clone(&running).lend(options.most_jobs));
    }
    let urgency = order::urgency(graph, &left);
    let explainer = Arc::new(Explainer::new(options, graph, keys, facts));
    let mut tasks = JoinSet::new();
    for id in left {
        let (sender, receiver) = watch::channel(None);
        slots.insert(id, receiver);
        let inputs: Vec<_> = graph.node(id).inputs.iter().map(|input| slots[input].clone()).collect();
        let vertex = Vertex {
            id,
            graph: Arc::clone(graph),
            executor: Arc::clone(executor),
            events: events.clone(),
            running: Arc::clone(&running),
            urgency: urgency[&id],
            explainer: Arc::clone(&explainer),
        };
        tasks.spawn(async move {
            let Some(inputs) = all(inputs).await else { return Ok(None) };
            let (value, hit) = vertex.result(&inputs).await.map_err(|error| SolveError { node: Some(id), error })?;
            vertex.executor.settled(id, &value);
            sender.send_replace(Some(value));
            Ok(Some(StepReport { node: id, hit }))
        });
    }
    while let Some(done) = tasks.join_next().await {
        // Returning drops the set, which aborts every other task: each cleans up after itself when dropped.
        match done {
            Ok(report) => steps.extend(report?),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    let root = |output: &flashbuild_frontend::graph::Output| slots[&output.root].borrow().clone();
    let roots = graph.outputs.iter().map(|output| root(output).expect("every task has ended well")).collect();
    Ok(Solved { roots, steps, keys: recorded })
}

async fn definition_facts<E: Executor>(
    graph: &Arc<Graph>,
    executor: &Arc<E>,
) -> Result<BTreeMap<NodeId, Vec<u8>>, SolveError<E::Error>> {
    // All at once: some of them wait for servers.
    let facts = graph.needed().into_keys().map(|id| async move {
        let facts = executor.definition_facts(id).await.map_err(|error| SolveError { node: Some(id), error })?;
        Ok((id, facts))
    });
    Ok(futures_util::future::try_join_all(facts).await?.into_iter().collect())
}

fn definition_keys(graph: &Graph, facts: &BTreeMap<NodeId, Vec<u8>>) -> BTreeMap<NodeId, Key> {
    let mut keys: BTreeMap<NodeId, Key> = BTreeMap::new();
    for (id, facts) in facts {
        let node = graph.node(*id);
        let inputs: Vec<Key> = node.inputs.iter().map(|input| keys[input]).collect();
        keys.insert(*id, key::definition(node, graph.epoch, facts, &inputs));
    }
    keys
}

/// Processes that are to run again, and everything above them: what they come to is not known by their definition.
/// Copied files and packages are what they are, however often one asks.
fn above_fresh(graph: &Graph) -> BTreeSet<NodeId> {
    let mut unknown = BTreeSet::new();
    for (id, node) in graph.nodes() {
        if runs_again(node) || node.inputs.iter().any(|input| unknown.contains(input)) {
            unknown.insert(id);
        }
    }
    unknown
}

fn runs_again(node: &Node) -> bool {
    node.fresh && matches!(node.op, Op::Exec(_))
}

/// Waits for all values; `None` if one of them will never come.
async fn all<V: Clone>(inputs: Vec<watch::Receiver<Option<V>>>) -> Option<Vec<V>> {
    let mut values = Vec::with_capacity(inputs.len());
    for mut input in inputs {
        let value = input.wait_for(Option::is_some).await.ok()?.clone();
        values.extend(value);
    }
    Some(values)
}

fn has_record(graph: &Graph, id: NodeId) -> bool {
    match graph.node(id).op {
        Op::Image(_) | Op::Exec(_) | Op::File(_) | Op::Package(_) => true,
        Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Merge => false,
    }
}

/// The definition keys of the shown steps that a node's inputs come from.
pub(super) fn awaited(graph: &Graph, keys: &BTreeMap<NodeId, Key>, id: NodeId) -> Vec<String> {
    let mut shown = BTreeSet::new();
    let mut left = graph.node(id).inputs.clone();
    while let Some(input) = left.pop() {
        if is_shown(graph, input) {
            shown.insert(input);
        } else {
            left.extend(&graph.node(input).inputs);
        }
    }
    shown.iter().filter_map(|input| Some(keys.get(input)?.hex())).collect()
}

fn is_shown(graph: &Graph, id: NodeId) -> bool {
    has_record(graph, id)
}

/// The node's name, with its platform where the build is for several and not all of them share the node.
fn shown_name(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    let targets: Vec<String> = node.targets.iter().map(ToString::to_string).collect();
    if graph.outputs.len() < 2 || targets.len() == graph.outputs.len() {
        return node.name.clone();
    }
    match node.name.strip_prefix('[') {
        Some(rest) => format!("[{} {rest}", targets.join(",")),
        None => format!("[{}] {}", targets.join(","), node.name),
    }
}

struct Vertex<E> {
    id: NodeId,
    graph: Arc<Graph>,
    executor: Arc<E>,
    events: Events,
    running: Arc<Admission>,
    urgency: u64,
    explainer: Arc<Explainer>,
}

impl<E: Executor> Vertex<E> {
    async fn result(&self, inputs: &[E::Value]) -> Result<(E::Value, Option<Hit>), E::Error> {
        let began = Instant::now();
        let facts = self.executor.content_facts(self.id, inputs).await?;
        let content = facts.map(|facts| key::content(self.graph.node(self.id), self.graph.epoch, &facts));
        if content.is_some() {
            let name = shown_name(&self.graph, self.id);
            self.events.worked(Work::Solver, format!("content key of {name}"), began);
        }
        let _alone = match content {
            Some(content) => Some(self.executor.lock(content).await?),
            None => None,
        };
        let (key, asked) = (self.explainer.key(self.id), runs_again(self.graph.node(self.id)));
        if let Some(content) = content.filter(|_| !asked)
            && let Some(value) = self.executor.find_content(content, inputs)?
        {
            self.executor.record(self.id, key, Some(content), &value)?;
            self.explainer.keep(&*self.executor, self.id, &self.explainer.recipe(&*self.executor, self.id))?;
            self.start().cached(Hit::Content);
            return Ok((value, Some(Hit::Content)));
        }
        let _place = match self.graph.node(self.id).op {
            Op::Exec(_) => Some(self.running.enter(self.urgency).await),
            Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::File(_) | Op::Merge | Op::Package(_) => None,
        };
        let step = self.start();
        let recipe = has_record(&self.graph, self.id).then(|| self.explainer.recipe(&*self.executor, self.id));
        if let Some(recipe) = &recipe {
            self.explainer.explain(&*self.executor, self.id, recipe, asked, &step)?;
        }
        match self.executor.execute(self.id, inputs, &step).await {
            Ok(value) => {
                if let Some(recipe) = &recipe {
                    self.executor.record(self.id, key, content, &value)?;
                    self.explainer.keep(&*self.executor, self.id, recipe)?;
                }
                step.ran();
                Ok((value, None))
            }
            Err(error) => {
                step.failed(error.to_string());
                Err(error)
            }
        }
    }

    fn start(&self) -> Step {
        let name = shown_name(&self.graph, self.id);
        if is_shown(&self.graph, self.id) {
            self.events.vertex(name, self.explainer.key(self.id).hex(), self.explainer.awaited(self.id))
        } else {
            self.events.step(name)
        }
    }
}
