//! `--call check`: against which rules a file goes.

use super::{
    excerpt::excerpt,
    location::{Location, encoded},
};
use crate::{
    diagnostic::{Code, Diagnostic, LineIndex},
    dockerfile::lint::Warning,
};
use serde::Serialize;
use std::fmt::Write as _;

/// For people: how many there are, then each with the lines that it is about. `name` is that of the file.
pub fn text(warnings: &[Warning], name: &str, source: &str) -> String {
    let lines = LineIndex::new(source);
    let mut text = match warnings.len() {
        0 => String::new(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        many => format!("Check complete, {many} warnings have been found!\n"),
    };
    let mut warnings: Vec<&Warning> = warnings.iter().collect();
    warnings.sort_by_key(|warning| warning.span.start);
    for Warning { rule, detail, span } in warnings {
        let page = rule.url().map(|url| format!(" - {url}")).unwrap_or_default();
        let _ = write!(text, "\nWARNING: {}{page}\n{detail}\n", rule.name);
        text.push_str(&excerpt(*span, name, &lines));
    }
    text
}

/// What to say of a file without warnings and errors.
pub const CLEAN: &str = "Check complete, no warnings found.\n";

/// For programs. `buildError` is what buildx's readers know, the first; `buildErrors` has all.
pub fn json(warnings: &[Warning], errors: &[Diagnostic], name: &str, source: &str) -> String {
    let lines = LineIndex::new(source);
    let report = Report {
        warnings: warnings
            .iter()
            .map(|Warning { rule, detail, span }| Found {
                rule_name: rule.name,
                description: rule.description,
                url: rule.url(),
                detail,
                location: Location::of(*span, &lines),
            })
            .collect(),
        sources: [Source { filename: name, data: encoded(source), language: "Dockerfile" }],
        build_error: errors
            .first()
            .map(|error| BuildError { message: &error.message, location: Location::of(error.span, &lines) }),
        build_errors: errors
            .iter()
            .map(|error| CodedError {
                code: error.code,
                message: &error.message,
                hint: error.hint.as_deref(),
                location: Location::of(error.span, &lines),
            })
            .collect(),
    };
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    warnings: Vec<Found<'a>>,
    sources: [Source<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    build_error: Option<BuildError<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    build_errors: Vec<CodedError<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    rule_name: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    detail: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct Source<'a> {
    filename: &'a str,
    data: String,
    language: &'static str,
}

#[derive(Serialize)]
struct BuildError<'a> {
    message: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct CodedError<'a> {
    code: Code,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    location: Location,
}
