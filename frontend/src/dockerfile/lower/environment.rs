//! `ENV`, `ARG` and `LABEL`: names with values.

use super::StageBuild;
use crate::{
    diagnostic::Diagnostic,
    dockerfile::instruction::{ArgDeclaration, KeyValue},
};

/// All values of one instruction are expanded with what was there before it.
pub(super) fn env(stage: &mut StageBuild<'_, '_>, pairs: &[KeyValue]) -> Result<(), Diagnostic> {
    let pairs = expanded(stage, pairs)?;
    for (name, value) in &pairs {
        stage.state.scope.set_env(name, value);
    }
    stage.record(format!("ENV {}", joined(&pairs)));
    Ok(())
}

pub(super) fn label(stage: &mut StageBuild<'_, '_>, pairs: &[KeyValue]) -> Result<(), Diagnostic> {
    let pairs = expanded(stage, pairs)?;
    stage.record(format!("LABEL {}", joined(&pairs)));
    stage.state.config.config.labels.extend(pairs);
    Ok(())
}

/// A build argument wins, then the default written here, then what the name means before the first `FROM`.
pub(super) fn arg(stage: &mut StageBuild<'_, '_>, declarations: &[ArgDeclaration]) -> Result<(), Diagnostic> {
    let mut shown = Vec::with_capacity(declarations.len());
    for ArgDeclaration { name, default } in declarations {
        let name = name.value.as_str();
        let value = match (stage.target.options.build_arg(name), default) {
            (Some(value), _) => Some(value.into_owned()),
            (None, Some(default)) => Some(stage.expand(default)?),
            (None, None) => stage.globals.get(name).map(str::to_owned),
        };
        stage.state.scope.declare(name, value.as_deref());
        shown.push(value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}")));
    }
    stage.record(format!("ARG {}", shown.join(" ")));
    Ok(())
}

fn expanded(stage: &StageBuild<'_, '_>, pairs: &[KeyValue]) -> Result<Vec<(String, String)>, Diagnostic> {
    pairs.iter().map(|pair| Ok((stage.expand(&pair.key)?, stage.expand(&pair.value)?))).collect()
}

fn joined(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}
