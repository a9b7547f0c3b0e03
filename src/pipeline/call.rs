//! Questions about a Dockerfile, answered without building it.

use super::{BuildError, Request, begin::begin, build_file::BuildFile, inputs};
use crate::{registry::Client, solver::event::Events, store::Store};
use flashbuild_frontend::{
    diagnostic::{Diagnostic, LineIndex},
    dockerfile::{
        Dockerfile, Inputs, Options,
        call::{check, targets::Targets},
        lint::{Extent, Linted},
    },
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Against which rules does it go?
    Check,
    /// What can its target be given?
    Outline,
    /// Which stages does it have?
    Targets,
}

/// For whom the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFormat {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// The answer.
#[derive(Debug)]
pub struct Answer {
    /// What to print.
    pub text: String,
    /// Whether there is anything to complain about.
    pub clean: bool,
    /// Why the file could not be looked at to its end.
    pub error: Option<BuildError>,
}

/// Asks the file of a request. Images are looked at as for a build, but nothing of them is fetched but their
/// configurations.
pub async fn call(
    store: &Store,
    client: &Client,
    mut request: Request,
    question: Question,
    format: AnswerFormat,
    events: &Events,
) -> Result<Answer, BuildError> {
    let begun = begin(store, client, &mut request, events).await?;
    let source = &begun.source;
    let (file, errors) = Dockerfile::read_as(&source.text, request.options.syntax);
    let known = match question {
        Question::Targets => Ok(Inputs::default()),
        Question::Outline | Question::Check if !errors.is_empty() => Ok(Inputs::default()),
        Question::Outline | Question::Check => {
            // Without a target, all of the file is looked at.
            request.options.whole_file = question == Question::Check && request.options.target.is_none();
            let asking = inputs::Asking { store, client, packages: None, request: &request, begun: &begun, events };
            asking.resolve(&file).await.map(|(inputs, _)| inputs)
        }
    };
    match question {
        Question::Check => Ok(checked(&file, errors, &request.options, known, source, format)),
        Question::Outline | Question::Targets if !errors.is_empty() => {
            Err(source.refuse(&file.survey(&request.options, &Inputs::default(), errors)))
        }
        Question::Targets => {
            let targets = Targets::of(&file);
            Ok(Answer::of(format, || targets.text(), || targets.json()))
        }
        Question::Outline => {
            let known = known.map_err(|unknown| unknown.into_error(&file, &request.options, source))?;
            let outline = file.outline(&request.options, &known);
            let outline = outline.map_err(|errors| source.refuse(&errors))?;
            Ok(Answer::of(format, || outline.text(), || outline.json()))
        }
    }
}

impl Answer {
    fn of(format: AnswerFormat, text: impl Fn() -> String, json: impl Fn() -> String) -> Self {
        let text = match format {
            AnswerFormat::Text => text(),
            AnswerFormat::Json => json() + "\n",
        };
        Self { text, clean: true, error: None }
    }
}

fn checked(
    file: &Dockerfile,
    mut errors: Vec<Diagnostic>,
    options: &Options,
    known: Result<Inputs, inputs::Unknown>,
    source: &BuildFile,
    format: AnswerFormat,
) -> Answer {
    let (inputs, unknown) = match known {
        Ok(inputs) => (inputs, None),
        Err(unknown) => (Inputs::default(), Some(unknown)),
    };
    let extent = match &unknown {
        None if !errors.is_empty() => Extent::Lines,
        None => Extent::Build(&inputs),
        Some(_) => Extent::File,
    };
    let Linted { warnings, errors: found, failure } = file.lint(options, extent);
    errors.extend(found);
    errors.extend(unknown.iter().flat_map(inputs::Unknown::diagnostics));
    if !errors.is_empty() {
        errors = file.survey(options, &inputs, errors);
    }
    errors.extend(failure);
    let mut answer = Answer::of(
        format,
        || match (warnings.is_empty(), errors.is_empty()) {
            (true, true) => check::CLEAN.to_owned(),
            (_, _) => check::text(&warnings, &source.name, &source.text),
        },
        || check::json(&warnings, &errors, &source.name, &source.text),
    );
    answer.clean = warnings.is_empty() && errors.is_empty();
    answer.error = match unknown {
        Some(unknown) => Some(unknown.into_error(file, options, source)),
        None => (!errors.is_empty()).then(|| source.refuse(&errors)),
    };
    answer
}

/// Tells of the rules that a file goes against, before it is built.
///
/// # Errors
/// If the file wants to have no warnings.
pub(super) fn warn(
    file: &Dockerfile,
    options: &Options,
    inputs: &Inputs,
    source: &BuildFile,
    events: &Events,
) -> Result<(), BuildError> {
    let Linted { warnings, errors, failure } = file.lint(options, Extent::Build(inputs));
    let lines = LineIndex::new(&source.text);
    for warning in &warnings {
        events.warning(warning.summary(lines.line(warning.span.start)), warning.rule.url());
    }
    let errors: Vec<Diagnostic> = errors.into_iter().chain(failure).collect();
    if errors.is_empty() { Ok(()) } else { Err(source.refuse(&errors)) }
}
