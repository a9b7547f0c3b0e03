//! SLSA v1 (<https://slsa.dev/spec/v1.1/provenance>).

use super::{BUILD_TYPE, Builder, Material, Request, Told, Vcs, steps::Source, steps::Step};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: External<'a>,
    internal_parameters: Internal<'a>,
    resolved_dependencies: &'a BTreeSet<Material>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct External<'a> {
    config_source: ConfigSource<'a>,
    request: &'a Request,
}

#[derive(Serialize)]
struct ConfigSource<'a> {
    #[serde(flatten)]
    material: Option<&'a Material>,
    path: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Internal<'a> {
    builder_platform: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config: Option<BuildConfig<'a>>,
}

#[derive(Serialize)]
pub(super) struct BuildConfig<'a> {
    pub(super) steps: &'a [Step],
}

#[derive(Serialize)]
struct RunDetails<'a> {
    builder: Builder<'a>,
    metadata: Metadata<'a>,
}

/// Fields with `_` are extensions, as the specification wants them named.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
struct Metadata<'a> {
    #[serde(rename = "startedOn", skip_serializing_if = "Option::is_none")]
    started: Option<&'a str>,
    #[serde(rename = "finishedOn", skip_serializing_if = "Option::is_none")]
    finished: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buildkit_metadata: Option<Sourced<'a>>,
    buildkit_hermetic: bool,
    buildkit_completeness: Completeness,
    buildkit_reproducible: bool,
}

#[derive(Serialize)]
pub(super) struct Sourced<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    vcs: Option<&'a Vcs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a Source>,
}

impl<'a> Sourced<'a> {
    pub(super) fn of(told: &'a Told<'_>) -> Option<Self> {
        let (vcs, source) = (told.vcs, told.source.as_ref());
        (vcs.is_some() || source.is_some()).then_some(Self { vcs, source })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completeness {
    request: bool,
    resolved_dependencies: bool,
}

pub(super) fn predicate<'a>(told: &'a Told<'_>) -> Predicate<'a> {
    Predicate {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE,
            external_parameters: External {
                config_source: ConfigSource { material: told.config.as_ref(), path: told.path },
                request: &told.request,
            },
            internal_parameters: Internal {
                builder_platform: &told.builder_platform,
                build_config: told.steps.as_deref().map(|steps| BuildConfig { steps }),
            },
            resolved_dependencies: &told.materials,
        },
        run_details: RunDetails {
            builder: Builder {
                id: told.builder(),
                version: BTreeMap::from([("flashbuild", env!("CARGO_PKG_VERSION"))]),
            },
            metadata: Metadata {
                started: told.times.as_ref().map(|(started, _)| started.as_str()),
                finished: told.times.as_ref().map(|(_, finished)| finished.as_str()),
                buildkit_metadata: Sourced::of(told),
                buildkit_hermetic: told.hermetic,
                buildkit_completeness: Completeness {
                    request: told.request_is_complete,
                    resolved_dependencies: told.materials_are_complete,
                },
                buildkit_reproducible: told.options.reproducible,
            },
        },
    }
}
