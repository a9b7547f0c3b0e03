//! An image's own command, in the sandbox: nothing that it writes is kept.
//!
//! What runs, and as whom, is decided as `docker run` does:
//!
//! | asked | program and arguments |
//! |---|---|
//! | nothing | the image's entry point, then its command |
//! | a command | the image's entry point, then that command |
//! | an entry point | that, then the command asked for; the image's command belongs to the image's entry point |
//! | an empty entry point | the command asked for, else the image's |

use super::{BuildError, health::HealthCheck};
use crate::{
    context::ImageName,
    exec::{
        ForeignPrograms, Measured, Need, Sources, StepGroups, StepNetworks, StepOptions, environment, overlaid,
        process_user,
    },
    export::{HardLinks, write_tree},
    image::DiffId,
    layer::{Layers, OverlayXattrs},
    registry::Client,
    resolve::Pinned,
    sandbox::{
        self, Connection, Exit, Hardening, Input, Isolation, Lease, Limits, SandboxError, Security, Spec, StepMount,
        Stream,
    },
    solver::event::Events,
    store::{StageDir, Store},
};
use flashbuild_frontend::{
    config::{ContainerConfig, ImageConfig},
    graph::Network,
    platform::Platform,
};
use std::{collections::BTreeMap, fmt::Display, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc::unbounded_channel;

/// Where programs are looked up in an image that says nothing of it; what other engines take.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes of output that a [`Trial`] keeps: its end says most.
pub(super) const OUTPUT_KEPT: usize = 64 << 10;

/// What a container is to be like where that is not as its image says.
#[derive(Debug, Clone)]
pub struct ContainerOptions {
    /// In place of the image's entry point; empty for none.
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's command.
    pub command: Vec<String>,
    /// `NAME=value`, over those of the image.
    pub env: Vec<String>,
    /// In place of the image's working folder.
    pub folder: Option<String>,
    /// In place of the image's user: `user[:group]`.
    pub user: Option<String>,
    /// What of the host is mounted.
    pub mounts: Vec<StepMount>,
    /// What it reaches of the network.
    pub network: Network,
    /// What it reads, and whether it is at a terminal.
    pub input: Input,
    /// How it runs on this machine.
    pub steps: StepOptions,
    /// Whether somebody hears which paths its processes ask for.
    pub observed: bool,
}

impl Default for ContainerOptions {
    /// As the image says, with the network of the host: a service is found on its loopback interface.
    fn default() -> Self {
        Self {
            entrypoint: None,
            command: Vec::new(),
            env: Vec::new(),
            folder: None,
            user: None,
            mounts: Vec::new(),
            network: Network::Host,
            input: Input::Nothing,
            steps: StepOptions::default(),
            observed: false,
        }
    }
}

/// A container that can start, once. What it writes goes with the value.
#[derive(Debug)]
pub struct Container {
    spec: Spec,
    health: Option<HealthCheck>,
    measured: Measured,
    _network: Option<Lease>,
    _stage: StageDir,
}

impl Container {
    /// Makes a container ready: brings the image's layers here as folders, and looks its user up.
    ///
    /// The store has to be held by a lease for as long as it is used.
    pub async fn new(
        store: &Store,
        client: &Client,
        name: &ImageName,
        platform: &Platform,
        always_ask: bool,
        options: &ContainerOptions,
        events: &Events,
    ) -> Result<Self, BuildError> {
        let pinned = name
            .resolve(store, client, platform, always_ask)
            .await
            .map_err(|error| BuildError::Environment(format!("cannot find image {name} for {platform}: {error}")))?;
        let config = pinned.image.config.clone();
        if !has_command(&config.config, options) {
            return Err(broken(name, &NO_COMMAND));
        }
        let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
        let tree = bring(client, &layers, pinned, name, events).await.map_err(|error| broken(name, &error))?;
        Self::of(&Unpacked { name, config: &config, layers: &layers, tree: &tree }, options, events)
    }

    /// Makes a container of an image ready whose layers are here.
    pub(super) fn of(image: &Unpacked<'_>, options: &ContainerOptions, events: &Events) -> Result<Self, BuildError> {
        let Unpacked { name, config, layers, tree } = *image;
        let broken = |error: &dyn Display| broken(name, error);
        let program = command(&config.config, options);
        if program.is_empty() {
            return Err(broken(&NO_COMMAND));
        }
        if tree.is_empty() {
            return Err(broken(&"it has no files, so there is nothing to run"));
        }
        let tell = |text: String| events.notice(text);
        tokio::task::block_in_place(|| {
            let foreign = ForeignPrograms::of(&config.platform(), options.steps.emulator.as_deref())
                .map_err(|error| broken(&error))?;
            let user = options.user.as_deref().unwrap_or(&config.config.user);
            let (user, home) = process_user(layers, tree, user).map_err(|error| broken(&error))?;
            let env = variables(&config.config, options, &home, foreign.env);
            let networks = match options.steps.isolation {
                Isolation::Namespaces => StepNetworks::find(),
                Isolation::Chroot => StepNetworks::of_host(),
            };
            let (network, lease) = networks.lend(options.network, tell);
            let measured = StepGroups::new(options.steps.group_limits.clone()).measure(tell);
            let stage = layers.store().stage_dir()?;
            let (upper, work) = (stage.path().join("upper"), stage.path().join("work"));
            [&upper, &work].into_iter().try_for_each(std::fs::create_dir).map_err(|error| broken(&error))?;
            let lowers = match options.steps.isolation {
                Isolation::Namespaces => {
                    let folders = overlaid(tree).into_iter().map(|layer| layers.folder(layer));
                    folders.collect::<Result<Vec<_>, _>>().map_err(|error| broken(&error))?
                }
                Isolation::Chroot => {
                    write_tree(layers, tree, &upper, HardLinks::Kept).map_err(|error| broken(&error))?;
                    Vec::new()
                }
            };
            let folder = options.folder.as_deref().unwrap_or(&config.config.working_dir);
            let spec = Spec {
                lowers,
                upper,
                work,
                args: program,
                env,
                cwd: PathBuf::from("/").join(folder),
                user,
                input: options.input,
                hostname: "flashbuild".to_owned(),
                hosts: options.steps.hosts.clone(),
                network,
                files: Vec::new(),
                appended: Vec::new(),
                mounts: options.mounts.clone(),
                emulator: foreign.emulator,
                hardening: Hardening {
                    security: Security::Sandbox,
                    no_new_privileges: options.steps.no_new_privileges,
                },
                limits: Limits {
                    group: measured.group().map(|group| group.path().to_owned()),
                    ..options.steps.limits.clone()
                },
                isolation: options.steps.isolation,
                observed: options.observed,
                runtime: options.steps.runtime.clone(),
            };
            Ok(Self { spec, health: HealthCheck::of(&config.config), measured, _network: lease, _stage: stage })
        })
    }

    /// What it runs, for who is connected to it in a way of their own: it is there for as long as this container is.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Runs it to its end, or until `cancel` is ready.
    pub(super) async fn run(
        self,
        connection: Connection,
        output: impl FnMut(Stream, &[u8]),
        cancel: impl Future<Output = ()>,
    ) -> Result<Exit, SandboxError> {
        let exit = sandbox::run_connected(&self.spec, connection, output, cancel).await;
        drop(self.measured);
        exit
    }

    /// How its image says to find out that it is well.
    pub(super) fn health_check(&self) -> Option<&HealthCheck> {
        self.health.as_ref()
    }

    /// Whether its image says how to find out that it is well.
    pub fn has_health_check(&self) -> bool {
        self.health.is_some()
    }

    /// Sees what it comes to within `limit`, with its output: [`watch`](Self::watch) for who wants it all at once.
    pub async fn try_out(self, limit: Duration) -> Result<Trial, SandboxError> {
        let mut output = Vec::new();
        let keep = |_: Stream, bytes: &[u8]| {
            output.extend_from_slice(bytes);
            let surplus = output.len().saturating_sub(OUTPUT_KEPT);
            output.drain(..surplus);
        };
        let end = match self.watch(limit, keep).await {
            Err(SandboxError::Program { message, code }) => {
                output.extend_from_slice(message.as_bytes());
                TrialEnd::Exited(code)
            }
            other => other?,
        };
        Ok(Trial { end, output })
    }

    /// Runs it until it ends by itself, or its health check succeeds, or `limit` is over; then it is ended.
    pub async fn watch(self, limit: Duration, output: impl FnMut(Stream, &[u8])) -> Result<TrialEnd, SandboxError> {
        let (sender, requests) = unbounded_channel();
        let (health, env, folder) = (self.health.clone(), self.spec.env.clone(), self.spec.cwd.clone());
        let mut verdict = TrialEnd::StillRunning;
        let decided = async {
            match health {
                Some(health) => verdict = health.wait(&env, &folder, &sender, limit).await,
                None => tokio::time::sleep(limit).await,
            }
        };
        let connection = Connection { requests: Some(requests), ..Connection::default() };
        match self.run(connection, output, decided).await {
            Ok(exit) => Ok(TrialEnd::Exited(exit.status.code())),
            Err(SandboxError::Cancelled) => Ok(verdict),
            Err(error) => Err(error),
        }
    }
}

/// What came of a container that was tried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// How it ended.
    pub end: TrialEnd,
    /// What it wrote to standard output and standard error, in order; the end of it, where it is much.
    pub output: Vec<u8>,
}

