//! `DEPS`: packages as layers of their own.
//!
//! Which artifacts a lock file means is not known here: the first time, the request is noted as
//! [`Missing::Deps`](crate::dockerfile::Missing), and lowering goes on as if nothing was asked. With the answer, each layer of
//! the plan becomes a node without inputs, and one merge puts them on the stage's tree: no layer depends on what is below it.
//! Only packages that are not there ready made come out of [steps](super::package_build), which their layers have as inputs.
//! How many layers there may be depends on how many are below, so of several requests in a stage one waits for the other.
//! A request that leaves open which Python it is for waits for the answer to a `DEPS apt` before it, which may bring one.
//! Which packages of a distribution there have to be depends on those that are there: `DEPS apt` is asked for with the graph
//! of the tree below it, unless that is nothing.
//! A lock in a stage (`--from`) is asked for with the graph of that stage, which has to be built to know the rest.
//! What they come to together is the last layer below that merge, made of all the others.
//! Steps of the plan run on the stage's tree after that merge, as a `RUN` would.

use super::{StageBuild, package_build};
use crate::{
    config::ImageConfig,
    diagnostic::{Code, Diagnostic},
    dockerfile::{
        inputs::Missing,
        instruction::Deps,
        plan::{Origin, Step},
    },
    graph::{BindMount, ExecOp, Graph, Mount, NodeId, Op, Output, Security, TmpfsMount},
    package::{DepsRequest, Ecosystem, InstallStep, LockPlace, PackageOp, Room, Settled, StageTree},
};
use std::sync::Arc;

pub(super) fn deps(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, deps: &Deps) -> Result<(), Diagnostic> {
    let Some(request) = request(stage, step, deps)? else {
        stage.state.counted_from = None;
        if deps.ecosystem == Ecosystem::Apt {
            stage.state.system = None;
        }
        return Ok(());
    };
    stage.state.has_system |= deps.ecosystem == Ecosystem::Apt;
    let title = stage.title(step);
    let name = stage.progress.next(&title);
    let Some(mut plan) = stage.target.inputs.deps(&request).cloned() else {
        stage.state.counted_from = None;
        if deps.ecosystem == Ecosystem::Apt {
            stage.state.system = None;
        }
        let tree = match (&request.from, &request.below) {
            (LockPlace::Stage(index, _), _) => {
                let root = stage.roots[*index].expect("a stage is lowered before those that use it");
                match tree_of(stage, root) {
                    // What is known of it is not all yet.
                    None => return Ok(()),
                    tree => tree,
                }
            }
            (LockPlace::Context | LockPlace::Named(_) | LockPlace::Image(_), Some(_)) => {
                tree_of(stage, stage.state.root)
            }
            (LockPlace::Context | LockPlace::Named(_) | LockPlace::Image(_), None) => None,
        };
        stage.target.missing.push(Missing::Deps { request, span: step.span(), stage: tree });
        return Ok(());
    };
    if let (Ecosystem::Apt, Some(system)) = (deps.ecosystem, &mut stage.state.system) {
        system.append(&mut plan.found);
        let packages = plan.layers.iter().flat_map(|layer| &layer.packages);
        system.extend(packages.map(|package| (package.name.clone(), package.version.clone())));
    }
    let ecosystem = deps.ecosystem.name();
    let mut inputs = vec![stage.state.root];
    let mut summaries = Vec::new();
    for op in std::mem::take(&mut plan.layers) {
        let summary = format!("DEPS {ecosystem} {}", op.summary());
        let made = package_build::made(stage, step, &plan, &op)?;
        let name = stage.progress.name(&summary);
        inputs.push(stage.add(Op::Package(op), made, name, step));
        summaries.push(summary);
    }
    if let Some(settled) = plan.settled {
        let Settled { said, layer } = *settled;
        let summary = format!("DEPS {ecosystem} {}", layer.summary());
        let name = stage.progress.name(&format!("{summary}, prepared"));
        let said = stage.add(Op::Package(said), Vec::new(), name, step);
        let name = stage.progress.name(&summary);
        let tree = inputs.iter().copied().chain([said]).collect();
        let made = stage.add(Op::Package(layer), tree, name, step);
        inputs.push(made);
        summaries.push(summary);
    }
    if summaries.is_empty() && plan.steps.is_empty() {
        stage.record(title);
        return Ok(());
    }
    if !summaries.is_empty() {
        let merged = stage.add(Op::Merge, inputs, name, step);
        for summary in summaries {
            stage.push_layer(merged, summary);
        }
    }
    for install in plan.steps {
        run(stage, step, ecosystem, install);
    }
    Ok(())
}

