//! What lowering is given: the wishes of the person who builds, and what the images named in the file are.

use super::{Dockerfile, Syntax, plan::Plan};
use crate::{
    config::ImageConfig,
    diagnostic::{Code, Diagnostic, Span, sorted},
    graph::{Graph, LocalOp, Network},
    package::{DepsPlan, DepsRequest},
    platform::Platform,
    reference::Reference,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Build arguments that tell processes their way to the network. They are never part of a key, a history or a graph,
/// unless a stage declares them.
const PROXY_ARGS: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

pub(super) const EPOCH_ARG: &str = "SOURCE_DATE_EPOCH";

/// What the person who builds asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The platforms to build for, each once; none means the build platform.
    pub platforms: Vec<Platform>,
    /// The platform that builds: `BUILDPLATFORM`.
    pub build_platform: Platform,
    /// The stage to build, by name or number; none means the last.
    pub target: Option<String>,
    /// Whether every stage is looked at, those that the target does not need too: for [checking](super::lint) a file.
    pub whole_file: bool,
    /// What language the file is in.
    pub syntax: Syntax,
    /// What processes reach of the network where the file does not say.
    pub network: Network,
    /// The name of the host that processes see; none means the usual one.
    pub hostname: Option<String>,
    /// Values of `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// Labels to put on the images, over those of the file.
    pub labels: BTreeMap<String, String>,
    /// `.dockerignore` patterns of the context, as [`crate::ignore`] reads them.
    pub ignore: Vec<String>,
    /// `SOURCE_DATE_EPOCH`; none means that of the build arguments or of the file, if any.
    pub epoch: Option<i64>,
    /// What `SOURCE_DATE_EPOCH=context` means: the time of the context, if it has one.
    pub context_epoch: Option<i64>,
    /// What names mean in this build, before they mean a stage or an image: `--build-context`. A name may have
    /// `::PLATFORM` behind it, and counts for that platform alone then.
    pub contexts: BTreeMap<String, NamedContext>,
    /// What is to be done again, whatever is recorded.
    pub no_cache: NoCache,
}

/// What is to be done again, whatever is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NoCache {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything.
    Everything,
    /// These stages, by name or by what they are called in progress.
    Stages(Vec<String>),
}

impl NoCache {
    /// Whether it names the stage.
    pub(super) fn covers(&self, stage: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Stages(names) => names.iter().any(|name| name.eq_ignore_ascii_case(stage)),
        }
    }
}

/// What a name means that was given a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// The empty tree.
    Scratch,
    /// An image.
    Image(Reference),
    /// Files that are in no layer yet.
    Files(LocalOp),
}

impl Options {
    /// The whole file for one platform, on that platform.
    pub fn for_platform(platform: Platform) -> Self {
        Self {
            platforms: vec![platform.clone()],
            build_platform: platform,
            target: None,
            whole_file: false,
            syntax: Syntax::OfFile,
            network: Network::Default,
            hostname: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            ignore: Vec::new(),
            epoch: None,
            context_epoch: None,
            contexts: BTreeMap::new(),
            no_cache: NoCache::Nothing,
        }
    }

    /// What `name` means as a context for `platform`, if it is one.
    pub(super) fn context(&self, name: &str, platform: &Platform) -> Option<&NamedContext> {
        let name = familiar(name);
        let mut found = None;
        for (key, context) in &self.contexts {
            let (known, suffix) =
                key.split_once("::").map_or((key.as_str(), None), |(name, platform)| (name, Some(platform)));
            if familiar(known) != name {
                continue;
            }
            match suffix.map(str::parse::<Platform>) {
                None => found = found.or(Some(context)),
                Some(Ok(only)) if only == *platform => return Some(context),
                Some(_) => {}
            }
        }
        found
    }

