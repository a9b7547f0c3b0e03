//! `cache export` and `cache import`: what builds used, as one file for a team.

use super::{Failed, StoreArgs};
use crate::{
    cache::{MountIds, TeamReport},
    pipeline::{self, Dest, TeamSelection},
    progress::{ByteSize, Output},
};
use clap::Args;
use flashbuild_frontend::reference::Reference;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The file to write (team.tar.zst), or - for standard output
    file: PathBuf,
    /// Only what the last build of this image used (repeatable)
    #[arg(long = "for", value_name = "IMAGE")]
    images: Vec<Reference>,
    /// Only what was built since: 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = crate::config::duration)]
    since: Option<Duration>,
    /// A cache of steps (RUN --mount=type=cache) to take along, by its id; * is all (repeatable)
    #[arg(long, value_name = "ID")]
    mounts: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file, or - for standard input
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn export(args: &ExportArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let since = args.since.and_then(|since| SystemTime::now().checked_sub(since));
    let selection = TeamSelection { images: args.images.clone(), since, mounts: MountIds(args.mounts.clone()) };
    let dest = if args.file == Path::new("-") { Dest::Stdout } else { Dest::File(args.file.clone()) };
    let report = pipeline::export_team(&store, &selection, &dest)?;
    let mut text = format!("{}: {}", contents(&report), ByteSize(report.bytes));
    if report.incomplete > 0 {
        let _ = write!(text, "; left out {} records whose layers are not here", report.incomplete);
    }
    // The archive itself may be on standard output.
    let mut out = if dest == Dest::Stdout { Output::stderr() } else { Output::stdout() };
    out.line(text).and_then(|()| out.finish()).map_err(Failed::environment)
}

pub(super) fn import(args: &ImportArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let file = (args.file != Path::new("-")).then_some(&*args.file);
    let report = pipeline::import_team(&store, file)?;
    let (new, known) = (ByteSize(report.new_bytes), ByteSize(report.bytes - report.new_bytes));
    let text = format!("{}: {new} were new, {known} were here", contents(&report));
    let mut out = Output::stdout();
    out.line(text).and_then(|()| out.finish()).map_err(Failed::environment)
}

fn contents(report: &TeamReport) -> String {
    let TeamReport { records, layers, artifacts, images, mounts, .. } = report;
    format!("{records} records, {layers} layers, {artifacts} packages, {images} base images, {mounts} caches of steps")
}
