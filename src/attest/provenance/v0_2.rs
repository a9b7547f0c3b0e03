//! SLSA v0.2 (<https://slsa.dev/spec/v0.2/provenance>), for readers that know no other.

use super::{
    BUILD_TYPE, Builder, Material, Request, Told,
    v1::{BuildConfig, Sourced},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate<'a> {
    builder: Builder<'a>,
    build_type: &'static str,
    invocation: Invocation<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_config: Option<BuildConfig<'a>>,
    metadata: Metadata<'a>,
    materials: &'a BTreeSet<Material>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation<'a> {
    config_source: ConfigSource<'a>,
    parameters: &'a Request,
    environment: Environment<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigSource<'a> {
    #[serde(flatten)]
    material: Option<&'a Material>,
    entry_point: &'a str,
}

#[derive(Serialize)]
struct Environment<'a> {
    platform: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    build_started_on: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_finished_on: Option<&'a str>,
    completeness: Completeness,
    reproducible: bool,
    #[serde(rename = "https://mobyproject.org/buildkit@v1#hermetic")]
    hermetic: bool,
    #[serde(rename = "https://mobyproject.org/buildkit@v1#metadata", skip_serializing_if = "Option::is_none")]
    metadata: Option<Sourced<'a>>,
}

#[derive(Serialize)]
struct Completeness {
    parameters: bool,
    environment: bool,
    materials: bool,
}

pub(super) fn predicate<'a>(told: &'a Told<'_>) -> Predicate<'a> {
    Predicate {
        builder: Builder { id: told.builder(), version: BTreeMap::new() },
        build_type: BUILD_TYPE,
        invocation: Invocation {
            config_source: ConfigSource { material: told.config.as_ref(), entry_point: told.path },
            parameters: &told.request,
            environment: Environment { platform: &told.builder_platform },
        },
        build_config: told.steps.as_deref().map(|steps| BuildConfig { steps }),
        metadata: Metadata {
            build_started_on: told.times.as_ref().map(|(started, _)| started.as_str()),
            build_finished_on: told.times.as_ref().map(|(_, finished)| finished.as_str()),
            completeness: Completeness {
                parameters: told.request_is_complete,
                environment: true,
                materials: told.materials_are_complete,
            },
            reproducible: told.options.reproducible,
            hermetic: told.hermetic,
            metadata: Sourced::of(told),
        },
        materials: &told.materials,
    }
}
