//! What a case asks for, written in the case itself in lines that start with `#:`.
//!
//! ```text
//! #: platform linux/arm64                    each one more target; linux/amd64 if there is none
//! #: target build
//! #: no-cache-filter STAGE
//! #: build-arg NAME=VALUE
//! #: label NAME=VALUE
//! #: ignore PATTERN
//! #: epoch 1700000000
//! #: context-epoch 1700000000               what SOURCE_DATE_EPOCH=context means
//! #: context NAME files | scratch | IMAGE    what a name means
//! #: whole-file true
//! #: hostname NAME
//! #: nowhere NAME                            an image, or an ecosystem of packages, that cannot be found
//! #: image-platform NAME linux/arm64         of the image, if it is not the one asked for
//! #: image NAME {"Env": ["A=b"]}             the container configuration of an image; others have only a PATH
//! ```

use crate::{
    config::{History, ImageConfig},
    diagnostic::Diagnostic,
    dockerfile::{Dockerfile, Inputs, Missing, NamedContext, NoCache, Options, ResolvedImage},
    graph::{Graph, LocalOp, NeededProgram, ScriptFile},
    package::{
        DepsPlan, DepsRequest, Ecosystem, InstallStep, LockPlace, MadeWheelLayout, Package, PackageBuild,
        PackageContent, PackageFile, PackageLayout, PackageOp, Settled, WheelLayout,
    },
    platform::Platform,
    reference::Reference,
};
use std::collections::{BTreeMap, BTreeSet};

/// A case's wishes.
pub(in crate::dockerfile) struct Asked {
    pub(in crate::dockerfile) options: Options,
    images: BTreeMap<String, ImageConfig>,
    platforms: BTreeMap<String, Platform>,
    nowhere: BTreeSet<String>,
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
        let mut nowhere = BTreeSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
            let (key, value) = line.split_once(' ').expect(line);
            let pair = || {
                let (name, value) = value.split_once('=').expect(line);
                (name.to_owned(), value.to_owned())
            };
            match key {
                "platform" => options.platforms.push(value.parse().unwrap()),
                "target" => options.target = Some(value.to_owned()),
                "no-cache-filter" => options.no_cache = NoCache::Stages(vec![value.to_owned()]),
                "build-arg" => options.build_args.extend([pair()]),
                "label" => options.labels.extend([pair()]),
                "ignore" => options.ignore.push(value.to_owned()),
                "context-epoch" => options.context_epoch = Some(value.parse().unwrap()),
                "context" => {
                    let (name, source) = value.split_once(' ').expect(line);
                    let context = match source {
                        "files" => NamedContext::Files(LocalOp { name: name.to_owned(), exclude: Vec::new() }),
                        "scratch" => NamedContext::Scratch,
                        image => NamedContext::Image(image.parse().unwrap()),
                    };
                    options.contexts.insert(name.to_owned(), context);
                }
                "epoch" => options.epoch = Some(value.parse().unwrap()),
                "hostname" => options.hostname = Some(value.to_owned()),
                "whole-file" => options.whole_file = value == "true",
                "nowhere" => drop(nowhere.insert(value.to_owned())),
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
        Self { options, images, platforms, nowhere }
    }

    /// Reads, asks until nothing is missing, and lowers.
    pub(in crate::dockerfile) fn lower(&self, text: &str) -> Result<Lowered, Vec<Diagnostic>> {
        let file = Dockerfile::parse(text)?;
        let (inputs, questions) = self.inputs(&file)?;
        Ok(Lowered { graph: file.lower(&self.options, &inputs)?, questions })
    }

