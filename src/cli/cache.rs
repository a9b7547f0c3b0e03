//! `cache du` and `cache prune`: what the store takes, and less of it.

use super::{Failed, StoreArgs};
use crate::{
    config::{bytes, duration},
    progress::{ByteSize, Output, Table},
    sandbox,
    store::GcPolicy,
};
use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Show what the store takes on the disk, by kind
    Du(DuArgs),
    /// Remove what no named image keeps and no running build uses, least recently used first
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(super) struct DuArgs {
    /// How to print it: table or json
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Stop when the store takes no more than this: 500MB, 20GB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    keep_storage: Option<u64>,
    /// Remove only what was not used for so long: 30m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    unused_for: Option<Duration>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn cache(command: &CacheCommand) -> Result<(), Failed> {
    // An ordinary user's layers hold files of subordinate ids, which only the root of their namespace may remove.
    sandbox::enter_user_namespace().map_err(Failed::environment)?;
    match command {
        CacheCommand::Du(args) => du(args),
        CacheCommand::Prune(args) => prune(args),
    }
}

fn du(args: &DuArgs) -> Result<(), Failed> {
    let usage = args.store.open()?.disk_usage().map_err(Failed::environment)?;
    let rows = [
        ("blobs", Some(usage.blobs.count), usage.blobs.bytes, "compressed layers, manifests, artifacts"),
        ("  of images", Some(usage.image_blobs.count), usage.image_blobs.bytes, "kept while the image has a name"),
        ("layers", Some(usage.layers.count), usage.layers.bytes, "unpacked, for steps to run on"),
        ("records", Some(usage.records.count), usage.records.bytes, "what steps came to; part of the index"),
        ("index", None, usage.index, ""),
        ("cache mounts", None, usage.cache_mounts, "of RUN --mount=type=cache"),
        ("temporary", None, usage.tmp, "being made, or left by a killed build"),
    ];
    let total = usage.blobs.bytes + usage.layers.bytes + usage.index + usage.cache_mounts + usage.tmp;
    let mut out = Output::stdout();
    let told = if args.format == "json" {
        let fields = rows.iter().map(|(kind, count, bytes, _)| {
            let kind = kind.trim().replace("of images", "image_blobs").replace(' ', "_");
            (kind, serde_json::json!({ "count": count, "bytes": bytes }))
        });
        let mut document: serde_json::Map<_, _> = fields.collect();
        document.insert("total".to_owned(), serde_json::json!({ "bytes": total }));
        out.json(&document)
    } else {
        let mut table = Table::new(["KIND", "COUNT", "SIZE", "WHAT"]).right(1).right(2);
        for (kind, count, bytes, what) in rows {
            let count = count.map_or_else(String::new, |count| count.to_string());
            table.row([kind.to_owned(), count, ByteSize(bytes).to_string(), what.to_owned()]);
        }
        table.row(["total".to_owned(), String::new(), ByteSize(total).to_string(), String::new()]);
        out.line(table.to_string().trim_end())
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)
}

fn prune(args: &PruneArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let keep_bytes = match (args.keep_storage, args.unused_for) {
        (Some(bytes), _) => Some(bytes),
        (None, Some(_)) => None,
        (None, None) => Some(0),
    };
    let policy = GcPolicy { keep_bytes, unused_for: args.unused_for };
    let removed = store.collect_garbage(&policy).map_err(Failed::environment)?;
    let mut out = Output::stdout();
    let text = format!(
        "removed {} blobs, {} layers, {} records and {} leftovers: {}",
        removed.blobs,
        removed.layers,
        removed.records,
        removed.leftovers,
        ByteSize(removed.bytes)
    );
    out.line(text).and_then(|()| out.finish()).map_err(Failed::environment)
}
