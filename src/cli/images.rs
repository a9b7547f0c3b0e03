//! `images` and `inspect`: what is in the local store.

use super::{Failed, StoreArgs};
use crate::{
    pipeline,
    progress::{ByteSize, Output, Table},
};
use clap::{Args, ValueEnum};
use flashbuild_frontend::reference::Reference;
use std::io::Write as _;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Name of the image
    reference: String,
    /// How to print it
    #[arg(long, default_value = "json", value_name = "FORMAT")]
    format: InspectFormat,
}

/// Ways to print an image.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum InspectFormat {
    /// A line for each platform
    Table,
    /// Platforms, layers and configurations
    Json,
    /// The index or manifest, byte for byte
    Raw,
}

pub(super) fn images(args: &StoreArgs) -> Result<(), Failed> {
    let store = args.open()?;
    let mut table = Table::new(["NAME", "DIGEST", "SIZE"]).right(2);
    for image in store.images().map_err(Failed::environment)? {
        let descriptor: serde_json::Value = serde_json::from_str(&image.descriptor).unwrap_or_default();
        let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
        table.row([image.name.clone(), digest, ByteSize(image.size).to_string()]);
    }
    let mut out = Output::stdout();
    out.line(table.to_string().trim_end()).and_then(|()| out.finish()).map_err(Failed::environment)
}

pub(super) fn inspect(args: &InspectArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let reference: Reference = args.reference.parse().map_err(Failed::usage)?;
    let image = pipeline::inspect(&store, &reference)
        .map_err(Failed::build)?
        .ok_or_else(|| Failed::build(format!("no image {} in the local store", reference.familiar())))?;
    let mut out = Output::stdout();
    let printed = match args.format {
        InspectFormat::Table => out.line(platforms(&image).to_string().trim_end()),
        InspectFormat::Json => out.json(&image),
        InspectFormat::Raw => out.write_all(&image.raw),
    };
    printed.and_then(|()| out.finish()).map_err(Failed::environment)
}

fn platforms(image: &pipeline::Inspected) -> Table {
    let mut table = Table::new(["PLATFORM", "DIGEST", "LAYERS", "SIZE"]).right(2).right(3);
    for one in &image.images {
        let size: u64 = one.layers.iter().map(|layer| layer.size).sum();
        let cells = [one.platform.clone(), one.digest.to_string(), one.layers.len().to_string()];
        table.row(cells.into_iter().chain([ByteSize(size).to_string()]));
    }
    table
}
