//! `testdata/call/NAME.dockerfile`, and every answer about it in `NAME.stdout`.
//!
//! `UPDATE_EXPECT=1` rewrites what is expected.

use super::{check, targets::Targets};
use crate::dockerfile::{Dockerfile, lint::Extent, lower::tests::asked::Asked};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

#[test]
fn every_question_has_its_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/call");
    let mut sources: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "dockerfile"));
    sources.sort();
    assert!(!sources.is_empty());
    for source in sources {
        let found = answers(&fs::read_to_string(&source).unwrap());
        let expectation = source.with_extension("stdout");
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expectation, &found).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        assert_eq!(found, expected, "{}: run with UPDATE_EXPECT=1 if the new answer is right", source.display());
    }
}

fn answers(text: &str) -> String {
    let asked = Asked::read(text);
    let file = Dockerfile::parse(text).unwrap();
    let (inputs, _) = asked.inputs(&file).unwrap();
    let linted = file.lint(&asked.options, Extent::Build(&inputs));
    let errors: Vec<_> = linted.errors.into_iter().chain(linted.failure).collect();
    let targets = Targets::of(&file);
    let (outline, outline_json) = match file.outline(&asked.options, &inputs) {
        Ok(outline) => (outline.text(), outline.json()),
        Err(errors) => (errors[0].message.clone(), String::new()),
    };
    let answers = [
        ("targets", targets.text()),
        ("targets,format=json", targets.json()),
        ("outline", outline),
        ("outline,format=json", outline_json),
        ("check", check::text(&linted.warnings, "Dockerfile", text)),
        ("check,format=json", check::json(&linted.warnings, &errors, "Dockerfile", text)),
    ];
    answers.map(|(question, answer)| format!("--- {question}\n{answer}\n")).concat()
}
