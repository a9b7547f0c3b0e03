//! `cache du` and `cache prune`: what the store takes, and less of it.

use super::{
    Failed, StoreArgs,
    cache_team::{self, ExportArgs, ImportArgs},
    cache_warm::{self, WarmArgs},
};
use crate::{
    config::{bytes, duration},
    progress::{ByteSize, Output, Table},
    sandbox,
    store::{Collected, GcPolicy, GcRule, StoreKind, Usage},
};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// Show what the store takes on the disk, by kind and by image
    Du(DuArgs),
    /// Write what the last builds used to one file: records, layers, packages, base images
    Export(ExportArgs),
    /// Take such a file in
    Import(ImportArgs),
    /// Fetch the packages of lock files before a build needs them
    Warm(WarmArgs),
    /// Remove what no named image needs and no running build uses, least recently used first
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
    #[arg(long, visible_alias = "reserved-space", value_name = "SIZE", value_parser = bytes)]
    keep_storage: Option<u64>,
    /// Remove only as much as the store takes more than this
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_used_space: Option<u64>,
    /// Stop when so much of the disk is free
    #[arg(long, visible_alias = "min-free-space", value_name = "SIZE", value_parser = bytes)]
    min_free: Option<u64>,
    /// Remove only what was not used for so long: 30m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    unused_for: Option<Duration>,
    /// Remove only some: type=KIND as `cache du` shows them, or until=TIME (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    filter: Vec<Filter>,
    /// Also what belongs to named images, but for what is in them
    #[arg(short, long)]
    all: bool,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// A value of `--filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Kind(StoreKind),
    UnusedFor(Duration),
}

fn filter(text: &str) -> Result<Filter, String> {
    match text.split_once('=') {
        // Some write `type==x`, as BuildKit's own filters are.
        Some(("type", kind)) => kind.trim_start_matches('=').parse().map(Filter::Kind),
        Some(("until" | "unused-for", time)) => duration(time).map(Filter::UnusedFor),
        _ => Err("expected type=KIND or until=TIME".to_owned()),
    }
}

pub(super) fn cache(command: &CacheCommand) -> Result<(), Failed> {
    // An ordinary user's layers hold files of subordinate ids, which only the root of their namespace may remove.
    sandbox::enter_user_namespace().map_err(Failed::environment)?;
    match command {
        CacheCommand::Du(args) => du(args),
        CacheCommand::Export(args) => cache_team::export(args),
        CacheCommand::Import(args) => cache_team::import(args),
        CacheCommand::Warm(args) => cache_warm::warm(args),
        CacheCommand::Prune(args) => prune(args),
    }
}

/// A kind, for people.
struct Row {
    name: &'static str,
    count: Option<u64>,
    usage: Usage,
    what: &'static str,
}

/// A kind, for programs.
#[derive(Serialize)]
struct KindRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    bytes: u64,
    /// Bytes that belong to named images.
    shared: u64,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<u64>,
}

/// An image, for programs.
#[derive(Serialize)]
struct ImageRow {
    bytes: u64,
    /// Bytes that other names have too.
    shared: u64,
    last_used: u64,
}

/// What the store takes, for programs.
#[derive(Serialize)]
struct Document {
    kinds: BTreeMap<String, KindRow>,
    images: BTreeMap<String, ImageRow>,
    total: u64,
}

