//! What no run of the image asked for. Which files those are is found out by running it (`optimize/observed.rs`).

use super::{Action, Candidate, Pass, Seen, Trust};

pub(super) const PASS: Pass = Pass {
    name: "observe",
    title: "packages and files that no observed run asked for",
    safe: "the image was run and did not ask for them, nor for anything else of their packages; what it does otherwise was \
           not seen",
    trust: Trust::Observed,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    file.seen == Seen::Untouched
}
