//! `--call outline`: what a target can be given.
//!
//! What counts is what the target and all that it needs use: arguments with the values that they have in this build, secrets
//! and SSH agents.

use super::{
    location::{Location, encoded},
    table::columns,
    targets::description,
};
use crate::{
    diagnostic::{Diagnostic, LineIndex},
    dockerfile::{
        Dockerfile,
        instruction::{Instruction, Kind, Word},
        inputs::{Inputs, Options},
        plan::{Origin, Plan},
        scope::Variables,
    },
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a target can be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outline {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Arg>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Mounted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<Mounted>,
    sources: [String; 1],
}
