//! `cache warm`: packages before a build needs them.

use super::{Failed, StoreArgs, config, interruption};
use crate::{
    packages::{self, Preset},
    pipeline::{self, WarmRequest},
    progress::{self, Mode, Output, Screen},
    solver::event::Events,
};
use clap::Args;
use flashbuild_frontend::platform::Platform;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct WarmArgs {
    /// Lock files: uv.lock, pylock.toml, poetry.lock, Pipfile.lock, requirements.txt, package-lock.json, bun.lock,
    /// pnpm-lock.yaml
    #[arg(required_unless_present = "preset", value_name = "LOCKFILE")]
    files: Vec<PathBuf>,
    /// Packages that many projects begin with: ml, torch or web; what the names mean is asked of uv or pip, and npm
    /// (repeatable)
    #[arg(long, value_name = "NAME", value_parser = Preset::named)]
    preset: Vec<&'static Preset>,
    /// Folder where the locks of presets are, and are written if they are not; without it, what a preset means is asked
    /// each time
    #[arg(long, value_name = "DIR", requires = "preset")]
    locks: Option<PathBuf>,
    /// Platforms that the packages are for [default: this machine's]
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// The Python that packages are for, as of DEPS python
    #[arg(long, value_name = "VERSION")]
    python: Option<String>,
    /// The C library that packages are for, as of DEPS
    #[arg(long, value_name = "NAME")]
    libc: Option<String>,
    /// Extras of the project, as of DEPS python (repeatable)
    #[arg(long)]
    extra: Vec<String>,
    /// Groups of dependencies, as of DEPS python (repeatable)
    #[arg(long)]
    group: Vec<String>,
    /// Kinds of dependencies to leave out, as of DEPS node (repeatable)
    #[arg(long)]
    omit: Vec<String>,
    /// How progress is shown: auto, tty, plain, rawjson or quiet [default: auto]
    #[arg(long, value_name = "MODE")]
    progress: Option<Mode>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn warm(args: &WarmArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let request = WarmRequest {
        files: args.files.clone(),
        presets: args.preset.clone(),
        locks: args.locks.clone(),
        platforms: if args.platform.is_empty() { vec![Platform::host()] } else { args.platform.clone() },
        flags: args.flags(),
    };
    let config = config::load()?;
    let progress = config::progress_mode(args.progress, &config)?;
    let ca_certificates = config.ca_certificates.value;
    let options = packages::Options { ca_certificates, ..packages::Options::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let count = runtime.block_on(async {
        let (events, receiver) = Events::channel();
        let shown = tokio::spawn(progress::show(progress, receiver, Screen::stderr()));
        let count = tokio::select! {
            count = pipeline::warm(&store, &options, &request, &events) => count.map_err(Failed::from),
            () = interruption() => Err(Failed::interrupted()),
        };
        drop(events);
        shown.await.map_err(Failed::environment)?;
        count
    })?;
    let mut out = Output::stdout();
    out.line(format!("{count} packages are here")).and_then(|()| out.finish()).map_err(Failed::environment)
}

impl WarmArgs {
    /// Those that were given, as flags of a `DEPS`.
    fn flags(&self) -> Vec<(String, String)> {
        let named = [("python", self.python.iter()), ("libc", self.libc.iter())];
        let repeated = [("extra", self.extra.iter()), ("group", self.group.iter()), ("omit", self.omit.iter())];
        let pairs = |(name, value): (&str, &String)| (name.to_owned(), value.clone());
        let named = named.into_iter().flat_map(|(name, values)| values.map(move |value| (name, value)));
        let repeated = repeated.into_iter().flat_map(|(name, values)| values.map(move |value| (name, value)));
        named.chain(repeated).map(pairs).collect()
    }
}
