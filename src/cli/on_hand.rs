//! `tag`, `rmi`, `save`, `push`, `pull` and `index`: images on hand.

use super::{Failed, RegistriesArgs, StoreArgs, config};
use crate::{
    export::Layout,
    pipeline,
    progress::{self, Mode, Output, Screen},
    registry::Client,
    solver::event::Events,
    store::Store,
};
use clap::{Args, Subcommand, ValueEnum};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::{fs, io::BufWriter, path::PathBuf};

#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// An image of the local store
    source: Reference,
    /// More names for it
    #[arg(required = true)]
    names: Vec<Reference>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Names to take away
    #[arg(required = true)]
    names: Vec<Reference>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    /// An image of the local store
    name: Reference,
    /// The archive [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What kind of archive
    #[arg(long, default_value = "oci", value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

/// Kinds of archives.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// An OCI layout
    Oci,
    /// What docker load reads, for one platform
    Docker,
}

/// How registries are spoken to.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    #[command(flatten)]
    registries: RegistriesArgs,
    /// How progress is shown: auto, tty, plain, rawjson or quiet [default: auto]
    #[arg(long, value_name = "MODE")]
    progress: Option<Mode>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// An image of the local store
    source: Reference,
    /// Names to push it under [default: its own]
    names: Vec<Reference>,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// An image
    name: Reference,
    /// Platforms whose layers are fetched [default: this machine's]
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Fetch the layers of all platforms
    #[arg(long, conflicts_with = "platform")]
    all_platforms: bool,
    /// Fetch what speaks of the image, too: attestations and signatures that its registry has as referrers
    #[arg(long)]
    referrers: bool,
    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum IndexCommand {
    /// Join images, local or in registries, to a new index in the local store
    Create(IndexArgs),
    /// Add images to an index; one for a platform that it has takes the place of that
    Append(IndexArgs),
}

#[derive(Debug, Args)]
pub(super) struct IndexArgs {
    /// Name of the index
    name: Reference,
    /// The images
    #[arg(required = true)]
    parts: Vec<Reference>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn tag(args: &TagArgs) -> Result<(), Failed> {
    Ok(pipeline::tag(&args.store.open()?, &args.source, &args.names)?)
}

pub(super) fn rmi(args: &RemoveArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    args.names.iter().try_for_each(|name| Ok(pipeline::remove(&store, name)?))
}

pub(super) fn save(args: &SaveArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let layout = match args.format {
        Format::Oci => Layout::Oci,
        Format::Docker => Layout::Docker,
    };
    let Some(path) = &args.output else {
        let mut out = Output::stdout();
        pipeline::save(&store, &args.name, layout, &mut out)?;
        return out.finish().map_err(Failed::environment);
    };
    let at = |error| Failed::environment(format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref());
    let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(at)?;
    pipeline::save(&store, &args.name, layout, BufWriter::new(staged.as_file_mut()))?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(staged.path(), readable).map_err(at)?;
    staged.persist(path).map(drop).map_err(|error| at(error.error))
}

pub(super) fn push(args: &PushArgs) -> Result<(), Failed> {
    let names = if args.names.is_empty() { std::slice::from_ref(&args.source) } else { &args.names };
    args.client.run(async |store, client, events| {
        pipeline::push(&store, &client, &args.source, names, &events).await.map(drop)
    })
}

pub(super) fn pull(args: &PullArgs) -> Result<(), Failed> {
    let platforms = match args.platform.as_slice() {
        _ if args.all_platforms => Vec::new(),
        [] => vec![Platform::host()],
        named => named.to_vec(),
    };
    args.client.run(async |store, client, events| {
        pipeline::pull(&store, &client, &args.name, &platforms, args.referrers, &events).await.map(drop)
    })
}

pub(super) fn index(command: &IndexCommand) -> Result<(), Failed> {
    let (args, parts) = match command {
        IndexCommand::Create(args) => (args, args.parts.clone()),
        IndexCommand::Append(args) => (args, [std::slice::from_ref(&args.name), &args.parts].concat()),
    };
    args.client.run(async |store, client, events| {
        pipeline::create_index(&store, &client, &args.name, &parts, &events).await.map(drop)
    })
}

impl ClientArgs {
    /// Runs `work` with what it needs, and shows how it goes.
    pub(super) fn run(
        &self,
        work: impl AsyncFnOnce(Store, Client, Events) -> Result<(), pipeline::BuildError>,
    ) -> Result<(), Failed> {
        let store = self.store.open()?;
        let config = config::load()?;
        let options = self.registries.options(&config);
        let progress = config::progress_mode(self.progress, &config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
        let _lease = store.lease().map_err(Failed::environment)?;
        let done = runtime.block_on(async {
            let client = Client::new(options).map_err(Failed::environment)?;
            let (events, receiver) = Events::channel();
            let shown = tokio::spawn(progress::show(progress, receiver, Screen::stderr()));
            let done = tokio::select! {
                done = work(store.clone(), client, events) => done.map_err(Failed::from),
                () = super::interruption() => Err(Failed::interrupted()),
            };
            shown.await.map_err(Failed::environment)?;
            done
        });
        store.make_durable().map_err(Failed::environment)?;
        done
    }
}
