//! `split` and `slim`: an image becomes another one that does the same.

use super::{Failed, on_hand::ClientArgs};
use crate::{
    optimize::{
        passes::{PASSES, Pass, Trust},
        rewrite::split,
    },
    pipeline::{self, How, RewriteReport, RewriteRequest, Smoke},
    progress::{ByteSize, Output, Table, printable},
    sandbox,
};
use clap::Args;
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::{io, time::Duration};

#[derive(Debug, Args)]
pub(super) struct SplitArgs {
    /// Bytes of a layer from which it is split
    #[arg(long, default_value_t = split::WORTHWHILE, value_name = "BYTES")]
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
    /// Passes to do: names, proven, or all [default: proven]
    #[arg(long, value_delimiter = ',', value_name = "PASSES")]
    passes: Vec<String>,
    /// Only tell what would be saved
    #[arg(long)]
    dry_run: bool,
    /// Name of the new image (repeatable)
    #[arg(short, long, value_name = "NAME", required_unless_present = "dry_run")]
    tag: Vec<Reference>,
    /// Name an image that has what was removed as one more layer: with it, everything is there again
    #[arg(long, value_name = "NAME")]
    dropped: Option<Reference>,
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
    /// Line for a shell of the image, started before and after in place of its own command (repeatable)
    #[arg(long, value_name = "COMMAND")]
    smoke: Vec<String>,
    /// Seconds that a started image may take to end or to be healthy
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    smoke_time: u64,
    /// Do not start the images
    #[arg(long, conflicts_with_all = ["smoke", "smoke_time"])]
    no_smoke: bool,
    /// How the result is told: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) fn split(args: &SplitArgs) -> Result<(), Failed> {
    args.rewrite.run(How::Split(split::Options { from: args.from }), args.tag.clone(), None)
}

pub(super) fn slim(args: &SlimArgs) -> Result<(), Failed> {
    let passes = passes(&args.passes)?;
    let names = if args.dry_run { Vec::new() } else { args.tag.clone() };
    args.rewrite.run(How::Slim(passes), names, args.dropped.clone())
}

/// The passes that names mean, in the order in which they are done.
pub(super) fn passes(names: &[String]) -> Result<Vec<&'static Pass>, Failed> {
    let mut chosen: Vec<&'static Pass> = Vec::new();
    let proven = || PASSES.iter().filter(|pass| pass.trust == Trust::Proven);
    for name in names {
        match name.as_str() {
            "proven" => chosen.extend(proven()),
            "all" => chosen.extend(PASSES),
            name => chosen.push(Pass::named(name).ok_or_else(|| {
                let known: Vec<&str> = PASSES.iter().map(|pass| pass.name).collect();
                Failed::usage(format!("there is no pass {name:?}: there are proven, all, {}", known.join(", ")))
            })?),
        }
    }
    if names.is_empty() {
        chosen.extend(proven());
    }
    Ok(PASSES.iter().filter(|pass| chosen.contains(pass)).collect())
}

fn passes_help() -> String {
    let row = |pass: &Pass| {
        let trust = if pass.trust == Trust::Proven { "proven" } else { "profile" };
        format!("  {:<12} {trust:<8} {}: {}\n", pass.name, pass.title, pass.safe)
    };
    let rows: String = PASSES.iter().map(row).collect();
    format!("Passes:\n{rows}")
}

impl RewriteArgs {
    fn run(&self, how: How, names: Vec<Reference>, dropped: Option<Reference>) -> Result<(), Failed> {
        sandbox::enter_user_namespace().map_err(Failed::environment)?;
        let request = RewriteRequest {
            source: self.source.clone(),
            platforms: if self.platform.is_empty() { vec![Platform::host()] } else { self.platform.clone() },
            how,
            base: self.base,
            names,
            dropped,
            smoke: (!self.no_smoke)
                .then(|| Smoke { commands: self.smoke.clone(), limit: Duration::from_secs(self.smoke_time) }),
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
    for proof in &report.proofs {
        let command = proof.command.as_deref().unwrap_or("its own command");
        out.line(printable(&format!("{}: {command} {}, before and after", report.platform, proof.end)))?;
    }
    Ok(())
}
