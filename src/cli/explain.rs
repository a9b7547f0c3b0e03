//! `explain`: why the steps of a build ran, or did not have to.

use super::{Failed, StoreArgs, history::outcome};
use crate::{
    history::{self, StepEnd, StepRecord},
    progress::{Output, Table},
    solver::Reason,
};
use clap::Args;
use serde::Serialize;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The step: its number, or a part of its name [default: all]
    step: Option<String>,
    /// The build, or the beginning of its name [default: the last]
    #[arg(long, value_name = "BUILD")]
    build: Option<String>,
    /// Print it for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// A step, for programs.
#[derive(Serialize)]
struct Explained<'a> {
    number: u32,
    name: &'a str,
    /// `ran`, `cached`, `failed`…
    outcome: &'static str,
    /// By what it was found: `definition` or `content`.
    #[serde(skip_serializing_if = "Option::is_none")]
    hit: Option<&'a str>,
    /// What differs from the nearest record.
    reasons: &'a [Reason],
}

pub(super) fn explain(args: &ExplainArgs) -> Result<(), Failed> {
    let store = args.store.open()?;
    let build = history::find(&store, args.build.as_deref())?;
    let steps = match &args.step {
        Some(step) => build.steps(step)?,
        None => build.steps.iter().collect(),
    };
    // The rest (reading the Dockerfile, pushing) is never saved by a cache.
    let steps: Vec<&StepRecord> = steps.into_iter().filter(|step| step.key.is_some()).collect();
    let mut out = Output::stdout();
    let told = if args.json {
        out.json(&steps.iter().map(|step| explained(step)).collect::<Vec<_>>())
    } else {
        let mut table = Table::new(["STEP", "OUTCOME", "WHY"]);
        for step in steps {
            rows(&mut table, step);
        }
        out.line(table.to_string().trim_end())
    };
    told.and_then(|()| out.finish()).map_err(Failed::environment)
}

fn explained(step: &StepRecord) -> Explained<'_> {
    let hit = if let Some(StepEnd::Cached { hit }) = &step.end { Some(hit.as_str()) } else { None };
    let reasons = step.why.as_ref().map_or(&[][..], |why| &why.reasons);
    Explained { number: step.number, name: &step.name, outcome: outcome(step), hit, reasons }
}

/// A line for each reason, the first beside the name.
fn rows(table: &mut Table, step: &StepRecord) {
    let whys: Vec<String> = match (&step.why, &step.end) {
        (Some(why), _) => why.reasons.iter().map(ToString::to_string).collect(),
        (None, Some(StepEnd::Cached { hit })) if hit == "content" => {
            vec!["what it takes came out the same".to_owned()]
        }
        (None, Some(StepEnd::Cached { .. })) => vec!["nothing changed".to_owned()],
        (None, _) => vec![String::new()],
    };
    for (number, why) in whys.into_iter().enumerate() {
        let [name, outcome] = if number == 0 { [step.name.as_str(), outcome(step)] } else { ["", ""] };
        table.row([name, outcome, &why]);
    }
}
