//! `analyze`: what is in an image, and what of it is wasted?

use super::{Failed, StoreArgs, browse};
use crate::{
    exec::Need,
    optimize::{
        analyze::{Analysis, Block, Condition, html},
        passes::Trust,
    },
    pipeline,
    progress::{ByteSize, Output, Table, printable},
    registry::{self, Client},
    sandbox,
};
use clap::Args;
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::{io, path::PathBuf, process::ExitCode};

/// Characters of an instruction that a table shows.
const COMMAND: usize = 70;
/// Packages and files that a table shows.
const ROWS: usize = 15;
/// Folders that are a smaller part of the image are not shown, nor are deeper ones.
const SMALLEST_FOLDER: u64 = 33;
const DEEPEST_FOLDER: usize = 3;

#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    /// An image of the local store or of a registry
    name: Reference,
    /// Platform to look at [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// How to print it: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    /// Write it as a page that needs nothing beside itself
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Look through layers and files at this terminal; the keys are shown
    #[arg(short, long, conflicts_with = "format")]
    interactive: bool,
    /// Exit with code 1 if this holds, as wasted>20MB does or efficiency<95% (repeatable); figures: wasted, size,
    /// compressed, layers, efficiency, score, secrets, line
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<Condition>,
    /// Registry that may speak plain HTTP or has an unknown certificate (repeatable)
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Exit code 0, or 1 if a condition holds.
pub(super) fn analyze(args: &AnalyzeArgs) -> Result<ExitCode, Failed> {
    if args.interactive {
        browse::check_terminal()?;
    }
    sandbox::enter_user_namespace().map_err(Failed::environment)?;
    let store = args.store.open()?;
    let options = registry::Options { insecure: args.insecure_registry.clone(), ..registry::Options::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let platform = args.platform.clone().unwrap_or_else(Platform::host);
    let analysis = runtime.block_on(async {
        let client = Client::new(options).map_err(Failed::environment)?;
        let _lease = store.lease().map_err(Failed::environment)?;
        let image = pipeline::open(&store, &client, &args.name, &platform, Need::Files).await?;
        let analysis = tokio::task::block_in_place(|| pipeline::analyze(&store, &args.name, &image))?;
        store.make_durable().map_err(Failed::environment)?;
        if args.interactive {
            let files = tokio::task::block_in_place(|| pipeline::files(&image))?;
            browse::browse(&analysis, files).await?;
        }
        Ok::<_, Failed>(analysis)
    })?;
    if let Some(path) = &args.html {
        let page = html::page(&analysis).map_err(Failed::environment)?;
        let written = std::fs::write(path, page);
        written.map_err(|error| Failed::environment(format!("{}: {error}", path.display())))?;
    }
    let mut out = Output::stdout();
    let told = match args.format.as_str() {
        _ if args.interactive => Ok(()),
        "json" => out.json(&analysis),
        _ => table(&mut out, &analysis),
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)?;
    let broken: Vec<String> = args.fail_if.iter().filter(|it| it.holds(&analysis)).map(ToString::to_string).collect();
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failed::build(format!("{} does not pass: {}", args.name.familiar(), broken.join(", "))))
}

fn table(out: &mut Output, analysis: &Analysis) -> io::Result<()> {
    let title = analysis.distribution.as_ref().map(|it| format!(", {}", it.title)).unwrap_or_default();
    out.line(printable(&format!("{} ({}{title})", analysis.name, analysis.platform)))?;
    out.line(format!(
        "{} in {} files, {} compressed; {} wasted; score {}, efficiency as dive has it {}",
        ByteSize(analysis.bytes),
        analysis.files,
        ByteSize(analysis.compressed),
        ByteSize(analysis.wasted),
        percent(analysis.score),
        percent(analysis.efficiency)
    ))?;
    layers(out, analysis)?;
    out.line("\nFOLDERS")?;
    folders(out, &analysis.by_path, 0, analysis.bytes / SMALLEST_FOLDER)?;
    packages(out, analysis)?;
    waste(out, analysis)?;
    base(out, analysis)?;
    for secret in &analysis.secrets {
        let layer = secret.layer.map(|layer| format!(", layer {}", layer + 1)).unwrap_or_default();
        let hidden = if secret.hidden { ", deleted later, but still there" } else { "" };
        out.line(printable(&format!("may be secret: {} ({}{layer}{hidden})", secret.place, secret.kind)))?;
    }
    analysis.notes.iter().try_for_each(|note| out.line(format!("note: {}", printable(note))))
}

