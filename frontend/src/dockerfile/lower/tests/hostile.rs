//! Texts that no one writes by hand: they must not cost more than their size is worth.

use super::asked::{Asked, Lowered};
use crate::{
    diagnostic::{MAX_DRAWN, MAX_FOUND, render_all},
    dockerfile::{Dockerfile, Inputs, call::check, lint::Extent},
};
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
    assert_eq!(errors.len(), MAX_FOUND);
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

#[test]
fn a_variable_that_doubles() {
    let mut text = "FROM scratch\nENV A=xxxxxxxx\n".to_owned();
    text.push_str(&"ENV A=$A$A\n".repeat(60));
    assert_eq!(refused(&text), "the text is too long once its variables are replaced");
    let text = "FROM scratch\nENV A=aaaaaaaa\n".to_owned() + &"ENV A=${A//a/aaaaaaaa}\n".repeat(60);
    assert_eq!(refused(&text), "the text is too long once its variables are replaced");
}

#[test]
fn an_environment_that_grows_with_each_command() {
    let each = |keyword: &str| {
        let mut text = "FROM scratch\n".to_owned();
        for index in 0..50_000 {
            write!(text, "{keyword} NAME{index}=value\nRUN true\n").unwrap();
        }
        text
    };
    assert_eq!(refused(&each("ENV")), "the build becomes too large here");
    assert_eq!(refused(&each("ARG")), "the build becomes too large here");
}

#[test]
fn the_same_large_file_again_and_again() {
    let large = "x".repeat(500_000);
    let text = format!("FROM scratch\nARG A={large}\n{}", "COPY <<E /a\n$A\nE\n".repeat(10_000));
    assert_eq!(refused(&text), "the build becomes too large here");
    let text = format!("FROM scratch\n{}", "EXPOSE 0-65535\n".repeat(10_000));
    assert_eq!(refused(&text), "the build becomes too large here");
}

#[test]
fn stages_that_all_start_from_a_large_one() {
    let mut text = "FROM scratch AS base\n".to_owned();
    for index in 0..5_000 {
        writeln!(text, "ENV NAME{index}=value").unwrap();
    }
    for index in 0..5_000 {
        write!(text, "FROM base AS s{index}\nCOPY a /\n").unwrap();
    }
    text.push_str("FROM scratch\n");
    for index in 0..5_000 {
        writeln!(text, "COPY --from=s{index} / /").unwrap();
    }
    assert_eq!(refused(&text), "the build becomes too large here");
}

#[test]
fn triggers_times_stages() {
    let mut text = "FROM scratch AS base\n".to_owned();
    text.push_str(&"ONBUILD ENV A=b\n".repeat(10_000));
    for index in 0..10_000 {
        writeln!(text, "FROM base AS s{index}").unwrap();
    }
    text.push_str("FROM scratch\n");
    for index in 0..10_000 {
        writeln!(text, "COPY --from=s{index} / /").unwrap();
    }
    assert_eq!(refused(&text), "too many ONBUILD triggers");
    let nested = format!("FROM scratch\n{}COPY a /\n", "ONBUILD ".repeat(100_000));
    assert_eq!(refused(&nested), "ONBUILD cannot be an ONBUILD instruction itself");
}

#[test]
fn thousands_of_images_named_like_stages() {
    let mut text = String::new();
    for index in 0..3_000 {
        writeln!(text, "FROM registry.example/stage{index} AS stage{}", index + 20_000).unwrap();
    }
    for index in 0..3_000 {
        writeln!(text, "COPY --from=stage{} / /", index + 40_000).unwrap();
    }
    assert_eq!(lower(&text).questions.len(), 3_001);
}

#[test]
fn ten_megabytes() {
    let line = format!("RUN --network=none echo {}\n", "word ".repeat(195));
    let text = format!("FROM scratch\n{}", line.repeat(10_000));
    assert!(text.len() > 10_000_000);
    assert_eq!(lower(&text).graph.outputs[0].steps.len(), 10_000);
}

#[test]
fn thousands_of_warnings() {
    let mut text = "FROM scratch AS base\n".to_owned();
    for index in 0..5_000 {
        write!(text, "ENV name{index} $stray{index}\nWORKDIR relative\nCMD line\n").unwrap();
    }
    for index in 0..1_000 {
        writeln!(text, "FROM base AS s{index}\nMAINTAINER me\nFROM $nothing{index}x AS t{index}").unwrap();
    }
    let asked = Asked::read(&text);
    let (file, errors) = Dockerfile::read(&text);
    assert_eq!(errors, []);
    let linted = file.lint(&asked.options, Extent::Build(&Inputs::default()));
    assert_eq!(linted.warnings.len(), 1_000);
    let shown = check::text(&linted.warnings, "Dockerfile", &text);
    assert!(shown.len() < 10_000_000);
    check::json(&linted.warnings, &linted.errors, "Dockerfile", &text);
}

#[test]
fn one_instruction_with_many_warnings() {
    let mut text = "FROM scratch\nCOPY <<E /a\n".to_owned();
    for index in 0..20_000 {
        writeln!(text, "$stray{index}").unwrap();
    }
    text.push_str("E\n");
    let asked = Asked::read(&text);
    let linted = Dockerfile::parse(&text).unwrap().lint(&asked.options, Extent::Build(&Inputs::default()));
    assert_eq!(linted.warnings.len(), 1_000);
    assert!(check::text(&linted.warnings, "Dockerfile", &text).len() < 100_000_000);
}

#[test]
fn thousands_of_errors_are_drawn_in_part() {
    for (line, count, rest) in [
        ("EXPOSE x\n", 50, ""),
        ("EXPOSE x\n", 51, "\n\nand 1 more error"),
        ("EXPOSE x\n", 60, "\n\nand 10 more errors"),
        ("EXPOSE x\n", 20_000, "\n\nand at least 950 more errors"),
        ("EXPOZE x\n", 200_000, "\n\nand at least 950 more errors"),
    ] {
        let text = format!("FROM scratch\n{}", line.repeat(count));
        let errors = Asked::read(&text).build(&text).err().unwrap();
        assert_eq!(errors.len(), count.min(MAX_FOUND));
        let drawn = render_all(&errors, "Dockerfile", &text, false);
        assert_eq!(drawn.matches("error: ").count(), MAX_DRAWN);
        assert!(drawn.ends_with(rest), "{drawn}");
    }
}

/// The message of the first error.
#[track_caller]
fn refused(text: &str) -> String {
    match Asked::read(text).lower(text) {
        Ok(_) => panic!("{text:.100} … is accepted"),
        Err(errors) => errors[0].message.clone(),
    }
}