    /// The proxy variables among the build arguments, in both spellings that programs look for. Processes see them,
    /// but no node of the graph holds them.
    pub fn proxy_variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for (name, value) in &self.build_args {
            if PROXY_ARGS.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
                variables.insert(name.to_ascii_uppercase(), value.clone());
                variables.insert(name.to_ascii_lowercase(), value.clone());
            }
        }
        variables
    }

    pub(super) fn targets(&self) -> Vec<&Platform> {
        if self.platforms.is_empty() { vec![&self.build_platform] } else { self.platforms.iter().collect() }
    }

    pub(super) fn build_arg(&self, name: &str) -> Option<Cow<'_, str>> {
        match (self.build_args.get(name), self.epoch) {
            (_, Some(epoch)) if name == EPOCH_ARG => Some(Cow::Owned(epoch.to_string())),
            (Some(value), None) if name == EPOCH_ARG => Some(self.epoch_text(value)),
            (value, _) => value.map(|value| Cow::Borrowed(value.as_str())),
        }
    }

    /// A value of `SOURCE_DATE_EPOCH` in digits; empty for the time of a context that has none.
    pub(super) fn epoch_text<'t>(&self, value: &'t str) -> Cow<'t, str> {
        match (value, self.context_epoch) {
            ("context", Some(epoch)) => Cow::Owned(epoch.to_string()),
            ("context", None) => Cow::Borrowed(""),
            (value, _) => Cow::Borrowed(value),
        }
    }
}

/// What has been found out about images and packages, for [`Dockerfile::lower`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    images: BTreeMap<(String, Platform), ResolvedImage>,
    deps: BTreeMap<DepsRequest, DepsPlan>,
    /// What was built on the way.
    built: Vec<Arc<Graph>>,
}

/// What an image name means for one platform at the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedImage {
    /// The normalised name, as resolved.
    pub reference: String,
    /// Digest of the manifest of the platform.
    pub digest: String,
    /// Its configuration.
    pub config: ImageConfig,
}

/// A name as people write it, so that all ways to write it are one. What is no name of an image stays as it is.
fn familiar(name: &str) -> String {
    let parsed: Result<Reference, _> = name.parse();
    parsed.map_or_else(
        |_| name.to_lowercase(),
        |reference| {
            let name = reference.familiar();
            name.strip_suffix(":latest").unwrap_or(&name).to_owned()
        },
    )
}

impl Inputs {
    /// Answers a [`Missing::ImageConfig`].
    pub fn insert(&mut self, reference: &Reference, platform: &Platform, image: ResolvedImage) {
        self.images.insert((reference.to_string(), platform.clone()), image);
    }

    /// What is known of an image.
    pub fn image(&self, reference: &Reference, platform: &Platform) -> Option<&ResolvedImage> {
        self.images.get(&(reference.to_string(), platform.clone()))
    }

    /// Answers a [`Missing::Deps`].
    pub fn insert_deps(&mut self, request: DepsRequest, plan: DepsPlan) {
        self.deps.insert(request, plan);
    }

    /// Notes what was built to answer a [`Missing::Deps`]: it is not built again.
    pub fn insert_built(&mut self, graph: Arc<Graph>) {
        self.built.push(graph);
    }

    /// Marks what was built in `graph`.
    pub(super) fn mark_built(&self, graph: &mut Graph) {
        self.built.iter().for_each(|built| graph.done(built));
    }

    /// What a request comes to.
    pub(super) fn deps(&self, request: &DepsRequest) -> Option<&DepsPlan> {
        self.deps.get(request)
    }
}

/// What has to be found out before a file can be lowered.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    /// Digest and configuration of an image.
    ImageConfig {
        /// Its name.
        reference: Reference,
        /// For which platform.
        platform: Platform,
        /// Where the file names it.
        span: Span,
        /// A stage of nearly the same name, which may be what was meant.
        similar_stage: Option<String>,
    },
    /// What packages a `DEPS` means.
    Deps {
        /// Which packages, for what.
        request: DepsRequest,
        /// The instruction.
        span: Span,
        /// For a lock in a stage, or where what is below decides, what makes that tree: a graph with it as its only output.
        stage: Option<Arc<Graph>>,
    },
}

