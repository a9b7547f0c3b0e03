//! Where an image goes and what is written about it: `--tag`, `--output` and their kin.

use super::Failed;
use crate::{
    layer::Compression,
    pipeline::{Built, Destination},
};
use clap::Args;
use flashbuild_frontend::reference::Reference;
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Name of the image, optionally with a tag (repeatable)
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Where the image goes: type=registry, type=oci,dest=FILE[,tar=false] or type=local,dest=DIR (repeatable)
    #[arg(short, long, value_name = "SPEC")]
    output: Vec<String>,
    /// Push to the registries of the names; short for --output=type=registry
    #[arg(long)]
    push: bool,
    /// Compression of layers: gzip, zstd or uncompressed, with an optional :LEVEL
    #[arg(long, default_value = "gzip", value_name = "KIND")]
    pub(super) compression: Compression,
    /// Write what was built to a JSON file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest of the image to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
}

impl OutputArgs {
    /// The names of the image.
    pub(super) fn tags(&self) -> Result<Vec<Reference>, Failed> {
        self.tag.iter().map(|tag| tag.parse()).collect::<Result<_, _>>().map_err(Failed::usage)
    }

    /// Where it goes besides the local store.
    pub(super) fn destinations(&self) -> Result<Vec<Destination>, Failed> {
        let mut outputs = self.output.iter().map(|spec| destination(spec)).collect::<Result<Vec<_>, _>>()?;
        if self.push && !outputs.contains(&Destination::Registry) {
            outputs.push(Destination::Registry);
        }
        if outputs.contains(&Destination::Registry) && self.tag.is_empty() {
            return Err(Failed::usage("pushing needs a name: add --tag HOST/NAME:TAG"));
        }
        Ok(outputs)
    }

    /// Writes the files that were asked for.
    pub(super) fn write_results(&self, built: &Built) -> Result<(), Failed> {
        let digest = built.image.descriptor.digest.to_string();
        let write = |path: &PathBuf, text: String| {
            std::fs::write(path, text).map_err(|error| Failed::environment(format!("{}: {error}", path.display())))
        };
        if let Some(path) = &self.iidfile {
            write(path, digest.clone())?;
        }
        if let Some(path) = &self.metadata_file {
            let metadata = serde_json::json!({
                "containerimage.digest": digest,
                "containerimage.descriptor": built.image.descriptor,
                "image.name": self.tag.join(","),
                "flashbuild.steps": built.steps,
            });
            write(path, format!("{metadata:#}\n"))?;
        }
        Ok(())
    }
}

/// Reads an `--output`.
fn destination(spec: &str) -> Result<Destination, Failed> {
    let wrong = |what: String| Failed::usage(format!("--output {spec:?}: {what}"));
    let mut keys = BTreeMap::new();
    for part in spec.split(',') {
        let (key, value) = part.split_once('=').ok_or_else(|| wrong(format!("{part:?} is not KEY=VALUE")))?;
        keys.insert(key.trim(), value.trim());
    }
    let kind = keys.remove("type").ok_or_else(|| wrong("it has no type=".to_owned()))?;
    let dest = keys.remove("dest").map(PathBuf::from);
    let name = keys.remove("name").map(ToOwned::to_owned);
    let tar = keys.remove("tar") != Some("false");
    if let Some(key) = keys.keys().next() {
        return Err(wrong(format!("unknown key {key:?}")));
    }
    let dest = || dest.clone().ok_or_else(|| wrong("it needs dest=".to_owned()));
    match kind {
        "registry" => Ok(Destination::Registry),
        "oci" if tar => Ok(Destination::OciArchive { dest: dest()?, name }),
        "oci" => Ok(Destination::OciFolder { dest: dest()?, name }),
        "local" => Ok(Destination::Local { dest: dest()? }),
        other => Err(wrong(format!("unknown type {other:?}: expected registry, oci or local"))),
    }
}
