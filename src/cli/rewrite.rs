//! `split` and `slim`: an image becomes another one that does the same.

use super::{Failed, on_hand::ClientArgs, smoke::SmokeArgs};
use crate::{
    config::bytes,
    optimize::{
        observed::{Dropped, DroppedPackage},
        passes::{Action, PASSES, Pass, Trust},
        rewrite::{
            slim::{self, Gpu},
            split,
        },
    },
    pipeline::{self, How, Observation, RestoreRequest, RewriteReport, RewriteRequest},
    progress::{ByteSize, Output, Table, printable},
    sandbox,
};
use clap::Args;
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::io;

#[derive(Debug, Args)]
pub(super) struct SplitArgs {
    /// Size of a layer from which it is split: 8MB, 500kB; what its files take, uncompressed
    #[arg(long, default_value = "32MiB", value_name = "SIZE", value_parser = bytes)]
    from: u64,
    /// Name of the new image (repeatable)
    #[arg(short, long, value_name = "NAME", required = true)]
    tag: Vec<Reference>,
    #[command(flatten)]
    rewrite: RewriteArgs,
}

#[derive(Debug, Args)]
#[command(after_help = passes_help())]
pub(super) struct SlimArgs {
    /// Passes to do: names, proven, or all but observe, and gpu-code without --gpu [default: proven]
    #[arg(long, value_delimiter = ',', value_name = "PASSES")]
    passes: Vec<String>,
    /// GPUs that the image is for: code for others goes (pass gpu-code). `sm_90` is one, `compute_90` that and all later ones
    #[arg(long, value_delimiter = ',', value_name = "GPUS", conflicts_with = "restore")]
    gpu: Vec<Gpu>,
    /// Only tell what would be saved
    #[arg(long)]
    dry_run: bool,
    /// Run the image, and these lines for a shell of it beside its own command, and leave out every package that was not
    /// asked for: give it after IMAGE; without a line, its own command and health check are run
    #[arg(long, value_name = "LINE", num_args = 0.., conflicts_with = "restore")]
    observe: Option<Vec<String>>,
    /// File or folder that is kept though nobody asks for it (repeatable)
    #[arg(long, value_name = "PATH", requires = "observe")]
    keep: Vec<String>,
    /// Put what was removed back: the image with the files of its sibling NAME-dropped, or of --dropped
    #[arg(long, conflicts_with_all = ["passes", "dry_run", "base", "smoke", "smoke_time", "no_smoke"])]
    restore: bool,
    /// Name of the new image (repeatable)
    #[arg(short, long, value_name = "NAME", required_unless_present = "dry_run")]
    tag: Vec<Reference>,
    /// Name an image that has what was removed as one more layer: with it, everything is there again [default: with --observe,
    /// NAME-dropped]
    #[arg(long, value_name = "NAME")]
    dropped: Option<Reference>,
    /// Name an image of the debug sections that the pass debug-sections takes out of programs: debuggers find what is in it below
    /// usr/lib/debug
    #[arg(long, value_name = "NAME")]
    debug: Option<Reference>,
    #[command(flatten)]
    rewrite: RewriteArgs,
}

/// What both have in common.
#[derive(Debug, Args)]
struct RewriteArgs {
    /// An image of the local store or of a registry
    source: Reference,
    /// Platforms whose images are rewritten [default: this machine's]
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Rewrite the layers of the image that it was built on, too; other images on that one share them no more
    #[arg(long)]
    base: bool,
    #[command(flatten)]
    smoke: SmokeArgs,
    /// How the result is told: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn split(args: &SplitArgs) -> Result<(), Failed> {
    args.rewrite.run(How::Split(split::Options { from: args.from }), args.tag.clone(), Vec::new(), None)
}

