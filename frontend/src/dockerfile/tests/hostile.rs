//! Texts that nobody would write: reading ends, in time, with spans that lie in the text.

use crate::dockerfile::{Dockerfile, expand::Expander};
use std::{fs, path::Path};

/// A linear congruential generator (Knuth's MMIX constants): the same texts on every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Pieces of text in which the grammar sees something.
pub(super) const SPLINTERS: [&str; 36] = [
    "\\",
    "`",
    "\n",
    "\r\n",
    " ",
    "\t",
    "#",
    "# escape=`\n",
    "<<",
    "<<-EOF",
    "EOF\n",
    "'",
    "\"",
    "$",
    "${",
    "}",
    "${a:-",
    "//",
    "[",
    "]",
    "[\"a\",",
    "--",
    "--from=",
    "=",
    "\u{feff}",
    "\u{a0}",
    "안",
    "\0",
    "FROM ",
    "ONBUILD ",
    "RUN ",
    "COPY ",
    "ENV ",
    "HEALTHCHECK --interval=",
    "ARG ",
    "SHELL ",
];

#[test]
fn mangled_texts_do_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dockerfile/parse");
    let mut seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    let seeds: Vec<Vec<char>> = seeds.iter().map(|path| fs::read_to_string(path).unwrap().chars().collect()).collect();
    let mut random = Random(1);
    for _ in 0..20_000 {
        let mut text = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            let at = random.below(text.len() + 1);
            let end = (at + random.below(8)).min(text.len());
            let splinter = SPLINTERS[random.below(SPLINTERS.len())].chars();
            match random.below(3) {
                0 => drop(text.splice(at..at, splinter)),
                1 => drop(text.splice(at..end, splinter)),
                _ => text.truncate(at),
            }
        }
        endure(&text.into_iter().collect::<String>());
    }
}

/// Reads the text as a Dockerfile and as a word.
fn endure(text: &str) {
    match Dockerfile::parse(text) {
        Ok(dockerfile) => {
            let mut end = 0;
            for instruction in &dockerfile.instructions {
                assert!(instruction.span.start >= end, "instructions overlap in {text:?}");
                end = instruction.span.end;
                let keyword = &text[instruction.keyword.span.start..instruction.keyword.span.end];
                assert!(keyword.starts_with(&instruction.keyword.value[..1]), "{keyword:?} in {text:?}");
            }
            assert!(end <= text.len(), "a span leaves {text:?}");
        }
        Err(errors) => {
            for error in errors {
                assert!(text.get(error.span.start..error.span.end).is_some(), "{error:?} cuts {text:?}");
                error.render("Dockerfile", text, false);
            }
        }
    }
    let lookup = |name: &str| name.len().is_multiple_of(2).then(|| name.repeat(2));
    for expander in [Expander::new('\\', &lookup), Expander::heredoc(&lookup), Expander::display('`', &lookup)] {
        let _ = (expander.expand(text), expander.expand_words(text), expander.names(text));
    }
}

/// A parser whose time grew faster than the text would not come back from these.
#[test]
fn large_texts_are_read_to_their_end() {
    let million = 1_000_000;
    let texts = [
        format!("FROM a\n{}", "RUN b\n".repeat(100_000)),
        format!("FROM a\nRUN b{}", " \\\n c".repeat(million)),
        format!("FROM a\nRUN {}\n", "<<E ".repeat(million / 4)),
        format!("FROM a\n{}", "RUN <<E\n".repeat(million / 8)),
        format!("FROM a\nENV {}\n", "a=\"b\" ".repeat(million)),
        format!("FROM a\nCOPY {} c\n", "--from=a ".repeat(million)),
        format!("FROM a\nCOPY {} c\n", "--exclude=a ".repeat(million / 4)),
        format!("FROM a\nCMD [{}", "\"a\",".repeat(million)),
        format!("FROM a\nCMD [{}", "[".repeat(million)),
        format!("FROM a\n{}", "ONBUILD ".repeat(million)),
        "x".repeat(10 * million),
        "x y\n".repeat(million),
        "\\\n".repeat(million),
        "# escape=`\n".repeat(million),
        format!("FROM a\nRUN {}", "'".repeat(million)),
        format!("FROM a\nLABEL {}", "\\".repeat(million)),
    ];
    for text in texts {
        // Whether it is a Dockerfile is not the question.
        let _ = Dockerfile::parse(&text);
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let lookup = |_: &str| Some("a".repeat(10_000));
    let expander = Expander::new('\\', &lookup);
    for opening in ["${a:-", "${a#", "${a/b/", "\"${a:-"] {
        assert!(expander.expand(&opening.repeat(1_000_000)).is_err());
    }
    let slow = format!("${{a//{}b/c}}", "*a".repeat(1000));
    assert!(expander.expand(&slow).is_ok());
}