/// How a container ended that was tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialEnd {
    /// By itself, with this exit code: 127 and 126 also for a program that could not be executed, as of a shell.
    Exited(i32),
    /// It was still running when its time was over, and has no health check.
    StillRunning,
    /// Its health check succeeded.
    Healthy,
    /// Its health check did not succeed in its time: the exit code of the last one, if that ended.
    Unhealthy(Option<i32>),
}

/// An image whose layers are here.
#[derive(Clone, Copy)]
pub(super) struct Unpacked<'a> {
    /// What it is called in errors.
    pub(super) name: &'a dyn Display,
    pub(super) config: &'a ImageConfig,
    pub(super) layers: &'a Layers,
    /// Lowest first.
    pub(super) tree: &'a [DiffId],
}

const NO_COMMAND: &str = "it has no command: say what to run after its name";

fn broken(name: &dyn Display, error: &dyn Display) -> BuildError {
    BuildError::Environment(format!("image {name}: {error}"))
}

/// Fetches what is missing, and says so only if something is.
async fn bring(
    client: &Client,
    layers: &Layers,
    pinned: Pinned,
    name: &ImageName,
    events: &Events,
) -> Result<Vec<DiffId>, crate::exec::ExecError> {
    let tree: Vec<DiffId> = pinned.source.layers.iter().map(|(diff_id, _)| *diff_id).collect();
    let image = BTreeMap::from([(pinned.image.digest, pinned.source)]);
    let sources = Sources::new(client.clone(), image, layers, Arc::default())?;
    let mut missing = false;
    for layer in &tree {
        missing |= !layers.has_files(layer)?;
    }
    if missing {
        let step = events.step(format!("pull {name}"));
        match sources.bring(layers, &tree, Need::Files, Some(&step)).await {
            Ok(()) => step.ran(),
            Err(error) => {
                step.failed(error.to_string());
                return Err(error);
            }
        }
    }
    // Makes the tables, which checks each layer against its digest.
    tokio::task::block_in_place(|| layers.view(&tree))?;
    Ok(tree)
}