pub(super) fn slim(args: &SlimArgs) -> Result<(), Failed> {
    if args.restore {
        return restore(args);
    }
    let mut passes = passes(&args.passes, &args.gpu)?;
    let names = if args.dry_run { Vec::new() } else { args.tag.clone() };
    let mut dropped: Vec<Reference> = args.dropped.iter().cloned().collect();
    let observation = args.observe.as_ref().map(|lines| Observation {
        lines: lines.clone(),
        limit: args.rewrite.smoke.limit(),
        keep: args.keep.clone(),
    });
    if args.debug.is_some() && !passes.iter().any(|pass| pass.action == Action::Strip) {
        passes.extend(PASSES.iter().filter(|pass| pass.action == Action::Strip));
    }
    if observation.is_some() {
        passes.extend(PASSES.iter().filter(|pass| pass.trust == Trust::Observed));
        if dropped.is_empty() {
            dropped = names.iter().map(pipeline::sibling).collect::<Result<_, _>>().map_err(Failed::usage)?;
        }
    }
    let options = slim::Options { passes, gpus: args.gpu.clone() };
    args.rewrite.run(How::Slim(options, observation), names, dropped, args.debug.clone())
}

fn restore(args: &SlimArgs) -> Result<(), Failed> {
    sandbox::enter_user_namespace().map_err(Failed::environment)?;
    let slim = args.rewrite.source.clone();
    let dropped = match &args.dropped {
        Some(dropped) => dropped.clone(),
        None => pipeline::sibling(&slim).map_err(Failed::usage)?,
    };
    let request = RestoreRequest { slim, dropped, platforms: args.rewrite.platforms(), names: args.tag.clone() };
    args.rewrite.client.run(async |store, client, events| {
        pipeline::restore(&store, &client, &request, &events).await?;
        Ok(())
    })
}

/// The passes that names mean, in the order in which they are done, for an image that is for these GPUs.
pub(super) fn passes(names: &[String], gpus: &[Gpu]) -> Result<Vec<&'static Pass>, Failed> {
    let mut chosen: Vec<&'static Pass> = Vec::new();
    let proven = || PASSES.iter().filter(|pass| pass.trust == Trust::Proven);
    for name in names {
        match name.as_str() {
            "proven" => chosen.extend(proven()),
            "all" => {
                let is_asked_for = |pass: &&Pass| pass.trust != Trust::Observed && pass.action != Action::BlankGpuCode;
                chosen.extend(PASSES.iter().filter(is_asked_for));
            }
            "gpu-code" if gpus.is_empty() => {
                return Err(Failed::usage(
                    "say which GPUs the image is for: --gpu sm_80,sm_90, or compute_90 for all later ones",
                ));
            }
            "observe" => {
                return Err(Failed::usage("the image has to be run for that: flashbuild slim IMAGE --observe"));
            }
            name => chosen.push(Pass::named(name).ok_or_else(|| {
                let known: Vec<&str> = PASSES.iter().map(|pass| pass.name).collect();
                Failed::usage(format!("there is no pass {name:?}: there are proven, all, {}", known.join(", ")))
            })?),
        }
    }
    if names.is_empty() {
        chosen.extend(proven());
    }
    if !gpus.is_empty() {
        chosen.extend(PASSES.iter().filter(|pass| pass.action == Action::BlankGpuCode));
    }
    Ok(PASSES.iter().filter(|pass| chosen.contains(pass)).collect())
}

fn passes_help() -> String {
    let row = |pass: &Pass| {
        let trust = match pass.trust {
            Trust::Proven => "proven",
            Trust::Profile => "profile",
            Trust::Observed => "observed",
        };
        format!("  {:<14} {trust:<8} {}: {}\n", pass.name, pass.title, pass.safe)
    };
    let rows: String = PASSES.iter().map(row).collect();
    format!("Passes:\n{rows}")
}

impl RewriteArgs {
    fn platforms(&self) -> Vec<Platform> {
        if self.platform.is_empty() { vec![Platform::host()] } else { self.platform.clone() }
    }

