//! `diff`: do two images hold the same?

use super::{Failed, RegistriesArgs, StoreArgs, config};
use crate::{
    exec::Need,
    optimize::diff::{self, Change, FieldChange, Report, Rules, Side},
    pipeline,
    progress::{Output, printable},
    registry::Client,
    sandbox,
};
use clap::Args;
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::process::ExitCode;

/// How many characters of a value are shown in a table.
const SHOWN: usize = 120;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// The first image
    before: Reference,
    /// The second image
    after: Reference,
    /// Platform to compare, or one for each image: linux/amd64,linux/arm64 [default: this machine's]
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Compare only what a container's behaviour can depend on
    #[arg(long)]
    semantic: bool,
    /// Compare times as well
    #[arg(long, conflicts_with = "semantic")]
    times: bool,
    /// How to print it: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    #[command(flatten)]
    registries: RegistriesArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Exit code 0 if they hold the same, 1 if not.
pub(super) fn diff(args: &DiffArgs) -> Result<ExitCode, Failed> {
    let (first, second) = match args.platform.as_slice() {
        [] => (Platform::host(), Platform::host()),
        [both] => (both.clone(), both.clone()),
        [first, second] => (first.clone(), second.clone()),
        _ => return Err(Failed::usage("--platform takes one platform, or one for each image")),
    };
    sandbox::enter_user_namespace().map_err(Failed::environment)?;
    let store = args.store.open()?;
    let options = args.registries.options(&config::load()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let (before, after) = runtime.block_on(async {
        let client = Client::new(options).map_err(Failed::environment)?;
        let _lease = store.lease().map_err(Failed::environment)?;
        let before = pipeline::open(&store, &client, &args.before, &first, Need::Tables).await?;
        let after = pipeline::open(&store, &client, &args.after, &second, Need::Tables).await?;
        store.make_durable().map_err(Failed::environment)?;
        Ok::<_, Failed>((before, after))
    })?;
    let rules = Rules { semantic: args.semantic, times: args.times };
    let report = diff::compare(
        Side { config: &before.config, files: &before.files },
        Side { config: &after.config, files: &after.files },
        rules,
    );
    let mut out = Output::stdout();
    let told = match args.format.as_str() {
        "json" => out.json(&report),
        _ => table(&mut out, &report, rules),
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)?;
    Ok(if report.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn table(out: &mut Output, report: &Report, rules: Rules) -> std::io::Result<()> {
    for change in &report.config {
        out.line(format!("~ {}", field(change)))?;
    }
    for file in &report.files {
        let path = printable(&file.path);
        match &file.change {
            Change::Added => out.line(format!("+ {path}"))?,
            Change::Removed => out.line(format!("- {path}"))?,
            Change::Changed(fields) => {
                let fields: Vec<String> = fields.iter().map(field).collect();
                out.line(format!("~ {path}   {}", fields.join("; ")))?;
            }
        }
    }
    let verdict = if report.is_empty() { "the images hold the same" } else { "the images differ" };
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (files, fields) = (counted(report.files.len(), "file"), counted(report.config.len(), "field"));
    out.line(format!("{verdict}: {files}, {fields} of the configuration (not compared: {})", rules.ignored()))
}

fn field(change: &FieldChange) -> String {
    let value = |value: &Option<String>| match value {
        None => "absent".to_owned(),
        Some(text) if text.is_empty() => "empty".to_owned(),
        Some(text) if text.chars().count() > SHOWN => {
            printable(&text.chars().take(SHOWN).chain(['…']).collect::<String>())
        }
        Some(text) => printable(text),
    };
    format!("{}: {} -> {}", printable(&change.field), value(&change.before), value(&change.after))
}
