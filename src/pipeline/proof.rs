//! Whether a rewritten image still works: it and the image before it are started the same way, and have to end alike.
//!
//! What is started is the image's own command, and each command that was asked for, in a shell of the image. Alike means the
//! same exit code, or the same verdict of the health check, or that both still ran when the time was over. What they wrote
//! is not compared: it has times and process numbers in it.
//!
//! An image that a build made slim is proven before it is assembled, against what it would be otherwise; that is remembered, so
//! that a build in which nothing changed starts nothing.

use super::{
    BuildError, Container, ContainerOptions, Trial, TrialEnd,
    attempt::Attempt,
    container::{Unpacked, has_command},
    error::ended,
    observe::{Observation, Observed, Session},
    results::Unassembled,
};
use crate::{
    exec::{Need, StepOptions},
    export::BuiltIndex,
    image::DiffId,
    layer::Layers,
    registry::Client,
    solver::event::Events,
    store::{RecordKey, RecordKind, Store},
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform, reference::Reference};
use serde::Serialize;
use std::time::Duration;

/// Changes whenever another proof would be asked for of the same images.
const VERSION: &str = "flashbuild-proof-1";

/// How an image is tried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smoke {
    /// Lines for a shell of the image, in place of its own command; none for that.
    pub commands: Vec<String>,
    /// How long each may take.
    pub limit: Duration,
}

/// What both images came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// What was started: a line for a shell, or nothing for the image's own command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How both ended.
    pub end: String,
}

/// An image and its successor, whose layers are here.
pub(super) struct Rewriting<'a> {
    pub(super) platform: &'a Platform,
    pub(super) layers: &'a Layers,
    pub(super) before: (&'a ImageConfig, &'a [DiffId]),
    pub(super) after: (&'a ImageConfig, &'a [DiffId]),
}

/// Starts an image and its successor. An error if they end differently.
pub(super) async fn prove(
    rewriting: &Rewriting<'_>,
    smoke: &Smoke,
    how: &StepOptions,
    events: &Events,
) -> Result<Vec<Proof>, BuildError> {
    let mut proofs = Vec::new();
    let own = [None];
    let commands: Vec<Option<&String>> =
        if smoke.commands.is_empty() { own.to_vec() } else { smoke.commands.iter().map(Some).collect() };
    for command in commands {
        let step = events.step(format!("prove for {}: {}", rewriting.platform, title(command)));
        let proven = rewriting.compare(command, smoke.limit, how, events).await;
        proofs.extend(ended(step, proven)?);
    }
    Ok(proofs)
}

/// Proves the images of a build that are not what they were `before` something was left out of them.
pub(super) async fn prove_slim(
    attempt: &Attempt<'_>,
    before: &[Unassembled],
    after: &[Unassembled],
) -> Result<(), BuildError> {
    let Attempt { store, request, exec, events, .. } = *attempt;
    let Some(smoke) = request.smoke.as_ref().filter(|_| !request.division.slim.passes.is_empty()) else {
        return Ok(());
    };
    for ((platform, config, whole), (_, slim_config, slim)) in before.iter().zip(after) {
        if whole == slim {
            continue;
        }
        let rewriting =
            Rewriting { platform, layers: &exec.layers, before: (config, whole), after: (slim_config, slim) };
        let key = rewriting.key(smoke);
        if store.records(&[key])?.contains_key(&key) {
            continue;
        }
        for tree in [whole, slim] {
            let brought = exec.sources.bring(&exec.layers, tree, Need::Files, None).await;
            brought.map_err(|error| attempt.source.failed(&error, None))?;
        }
        let how = StepOptions { debug_shell: None, ..request.steps.clone() };
        prove(&rewriting, smoke, &how, events).await?;
        store.put_record(key, RecordKind::Definition, &[], &[])?;
    }
    Ok(())
}

