//! `config`, and what other commands take from the configuration where nobody typed a flag.

use super::{Failed, gc};
use crate::{
    config::Config,
    progress::{Mode, Output, Table},
    registry,
};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// How to print it: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

/// One setting, for programs.
#[derive(Serialize)]
struct Row {
    value: String,
    origin: String,
}

/// Shows every setting and where it came from.
pub(super) fn config(args: &ConfigArgs) -> Result<(), Failed> {
    let config = load()?;
    // What only other commands look into is checked here, too.
    progress_mode(None, &config)?;
    gc::policy(&config, 0)?;
    let mut out = Output::stdout();
    let told = if args.format == "json" {
        let rows = config.shown().into_iter();
        let rows: BTreeMap<_, _> =
            rows.map(|shown| (shown.key, Row { value: shown.value, origin: shown.origin })).collect();
        out.json(&rows)
    } else {
        let mut table = Table::new(["KEY", "VALUE", "FROM", "WHAT"]);
        for shown in config.shown() {
            table.row([shown.key, &shown.value, &shown.origin, shown.what]);
        }
        out.line(table.to_string().trim_end())
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)
}

/// The configuration of this process.
pub(super) fn load() -> Result<Config, Failed> {
    Config::load().map_err(Failed::usage)
}

/// How progress is shown: as was typed, else as is configured, else as fits.
pub(super) fn progress_mode(typed: Option<Mode>, config: &Config) -> Result<Mode, Failed> {
    match (typed, &config.progress.value) {
        (Some(mode), _) => Ok(mode),
        (None, None) => Ok(Mode::Auto),
        (None, Some(name)) => {
            name.parse().map_err(|error| Failed::usage(format!("{}: progress: {error}", config.progress.origin)))
        }
    }
}

/// How registries are spoken to; those of `insecure` may lack a known certificate.
pub(super) fn registry_options(config: &Config, insecure: &[String]) -> registry::Options {
    registry::Options {
        insecure: insecure.to_vec(),
        ca_certificates: config.ca_certificates.value.clone(),
        ..registry::Options::default()
    }
}
