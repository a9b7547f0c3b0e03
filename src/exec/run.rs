//! `Exec`: a process on an overlay of the tree's layers; what it changed is the layer.

use super::{
    EmulatedRun, Exec, ExecError, ForeignPrograms, Measured, Product, certificates, debug_shell, mount_points, mounts,
    needed, redact::Redacted, users,
};
use crate::{
    export::{HardLinks, write_tree},
    image::DiffId,
    layer::{Owners, UpperDir},
    sandbox::{self, Exit, Hardening, Input, Isolation, Limits, SandboxError, Security, ShownFile, Spec},
    secrets::SecretValue,
    solver::event::Step,
};
use flashbuild_frontend::{
    graph::{self, ExecOp, NodeId},
    platform::Platform,
};
use std::{path::PathBuf, time::Instant};

/// The name of the host that a process sees, where nothing else is said.
const HOSTNAME: &str = "flashbuild";

/// Runs `op` on the first input and makes the layer of what it changed.
pub(super) async fn run(
    exec: &Exec,
    id: NodeId,
    op: &ExecOp,
    inputs: &[Product],
    step: &Step,
) -> Result<DiffId, ExecError> {
    let base = &inputs[0];
    let node = exec.graph.node(id);
    tokio::task::block_in_place(|| needed::check(exec, op, base))?;
    let platform = node.platform.clone().unwrap_or_else(Platform::host);
    let foreign = ForeignPrograms::of(&platform, exec.options.emulator.as_deref())?;
    let tell = |text: String| step.notice(text);
    let (network, _lease) = tokio::task::block_in_place(|| exec.networks.lend(op.network, tell));
    let measured = tokio::task::block_in_place(|| exec.groups.measure(tell));
    let stage = exec.store.stage_dir()?;
    let (upper, work) = (stage.path().join("upper"), stage.path().join("work"));
    let mounted = stage.path().join("mounts");
    let made = [&upper, &work, &mounted].into_iter().try_for_each(std::fs::create_dir);
    made.map_err(|error| ExecError::Context { path: stage.path().to_owned(), error })?;
    let ready = mounts::prepare(exec, node, op, inputs, &mounted, step).await?;
    let (lowers, absent) = tokio::task::block_in_place(|| match exec.options.isolation {
        Isolation::Namespaces => {
            let mut lowers = mounts::folders(exec, base)?;
            let below = exec.mount_points.below(exec, &exec.view(base)?)?;
            lowers.splice(0..0, below.filter(|_| lowers.len() < Spec::MAX_LOWERS));
            Ok((lowers, Vec::new()))
        }
        Isolation::Chroot => {
            let absent = write_tree(&exec.layers, base.layers(), &upper, HardLinks::Copied)?;
            Ok::<_, ExecError>((Vec::new(), absent))
        }
    })?;
    let trust = tokio::task::block_in_place(|| exec.grants.certificates.trust(exec, base))?;
    let spec = tokio::task::block_in_place(|| -> Result<Spec, ExecError> {
        let (user, home) = users::process_user(&exec.layers, base.layers(), &op.user)?;
        let trusting = trust.iter().flat_map(|trust| &trust.env);
        let extra = exec.proxies.iter().chain(trusting).cloned().chain(foreign.env);
        let env = environment(&op.env, &home, &ready.env, extra);
        let shown = |file: &graph::ScriptFile| ShownFile {
            path: file.path.clone().into(),
            content: file.content.clone().into_bytes(),
            mode: file.mode,
        };
        Ok(Spec {
            lowers,
            upper: upper.clone(),
            work: work.clone(),
            args: op.args.clone(),
            env,
            cwd: op.cwd.clone().into(),
            user,
            input: Input::Nothing,
            hostname: op.hostname.clone().unwrap_or_else(|| HOSTNAME.to_owned()),
            hosts: exec.options.hosts.clone(),
            network,
            files: op.files.iter().map(shown).chain(trust.iter().flat_map(|trust| trust.files.clone())).collect(),
            appended: trust.as_ref().map(|trust| trust.appended.clone()).unwrap_or_default(),
            mounts: ready.mounts.clone(),
            emulator: foreign.emulator,
            hardening: Hardening {
                security: match op.security {
                    graph::Security::Sandbox => Security::Sandbox,
                    graph::Security::Insecure => Security::Insecure,
                },
                no_new_privileges: exec.options.no_new_privileges,
            },
            limits: Limits {
                group: measured.group().map(|group| group.path().to_owned()),
                ..exec.options.limits.clone()
            },
            isolation: exec.options.isolation,
            observed: false,
            runtime: exec.options.runtime.clone(),
        })
    })?;
    let values = || ready.secrets.iter().map(SecretValue::expose);
    let mut redacted = Redacted::new(values());
    let output = |bytes: &[u8]| step.output(&redacted.push(bytes));
    let started = Instant::now();
    let exit = sandbox::run(&spec, &exec.helpers, output, std::future::pending()).await;
    step.output(&redacted.finish());
    let problem = problem(&exit, op, &measured);
    debug_shell::open_after(exec, &spec, problem.as_ref(), &exit).await?;
    drop(ready);
    let exit = exit?;
    if foreign.emulated {
        let (took, cpu_time) = (started.elapsed(), exit.usage.cpu_time);
        exec.emulated.add(id, EmulatedRun { arch: platform.arch.clone(), took, cpu_time });
    }
    if let Some(problem) = problem {
        return Err(problem);
    }
    tokio::task::block_in_place(|| {
        if exec.options.isolation == Isolation::Chroot {
            exec.layers.mark_deletions(&upper, &exec.view(base)?, &absent)?;
        }
        let layer = keep(exec, op, base, &spec, &exit.stubs, step)?;
        if !upper.exists() {
            // It became the layer's folder. What overlayfs made beside it is a handful of empty files.
            stage.leave();
        }
        Ok(layer)
    })
}

