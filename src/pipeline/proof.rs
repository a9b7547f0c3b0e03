//! Whether a rewritten image still works: it and the image before it are started the same way, and have to end alike.
//!
//! What is started is the image's own command, and each command that was asked for, in a shell of the image. Alike means the
//! same exit code, or the same verdict of the health check, or that both still ran when the time was over. What they wrote
//! is not compared: it has times and process numbers in it.

use super::{
    BuildError, Container, ContainerOptions, Trial, TrialEnd,
    observe::{Observation, Observed, Session},
};
use crate::{context::ImageName, export::BuiltIndex, registry::Client, solver::event::Events, store::Store};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use serde::Serialize;
use std::time::Duration;

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

/// Starts the image `source` and its successor, which has no name yet. An error if they end differently.
pub(super) async fn prove(
    store: &Store,
    client: &Client,
    source: &Reference,
    successor: &BuiltIndex,
    platform: &Platform,
    smoke: &Smoke,
    events: &Events,
) -> Result<Vec<Proof>, BuildError> {
    let scratch = name_for_now(store, successor)?;
    let mut proofs = Vec::new();
    let outcome = async {
        let own = [None];
        let commands: Vec<Option<&String>> =
            if smoke.commands.is_empty() { own.to_vec() } else { smoke.commands.iter().map(Some).collect() };
        for command in commands {
            let title = command.map_or("its own command", String::as_str);
            let step = events.step(format!("prove for {platform}: {title}"));
            let mut ends = Vec::with_capacity(2);
            for name in [source, &scratch] {
                match trial(store, client, name, platform, command, smoke.limit, events).await? {
                    Some(trial) => ends.push(trial),
                    None => break,
                }
            }
            let [before, after] = ends.as_slice() else {
                events.notice("the image has no command, so it was not started: name one with --smoke");
                step.ran();
                continue;
            };
            if before.end != after.end {
                let text = refusal(title, before.end, after.end, &after.output);
                step.failed(text.clone());
                return Err(BuildError::Rewrite(text));
            }
            step.ran();
            proofs.push(Proof { command: command.cloned(), end: shown(before.end) });
        }
        Ok(())
    }
    .await;
    store.remove_image(&scratch.to_string())?;
    outcome.map(|()| proofs)
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
    store.remove_image(&scratch.to_string())?;
    let after = after?;
    let mut proofs = Vec::with_capacity(before.ends.len());
    for (index, before) in before.ends.iter().enumerate() {
        let title = before.line.as_deref().unwrap_or("its own command");
        let after = after.ends.get(index).filter(|after| after.line == before.line);
        match after {
            Some(after) if after.end == before.end => {
                proofs.push(Proof { command: before.line.clone(), end: shown(before.end) });
            }
            Some(after) => {
                let text = refusal(title, before.end, after.end, &after.output);
                step.failed(text.clone());
                return Err(BuildError::Rewrite(text));
            }
            None => {
                let text =
                    format!("the rewritten image does not work as before, so there is none: {title} was not run");
                step.failed(text.clone());
                return Err(BuildError::Rewrite(text));
            }
        }
    }
    step.ran();
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

/// `None` if the image has no command.
async fn trial(
    store: &Store,
    client: &Client,
    name: &Reference,
    platform: &Platform,
    command: Option<&String>,
    limit: Duration,
    events: &Events,
) -> Result<Option<Trial>, BuildError> {
    let mut options = ContainerOptions::default();
    if let Some(line) = command {
        options.entrypoint = Some(vec!["/bin/sh".to_owned()]);
        options.command = vec!["-c".to_owned(), line.clone()];
    }
    let name = ImageName::Reference(name.clone());
    let container = match Container::new(store, client, &name, platform, false, &options, events).await {
        Err(BuildError::Environment(text)) if text.contains("it has no command") => return Ok(None),
        other => other?,
    };
    let trial = container.try_out(limit).await;
    trial.map(Some).map_err(|error| BuildError::Environment(format!("cannot start {name}: {error}")))
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
