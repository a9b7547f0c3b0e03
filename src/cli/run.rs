//! `run`: an image's command in the sandbox, for trying it out.
//!
//! Flags have the names and meanings that `docker run` gives them, but for the network, which is the host's unless
//! another is asked for: there are no ports to publish, a service is found on the loopback interface of the host.

use super::{Failed, StepArgs, StoreArgs, console};
use crate::{
    context::ImageName,
    pipeline::{Container, ContainerOptions},
    progress::{self, Mode, Output, Screen},
    registry::{self, Client},
    sandbox::{Input, Isolation, MountSource, SandboxError, StepMount},
    solver::event::Events,
    store::Store,
};
use clap::Args;
use flashbuild_frontend::{graph::Network, platform::Platform};
use std::{path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

/// How long an image has until it is healthy, unless said otherwise.
const HEALTH_TIMEOUT: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
#[command(after_help = "The exit code is that of the command; 127 and 126 if it is not there or cannot be executed.\n\
                        What the command writes to its file system is forgotten when it ends.")]
pub(super) struct RunArgs {
    /// An image (of the local store, of a registry, or `oci-layout://DIR[:TAG]`), and what to run in place of its command
    // One argument, because all that follows the image belongs to the command, flags too.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_names = ["IMAGE", "COMMAND"])]
    words: Vec<String>,
    /// Program to run in place of the image's entry point; empty for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Variable of its environment; without a value, that of yours (repeatable)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Folder to start in
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Who it runs as: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// File or folder of this machine that it sees (repeatable)
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]")]
    volume: Vec<Volume>,
    /// The platform whose image is run, emulated where this machine is another [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// What it reaches of the network: host, default (all but this machine) or none
    #[arg(long, value_name = "MODE", value_parser = super::grants::network, default_value = "host")]
    network: Network,
    #[command(flatten)]
    attach: AttachArgs,
    /// Run the image's health check until it succeeds, and end; exit code 1 if it does not
    #[arg(long)]
    health: bool,
    /// Seconds after which it is ended, with exit code 124 [default: 60 for --health, else none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Always ask the registry what the name means
    #[arg(long)]
    pull: bool,
    /// How fetching the image is shown: auto, tty, plain, rawjson or quiet
    #[arg(long, default_value = "auto", value_name = "MODE")]
    progress: Mode,
    /// Registry that may speak plain HTTP or has an unknown certificate (repeatable)
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    #[command(flatten)]
    steps: StepArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// How it is connected to whoever starts it.
#[derive(Debug, Args)]
struct AttachArgs {
    /// Give it a terminal [default: if standard input and standard output are one]
    #[arg(short, long)]
    tty: bool,
    /// Keep standard input open, as is always done; accepted because others have it
    #[arg(short, long)]
    interactive: bool,
    /// Forget what it wrote, as is always done; accepted because others have it
    #[arg(long)]
    rm: bool,
}

/// A `--volume`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Volume {
    source: PathBuf,
    target: PathBuf,
    read_only: bool,
}

impl FromStr for Volume {
    type Err = String;

    /// Reads `SOURCE:TARGET[:OPTIONS]`. Labels and propagation (`z`, `Z`, `rprivate`) mean nothing here.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (Some(source), Some(target), options, None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("expected SOURCE:TARGET[:ro]".to_owned());
        };
        if !source.starts_with(['/', '.']) {
            return Err(format!("{source:?} names a volume, and there are none: name a path, such as ./{source}"));
        }
        if !target.starts_with('/') {
            return Err(format!("{target:?} is not an absolute path"));
        }
        let mut read_only = false;
        for option in options.unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                "rw" | "z" | "Z" | "rprivate" | "private" => {}
                _ => return Err(format!("unknown option {option:?}: expected ro or rw")),
            }
        }
        Ok(Self { source: source.into(), target: target.into(), read_only })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|time| !time.is_zero()).ok_or_else(|| "expected a number of seconds such as 2.5".to_owned())
}

/// Exit code: the command's.
pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Failed> {
    let (_, isolation) = args.steps.enter()?;
    let (image, command) = args.image()?;
    let options = args.options(command, isolation)?;
    let store = args.store.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let code = runtime.block_on(async {
        let _lease = store.lease().map_err(Failed::environment)?;
        let container = args.container(&store, &image, &options).await?;
        store.make_durable().map_err(Failed::environment)?;
        if !args.health {
            return exit_code(console::attend(container.spec(), args.timeout).await);
        }
        if !container.has_health_check() {
            return Err(Failed::usage(format!("image {image} has no HEALTHCHECK to run")));
        }
        console::check(container, args.timeout.unwrap_or(HEALTH_TIMEOUT)).await.map(|()| ExitCode::SUCCESS)
    });
    // Somebody may still wait for what will never be typed.
    runtime.shutdown_background();
    code
}