/// Runs a step of the plan.
fn run(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, ecosystem: &str, install: InstallStep) {
    let InstallStep { summary, args, env, cwd, files, shown, scratch, needs } = install;
    let summary = format!("DEPS {ecosystem} {summary}");
    let name = stage.progress.name(&summary);
    let mut inputs = vec![stage.state.root];
    let mut mounts: Vec<Mount> =
        scratch.into_iter().map(|target| Mount::Tmpfs(TmpfsMount { target, size: None })).collect();
    if let Some((target, op)) = shown {
        let name = stage.progress.name(&format!("{summary}, prepared"));
        inputs.push(stage.add(Op::Package(op), Vec::new(), name, step));
        mounts.push(Mount::Bind(BindMount { target, from: 1, source: "/".to_owned(), writable: false }));
    }
    let op = ExecOp {
        args,
        env: over(stage.state.scope.environment.write(), env),
        cwd,
        user: String::new(),
        hostname: stage.target.options.hostname.clone(),
        network: stage.target.options.network,
        security: Security::Sandbox,
        devices: Vec::new(),
        mounts,
        files,
        needs,
        epoch: Some(PackageOp::TIME),
    };
    let ran = stage.add_on_platform(Op::Exec(Box::new(op)), inputs, name, step);
    stage.push_layer(ran, summary);
}

/// `env` with what `more` says in the place of what it says itself.
pub(super) fn over(mut env: Vec<String>, more: Vec<String>) -> Vec<String> {
    let name = |pair: &str| pair.split('=').next().map(str::to_owned);
    env.retain(|pair| more.iter().all(|new| name(new) != name(pair)));
    env.extend(more);
    env
}

/// What makes a tree; nothing as long as something is missing that may belong to it.
fn tree_of(stage: &StageBuild<'_, '_>, root: NodeId) -> Option<Arc<Graph>> {
    if !stage.target.missing.is_empty() {
        return None;
    }
    let mut graph = stage.target.graph.clone();
    let platform = stage.target.target.clone();
    let config = ImageConfig::for_platform(&platform);
    graph.outputs = vec![Output { platform, root, config, steps: Vec::new() }];
    stage.target.inputs.mark_built(&mut graph);
    Some(Arc::new(graph))
}

/// Where the lock is.
fn place(stage: &StageBuild<'_, '_>, step: &Step<'_>) -> Result<LockPlace, Diagnostic> {
    Ok(match &step.from {
        None | Some(Origin::Unknown) => LockPlace::Context,
        Some(Origin::Files(files)) => LockPlace::Named(files.name.clone()),
        Some(Origin::Stage(index)) => LockPlace::Stage(*index, stage.target.target.clone()),
        Some(Origin::Image(reference)) => {
            let image = stage.target.inputs.image(reference, stage.target.target);
            image.map_or(LockPlace::Context, |image| LockPlace::Image(image.digest.clone()))
        }
        Some(Origin::Scratch) => {
            let error = Diagnostic::error(Code::IncompleteDeps, "there is no lock file in scratch", step.span());
            return Err(error.with_hint("--from takes the name of a stage, an image or a context"));
        }
    })
}

/// What is asked for; nothing as long as it depends on packages or a tree that are not known yet.
fn request(stage: &StageBuild<'_, '_>, step: &Step<'_>, deps: &Deps) -> Result<Option<DepsRequest>, Diagnostic> {
    let Some(layers) = stage.state.layers() else { return Ok(None) };
    let has_below = deps.ecosystem == Ecosystem::Apt && stage.state.has_system;
    if has_below && !stage.target.missing.is_empty() {
        return Ok(None);
    }
    let below = has_below.then(|| {
        let platform = stage.target.target.clone();
        Box::new(StageTree { stage: stage.index, steps: stage.state.steps.len(), platform })
    });
    let mut flags = Vec::with_capacity(deps.flags.len());
    for (name, word) in &deps.flags {
        flags.push(((*name).to_owned(), stage.expand(word)?));
    }
    let arguments: Result<Vec<String>, Diagnostic> = deps.arguments.iter().map(|word| stage.expand(word)).collect();
    let is_open = deps.ecosystem == Ecosystem::Python && deps.flags.iter().all(|(name, _)| *name != "python");
    let system = match &stage.state.system {
        Some(system) if is_open => system.clone(),
        None if is_open => return Ok(None),
        Some(_) | None => Vec::new(),
    };
    Ok(Some(DepsRequest {
        ecosystem: deps.ecosystem,
        flags,
        arguments: arguments?.into_iter().filter(|argument| !argument.is_empty()).collect(),
        platform: stage.state.platform.clone(),
        environment: stage.state.scope.environment.write(),
        base: stage.state.base.clone(),
        has_system: stage.state.has_system,
        system,
        below,
        from: place(stage, step)?,
        room: Room::above(layers),
    }))
}
