//! What a case asks for, written in the case itself in lines that start with `#:`.
//!
//! ```text
//! #: platform linux/arm64                    each one more target; linux/amd64 if there is none
//! #: target build
//! #: build-arg NAME=VALUE
//! #: label NAME=VALUE
//! #: ignore PATTERN
//! #: epoch 1700000000
//! #: whole-file true
//! #: image-platform NAME linux/arm64         of the image, if it is not the one asked for
//! #: image NAME {"Env": ["A=b"]}             the container configuration of an image; others have only a PATH
//! ```

use crate::{
    config::{History, ImageConfig},
    diagnostic::Diagnostic,
    dockerfile::{Dockerfile, Inputs, Missing, Options, ResolvedImage},
    graph::Graph,
    platform::Platform,
    reference::Reference,
};
use std::collections::BTreeMap;

/// A case's wishes.
pub(in crate::dockerfile) struct Asked {
    pub(in crate::dockerfile) options: Options,
    images: BTreeMap<String, ImageConfig>,
    platforms: BTreeMap<String, Platform>,
}

/// A graph, and the images that had to be looked at, in the order of the questions.
pub(in crate::dockerfile) struct Lowered {
    pub(in crate::dockerfile) graph: Graph,
    pub(in crate::dockerfile) questions: Vec<String>,
}

impl Asked {
    pub(in crate::dockerfile) fn read(text: &str) -> Self {
        let build_platform: Platform = "linux/amd64".parse().unwrap();
        let mut options = Options { platforms: Vec::new(), ..Options::for_platform(build_platform) };
        let mut images = BTreeMap::new();
        let mut platforms = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
            let (key, value) = line.split_once(' ').expect(line);
            let pair = || {
                let (name, value) = value.split_once('=').expect(line);
                (name.to_owned(), value.to_owned())
            };
            match key {
                "platform" => options.platforms.push(value.parse().unwrap()),
                "target" => options.target = Some(value.to_owned()),
                "build-arg" => options.build_args.extend([pair()]),
                "label" => options.labels.extend([pair()]),
                "ignore" => options.ignore.push(value.to_owned()),
                "epoch" => options.epoch = Some(value.parse().unwrap()),
                "whole-file" => options.whole_file = value == "true",
                "image-platform" => {
                    let (name, platform) = value.split_once(' ').expect(line);
                    let name: Reference = name.parse().unwrap();
                    platforms.insert(name.to_string(), platform.parse().unwrap());
                }
                "image" => {
                    let (name, config) = value.split_once(' ').expect(line);
                    let name: Reference = name.parse().unwrap();
                    let config = serde_json::from_str(config).expect(line);
                    images.insert(name.to_string(), ImageConfig { config, ..ImageConfig::default() });
                }
                other => panic!("{other} is no wish"),
            }
        }
        Self { options, images, platforms }
    }

    /// Reads, asks until nothing is missing, and lowers.
    pub(in crate::dockerfile) fn lower(&self, text: &str) -> Result<Lowered, Vec<Diagnostic>> {
        let file = Dockerfile::parse(text)?;
        let (inputs, questions) = self.inputs(&file)?;
        Ok(Lowered { graph: file.lower(&self.options, &inputs)?, questions })
    }

    /// Asks until nothing is missing; returns the questions too.
    pub(in crate::dockerfile) fn inputs(&self, file: &Dockerfile) -> Result<(Inputs, Vec<String>), Vec<Diagnostic>> {
        let mut inputs = Inputs::default();
        let mut questions = Vec::new();
        loop {
            let missing = file.missing(&self.options, &inputs)?;
            if missing.is_empty() {
                return Ok((inputs, questions));
            }
            for Missing::ImageConfig { reference, platform, .. } in &missing {
                questions.push(format!("{reference} {platform}"));
                inputs.insert(reference, platform, self.resolve(reference, platform));
            }
        }
    }

    fn resolve(&self, reference: &Reference, platform: &Platform) -> ResolvedImage {
        let mut config = self.images.get(&reference.to_string()).cloned().unwrap_or_else(|| {
            let mut config = ImageConfig::default();
            config.config.env.push("PATH=/usr/bin:/bin".to_owned());
            config
        });
        let platform = self.platforms.get(&reference.to_string()).unwrap_or(platform);
        config.os.clone_from(&platform.os);
        config.architecture.clone_from(&platform.arch);
        config.variant.clone_from(&platform.variant);
        config.created = Some("2020-01-01T00:00:00Z".to_owned());
        config.rootfs.diff_ids.push("sha256:base".to_owned());
        config.history.push(History { created_by: Some("base".to_owned()), ..History::default() });
        // FNV-1a: any function that gives the same answer for ever.
        let name = format!("{reference} {platform}");
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let digest = format!("sha256:{}", format!("{hash:016x}").repeat(4));
        ResolvedImage { reference: reference.to_string(), digest, config }
    }
}