/// Program and arguments.
fn command(config: &ContainerConfig, options: &ContainerOptions) -> Vec<String> {
    let own = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let is_set = |words: &Vec<String>| words.iter().any(|word| !word.is_empty());
    let (entrypoint, default) = match &options.entrypoint {
        None => (own(&config.entrypoint), own(&config.cmd)),
        Some(other) if is_set(other) => (other.clone(), Vec::new()),
        Some(_) => (Vec::new(), own(&config.cmd)),
    };
    let arguments = if options.command.is_empty() { default } else { options.command.clone() };
    [entrypoint, arguments].concat()
}

/// Whether there is something to start.
pub(super) fn has_command(config: &ContainerConfig, options: &ContainerOptions) -> bool {
    !command(config, options).is_empty()
}

/// The environment: the image's, what was asked for over that, and what every container has.
fn variables(
    config: &ContainerConfig,
    options: &ContainerOptions,
    home: &str,
    emulator: Option<String>,
) -> Vec<String> {
    let terminal = match options.input {
        Input::Terminal(_) => Some("TERM=xterm".to_owned()),
        Input::Nothing | Input::Given => None,
    };
    let usual = [Some(PATH.to_owned()), terminal, emulator].into_iter().flatten();
    environment(&config.env, home, &options.env, usual)
}

#[cfg(test)]
mod tests {
    use super::{ContainerConfig, ContainerOptions, Input, command, variables};
    use crate::sandbox::TerminalSize;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_program_is_chosen_as_docker_run_chooses_it() {
        let of = |entrypoint: &str, cmd: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| words(text));
            ContainerConfig { entrypoint: some(entrypoint), cmd: some(cmd), ..ContainerConfig::default() }
        };
        for (entrypoint, cmd, asked_entrypoint, asked_command, expected) in [
            ("", "serve -v", None, "", "serve -v"),
            ("start", "serve -v", None, "", "start serve -v"),
            ("start", "serve -v", None, "check", "start check"),
            ("start", "serve -v", Some("sh"), "", "sh"),
            ("start", "serve -v", Some("sh"), "-c x", "sh -c x"),
            ("start", "serve -v", Some(""), "", "serve -v"),
            ("start", "serve -v", Some(""), "ls", "ls"),
            ("", "", None, "", ""),
        ] {
            let options = ContainerOptions {
                entrypoint: asked_entrypoint.map(words),
                command: words(asked_command),
                ..ContainerOptions::default()
            };
            assert_eq!(
                command(&of(entrypoint, cmd), &options),
                words(expected),
                "{asked_entrypoint:?} {asked_command}"
            );
        }
    }

    #[test]
    fn what_was_asked_for_wins_over_the_image_and_the_image_over_what_is_usual() {
        let config = ContainerConfig { env: words("A=image PATH=/bin"), ..ContainerConfig::default() };
        let mut options = ContainerOptions { env: words("A=asked B=1"), ..ContainerOptions::default() };
        let sorted = |mut env: Vec<String>| {
            env.sort();
            env.join(" ")
        };
        assert_eq!(sorted(variables(&config, &options, "/root", None)), "A=asked B=1 HOME=/root PATH=/bin");
        options.env = words("HOME=/here TERM=dumb");
        options.input = Input::Terminal(TerminalSize { rows: 1, columns: 1 });
        let emulator = Some("QEMU_CPU=max".to_owned());
        assert_eq!(
            sorted(variables(&ContainerConfig::default(), &options, "/root", emulator)),
            "HOME=/here PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin QEMU_CPU=max TERM=dumb"
        );
    }
}