    fn run(
        &self,
        how: How,
        names: Vec<Reference>,
        dropped: Vec<Reference>,
        debug: Option<Reference>,
    ) -> Result<(), Failed> {
        sandbox::enter_user_namespace().map_err(Failed::environment)?;
        let request = RewriteRequest {
            source: self.source.clone(),
            platforms: self.platforms(),
            how,
            base: self.base,
            names,
            dropped,
            debug,
            smoke: self.smoke.smoke(),
        };
        let mut reports = Vec::new();
        self.client.run(async |store, client, events| {
            reports = pipeline::rewrite(&store, &client, &request, &events).await?;
            Ok(())
        })?;
        let mut out = Output::stdout();
        let told = match self.format.as_str() {
            "json" => out.json(&reports),
            _ => reports.iter().try_for_each(|report| table(&mut out, report)),
        };
        told.and_then(|()| out.finish()).map_err(Failed::environment)
    }
}

fn table(out: &mut Output, report: &RewriteReport) -> io::Result<()> {
    if !report.savings.is_empty() {
        let mut table = Table::new(["PASS", "FILES", "SAVED", "WHY NOTHING IS MISSED"]).right(1).right(2);
        for saving in &report.savings {
            table.row([
                saving.pass.name.to_owned(),
                saving.files.to_string(),
                ByteSize(saving.bytes).to_string(),
                saving.pass.safe.to_owned(),
            ]);
        }
        table.to_string().lines().try_for_each(|line| out.line(line))?;
    }
    if let Some(dropped) = &report.dropped {
        self::dropped(out, dropped)?;
    }
    let before = ByteSize(report.compressed_before);
    match report.compressed_after {
        Some(after) => out.line(format!(
            "{}: {} layers, {before} compressed -> {} layers ({} as before), {} compressed",
            report.platform,
            report.layers_before,
            report.layers_after,
            report.layers_kept,
            ByteSize(after)
        ))?,
        None => out.line(format!("{}: {before} compressed; nothing was made", report.platform))?,
    }
    if let Some(name) = &report.dropped_to {
        out.line(format!("{}: what was removed is in {name}", report.platform))?;
    }
    report.notes.iter().try_for_each(|note| out.line(printable(&format!("{}: {note}", report.platform))))?;
    for proof in &report.proofs {
        let command = proof.command.as_deref().unwrap_or("its own command");
        out.line(printable(&format!("{}: {command} {}, before and after", report.platform, proof.end)))?;
    }
    Ok(())
}

/// Packages that a table shows.
const ROWS: usize = 40;

fn dropped(out: &mut Output, dropped: &Dropped) -> io::Result<()> {
    let mut table = Table::new(["NOT ASKED FOR", "VERSION", "KIND", "FILES", "SIZE"]).right(3).right(4);
    for package in dropped.packages.iter().take(ROWS) {
        table.row([
            package.name.clone(),
            package.version.clone(),
            package.ecosystem.to_owned(),
            package.files.to_string(),
            ByteSize(package.bytes).to_string(),
        ]);
    }
    if let Some(rest) = dropped.packages.get(ROWS..).filter(|rest| !rest.is_empty()) {
        let sum = |of: fn(&DroppedPackage) -> u64| rest.iter().map(of).sum::<u64>();
        let (files, bytes) = (sum(|it| it.files).to_string(), ByteSize(sum(|it| it.bytes)).to_string());
        table.row([format!("{} more packages", rest.len()), String::new(), String::new(), files, bytes]);
    }
    if dropped.unowned_files > 0 {
        let (files, bytes) = (dropped.unowned_files.to_string(), ByteSize(dropped.unowned_bytes).to_string());
        table.row(["(of no package)".to_owned(), String::new(), String::new(), files, bytes]);
    }
    if !table.is_empty() {
        table.to_string().lines().try_for_each(|line| out.line(printable(line)))?;
    }
    if dropped.base_bytes > 0 {
        let bytes = ByteSize(dropped.base_bytes);
        out.line(format!("{bytes} more that nobody asked for are in layers of the base, which stay without --base"))?;
    }
    Ok(())
}
