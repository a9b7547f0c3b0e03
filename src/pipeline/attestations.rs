//! What is said of a build's images: gathered when the steps are done, told when the images have digests.

use super::{BuildError, Target, attempt::Attempt, error::ended};
use crate::{
    attest::{Contents, Facts, Options, Provenance, Sayings, Signer, Subject, Vcs},
    context::{Main, Prepared},
    exec::Need,
    export::{AttestationForm, Attestations, BuiltImage, ExportError, ImageOptions, Layout, Statement},
    git::Checkout,
    image::{BlobDigest, DiffId},
    optimize::owner::ImageTree,
    registry::Client,
    solver::event::{Events, Hit},
};
use flashbuild_frontend::{
    graph::{Graph, NodeId, Op},
    package::PackageLayout,
    platform::Platform,
    reference::Reference,
};
use std::collections::BTreeSet;

/// What there is to say of each image.
pub(super) struct Attesting {
    form: AttestationForm,
    names: Vec<Reference>,
    epoch: Option<i64>,
    said: Vec<(Platform, Sayings)>,
}

impl Attesting {
    /// Finds out what was asked for. `layers` are those of each output.
    pub(super) async fn gather(attempt: &Attempt<'_>, layers: &[&[DiffId]]) -> Result<Self, BuildError> {
        let Attempt { request, exec, .. } = *attempt;
        let options = &request.attest;
        let of_outputs = request.outputs.iter().find_map(|output| output.names.clone());
        let names = if request.tags.is_empty() { of_outputs.unwrap_or_default() } else { request.tags.clone() };
        let mut attesting = Self { form: options.form, names, epoch: exec.graph.epoch, said: Vec::new() };
        if options.is_empty() {
            return Ok(attesting);
        }
        let vcs = vcs(attempt).await;
        for (output, layers) in exec.graph.outputs.iter().zip(layers) {
            let contents = if needs_contents(options, &exec.graph) {
                Some(contents(attempt, &output.platform, layers).await?)
            } else {
                None
            };
            let provenance = provenance(attempt, output.root, contents.as_ref(), vcs.as_ref())?;
            let deps = |contents: Contents| contents.with_deps(&exec.graph, output.root);
            let contents = options.sbom.zip(contents.map(deps));
            attesting.said.push((output.platform.clone(), Sayings { contents, provenance }));
        }
        Ok(attesting)
    }

    /// What an image is like that goes to `target`, which is to be like `options`; and whether what is said of it goes with it.
    pub(super) fn options(&self, target: Option<&Target>, options: &ImageOptions) -> (ImageOptions, bool) {
        let goes_along = !self.said.is_empty() && target.is_none_or(takes_statements);
        let mut options = options.clone();
        // An index of Docker's kind has no room for what is said, as moby/buildkit sees it.
        options.docker_types &= !goes_along || self.form == AttestationForm::Referrers;
        (options, goes_along)
    }

    /// Tells what of it does not arrive there.
    pub(super) fn warn(&self, target: &Target, events: &Events) {
        let lost = match target {
            _ if self.said.is_empty() => return,
            Target::Archive { layout: Layout::Docker, .. } | Target::Folder { layout: Layout::Docker, .. } => {
                "an archive of Docker's kind has no room for attestations: the image is written without; type=oci takes them"
            }
            Target::Engine => "the engine gets the image without its attestations",
            Target::Archive { .. } | Target::Folder { .. } if self.form == AttestationForm::Referrers => {
                "a layout has no list of referrers: the image is written without its attestations; --attest-as index puts \
                 them in"
            }
            Target::Tar { .. } => "a tar of files has no room for attestations; type=local gets them as files",
            Target::Archive { .. }
            | Target::Folder { .. }
            | Target::Store { .. }
            | Target::Containerd { .. }
            | Target::Registry { .. }
            | Target::Local { .. } => return,
        };
        events.notice(lost);
    }

    /// The statements about an image.
    pub(super) fn about(&self, built: &BuiltImage) -> Result<Vec<Statement>, ExportError> {
        let Some((platform, sayings)) = self.said.iter().find(|(platform, _)| *platform == built.platform) else {
            return Ok(Vec::new());
        };
        let subject = Subject { digest: &built.manifest.digest, names: &self.names, platform, epoch: self.epoch };
        Ok(sayings.statements(&subject)?)
    }

