//! `history`: the last builds.

use super::{Failed, StoreArgs};
use crate::{
    history::{self, BuildRecord, HistoryError, Status, StepEnd, StepRecord},
    progress::{Elapsed, Output, Table, printable},
};
use clap::{Args, Subcommand};
use std::{io, path::PathBuf, time::Duration};

#[derive(Debug, Subcommand)]
pub(super) enum HistoryCommand {
    /// List the last builds
    Ls(ListArgs),
    /// Show a build with its steps
    Inspect(InspectArgs),
    /// Print all that a build's steps wrote
    Logs(LogsArgs),
    /// Forget builds
    Rm(RemoveArgs),
    /// Write a build with its logs as a tar archive
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How to print it: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The build, or the beginning of its name [default: the last]
    build: Option<String>,
    /// How to print it: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The step: its number, or a part of its name [default: all]
    step: Option<String>,
    /// The build, or the beginning of its name [default: the last]
    #[arg(long, value_name = "BUILD")]
    build: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The builds, or the beginnings of their names
    #[arg(required_unless_present = "all")]
    builds: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "builds")]
    all: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The build, or the beginning of its name [default: the last]
    build: Option<String>,
    /// The archive [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn history(command: &HistoryCommand) -> Result<(), Failed> {
    match command {
        HistoryCommand::Ls(args) => list(args),
        HistoryCommand::Inspect(args) => inspect(args),
        HistoryCommand::Logs(args) => logs(args),
        HistoryCommand::Rm(args) => remove(args),
        HistoryCommand::Export(args) => export(args),
    }
}

impl From<HistoryError> for Failed {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Empty
            | HistoryError::NotFound(_)
            | HistoryError::Ambiguous(_)
            | HistoryError::Running(_)
            | HistoryError::NoStep { .. } => Self::build(error),
            HistoryError::Disk { .. } | HistoryError::Store(_) => Self::environment(error),
        }
    }
}

fn list(args: &ListArgs) -> Result<(), Failed> {
    let builds = history::builds(&args.store.open()?)?;
    let mut out = Output::stdout();
    let told = if args.format == "json" {
        out.json(&builds)
    } else {
        let mut table =
            Table::new(["BUILD", "STARTED", "TOOK", "STATUS", "RAN", "CACHED", "WHAT"]).right(2).right(4).right(5);
        for build in &builds {
            let vertices = || build.steps.iter().filter(|step| step.key.is_some());
            let ran = vertices().filter(|step| step.end == Some(StepEnd::Ran)).count();
            let cached = vertices().filter(|step| matches!(step.end, Some(StepEnd::Cached { .. }))).count();
            table.row([
                build.id.clone(),
                time(build.started),
                elapsed(build.took),
                status(build.status).to_owned(),
                ran.to_string(),
                cached.to_string(),
                what(build),
            ]);
        }
        out.line(table.to_string().trim_end())
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)
}

fn inspect(args: &InspectArgs) -> Result<(), Failed> {
    let build = history::find(&args.store.open()?, args.build.as_deref())?;
    let mut out = Output::stdout();
    let told = if args.format == "json" { out.json(&build) } else { describe(&mut out, &build) };
    told.and_then(|()| out.finish()).map_err(Failed::environment)
}

fn describe(out: &mut Output, build: &BuildRecord) -> io::Result<()> {
    let asked = &build.asked;
    for (name, value) in [
        ("build", build.id.clone()),
        ("started", time(build.started)),
        ("took", elapsed(build.took)),
        ("status", status(build.status).to_owned()),
        ("context", asked.context.clone()),
        ("file", asked.file.clone().unwrap_or_default()),
        ("target", asked.target.clone().unwrap_or_default()),
        ("platforms", asked.platforms.join(", ")),
        ("names", asked.names.join(", ")),
        ("outputs", asked.outputs.join(", ")),
        ("digest", build.digest.clone().unwrap_or_default()),
        ("error", build.error.clone().unwrap_or_default()),
    ] {
        if let Some(first) = value.lines().next() {
            out.line(format!("{name:<12}{}", printable(first)))?;
        }
    }
    for warning in &build.warnings {
        out.line(format!("{:<12}{}", "warning", printable(warning)))?;
    }
    let mut table = Table::new(["STEP", "TOOK", "OUTCOME", "LOG", "NAME"]).right(0).right(1).right(3);
    for step in &build.steps {
        let took = step.took.map(elapsed).unwrap_or_default();
        let log = if step.log == 0 { String::new() } else { crate::progress::ByteSize(step.log).to_string() };
        table.row([step.number.to_string(), took, outcome(step).to_owned(), log, step.name.clone()]);
    }
    out.line("")?;
    out.line(table.to_string().trim_end())
}

fn logs(args: &LogsArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let build = history::find(&store, args.build.as_deref())?;
    let steps: Vec<&StepRecord> = match &args.step {
        Some(step) => build.steps(step)?,
        None => build.steps.iter().filter(|step| step.log > 0).collect(),
    };
    let mut out = Output::stdout();
    for step in &steps {
        if steps.len() > 1 {
            out.line(format!("#{} {}", step.number, printable(&step.name))).map_err(Failed::environment)?;
        }
        if let Some(mut log) = history::log(&store, &build, step)? {
            io::copy(&mut log, &mut out).map_err(Failed::environment)?;
        }
    }
    out.finish().map_err(Failed::environment)
}

fn remove(args: &RemoveArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    if args.all {
        history::remove_all(&store)?;
    }
    for name in &args.builds {
        history::remove(&store, &history::find(&store, Some(name))?)?;
    }
    Ok(())
}

fn export(args: &ExportArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let build = history::find(&store, args.build.as_deref())?;
    let mut out = match &args.output {
        None => Output::stdout(),
        Some(path) => Output::to(
            std::fs::File::create(path).map_err(|error| Failed::environment(format!("{}: {error}", path.display())))?,
        ),
    };
    history::write_archive(&store, &build, &mut out)?;
    out.finish().map_err(Failed::environment)
}

/// How a step ended, for people.
pub(super) fn outcome(step: &StepRecord) -> &'static str {
    match &step.end {
        None => "unfinished",
        Some(StepEnd::Ran) => "ran",
        Some(StepEnd::Cached { .. }) => "cached",
        Some(StepEnd::Cancelled) => "cancelled",
        Some(StepEnd::Failed { .. }) => "failed",
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Done => "done",
        Status::Failed => "failed",
        Status::Killed => "killed",
    }
}

/// What a build was of.
fn what(build: &BuildRecord) -> String {
    let asked = &build.asked;
    if asked.names.is_empty() { asked.context.clone() } else { asked.names.join(", ") }
}

fn time(milliseconds: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn elapsed(milliseconds: u64) -> String {
    Elapsed(Duration::from_millis(milliseconds)).to_string()
}
