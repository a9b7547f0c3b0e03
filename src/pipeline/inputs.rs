//! What lowering needs to know: asked for until nothing is missing.

use super::{BuildError, Request, begin::Begun, build_file::BuildFile, lock_files};
use crate::{
    exec::{ExecError, Need, Sources},
    image::DiffId,
    layer::{Layers, OverlayXattrs, View},
    packages::{Below, PackageError, Packages, TreeBelow},
    registry::Client,
    resolve::{Names, Pinned, ResolveError, Source},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{
    diagnostic::Diagnostic,
    dockerfile::{Dockerfile, Inputs, Missing, Options},
    package::{DepsPlan, DepsRequest},
};
use std::{collections::BTreeMap, sync::Arc};

/// What was found out for a [`Missing`].
enum Answer {
    Image(Box<Pinned>),
    /// The layers, and what to tell about them.
    Deps(DepsPlan, Vec<String>),
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// About an image.
    #[error(transparent)]
    Image(#[from] ResolveError),
    /// About packages.
    #[error(transparent)]
    Deps(#[from] PackageError),
    /// About the files of an image.
    #[error(transparent)]
    Files(#[from] ExecError),
    /// About a stage that has a lock.
    #[error("{0}")]
    Stage(String),
}

/// Why lowering cannot know what it needs.
#[derive(Debug)]
pub(super) enum Unknown {
    /// Names in the file are wrong.
    File(Vec<Diagnostic>),
    /// Images or packages cannot be looked at.
    Inputs(Vec<(Missing, Unanswered)>),
}

impl Unknown {
    /// What to say of it, in terms of the file.
    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::File(errors) => errors.clone(),
            Self::Inputs(inputs) => inputs.iter().map(|(missing, why)| missing.failed(&why.to_string())).collect(),
        }
    }

    /// The error of a build of the file, with all else that is wrong in it.
    pub(super) fn into_error(self, dockerfile: &Dockerfile, options: &Options, source: &BuildFile) -> BuildError {
        let found = self.diagnostics();
        let count = found.len();
        let errors = dockerfile.survey(options, &Inputs::default(), found);
        match self {
            // Where the file itself is right, it is the fault of what is around it.
            Self::Inputs(inputs) if errors.len() == count && inputs.iter().all(|(_, why)| why.is_environment()) => {
                BuildError::Environment(source.show(&errors))
            }
            Self::File(_) | Self::Inputs(_) => source.refuse(&errors),
        }
    }
}

impl Unanswered {
    fn is_environment(&self) -> bool {
        match self {
            Self::Image(error) => error.is_environment(),
            Self::Files(ExecError::Registry(error)) => error.is_environment(),
            Self::Files(ExecError::Store(_)) => true,
            Self::Files(_) | Self::Stage(_) => false,
            Self::Deps(error) => error.is_environment(),
        }
    }
}

/// Who asks, and where. Without `packages`, those are left unknown.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    pub(super) packages: Option<&'a Packages>,
    pub(super) request: &'a Request,
    pub(super) begun: &'a Begun,
    pub(super) events: &'a Events,
}

impl Asking<'_> {
    /// Resolves the images and the packages of a Dockerfile: what lowering needs of them, and where the images' layers are.
    pub(super) async fn resolve(self, dockerfile: &Dockerfile) -> Result<(Inputs, BTreeMap<String, Source>), Unknown> {
        let mut inputs = Inputs::default();
        let mut images = BTreeMap::new();
        let names = &Names::default();
        loop {
            let mut missing = dockerfile.missing(&self.request.options, &inputs).map_err(Unknown::File)?;
            missing.retain(|missing| self.packages.is_some() || matches!(missing, Missing::ImageConfig { .. }));
            if missing.is_empty() {
                return Ok((inputs, images));
            }
            let known = &images;
            let ask = missing.into_iter().map(|missing| async move {
                let step = self.events.step(question(&missing));
                let answer = self.answer(names, known, &missing).await;
                match &answer {
                    Ok(_) => step.ran(),
                    Err(error) => step.failed(error.to_string()),
                }
                (missing, answer)
            });
            let mut unanswered = Vec::new();
            for (missing, answer) in futures_util::future::join_all(ask).await {
                match (missing, answer) {
                    (missing, Err(error)) => unanswered.push((missing, error)),
                    (Missing::ImageConfig { reference, platform, .. }, Ok(Answer::Image(pinned))) => {
                        images.insert(pinned.image.digest.clone(), pinned.source);
                        inputs.insert(&reference, &platform, pinned.image);
                    }
                    (Missing::Deps { request, stage, .. }, Ok(Answer::Deps(plan, notes))) => {
                        if let Some(built) = stage {
                            inputs.insert_built(built);
                        }
                        for note in notes {
                            self.events.notice(note);
                        }
                        inputs.insert_deps(request, plan);
                    }
                    (Missing::ImageConfig { .. }, Ok(Answer::Deps(..)))
                    | (Missing::Deps { .. }, Ok(Answer::Image(_))) => {
                        unreachable!("each question has its own kind of answer")
                    }
                }
            }
            if !unanswered.is_empty() {
                return Err(Unknown::Inputs(unanswered));
            }
        }
    }

    async fn answer(
        self,
        names: &Names,
        images: &BTreeMap<String, Source>,
        missing: &Missing,
    ) -> Result<Answer, Unanswered> {
        let Self { store, client, request, begun, .. } = self;
        match (missing, self.packages) {
            (Missing::ImageConfig { reference, platform, .. }, _) => {
                let pinned = match begun.prepared.layouts.resolve(store, reference, platform) {
                    Some(pinned) => pinned?,
                    None => names.image(store, client, reference, platform, request.pull).await?,
                };
                Ok(Answer::Image(Box::new(pinned)))
            }
            (Missing::Deps { request, stage, .. }, Some(packages)) => {
                let place = lock_files::Place { asking: self, packages, images };
                let packages = place.reading(&request.from, stage.as_ref()).await?;
                let below = if let (Some(_), Some(graph)) = (&request.below, stage) {
                    place.below(graph).await?
                } else {
                    let needs = packages.needs_below(request);
                    TreeBelow::of_tables(below(store, client, images, request, needs).await?)
                };
                let (plan, notes) = packages.plan(request, &below).await?;
                Ok(Answer::Deps(plan, notes))
            }
            (Missing::Deps { .. }, None) => unreachable!("packages are not asked for"),
        }
    }
}