impl Missing {
    /// The error to report if it cannot be found out, because of `reason`.
    pub fn failed(&self, reason: &str) -> Diagnostic {
        match self {
            Self::ImageConfig { reference, platform, span, similar_stage } => {
                let message = format!("cannot find image {} for {platform}: {reason}", reference.familiar());
                let error = Diagnostic::error(Code::ImageNotFound, message, *span);
                match similar_stage {
                    Some(stage) => error.with_hint(format!("did you mean the stage `{stage}`?")),
                    None => error,
                }
            }
            Self::Deps { request, span, .. } => {
                let DepsRequest { ecosystem, platform, .. } = request;
                Diagnostic::error(
                    Code::DepsNotFound,
                    format!("DEPS {} for {platform}: {reason}", ecosystem.name()),
                    *span,
                )
            }
        }
    }

    /// What makes two of them the same question.
    pub(super) fn question(&self) -> (Option<(String, Platform)>, Option<DepsRequest>) {
        match self {
            Self::ImageConfig { reference, platform, .. } => (Some((reference.to_string(), platform.clone())), None),
            Self::Deps { request, .. } => (None, Some(request.clone())),
        }
    }
}

impl Dockerfile {
    /// The images and packages that must be looked at before [`Dockerfile::lower`], beyond what `inputs` holds: those
    /// that the target needs, for the platforms asked for.
    ///
    /// The triggers (`ONBUILD`) of an image may need others, and variables of an image may say which packages, so this
    /// has to be asked until nothing is missing.
    ///
    /// # Errors
    /// With what is wrong in the relations between stages.
    pub fn missing(&self, options: &Options, inputs: &Inputs) -> Result<Vec<Missing>, Vec<Diagnostic>> {
        let mut missing: Vec<Missing> = Vec::new();
        let mut errors: Vec<Diagnostic> = Vec::new();
        let mut asks_for_packages = false;
        for target in options.targets() {
            match Plan::new(self, options, inputs, target) {
                Ok(plan) => {
                    missing.extend(plan.missing);
                    let mut steps = plan.stages.iter().filter(|stage| stage.needed).flat_map(|stage| &stage.steps);
                    asks_for_packages |= steps.any(|step| step.instruction.kind.deps().is_some());
                }
                Err(found) => errors.extend(found),
            }
        }
        if !errors.is_empty() {
            return Err(sorted(errors));
        }
        if missing.is_empty() && asks_for_packages {
            // Which packages can only be said with all variables known. What else is wrong then, lowering will say.
            missing = self.attempt(options, inputs).map_or_else(|_| Vec::new(), |(_, missing)| missing);
        }
        let mut seen = BTreeSet::new();
        missing.retain(|missing| seen.insert(missing.question()));
        Ok(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_stage_is_an_image_that_is_not_found() {
        let file = Dockerfile::parse("FROM scratch AS build\nFROM scratch\nCOPY --from=biuld / /\n").unwrap();
        let options = Options::for_platform("linux/amd64".parse().unwrap());
        let missing = file.missing(&options, &Inputs::default()).unwrap();
        let error = missing[0].failed("the registry does not know it");
        let expected = "cannot find image biuld:latest for linux/amd64: the registry does not know it";
        assert_eq!(error.message, expected);
        assert_eq!(error.hint.as_deref(), Some("did you mean the stage `build`?"));
        assert_eq!(&file.source[error.span.start..error.span.end], "biuld");
        assert_eq!(file.lower(&options, &Inputs::default()).unwrap_err()[0].span, error.span);
    }

    #[test]
    fn proxies_are_given_in_both_spellings() {
        let mut options = Options::for_platform("linux/amd64".parse().unwrap());
        options.build_args.insert("Http_Proxy".to_owned(), "p".to_owned());
        options.build_args.insert("OTHER".to_owned(), "x".to_owned());
        let variables = options.proxy_variables();
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["HTTP_PROXY", "http_proxy"]);
    }
}
