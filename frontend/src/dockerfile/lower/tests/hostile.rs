//! Texts that no one writes by hand: they must not cost more than their size is worth.

use super::asked::{Asked, Lowered};
use std::fmt::Write as _;

fn lower(text: &str) -> Lowered {
    Asked::read(text).lower(text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

#[test]
fn a_chain_of_ten_thousand_stages() {
    let mut text = "FROM scratch AS s0\n".to_owned();
    for index in 1..10_000 {
        write!(text, "FROM s{} AS s{index}\nCOPY a /{index}\n", index - 1).unwrap();
    }
    let lowered = lower(&text);
    assert_eq!(lowered.graph.outputs[0].steps.len(), 9_999);
    // The empty tree, the context, and one node a copy.
    assert_eq!(lowered.graph.len(), 2 + 9_999);
}

#[test]
fn ten_thousand_stages_copied_into_one() {
    let mut text = String::new();
    for index in 0..10_000 {
        write!(text, "FROM scratch AS s{index}\nCOPY a /{index}\n").unwrap();
    }
    text.push_str("FROM scratch\n");
    for index in 0..10_000 {
        writeln!(text, "COPY --from={index} / /").unwrap();
    }
    assert_eq!(lower(&text).graph.outputs[0].steps.len(), 10_000);
}

#[test]
fn ten_thousand_stages_that_look_downwards() {
    let mut text = String::new();
    for index in 0..10_000 {
        write!(text, "FROM scratch\nCOPY --from={} / /\n", (index + 1) % 10_000).unwrap();
    }
    let errors = Asked::read(&text).lower(&text).err().unwrap();
    assert_eq!(errors.len(), 9_999);
    assert!(errors[0].message.starts_with("circular dependency: "));
}

#[test]
fn stages_that_are_not_needed_cost_nothing() {
    let mut text = "#: target last\n".to_owned();
    for index in 0..1_000 {
        writeln!(text, "FROM image{index}\nRUN --mount=type=cache,target=/c true").unwrap();
    }
    text.push_str("FROM scratch AS last\n");
    let lowered = lower(&text);
    assert_eq!((lowered.questions.len(), lowered.graph.len()), (0, 1));
}