fn layers(out: &mut Output, analysis: &Analysis) -> io::Result<()> {
    let mut table =
        Table::new(["LAYER", "SIZE", "COMPRESSED", "HIDDEN", "MADE BY"]).right(0).right(1).right(2).right(3);
    for (index, layer) in analysis.layers.iter().enumerate() {
        let command = layer.command.split_whitespace().collect::<Vec<_>>().join(" ");
        table.row([
            (index + 1).to_string(),
            ByteSize(layer.bytes).to_string(),
            ByteSize(layer.compressed).to_string(),
            ByteSize(layer.hidden).to_string(),
            format!("{}{}", if layer.base { "(base) " } else { "" }, cut(&command)),
        ]);
    }
    write_table(out, &table)?;
    match &analysis.line {
        Some(line) => out.line(format!(
            "a changed line of the application (layer {}) pushes {} in {} layers",
            line.layer + 1,
            ByteSize(line.pushed),
            line.layers
        )),
        None => Ok(()),
    }
}

fn folders(out: &mut Output, block: &Block, depth: usize, smallest: u64) -> io::Result<()> {
    out.line(format!("{:>9}  {}{}", ByteSize(block.bytes), "  ".repeat(depth), printable(&block.name)))?;
    let parts = block.parts.iter().filter(|part| part.bytes > smallest && !part.parts.is_empty());
    if depth < DEEPEST_FOLDER {
        parts.into_iter().try_for_each(|part| folders(out, part, depth + 1, smallest))
    } else {
        Ok(())
    }
}

fn packages(out: &mut Output, analysis: &Analysis) -> io::Result<()> {
    let mut largest: Vec<_> = analysis.packages.iter().collect();
    largest.sort_by_key(|package| std::cmp::Reverse(package.bytes));
    let mut table = Table::new(["PACKAGE", "VERSION", "KIND", "FILES", "SIZE"]).right(3).right(4);
    for package in largest.iter().take(ROWS) {
        table.row([
            package.name.clone(),
            package.version.clone(),
            package.ecosystem.name().to_owned(),
            package.files.len().to_string(),
            ByteSize(package.bytes).to_string(),
        ]);
    }
    if table.is_empty() {
        return out.line("\nno packages found");
    }
    write_table(out, &table)?;
    let count = largest.len();
    out.line(format!("{count} packages; {} in files of no package", ByteSize(analysis.unowned)))
}

fn waste(out: &mut Output, analysis: &Analysis) -> io::Result<()> {
    let mut table = Table::new(["WASTE", "FILES", "SIZE", "REMEDY", "LARGEST"]).right(1).right(2);
    for waste in &analysis.waste {
        let remedy = match (waste.pass, waste.trust) {
            (Some(_), Some(Trust::Proven)) => "slim".to_owned(),
            (Some(_), Some(Trust::Observed)) => "slim --observe".to_owned(),
            (Some(pass), Some(Trust::Profile) | None) => format!("slim --passes={pass}"),
            (None, _) => "by hand".to_owned(),
        };
        let largest = waste.examples.first().map(|file| format!("/{}", String::from_utf8_lossy(&file.path)));
        table.row([
            waste.title.to_owned(),
            waste.files.to_string(),
            ByteSize(waste.bytes).to_string(),
            remedy,
            cut(&largest.unwrap_or_default()),
        ]);
    }
    if table.is_empty() { out.line("\nnothing is wasted") } else { write_table(out, &table) }
}

fn base(out: &mut Output, analysis: &Analysis) -> io::Result<()> {
    let Some(base) = &analysis.base else { return Ok(()) };
    out.line(format!(
        "\nof the base, {} of {} packages are used, as far as files tell: {} of {}; without the rest the image has {}, with",
        base.used_packages,
        base.packages,
        ByteSize(base.used_bytes),
        ByteSize(base.bytes),
        ByteSize(base.without)
    ))?;
    base.dockerfile.lines().try_for_each(|line| out.line(format!("    {}", printable(line))))
}

fn write_table(out: &mut Output, table: &Table) -> io::Result<()> {
    out.line("")?;
    table.to_string().lines().try_for_each(|line| out.line(line))
}

fn percent(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

fn cut(text: &str) -> String {
    if text.chars().count() <= COMMAND {
        return text.to_owned();
    }
    text.chars().take(COMMAND).chain(['…']).collect()
}