/// What the process, which ran, did not do; an error of the sandbox is none of its own.
fn problem(exit: &Result<Exit, SandboxError>, op: &ExecOp, measured: &Measured) -> Option<ExecError> {
    let exit = exit.as_ref().ok().filter(|exit| !exit.status.success())?;
    let command = op.args.join(" ");
    Some(match measured.out_of_memory(exit.status) {
        Some(limit) => ExecError::OutOfMemory { command, limit },
        None => ExecError::Exit { command, code: exit.status.code() },
    })
}

/// What the process finds in its environment: what the Dockerfile says, what its mounts bring over that, and `extra`
/// where nobody else says anything.
pub fn environment(own: &[String], home: &str, mounted: &[String], extra: impl Iterator<Item = String>) -> Vec<String> {
    fn name(pair: &str) -> &str {
        pair.split('=').next().unwrap_or_default()
    }
    let mut env = own.to_vec();
    let add = |env: &mut Vec<String>, pair: String| {
        if !env.iter().any(|known| name(known) == name(&pair)) {
            env.push(pair);
        }
    };
    add(&mut env, format!("HOME={home}"));
    for pair in mounted {
        env.retain(|known| name(known) != name(pair));
        env.push(pair.clone());
    }
    for pair in extra {
        add(&mut env, pair);
    }
    env
}

/// Makes the layer of what the process changed.
fn keep(
    exec: &Exec,
    op: &ExecOp,
    base: &Product,
    spec: &Spec,
    stubs: &[PathBuf],
    step: &Step,
) -> Result<DiffId, ExecError> {
    certificates::forget(&spec.appended, &spec.upper)
        .map_err(|error| ExecError::Context { path: spec.upper.clone(), error })?;
    let tree = exec.view(base)?;
    let stubs: Vec<PathBuf> = stubs.iter().cloned().chain(mount_points::absent_from(&tree)).collect();
    let made = exec.layers.from_upper(&UpperDir {
        path: &spec.upper,
        lower: &tree,
        stubs: &stubs,
        epoch: exec.graph.epoch.into_iter().chain(op.epoch).min(),
        owners: if exec.single_id { Owners::Single } else { Owners::Real },
    })?;
    for notice in &made.notices {
        step.notice(notice.to_string());
    }
    Ok(made.diff_id)
}