/// A program that is not there or cannot be executed has the exit code that a shell gives it.
fn exit_code(ended: Result<i32, SandboxError>) -> Result<ExitCode, Failed> {
    let code = match ended {
        Ok(code) => code,
        Err(SandboxError::Program { message, code }) => {
            let mut out = Output::stderr();
            let said = out.line(format!("error: {}", progress::printable(&message)));
            said.and_then(|()| out.finish()).map_err(Failed::environment)?;
            code
        }
        Err(error) => return Err(Failed::environment(error)),
    };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

impl RunArgs {
    /// The image, and what to run in it.
    fn image(&self) -> Result<(ImageName, &[String]), Failed> {
        let (image, command) = self.words.split_first().ok_or_else(|| Failed::usage("which image?"))?;
        if image.starts_with('-') {
            return Err(Failed::usage(format!("unexpected argument {image:?}: see flashbuild run --help")));
        }
        // As between the flags and the words of any command.
        let command = command.strip_prefix(&["--".to_owned()]).unwrap_or(command);
        Ok((image.parse().map_err(Failed::usage)?, command))
    }

    fn options(&self, command: &[String], isolation: Isolation) -> Result<ContainerOptions, Failed> {
        let mut env = Vec::new();
        for variable in &self.env {
            match variable.split_once('=') {
                Some(("", _)) => return Err(Failed::usage(format!("--env {variable:?}: expected NAME[=VALUE]"))),
                Some(_) => env.push(variable.clone()),
                None => env.extend(std::env::var(variable).ok().map(|value| format!("{variable}={value}"))),
            }
        }
        let mut mounts = Vec::new();
        for Volume { source, target, read_only } in &self.volume {
            let wrong = |error| Failed::usage(format!("--volume: cannot use {}: {error}", source.display()));
            let source = std::fs::canonicalize(source).map_err(wrong)?;
            let source = MountSource::HostTree(source);
            mounts.push(StepMount { target: target.clone(), source, read_only: *read_only });
        }
        // What is mounted deeper comes later, or it would be covered.
        mounts.sort_by_key(|mount| mount.target.components().count());
        let terminal = console::terminal_size(self.attach.tty).map_or(Input::Given, Input::Terminal);
        Ok(ContainerOptions {
            entrypoint: self.entrypoint.clone().map(|program| vec![program]),
            command: command.to_vec(),
            env,
            folder: self.workdir.clone(),
            user: self.user.clone(),
            mounts,
            network: self.network,
            input: if self.health { Input::Nothing } else { terminal },
            steps: self.steps.options(isolation)?,
            observed: false,
        })
    }

    /// Fetches the image, and shows how that goes.
    async fn container(
        &self,
        store: &Store,
        image: &ImageName,
        options: &ContainerOptions,
    ) -> Result<Container, Failed> {
        let registry = registry::Options { insecure: self.insecure_registry.clone(), ..registry::Options::default() };
        let client = Client::new(registry).map_err(Failed::environment)?;
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let (events, receiver) = Events::channel();
        let shown = tokio::spawn(progress::show(self.progress, receiver, Screen::stderr()));
        StepArgs::warn(options.steps.isolation, &events);
        let container = tokio::select! {
            made = Container::new(store, &client, image, &platform, self.pull, options, &events) => made.map_err(Failed::from),
            () = super::interruption() => Err(Failed::interrupted()),
        };
        drop(events);
        shown.await.map_err(Failed::environment)?;
        container
    }
}

#[cfg(test)]
mod tests {
    use super::Volume;

    #[test]
    fn volumes_are_paths_of_this_machine() {
        let volume =
            |source: &str, target: &str, read_only| Volume { source: source.into(), target: target.into(), read_only };
        for (text, expected) in [
            ("/a:/b", Ok(volume("/a", "/b", false))),
            ("./a:/b:ro", Ok(volume("./a", "/b", true))),
            ("/a:/b:rw,z", Ok(volume("/a", "/b", false))),
            ("/a", Err("expected SOURCE:TARGET[:ro]")),
            ("/a:/b:ro:x", Err("expected SOURCE:TARGET[:ro]")),
            ("data:/b", Err("\"data\" names a volume, and there are none: name a path, such as ./data")),
            ("/a:b", Err("\"b\" is not an absolute path")),
            ("/a:/b:suid", Err("unknown option \"suid\": expected ro or rw")),
        ] {
            assert_eq!(text.parse::<Volume>(), expected.map_err(str::to_owned), "{text}");
        }
    }
}
