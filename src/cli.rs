//! What was typed, as a request; and what is said at the end.
//!
//! Exit codes: 0 done, 1 the build failed, 2 wrong usage, 3 the environment, 130 interrupted.

use crate::{
    layer::Compression,
    pipeline::{self, BuildError, Built, Destination, Request, initial_user_namespace},
    progress::{self, ByteSize, Mode, Output, Screen, Table},
    registry::{self, Client},
    sandbox::{self, Privilege},
    solver::event::Events,
    store::Store,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use flashbuild_frontend::{dockerfile::Options, platform::Platform, reference::Reference};
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

/// Builds OCI images from Dockerfiles, for several platforms at once, and does nothing twice.
#[derive(Debug, Parser)]
#[command(name = "flashbuild", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// List the images in the local store
    Images(StoreArgs),
    /// Show an image of the local store
    Inspect(InspectArgs),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// Folder of the store
    #[arg(long, env = "FLASHBUILD_ROOT", value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct InspectArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Name of the image
    reference: String,
    /// How to print it (only json)
    #[arg(long, default_value = "json", value_parser = ["json"])]
    format: String,
}

#[derive(Debug, Args)]
struct BuildArgs {
    /// Folder with the files to copy
    #[arg(default_value = ".")]
    context: PathBuf,
    /// The Dockerfile [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Name of the image, optionally with a tag (repeatable)
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Platforms to build for, such as linux/amd64,linux/arm64
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Value of an ARG (repeatable); without a value, that of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    build_arg: Vec<String>,
    /// Label of the image (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Where the image goes: type=registry, type=oci,dest=FILE[,tar=false] or type=local,dest=DIR (repeatable)
    #[arg(short, long, value_name = "SPEC")]
    output: Vec<String>,
    /// Push to the registries of the names; short for --output=type=registry
    #[arg(long)]
    push: bool,
    /// Compression of layers: gzip, zstd or uncompressed, with an optional :LEVEL
    #[arg(long, default_value = "gzip", value_name = "KIND")]
    compression: Compression,
    /// How many steps may run at once [default: the number of cores, at least 4]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Run every step, whatever ran before
    #[arg(long)]
    no_cache: bool,
    /// Always ask the registry what a name means
    #[arg(long)]
    pull: bool,
    /// How progress is shown: auto, tty, plain, rawjson or quiet
    #[arg(long, default_value = "auto", value_name = "MODE")]
    progress: Mode,
    /// Write what was built to a JSON file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest of the image to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Registry that may speak plain HTTP or has an unknown certificate (repeatable)
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
}

/// A failure, and the exit code that it deserves.
struct Failed {
    code: u8,
    text: String,
}

impl Failed {
    fn usage(text: impl std::fmt::Display) -> Self {
        Self { code: 2, text: text.to_string() }
    }

    fn environment(text: impl std::fmt::Display) -> Self {
        Self { code: 3, text: text.to_string() }
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        let code = match error {
            BuildError::Dockerfile(_) | BuildError::NoDockerfile(_) => 1,
            BuildError::Environment(_) => 3,
        };
        Self { code, text: error.to_string() }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Build(args) => build(&args),
        Command::Images(args) => images(&args),
        Command::Inspect(args) => inspect(&args),
        Command::Completion { shell } => {
            let mut out = Output::stdout();
            clap_complete::generate(shell, &mut Cli::command(), "flashbuild", &mut out);
            out.finish().map_err(Failed::environment)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            let mut err = Output::stderr();
            let prefix = if failed.text.starts_with("error") { "" } else { "error: " };
            // There is nobody left to tell if this fails.
            let _ = err.line(format!("{prefix}{}", failed.text)).and_then(|()| err.finish());
            ExitCode::from(failed.code)
        }
    }
}

fn build(args: &BuildArgs) -> Result<(), Failed> {
    let privilege = sandbox::enter_user_namespace().map_err(Failed::environment)?;
    let request = request(args, privilege)?;
    let store = open(&args.store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let options = registry::Options { insecure: args.insecure_registry.clone(), ..registry::Options::default() };
    let built = runtime.block_on(async {
        let client = Client::new(options).map_err(Failed::environment)?;
        let (events, receiver) = Events::channel();
        let shown = tokio::spawn(progress::show(args.progress, receiver, Screen::stderr()));
        if matches!(privilege, Privilege::OneId) {
            events.notice("no subordinate ids for this user: every file belongs to root in the image's eyes");
        }
        let built = tokio::select! {
            built = pipeline::build(&store, &client, request, &events) => built.map_err(Failed::from),
            _ = tokio::signal::ctrl_c() => Err(Failed { code: 130, text: "interrupted".to_owned() }),
        };
        drop(events);
        shown.await.map_err(Failed::environment)?;
        built
    })?;
    write_results(args, &built)
}

fn request(args: &BuildArgs, privilege: Privilege) -> Result<Request, Failed> {
    let tags: Vec<Reference> =
        args.tag.iter().map(|tag| tag.parse()).collect::<Result<_, _>>().map_err(Failed::usage)?;
    let mut outputs = args.output.iter().map(|spec| destination(spec)).collect::<Result<Vec<_>, _>>()?;
    if args.push && !outputs.contains(&Destination::Registry) {
        outputs.push(Destination::Registry);
    }
    if outputs.contains(&Destination::Registry) && tags.is_empty() {
        return Err(Failed::usage("pushing needs a name: add --tag HOST/NAME:TAG"));
    }
    let mut build_args = pairs("--build-arg", &args.build_arg, true)?;
    let epoch = match build_args.remove("SOURCE_DATE_EPOCH").or_else(|| std::env::var("SOURCE_DATE_EPOCH").ok()) {
        None => None,
        Some(text) if text.is_empty() => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Failed::usage(format!("SOURCE_DATE_EPOCH is {text:?}, but must be a number of seconds since 1970"))
        })?),
    };
    let host = Platform::host();
    let options = Options {
        platforms: if args.platform.is_empty() { vec![host.clone()] } else { args.platform.clone() },
        target: args.target.clone(),
        build_args,
        labels: pairs("--label", &args.label, false)?,
        epoch,
        ..Options::for_platform(host)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Request {
        context: args.context.clone(),
        file: args.file.clone(),
        options,
        tags,
        outputs,
        compression: args.compression,
        jobs: args.jobs.unwrap_or(cores.max(4)),
        no_cache: args.no_cache,
        pull: args.pull,
        single_id: matches!(privilege, Privilege::OneId),
    })
}