/// The files of the image below packages, as far as their plan depends on them, which is as `needs` says.
async fn below(
    store: &Store,
    client: &Client,
    images: &BTreeMap<String, Source>,
    request: &DepsRequest,
    needs: Below,
) -> Result<View, Unanswered> {
    let source = request.base.as_ref().and_then(|(_, digest)| Some((digest, images.get(digest)?)));
    let (Some((digest, source)), Below::LowestLayer | Below::Everything) = (source, needs) else {
        return Ok(View::default());
    };
    let mut diff_ids: Vec<DiffId> = source.layers.iter().map(|(diff_id, _)| *diff_id).collect();
    if needs == Below::LowestLayer {
        diff_ids.truncate(1);
    }
    let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
    let images = BTreeMap::from([(digest.clone(), source.clone())]);
    let sources = Sources::new(client.clone(), images, &layers, Arc::default())?;
    sources.bring(&layers, &diff_ids, Need::Tables, None).await?;
    Ok(tokio::task::block_in_place(|| layers.view(&diff_ids)).map_err(PackageError::from)?)
}

/// What is looked up, for people.
fn question(missing: &Missing) -> String {
    match missing {
        Missing::ImageConfig { reference, platform, .. } => format!("resolve {} for {platform}", reference.familiar()),
        Missing::Deps { request, .. } => {
            let DepsRequest { ecosystem, arguments, platform, .. } = request;
            format!("resolve {} {} for {platform}", ecosystem.name(), arguments.join(" "))
        }
    }
}
