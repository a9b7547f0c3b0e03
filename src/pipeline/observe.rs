//! An image is run, to see what it does and what it needs for that.
//!
//! 1. Its own command is started. If it has a health check, that is run beside it until it succeeds.
//! 2. Each line that was asked for is run in a shell beside it, again and again until it succeeds: a service may take a
//!    moment until it can be spoken to.
//! 3. A command without a health check is left to run until its time is over. Then it is asked to end (`SIGTERM`), because what
//!    it does to end belongs to what it does.
//! 4. If it ended by itself before all lines were run beside it, the others are run one by one, each in a container of its
//!    own.
//!
//! What is heard are the paths that all of these processes ask for; the image before a rewrite is run so, and the one after
//! it in the same way but unheard, and both have to end alike.

use super::{BuildError, Container, ContainerOptions, TrialEnd, container::OUTPUT_KEPT, health::HealthCheck};
use crate::{
    context::ImageName,
    registry::Client,
    sandbox::{Connection, Request, SandboxError, Stream},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use nix::sys::signal::Signal;
use std::{collections::BTreeSet, time::Duration};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

/// How an image is run to be observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Lines for a shell of the image, run beside its own command.
    pub lines: Vec<String>,
    /// How long its command and each line may take.
    pub limit: Duration,
    /// Files and folders that it needs in any case.
    pub keep: Vec<String>,
}

/// How long a command that was asked to end has for it.
const FAREWELL: Duration = Duration::from_secs(3);

/// How many paths are remembered: more than any image has, and one that asks for ever new ones is not observed.
const MOST_PATHS: usize = 1 << 20;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// How everything ended that was run: the image's own command first, if it has one, then each line.
    pub(super) ends: Vec<Ended>,
    /// What was asked for, from the root.
    pub(super) paths: BTreeSet<Vec<u8>>,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// The line; nothing for the image's own command.
    pub(super) line: Option<String>,
    pub(super) end: TrialEnd,
    /// The last of what was written meanwhile, by all.
    pub(super) output: Vec<u8>,
}

/// Where the image comes from, and where it runs.
#[derive(Clone, Copy)]
pub(super) struct Observed<'a> {
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    pub(super) name: &'a Reference,
    pub(super) platform: &'a Platform,
    pub(super) events: &'a Events,
}

impl Observed<'_> {
    /// Runs it; what it asks for is heard if `hears`.
    pub(super) async fn run(self, how: &Observation, hears: bool) -> Result<Session, BuildError> {
        let mut session = Session::default();
        let (sender, mut paths) = unbounded_channel();
        let sender = hears.then_some(sender);
        let mut lines = how.lines.as_slice();
        match self.container(None, hears).await? {
            Some(container) => {
                let ends = self.run_one(container, lines, how.limit, sender.clone()).await?;
                lines = &lines[ends.len() - 1..];
                session.ends.extend(ends);
            }
            None => self.events.notice("the image has no command, so only what was asked for is run"),
        }
        for line in lines {
            let container = self.container(Some(line), hears).await?;
            let Some(container) = container else { continue };
            let mut ends = self.run_one(container, &[], how.limit, sender.clone()).await?;
            for ended in &mut ends {
                ended.line = Some(line.clone());
            }
            session.ends.extend(ends);
        }
        drop(sender);
        session.paths = collect(&mut paths)?;
        Ok(session)
    }

    /// Ready to run the image's own command or a line. `None` if it has no command.
    async fn container(self, line: Option<&String>, observed: bool) -> Result<Option<Container>, BuildError> {
        let mut options = ContainerOptions { observed, ..ContainerOptions::default() };
        if let Some(line) = line {
            options.entrypoint = Some(vec!["/bin/sh".to_owned()]);
            options.command = vec!["-c".to_owned(), line.clone()];
        }
        let name = ImageName::Reference(self.name.clone());
        match Container::new(self.store, self.client, &name, self.platform, false, &options, self.events).await {
            Err(BuildError::Environment(text)) if text.contains("it has no command") => Ok(None),
            other => other.map(Some),
        }
    }

    /// How a container ends, and the first of the `lines`, which are run beside it.
    async fn run_one(
        self,
        container: Container,
        lines: &[String],
        limit: Duration,
        paths: Option<UnboundedSender<Vec<u8>>>,
    ) -> Result<Vec<Ended>, BuildError> {
        let started = Instant::now();
        let (sender, requests) = unbounded_channel();
        let health = container.health_check().cloned();
        let (env, folder) = (container.spec().env.clone(), container.spec().cwd.clone());
        let mut output = Vec::new();
        let keep = |_: Stream, bytes: &[u8]| {
            output.extend_from_slice(bytes);
            let surplus = output.len().saturating_sub(OUTPUT_KEPT);
            output.drain(..surplus);
        };
        let (mut verdict, mut ends) = (None, Vec::new());
        let decided = async {
            let healthy = match &health {
                Some(health) => Some(health.wait(&env, &folder, &sender, limit).await),
                None => None,
            };
            for line in lines {
                let end = HealthCheck::of_line(line).wait(&env, &folder, &sender, limit).await;
                ends.push(as_alone(end));
            }
            if healthy.is_none() {
                tokio::time::sleep_until(started + limit).await;
            }
            verdict = Some(healthy.unwrap_or(TrialEnd::StillRunning));
            // Whether anybody hears it is seen by its end.
            let _ = sender.send(Request::Signal(Signal::SIGTERM));
            tokio::time::sleep(FAREWELL).await;
        };
        let connection = Connection { requests: Some(requests), paths, ..Connection::default() };
        let exit = container.run(connection, keep, decided).await;
        let end = match (exit, verdict) {
            (_, Some(verdict)) => verdict,
            (Ok(exit), None) => TrialEnd::Exited(exit.status.code()),
            (Err(SandboxError::Program { message, code }), None) => {
                output.extend_from_slice(message.as_bytes());
                TrialEnd::Exited(code)
            }
            (Err(error), None) => {
                return Err(BuildError::Environment(format!("cannot run {}: {error}", self.name.familiar())));
            }
        };
        let named = lines.iter().zip(ends).map(|(line, end)| (Some(line.clone()), end));
        let ends = [(None, end)].into_iter().chain(named);
        Ok(ends.map(|(line, end)| Ended { line, end, output: output.clone() }).collect())
    }
}