    /// What assembling an image is given, if anything is to be said of it there.
    pub(super) fn attestations<'a>(
        &self,
        goes_along: bool,
        about: &'a dyn Fn(&BuiltImage) -> Result<Vec<Statement>, ExportError>,
    ) -> Option<Attestations<'a>> {
        goes_along.then_some(Attestations { form: self.form, of: about })
    }

    /// How each image came to be.
    pub(super) fn into_provenance(self) -> Vec<(Platform, Provenance)> {
        self.said.into_iter().filter_map(|(platform, sayings)| Some((platform, sayings.provenance?))).collect()
    }
}

fn takes_statements(target: &Target) -> bool {
    match target {
        Target::Store { .. } | Target::Containerd { .. } | Target::Registry { .. } | Target::Local { .. } => true,
        Target::Archive { layout, .. } | Target::Folder { layout, .. } => *layout == Layout::Oci,
        Target::Engine | Target::Tar { .. } => false,
    }
}

/// Whether the packages of the images have to be known. Those of Debian are named by the distribution that has them.
fn needs_contents(options: &Options, graph: &Graph) -> bool {
    let has_debian_packages = || {
        graph.nodes().any(|(_, node)| match &node.op {
            Op::Package(op) => op.packages.iter().any(|package| matches!(package.layout, PackageLayout::Deb(_))),
            Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Exec(_) | Op::File(_) | Op::Merge => false,
        })
    };
    options.sbom.is_some() || has_debian_packages()
}

/// The packages of a tree, looked for once in the life of its layers.
async fn contents(attempt: &Attempt<'_>, platform: &Platform, layers: &[DiffId]) -> Result<Contents, BuildError> {
    let Attempt { source, exec, events, .. } = *attempt;
    let step = events.step(format!("list packages for {platform}"));
    if let Some(known) = Contents::known(&exec.store, layers)? {
        step.cached(Hit::Content);
        return Ok(known);
    }
    let listed = async {
        let brought = exec.sources.bring(&exec.layers, layers, Need::Files, Some(&step)).await;
        brought.map_err(|error| source.failed(&error, None))?;
        let found = tokio::task::block_in_place(|| {
            let view = exec.layers.view(layers)?;
            Contents::of(&ImageTree::new(&view, &exec.layers, layers))
        });
        let found = found.map_err(|error| BuildError::Environment(error.to_string()))?;
        for note in &found.notes {
            step.notice(note.clone());
        }
        found.remember(&exec.store, layers)?;
        Ok(found)
    };
    let listed = listed.await;
    ended(step, listed)
}

/// The checkout that the context lies in, if that is to be told and the context is a folder of the person who builds.
async fn vcs(attempt: &Attempt<'_>) -> Option<Vcs> {
    let Attempt { request, source, exec, .. } = *attempt;
    let is_wanted = request.attest.provenance.as_ref().is_some_and(|options| options.vcs);
    let Main::Folder(_) = request.given.main else { return None };
    if !is_wanted {
        return None;
    }
    let context = &exec.contexts.get(Prepared::MAIN)?.path;
    Some(Vcs::of(Checkout::around(context).await?, context, &source.folder))
}

fn provenance(
    attempt: &Attempt<'_>,
    root: NodeId,
    contents: Option<&Contents>,
    vcs: Option<&Vcs>,
) -> Result<Option<Provenance>, BuildError> {
    let Attempt { request, source, exec, .. } = *attempt;
    let Some(options) = &request.attest.provenance else { return Ok(None) };
    let facts = Facts {
        options,
        graph: &exec.graph,
        root,
        asked: &request.options,
        dockerfile: (&source.name, &source.text),
        fetched: &source.fetched,
        commits: &exec.commits.lock().expect("no panic while holding it"),
        downloads: &exec.downloads.lock().expect("no panic while holding it"),
        vcs,
        distribution: contents.and_then(|contents| contents.distribution.as_ref()),
    };
    Provenance::of(&facts).map(Some).map_err(|error| BuildError::Environment(error.to_string()))
}

/// Signs what was pushed under `names`, once a repository.
pub(super) async fn sign(
    signer: &Signer,
    client: &Client,
    names: &[Reference],
    digest: &BlobDigest,
    events: &Events,
) -> Result<(), BuildError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert((name.host(), name.path())) {
            continue;
        }
        let step = events.step(format!("sign {}/{}@{digest}", name.host(), name.path()));
        match signer.sign(name, digest, client.speaks_plain_http(name)?).await {
            Ok(()) => step.ran(),
            Err(error) => {
                step.failed(error.to_string());
                return Err(BuildError::Environment(error.to_string()));
            }
        }
    }
    Ok(())
}
