//! Where an image goes and what is written about it: `--tag`, `--output` and their kin.

use super::{Failed, output_spec, rewrite, smoke::SmokeArgs};
use crate::{
    config::bytes,
    export::{Annotation, ImageOptions},
    layer::Compression,
    optimize::rewrite::{
        slim::{self, Gpu},
        split,
    },
    pipeline::{Built, Destination, Division, Smoke, Target},
    progress::workflow,
};
use clap::Args;
use flashbuild_frontend::reference::Reference;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Name of the image, optionally with a tag (repeatable)
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Where the image goes: type=registry|image|oci|docker|containerd|tar|local, dest=PATH, and more keys as buildx has them; a path
    /// alone is a folder for its files, - a tar of them on standard output (repeatable)
    #[arg(short, long, value_name = "SPEC")]
    output: Vec<String>,
    /// Push to the registries of the names; short for --output=type=registry
    #[arg(long)]
    push: bool,
    /// Load into dockerd or Podman; short for --output=type=docker
    #[arg(long)]
    load: bool,
    /// Annotation of the manifest, or of [manifest|index|manifest-descriptor|index-descriptor]PLATFORM: (repeatable)
    #[arg(long, value_name = "[LEVEL:]KEY=VALUE")]
    annotation: Vec<String>,
    /// Compression of layers: gzip, zstd, estargz, zstd:chunked or uncompressed, with an optional :LEVEL
    #[arg(long, default_value = "gzip", value_name = "KIND")]
    compression: Compression,
    /// From which size on layers that a RUN or COPY made are divided by package: 8MB, 500kB, or off [default: 32MiB]
    #[arg(long, value_name = "SIZE|off", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    split: Option<String>,
    /// Leave out what the image does not need, and start it to prove that it still works: names of passes (see flashbuild slim
    /// --help), proven, or all
    #[arg(long, value_name = "PASSES", num_args = 0..=1, require_equals = true, value_delimiter = ',',
          default_missing_value = "proven")]
    slim: Vec<String>,
    /// GPUs that the image is for: code for others goes with --slim. `sm_90` is one, `compute_90` that and all later ones
    #[arg(long, value_name = "GPUS", value_delimiter = ',', requires = "slim")]
    gpu: Vec<Gpu>,
    #[command(flatten)]
    smoke: SmokeArgs,
    /// Write what was built to a JSON file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest of the image to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
}

/// What the metadata file says; the names are buildx's, but for those that begin with ours.
#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(rename = "containerimage.config.digest", skip_serializing_if = "Option::is_none")]
    config_digest: Option<String>,
    #[serde(rename = "containerimage.descriptor")]
    descriptor: &'a crate::image::Descriptor,
    #[serde(rename = "containerimage.digest")]
    digest: String,
    #[serde(rename = "image.name", skip_serializing_if = "String::is_empty")]
    name: String,
    /// What the history calls the build.
    #[serde(rename = "flashbuild.build", skip_serializing_if = "Option::is_none")]
    build: Option<String>,
    #[serde(flatten)]
    provenance: BTreeMap<String, &'a RawValue>,
    #[serde(rename = "flashbuild.steps")]
    steps: &'a [crate::pipeline::StepOutcome],
}

impl OutputArgs {
    /// The names of the image.
    pub(super) fn tags(&self) -> Result<Vec<Reference>, Failed> {
        self.tag.iter().map(|tag| tag.parse()).collect::<Result<_, _>>().map_err(Failed::usage)
    }

    /// What the image is like where an output does not say otherwise.
    pub(super) fn image(&self) -> Result<ImageOptions, Failed> {
        let mut annotations: Vec<Annotation> = Vec::new();
        for text in &self.annotation {
            annotations.extend(output_spec::annotation_flag(text)?);
        }
        Ok(ImageOptions { compression: self.compression, annotations, ..ImageOptions::default() })
    }

    /// What becomes of the layers that were built.
    pub(super) fn division(&self) -> Result<Division, Failed> {
        let split = match self.split.as_deref() {
            Some("off") => None,
            None | Some("on") => Some(split::Options { from: split::WORTHWHILE }),
            Some(size) => {
                let wrong =
                    |why| Failed::usage(format!("--split={size}: expected a size such as 8MB, on or off: {why}"));
                Some(split::Options { from: bytes(size).map_err(wrong)? })
            }
        };
        let slim = if self.slim.is_empty() {
            slim::Options::default()
        } else {
            slim::Options { passes: rewrite::passes(&self.slim, &self.gpu)?, gpus: self.gpu.clone() }
        };
        Ok(Division { split, slim })
    }

