//! `images` and `inspect`: what is in the local store.

use super::{Failed, StoreArgs};
use crate::{
    pipeline,
    progress::{ByteSize, Output, Table},
    store::Store,
};
use clap::{Args, ValueEnum};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use serde_json::value::RawValue;
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
    /// Print what the image contains, as its SBOM says
    #[arg(long, conflicts_with_all = ["provenance", "format"])]
    sbom: bool,
    /// Print how the image came to be
    #[arg(long, conflicts_with = "format")]
    provenance: bool,
    /// Of which platform [default: this machine's, or the only one]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
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
        .ok_or_else(|| pipeline::not_in_store(&reference))?;
    let mut out = Output::stdout();
    if args.sbom || args.provenance {
        let said = said(args, &store, &image)?;
        return out.line(said.get()).and_then(|()| out.finish()).map_err(Failed::environment);
    }
    let printed = match args.format {
        InspectFormat::Table => out.line(platforms(&image).to_string().trim_end()),
        InspectFormat::Json => out.json(&image),
        InspectFormat::Raw => out.write_all(&image.raw),
    };
    printed.and_then(|()| out.finish()).map_err(Failed::environment)
}

/// The document that was asked for.
fn said(args: &InspectArgs, store: &Store, image: &pipeline::Inspected) -> Result<Box<RawValue>, Failed> {
    let machine = args.platform.clone().unwrap_or_else(Platform::host).to_string();
    let one = match image.images.as_slice() {
        [only] if args.platform.is_none() => Some(only),
        several => several.iter().find(|one| one.platform == machine),
    };
    let one = one.ok_or_else(|| Failed::build(format!("{} has no image for {machine}", image.name)))?;
    let (what, predicates) = if args.sbom {
        ("SBOM: build it with --sbom", &["https://spdx.dev/", "https://cyclonedx.org/"][..])
    } else {
        ("provenance: build it with --provenance", &["https://slsa.dev/provenance/"][..])
    };
    let said = pipeline::predicate(store, one, predicates)?;
    said.ok_or_else(|| Failed::build(format!("{} for {machine} has no {what}", image.name)))
}

fn platforms(image: &pipeline::Inspected) -> Table {
    let mut table = Table::new(["PLATFORM", "DIGEST", "LAYERS", "SIZE", "ATTESTATIONS"]).right(2).right(3);
    for one in &image.images {
        let size: u64 = one.layers.iter().map(|layer| layer.size).sum();
        let cells = [one.platform.clone(), one.digest.to_string(), one.layers.len().to_string()];
        let said: Vec<&str> = one.attestations.iter().map(|it| shown(&it.predicate_type)).collect();
        table.row(cells.into_iter().chain([ByteSize(size).to_string(), said.join(", ")]));
    }
    table
}

/// A type of predicate, for people.
fn shown(predicate_type: &str) -> &str {
    match predicate_type {
        "https://spdx.dev/Document" => "SBOM (SPDX)",
        "https://cyclonedx.org/bom" => "SBOM (CycloneDX)",
        "https://slsa.dev/provenance/v1" => "provenance (v1)",
        "https://slsa.dev/provenance/v0.2" => "provenance (v0.2)",
        other => other,
    }
}
