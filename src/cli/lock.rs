//! `lock`.

use super::{Failed, StoreArgs, build::DefinitionArgs, config, interruption};
use crate::{
    pipeline,
    progress::{self, Mode, Output, Screen},
    registry::Client,
    solver::event::Events,
};
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct LockArgs {
    #[command(flatten)]
    definition: DefinitionArgs,
    /// How progress is shown: auto, tty, plain, rawjson or quiet [default: auto]
    #[arg(long, value_name = "MODE")]
    progress: Option<Mode>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn lock(args: &LockArgs) -> Result<(), Failed> {
    let config = config::load()?;
    let request = args.definition.request(&config)?;
    let progress = config::progress_mode(args.progress, &config)?;
    let store = args.store.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let written = runtime.block_on(async {
        let client = Client::new(config::registry_options(&config, &[])).map_err(Failed::environment)?;
        let (events, receiver) = Events::channel();
        let shown = tokio::spawn(progress::show(progress, receiver, Screen::stderr()));
        let written = tokio::select! {
            written = pipeline::lock(&store, &client, request, &events) => written.map_err(Failed::from),
            () = interruption() => Err(Failed::interrupted()),
        };
        drop(events);
        shown.await.map_err(Failed::environment)?;
        written
    })?;
    let mut out = Output::stdout();
    let said = match written {
        Some((path, count)) => format!("{}: {count} packages", path.display()),
        None => "nothing to lock: no DEPS asks for packages by name".to_owned(),
    };
    out.line(said).and_then(|()| out.finish()).map_err(Failed::environment)
}