fn collect(paths: &mut UnboundedReceiver<Vec<u8>>) -> Result<BTreeSet<Vec<u8>>, BuildError> {
    let mut heard = BTreeSet::new();
    while let Ok(path) = paths.try_recv() {
        heard.insert(path);
        if heard.len() >= MOST_PATHS {
            let text =
                format!("the image asked for {MOST_PATHS} paths, and what it needs cannot be told from the rest");
            return Err(BuildError::Rewrite(text));
        }
    }
    Ok(heard)
}

impl Session {
    /// Refuses what shows nothing: a line that failed, and an image of which nothing but a failed command was seen.
    pub(super) fn is_telling(&self, events: &Events) -> Result<(), BuildError> {
        let refuse = |ended: &Ended, hint: &str| {
            let title = ended.line.as_deref().unwrap_or("the image's own command");
            let (end, output) = (super::proof::shown(ended.end), super::proof::last_lines(&ended.output));
            Err(BuildError::Rewrite(format!("{title} {end}, so what the image needs was not seen: {hint}\n{output}")))
        };
        if let Some(failed) = self.ends.iter().find(|ended| ended.line.is_some() && ended.end != TrialEnd::Exited(0)) {
            return refuse(failed, "give lines that succeed");
        }
        match self.ends.iter().find(|ended| ended.line.is_none() && !is_success(ended.end)) {
            Some(own) if self.ends.len() == 1 => refuse(own, "say with --observe LINE what it is for"),
            Some(own) => {
                let end = super::proof::shown(own.end);
                events.notice(format!("the image's own command {end}: what it needs was seen by the lines alone"));
                Ok(())
            }
            None if self.ends.is_empty() => {
                Err(BuildError::Rewrite("the image has no command: say with --observe LINE what it is for".to_owned()))
            }
            None => Ok(()),
        }
    }
}

/// How a line that was run beside the image's own command would have ended in a container of its own.
fn as_alone(end: TrialEnd) -> TrialEnd {
    match end {
        TrialEnd::Healthy => TrialEnd::Exited(0),
        TrialEnd::Unhealthy(Some(code)) => TrialEnd::Exited(code),
        TrialEnd::Unhealthy(None) => TrialEnd::StillRunning,
        TrialEnd::Exited(_) | TrialEnd::StillRunning => end,
    }
}

fn is_success(end: TrialEnd) -> bool {
    match end {
        TrialEnd::Exited(0) | TrialEnd::StillRunning | TrialEnd::Healthy => true,
        TrialEnd::Exited(_) | TrialEnd::Unhealthy(_) => false,
    }
}