    /// As [`Asked::lower`], with everything that is wrong if something is.
    pub(in crate::dockerfile) fn build(&self, text: &str) -> Result<Lowered, Vec<Diagnostic>> {
        self.lower(text).map_err(|found| Dockerfile::read(text).0.survey(&self.options, &Inputs::default(), found))
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
            let unknown = |missing: &&Missing| match missing {
                Missing::ImageConfig { reference, .. } => {
                    self.nowhere.iter().any(|name| name.parse().as_ref() == Ok(reference))
                }
                Missing::Deps { request, .. } => self.nowhere.contains(request.ecosystem.name()),
            };
            let errors: Vec<_> =
                missing.iter().filter(unknown).map(|missing| missing.failed("it is nowhere")).collect();
            if !errors.is_empty() {
                return Err(errors);
            }
            for missing in &missing {
                match missing {
                    Missing::ImageConfig { reference, platform, .. } => {
                        questions.push(format!("{reference} {platform}"));
                        inputs.insert(reference, platform, self.resolve(reference, platform));
                    }
                    Missing::Deps { request, stage, .. } => {
                        let DepsRequest { ecosystem, flags, arguments, platform, base, from, .. } = request;
                        let base = base.as_ref().map_or("scratch", |(reference, _)| reference.as_str());
                        let name = ecosystem.name();
                        let place = match (from, stage) {
                            (LockPlace::Context, None) => String::new(),
                            (LockPlace::Context, Some(graph)) => {
                                format!(", on {:?}", graph.node(graph.outputs[0].root).name)
                            }
                            (from, None) => format!(" from {from:?}"),
                            (from, Some(graph)) => {
                                let name = &graph.node(graph.outputs[0].root).name;
                                format!(" from {from:?}, which is {name:?}")
                            }
                        };
                        questions.push(format!("{name} {flags:?} {arguments:?} for {platform} on {base}{place}"));
                        inputs.insert_deps(request.clone(), plan(request));
                    }
                }
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

/// One package for all platforms and one for this platform, and a file beside them.
fn plan(request: &DepsRequest) -> DepsPlan {
    let layout = WheelLayout {
        site: "/opt/site".to_owned(),
        scripts: "/opt/bin".to_owned(),
        data: "/opt".to_owned(),
        headers: "/opt/include".to_owned(),
        interpreter: "/bin/python".to_owned(),
        requested: true,
        bytecode: None,
    };
    let package = |name: &str, digit: &str| Package {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        artifact: format!("sha256:{}", digit.repeat(64)).parse().unwrap(),
        layout: PackageLayout::Wheel(layout.clone()),
        part: None,
    };
    let native = if request.platform.arch == "amd64" { "a" } else { "b" };
    let link = PackageFile {
        path: "/opt/bin/python".to_owned(),
        mode: 0o777,
        content: PackageContent::Link("/bin/python".to_owned()),
    };
    let pure = PackageOp { packages: vec![package("six", "6")], files: vec![link] };
    let mut layers = vec![pure, PackageOp { packages: vec![package("native", native)], files: Vec::new() }];
    let mut builds = Vec::new();
    if request.flag("build-sdist").is_some() {
        let made = MadeWheelLayout { wheel: layout.clone(), platform: request.platform.clone() };
        let source = Package { layout: PackageLayout::MadeWheel(made), ..package("source", "5") };
        builds.push(PackageBuild {
            name: source.name.clone(),
            version: source.version.clone(),
            artifact: source.artifact.clone(),
            file: "source-1.0.tar.gz".to_owned(),
            args: vec!["build".to_owned(), "source-1.0.tar.gz".to_owned()],
            env: vec!["QUIET=1".to_owned()],
            files: Vec::new(),
            needs: Vec::new(),
        });
        layers.push(PackageOp { packages: vec![source, package("beside", "e")], files: Vec::new() });
    }
    DepsPlan { layers, builds, settled: settled(request), steps: steps(request), found: Vec::new() }
}

/// Made of the tree, where a distribution's packages are asked for.
fn settled(request: &DepsRequest) -> Option<Box<Settled>> {
    let content = PackageContent::LoaderCache(request.platform.arch.clone());
    let cache = PackageFile { path: "/cache".to_owned(), mode: 0o644, content };
    let layer = PackageOp { packages: Vec::new(), files: vec![cache] };
    (request.ecosystem == Ecosystem::Apt && request.flag("configure").is_none())
        .then(|| Box::new(Settled { said: PackageOp { packages: Vec::new(), files: Vec::new() }, layer }))
}

/// A step, where one is asked for.
fn steps(request: &DepsRequest) -> Vec<InstallStep> {
    if request.flag("configure").is_none() {
        return Vec::new();
    }
    let text = PackageFile { path: "/list".to_owned(), mode: 0o644, content: PackageContent::Text("six\n".to_owned()) };
    vec![InstallStep {
        summary: "configured six".to_owned(),
        args: vec!["/bin/sh".to_owned(), "/dev/configure".to_owned()],
        env: vec!["PATH=/usr/sbin:/usr/bin".to_owned(), "LC_ALL=C".to_owned()],
        cwd: "/".to_owned(),
        files: vec![ScriptFile { path: "/dev/configure".to_owned(), content: "true\n".to_owned(), mode: 0o755 }],
        shown: Some(("/dev/packages".to_owned(), PackageOp { packages: Vec::new(), files: vec![text] })),
        scratch: vec!["/tmp".to_owned()],
        needs: vec![NeededProgram { name: "sh".to_owned(), hint: "add a shell".to_owned() }],
    }]
}