fn du(args: &DuArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let usage = store.disk_usage().map_err(Failed::environment)?;
    let images = store.image_usage().map_err(Failed::environment)?;
    let plain = |name, bytes, what| Row { name, count: None, usage: Usage { bytes, ..Usage::default() }, what };
    let counted = |name, usage: &Usage, what| Row { name, count: Some(usage.count), usage: *usage, what };
    let mut rows = vec![counted("image", &usage.image_blobs, "what named images consist of")];
    rows.extend(usage.kinds.iter().map(|(kind, usage)| counted(kind.name(), usage, about(*kind))));
    rows.extend([
        plain("index", usage.index, "what is here and what is known, records included"),
        plain("history", usage.history, "the last builds, with their logs"),
        plain("tmp", usage.tmp, "being made, or left by a killed build"),
    ]);
    let mut out = Output::stdout();
    let told = if args.format == "json" {
        let kind = |row: &Row| {
            let Usage { bytes, shared, used, .. } = row.usage;
            (row.name.to_owned(), KindRow { count: row.count, bytes, shared, last_used: used.map(milliseconds) })
        };
        let image = |image: crate::store::ImageUsage| {
            let row = ImageRow { bytes: image.bytes, shared: image.shared, last_used: milliseconds(image.used) };
            (image.name, row)
        };
        let (kinds, images) = (rows.iter().map(kind).collect(), images.into_iter().map(image).collect());
        out.json(&Document { kinds, images, total: usage.total() })
    } else {
        let mut table = Table::new(["KIND", "COUNT", "SIZE", "SHARED", "LAST USE", "WHAT"]).right(1).right(2).right(3);
        for Row { name, count, usage, what } in rows {
            let count = count.map_or_else(String::new, |count| count.to_string());
            let used = usage.used.map(ago).unwrap_or_default();
            table.row([name.to_owned(), count, size(usage.bytes), shared(usage.shared), used, what.to_owned()]);
        }
        table.row(["total".to_owned(), String::new(), size(usage.total())]);
        let mut text = table.to_string();
        if !images.is_empty() {
            let mut table = Table::new(["IMAGE", "SIZE", "SHARED", "LAST USE"]).right(1).right(2);
            for image in images {
                table.row([image.name, size(image.bytes), shared(image.shared), ago(image.used)]);
            }
            text = format!("{text}\n{table}");
        }
        out.line(text.trim_end())
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)
}

fn about(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Record => "what steps came to; part of the index",
        StoreKind::Layer => "unpacked layers, for steps to run on",
        StoreKind::Blob => "compressed layers and contents tables",
        StoreKind::Download => "packages, files, and documents of images",
        StoreKind::CacheMount => "folders of RUN --mount=type=cache",
        StoreKind::Apt => "apt's lists, for DEPS apt",
    }
}

fn prune(args: &PruneArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let kinds = args.filter.iter().filter_map(|filter| match filter {
        Filter::Kind(kind) => Some(*kind),
        Filter::UnusedFor(_) => None,
    });
    let until = args.filter.iter().filter_map(|filter| match filter {
        Filter::Kind(_) => None,
        Filter::UnusedFor(time) => Some(*time),
    });
    let policy = GcPolicy::of(GcRule {
        kinds: kinds.collect(),
        unused_for: until.chain(args.unused_for).max(),
        reserved: args.keep_storage,
        max_used: args.max_used_space,
        min_free: args.min_free,
        all: args.all,
    });
    let (verb, collected) = if args.dry_run {
        ("would remove", store.would_collect(&policy))
    } else {
        ("removed", store.collect_garbage(&policy))
    };
    let mut out = Output::stdout();
    let text = told(verb, &collected.map_err(Failed::environment)?);
    out.line(text).and_then(|()| out.finish()).map_err(Failed::environment)
}

/// `removed 3 records, 2 layers: 1.2MB`.
fn told(verb: &str, collected: &Collected) -> String {
    let kinds = collected.removed.iter().filter(|(_, count)| **count > 0);
    let mut parts: Vec<String> = kinds.map(|(kind, count)| format!("{count} of {kind}")).collect();
    if collected.leftovers > 0 {
        parts.push(format!("{} leftovers", collected.leftovers));
    }
    if parts.is_empty() {
        return format!("{verb} nothing");
    }
    format!("{verb} {}: {}", parts.join(", "), ByteSize(collected.bytes))
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

fn shared(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { size(bytes) }
}

fn milliseconds(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// How long ago something was, roughly.
fn ago(time: SystemTime) -> String {
    let seconds = SystemTime::now().duration_since(time).unwrap_or_default().as_secs();
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..172_800 => format!("{}h ago", seconds / 3600),
        172_800.. => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_buildx_writes_them() {
        assert_eq!(filter("type=cache-mount"), Ok(Filter::Kind(StoreKind::CacheMount)));
        assert_eq!(filter("type==layer"), Ok(Filter::Kind(StoreKind::Layer)));
        assert_eq!(filter("until=24h"), Ok(Filter::UnusedFor(Duration::from_hours(24))));
        for text in ["type", "type=", "type=x", "until=x", "id=1"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }
}
