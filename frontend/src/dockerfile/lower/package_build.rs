//! Packages that a step makes: what [`PackageBuild`] describes becomes nodes.
//!
//! The process runs as root on a tree that has the tools: that of `--build-from`, or the stage's own as it is before the
//! `DEPS`. It sees the variables of that stage, as a `RUN` at that place would.

use super::{Placement, Progress, StageBuild, State, deps::over};
use crate::{
    diagnostic::{Code, Diagnostic},
    dockerfile::plan::{Origin, Plan, Step},
    graph::{BindMount, ExecOp, Mount, NodeId, Op, Security},
    package::{DepsPlan, Package, PackageBuild, PackageLayout, PackageOp},
    platform::Platform,
};
use std::collections::BTreeSet;

/// A tree to build packages on.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    root: NodeId,
    /// `NAME=value`
    environment: Vec<String>,
    platform: Platform,
}

impl Tools {
    /// What a stage has.
    pub(super) fn of(state: &State) -> Self {
        Self { root: state.root, environment: state.scope.environment.write(), platform: state.platform.clone() }
    }
}

/// The stages that `--build-from` names somewhere.
pub(super) fn builders(plan: &Plan<'_>) -> BTreeSet<usize> {
    let steps = plan.stages.iter().filter(|stage| stage.needed).flat_map(|stage| &stage.steps);
    let stages = steps.filter_map(|step| match step.build_from {
        Some(Origin::Stage(index)) => Some(index),
        Some(Origin::Scratch | Origin::Image(_) | Origin::Files(_) | Origin::Unknown) | None => None,
    });
    stages.collect()
}

/// The nodes that make packages of `op`, in the order of those packages.
pub(super) fn made(
    stage: &mut StageBuild<'_, '_>,
    step: &Step<'_>,
    plan: &DepsPlan,
    op: &PackageOp,
) -> Result<Vec<NodeId>, Diagnostic> {
    let made: Vec<&Package> = op.packages.iter().filter(|package| package.layout.is_made()).collect();
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let tools = tools(stage, step)?;
    let steps =
        made.into_iter().map(|package| plan.build_of(package).expect("a plan has a step for what a step makes"));
    Ok(steps.map(|making| make(stage, step, &tools, making)).collect())
}

fn tools(stage: &mut StageBuild<'_, '_>, step: &Step<'_>) -> Result<Tools, Diagnostic> {
    let platform = stage.target.target;
    match &step.build_from {
        None => Ok(Tools::of(&stage.state)),
        Some(Origin::Stage(index)) => Ok(stage.tools[index].clone()),
        Some(origin @ Origin::Image(_)) => {
            let (root, config) = stage.target.image(origin, platform, step.span(), &mut Progress::unnumbered());
            Ok(Tools::of(&State::start(root, platform.clone(), config, None)))
        }
        Some(Origin::Files(_) | Origin::Scratch | Origin::Unknown) => {
            let message = "--build-from takes a stage or an image, which has the tools that packages are built with";
            let error = Diagnostic::error(Code::IncompleteDeps, message, step.span());
            Err(error.with_hint("a context becomes a stage with `FROM CONTEXT AS NAME`"))
        }
    }
}

fn make(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, tools: &Tools, making: &PackageBuild) -> NodeId {
    let PackageBuild { name, version, artifact, file, args, env, files, needs } = making;
    let source = PackageOp {
        packages: vec![Package {
            name: name.clone(),
            version: version.clone(),
            artifact: artifact.clone(),
            layout: PackageLayout::File(format!("/{file}")),
            part: None,
        }],
        files: Vec::new(),
    };
    let shown = stage.progress.name(&format!("DEPS: source of {name} {version}"));
    let source = stage.add(Op::Package(source), Vec::new(), shown, step);
    let epoch = stage.target.graph.epoch.unwrap_or(PackageOp::TIME);
    let own = env.iter().cloned().chain([format!("SOURCE_DATE_EPOCH={epoch}")]);
    let mount = BindMount { target: PackageBuild::SOURCE.to_owned(), from: 1, source: "/".to_owned(), writable: false };
    let op = ExecOp {
        args: args.clone(),
        env: over(tools.environment.clone(), own.collect()),
        cwd: "/".to_owned(),
        user: String::new(),
        hostname: stage.target.options.hostname.clone(),
        network: stage.target.options.network,
        security: Security::Sandbox,
        devices: Vec::new(),
        mounts: vec![Mount::Bind(mount)],
        files: files.clone(),
        needs: needs.clone(),
        epoch: Some(PackageOp::TIME),
    };
    let shown = stage.progress.name(&format!("DEPS: build {name} {version}"));
    let at = Placement { platform: Some(&tools.platform), span: Some(step.span()) };
    stage.target.add(Op::Exec(Box::new(op)), vec![tools.root, source], shown, at)
}
