//! `build --check` and `build --call`: questions about a Dockerfile.

use super::Failed;
use crate::{
    pipeline::{Answer, AnswerFormat, Question},
    progress::Output,
};
use clap::Args;
use std::{io::Write as _, str::FromStr};

/// What to find out, instead of building.
#[derive(Debug, Args)]
#[command(next_help_heading = "Definition")]
pub(super) struct CallArgs {
    /// Look for mistakes in the Dockerfile instead of building it; short for --call=check
    #[arg(long, conflicts_with = "call")]
    check: bool,
    /// Ask something of the Dockerfile instead of building it: check, outline or targets, for programs with ,format=json
    #[arg(long, default_value = "build", value_name = "METHOD")]
    call: Method,
}

/// What `--call` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Build,
    Ask(Call),
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) question: Question,
    pub(super) format: AnswerFormat,
    /// Whether warnings leave the exit code alone.
    ignore_status: bool,
}

impl CallArgs {
    /// The question, if there is one.
    pub(super) fn asked(&self) -> Option<Call> {
        match self.call {
            Method::Build if self.check => {
                Some(Call { question: Question::Check, format: AnswerFormat::Text, ignore_status: false })
            }
            Method::Build => None,
            Method::Ask(call) => Some(call),
        }
    }
}

impl Call {
    /// Prints the answer. Warnings make the exit code 1, unless it is to be left alone.
    pub(super) fn tell(self, answer: Answer) -> Result<(), Failed> {
        let mut out = Output::stdout();
        out.write_all(answer.text.as_bytes()).and_then(|()| out.finish()).map_err(Failed::environment)?;
        match answer.error {
            Some(error) => Err(error.into()),
            None if answer.clean || self.ignore_status => Ok(()),
            None => Err(Failed::told()),
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut question = None;
        let mut format = AnswerFormat::Text;
        let mut ignore_status = false;
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("format", "json")) => format = AnswerFormat::Json,
                Some(("format", "text" | "")) => format = AnswerFormat::Text,
                Some(("ignorestatus", "true" | "1")) => ignore_status = true,
                Some(("ignorestatus", "false" | "0")) => ignore_status = false,
                Some(_) => return Err(format!("{field:?}: expected format=json or ignorestatus=true")),
                None if question.is_some() => return Err("only one method can be called".to_owned()),
                None => question = Some(field),
            }
        }
        let ask = |question| Ok(Self::Ask(Call { question, format, ignore_status }));
        match question.unwrap_or("build") {
            "build" => Ok(Self::Build),
            "check" | "lint" => ask(Question::Check),
            "outline" => ask(Question::Outline),
            "targets" => ask(Question::Targets),
            other => Err(format!("there is no method {other:?}: expected build, check, outline or targets")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_buildx() {
        let call = |question, format, ignore_status| Ok(Method::Ask(Call { question, format, ignore_status }));
        assert_eq!("build".parse(), Ok(Method::Build));
        assert_eq!("check".parse::<Method>(), call(Question::Check, AnswerFormat::Text, false));
        assert_eq!("lint,ignorestatus=true".parse::<Method>(), call(Question::Check, AnswerFormat::Text, true));
        assert_eq!("format=json,targets".parse::<Method>(), call(Question::Targets, AnswerFormat::Json, false));
        for wrong in ["chek", "check,outline", "check,format=xml", "check,colour=red"] {
            assert!(wrong.parse::<Method>().is_err(), "{wrong}");
        }
    }
}