    /// How an image is proven to work that something is left out of.
    pub(super) fn smoke(&self) -> Result<Option<Smoke>, Failed> {
        if self.slim.is_empty() && self.smoke.are_given() {
            return Err(Failed::usage("--smoke and --no-smoke are about what --slim leaves out: add --slim"));
        }
        Ok(self.smoke.smoke())
    }

    /// The same as it was typed, for people.
    pub(super) fn outputs(&self) -> Vec<String> {
        let short = [(self.push, "type=registry"), (self.load, "type=docker")];
        let short = short.into_iter().filter(|(asked, _)| *asked).map(|(_, spec)| spec.to_owned());
        self.output.iter().cloned().chain(short).collect()
    }

    /// Where it goes besides the local store.
    pub(super) fn destinations(&self) -> Result<Vec<Destination>, Failed> {
        let image = self.image()?;
        let mut outputs =
            self.output.iter().map(|spec| output_spec::destination(spec, &image)).collect::<Result<Vec<_>, _>>()?;
        let is_push = |output: &Destination| matches!(output.target, Target::Registry { .. });
        if self.push && !outputs.iter().any(is_push) {
            let target = Target::Registry { by_digest: false };
            outputs.push(Destination { target, image: image.clone(), names: None });
        }
        if self.load && !outputs.iter().any(|output| output.target == Target::Engine) {
            outputs.push(Destination { target: Target::Engine, image, names: None });
        }
        let is_nameless = |output: &Destination| output.names.as_ref().map_or(self.tag.is_empty(), Vec::is_empty);
        if outputs.iter().any(|output| is_push(output) && is_nameless(output)) {
            return Err(Failed::usage("pushing needs a name: add --tag HOST/NAME:TAG"));
        }
        Ok(outputs)
    }

    /// Writes the files that were asked for.
    pub(super) fn write_results(&self, built: &Built, id: Option<String>) -> Result<(), Failed> {
        let digest = built.image.descriptor.digest.to_string();
        let write = |path: &PathBuf, text: String| {
            std::fs::write(path, text).map_err(|error| Failed::environment(format!("{}: {error}", path.display())))
        };
        if let Some(path) = outputs_file() {
            append(&path, &format!("digest={digest}\nimageid={}\n", config_digest(built).unwrap_or_default()))?;
        }
        if let Some(path) = &self.iidfile {
            write(path, digest.clone())?;
        }
        if let Some(path) = &self.metadata_file {
            let metadata = Metadata {
                config_digest: config_digest(built),
                descriptor: &built.image.descriptor,
                digest,
                name: self.tag.join(","),
                build: id,
                provenance: provenance(built),
                steps: &built.steps,
            };
            let text = serde_json::to_string_pretty(&metadata).map_err(Failed::environment)?;
            write(path, format!("{text}\n"))?;
        }
        Ok(())
    }
}

/// How the images came to be, by buildx's names; nothing if its variable says so.
fn provenance(built: &Built) -> BTreeMap<String, &RawValue> {
    let wanted = std::env::var("BUILDX_METADATA_PROVENANCE").unwrap_or_default();
    if matches!(wanted.as_str(), "disabled" | "false" | "0") {
        return BTreeMap::new();
    }
    let key = "buildx.build.provenance";
    match built.provenance.as_slice() {
        [(_, only)] => BTreeMap::from([(key.to_owned(), only.predicate())]),
        several => several.iter().map(|(platform, it)| (format!("{key}/{platform}"), it.predicate())).collect(),
    }
}
/// The digest of the only image's configuration, which Docker calls its id.
fn config_digest(built: &Built) -> Option<String> {
    match built.image.images.as_slice() {
        [only] => Some(only.config.digest.to_string()),
        _ => None,
    }
}

/// Where GitHub's runner takes the outputs of a step from.
fn outputs_file() -> Option<PathBuf> {
    let path = std::env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty())?;
    workflow::is_read().then(|| path.into())
}

fn append(path: &Path, text: &str) -> Result<(), Failed> {
    let file = fs::OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failed::environment(format!("{}: {error}", path.display())))
}
