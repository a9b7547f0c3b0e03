//! `testdata/call/NAME.dockerfile`, and every answer about it in `NAME.stdout`.

use super::{check, targets::Targets};
use crate::dockerfile::{Dockerfile, lint::Extent, lower::tests::asked::Asked, tests::expect};

#[test]
fn every_question_has_its_answer() {
    expect::check("call", "stdout", |_, text| answers(text));
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
