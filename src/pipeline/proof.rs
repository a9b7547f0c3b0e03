//! Whether a rewritten image still works: it and the image before it are started the same way, and have to end alike.
//!
//! What is started is the image's own command, and each command that was asked for, in a shell of the image. Alike means the
//! same exit code, or the same verdict of the health check, or that both still ran when the time was over. What they wrote
//! is not compared: it has times and process numbers in it.

use super::{BuildError, Container, ContainerOptions, Trial, TrialEnd};
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
    // Containers are of images that have a name.
    let scratch: Reference = format!("flashbuild.invalid/proof:{:016x}", fastrand::u64(..))
        .parse()
        .map_err(|error| BuildError::Environment(format!("{error}")))?;
    successor.bundle().save(store, &[scratch.to_string()])?;
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
                let (before, told) = (shown(before.end), shown(after.end));
                let output = String::from_utf8_lossy(&after.output);
                let last = output.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
                let text = format!(
                    "the rewritten image does not work as before, so there is none: {title} {told}, before it {before}\n{}",
                    last.join("\n")
                );
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

fn shown(end: TrialEnd) -> String {
    match end {
        TrialEnd::Exited(code) => format!("ended with exit code {code}"),
        TrialEnd::StillRunning => "was still running".to_owned(),
        TrialEnd::Healthy => "was healthy".to_owned(),
        TrialEnd::Unhealthy(Some(code)) => format!("was unhealthy: the check ended with {code}"),
        TrialEnd::Unhealthy(None) => "was unhealthy: the check did not end".to_owned(),
    }
}