impl Rewriting<'_> {
    /// What a command comes to in both; `None` if there is nothing to start. An error if that is not the same.
    async fn compare(
        &self,
        command: Option<&String>,
        limit: Duration,
        how: &StepOptions,
        events: &Events,
    ) -> Result<Option<Proof>, BuildError> {
        let mut options = ContainerOptions { steps: how.clone(), ..ContainerOptions::default() };
        if let Some(line) = command {
            options.entrypoint = Some(vec!["/bin/sh".to_owned()]);
            options.command = vec!["-c".to_owned(), line.clone()];
        }
        if !has_command(&self.before.0.config, &options) {
            events.notice("the image has no command, so it was not started: name one with --smoke");
            return Ok(None);
        }
        let before = self.trial("before", self.before, limit, &options, events).await?;
        let after = self.trial("after", self.after, limit, &options, events).await?;
        if before.end != after.end {
            return Err(BuildError::Rewrite(refusal(title(command), before.end, after.end, &after.output)));
        }
        Ok(Some(Proof { command: command.cloned(), end: shown(before.end) }))
    }

    async fn trial(
        &self,
        when: &str,
        (config, tree): (&ImageConfig, &[DiffId]),
        limit: Duration,
        options: &ContainerOptions,
        events: &Events,
    ) -> Result<Trial, BuildError> {
        let name = format!("for {}, as it is {when} it was rewritten", self.platform);
        let cannot = |error: &dyn std::fmt::Display| {
            BuildError::Environment(format!("{error}; --no-smoke does without the proof"))
        };
        let image = Unpacked { name: &name, config, layers: self.layers, tree };
        let container = Container::of(&image, options, events).map_err(|error| cannot(&error))?;
        let trial = container.try_out(limit).await;
        trial.map_err(|error| cannot(&format!("cannot start the image {name}: {error}")))
    }

    /// What the outcome depends on: the platform is part of the configurations.
    fn key(&self, smoke: &Smoke) -> RecordKey {
        let facts = format!("{:?} {:?} {smoke:?}", self.before, self.after);
        RecordKey(*blake3::Hasher::new_derive_key(VERSION).update(facts.as_bytes()).finalize().as_bytes())
    }
}

fn title(command: Option<&String>) -> &str {
    command.map_or("its own command", String::as_str)
}

/// Runs the successor as its predecessor was observed. An error if anything ends differently.
pub(super) async fn prove_as_observed(
    store: &Store,
    client: &Client,
    before: &Session,
    successor: &BuiltIndex,
    platform: &Platform,
    how: &Observation,
    events: &Events,
) -> Result<Vec<Proof>, BuildError> {
    let scratch = name_for_now(store, successor)?;
    let step = events.step(format!("prove for {platform}: what was observed"));
    let after = Observed { store, client, name: &scratch, platform, events }.run(how, false).await;
    let proven = after.and_then(|after| as_before(before, &after));
    store.remove_image(&scratch.to_string())?;
    ended(step, proven)
}

fn as_before(before: &Session, after: &Session) -> Result<Vec<Proof>, BuildError> {
    let mut proofs = Vec::with_capacity(before.ends.len());
    for (index, before) in before.ends.iter().enumerate() {
        let title = title(before.line.as_ref());
        match after.ends.get(index).filter(|after| after.line == before.line) {
            Some(after) if after.end == before.end => {
                proofs.push(Proof { command: before.line.clone(), end: shown(before.end) });
            }
            Some(after) => {
                return Err(BuildError::Rewrite(refusal(title, before.end, after.end, &after.output)));
            }
            None => {
                return Err(BuildError::Rewrite(format!(
                    "the rewritten image does not work as before, so there is none: {title} was not run"
                )));
            }
        }
    }
    Ok(proofs)
}

/// Gives an image a name that nobody else uses: containers are of images that have one.
fn name_for_now(store: &Store, image: &BuiltIndex) -> Result<Reference, BuildError> {
    let name: Reference = format!("flashbuild.invalid/proof:{:016x}", fastrand::u64(..))
        .parse()
        .map_err(|error| BuildError::Environment(format!("{error}")))?;
    image.bundle().save(store, &[name.to_string()])?;
    Ok(name)
}

fn refusal(title: &str, before: TrialEnd, after: TrialEnd, output: &[u8]) -> String {
    let (before, told) = (shown(before), shown(after));
    let last = last_lines(output);
    format!("the rewritten image does not work as before, so there is none: {title} {told}, before it {before}\n{last}")
}

/// What a person needs to see of an output.
pub(super) fn last_lines(output: &[u8]) -> String {
    const SHOWN: usize = 20;
    let output = String::from_utf8_lossy(output);
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// How something ended, in words.
pub(super) fn shown(end: TrialEnd) -> String {
    match end {
        TrialEnd::Exited(code) => format!("ended with exit code {code}"),
        TrialEnd::StillRunning => "was still running".to_owned(),
        TrialEnd::Healthy => "was healthy".to_owned(),
        TrialEnd::Unhealthy(Some(code)) => format!("was unhealthy: the check ended with {code}"),
        TrialEnd::Unhealthy(None) => "was unhealthy: the check did not end".to_owned(),
    }
}