/// Reads `NAME=VALUE` pairs; a name alone takes its value from the environment, if that is allowed and set.
fn pairs(flag: &str, texts: &[String], from_environment: bool) -> Result<BTreeMap<String, String>, Failed> {
    let mut all = BTreeMap::new();
    for text in texts {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                all.insert(name.to_owned(), value.to_owned());
            }
            None if from_environment && !text.is_empty() => {
                all.extend(std::env::var(text).ok().map(|value| (text.clone(), value)));
            }
            _ => return Err(Failed::usage(format!("{flag} {text:?}: expected NAME=VALUE"))),
        }
    }
    Ok(all)
}

/// Reads an `--output`.
fn destination(spec: &str) -> Result<Destination, Failed> {
    let wrong = |what: String| Failed::usage(format!("--output {spec:?}: {what}"));
    let mut keys = BTreeMap::new();
    for part in spec.split(',') {
        let (key, value) = part.split_once('=').ok_or_else(|| wrong(format!("{part:?} is not KEY=VALUE")))?;
        keys.insert(key.trim(), value.trim());
    }
    let kind = keys.remove("type").ok_or_else(|| wrong("it has no type=".to_owned()))?;
    let dest = keys.remove("dest").map(PathBuf::from);
    let name = keys.remove("name").map(ToOwned::to_owned);
    let tar = keys.remove("tar") != Some("false");
    if let Some(key) = keys.keys().next() {
        return Err(wrong(format!("unknown key {key:?}")));
    }
    let dest = || dest.clone().ok_or_else(|| wrong("it needs dest=".to_owned()));
    match kind {
        "registry" => Ok(Destination::Registry),
        "oci" if tar => Ok(Destination::OciArchive { dest: dest()?, name }),
        "oci" => Ok(Destination::OciFolder { dest: dest()?, name }),
        "local" => Ok(Destination::Local { dest: dest()? }),
        other => Err(wrong(format!("unknown type {other:?}: expected registry, oci or local"))),
    }
}

fn write_results(args: &BuildArgs, built: &Built) -> Result<(), Failed> {
    let digest = built.image.descriptor.digest.to_string();
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).map_err(|error| Failed::environment(format!("{}: {error}", path.display())))
    };
    if let Some(path) = &args.iidfile {
        write(path, digest.clone())?;
    }
    if let Some(path) = &args.metadata_file {
        let metadata = serde_json::json!({
            "containerimage.digest": digest,
            "containerimage.descriptor": built.image.descriptor,
            "image.name": args.tag.join(","),
            "flashbuild.steps": built.steps,
        });
        write(path, format!("{metadata:#}\n"))?;
    }
    Ok(())
}

fn images(args: &StoreArgs) -> Result<(), Failed> {
    let store = open(args)?;
    let mut table = Table::new(["NAME", "DIGEST", "SIZE"]).right(2);
    for image in store.images().map_err(Failed::environment)? {
        let descriptor: serde_json::Value = serde_json::from_str(&image.descriptor).unwrap_or_default();
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        table.row([image.name.clone(), digest, ByteSize(image.size).to_string()]);
    }
    let mut out = Output::stdout();
    out.line(table.to_string().trim_end()).and_then(|()| out.finish()).map_err(Failed::environment)
}

fn inspect(args: &InspectArgs) -> Result<(), Failed> {
    let store = open(&args.store)?;
    let reference: Reference = args.reference.parse().map_err(Failed::usage)?;
    let image = pipeline::inspect(&store, &reference)
        .map_err(|error| Failed { code: 1, text: error.to_string() })?
        .ok_or_else(|| Failed { code: 1, text: format!("no image {} in the local store", reference.familiar()) })?;
    let mut out = Output::stdout();
    out.line(format!("{image:#}")).and_then(|()| out.finish()).map_err(Failed::environment)
}

fn open(args: &StoreArgs) -> Result<Store, Failed> {
    let root = args.root.clone().or_else(default_root).ok_or_else(|| {
        Failed::usage("there is no HOME to keep a store in: name a folder with --root or FLASHBUILD_ROOT")
    })?;
    Store::open(&root).map_err(Failed::environment)
}

/// `/var/lib/flashbuild` for root, else a folder of the user's.
fn default_root() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() && initial_user_namespace() {
        return Some("/var/lib/flashbuild".into());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home).map(|data| data.join("flashbuild"))
}
