//! What typed instructions keep of the text.

use crate::dockerfile::{
    Dockerfile,
    instruction::{Command, Healthcheck, Instruction, Kind, MountKey, Source, Word},
};

const TEXT: &str = r#"# syntax=docker/dockerfile:1
# VERSION of the base
ARG VERSION=1 \
    WIDE=a\
b
FROM base:$VERSION AS Build

#
# deps: python requirements.txt
RUN --mount=type=cache,target="/c d" \

    <<EOF
pip install
EOF
RUN cat <<EOF
EOF
COPY --from=build --link=false --exclude=a --exclude=b --chown= x <<'one two' /dest
body
one two
ADD --unpack --keep-git-dir=FALSE a.tar /
ONBUILD RUN <<-EOF cat
	tab
	EOF
HEALTHCHECK --interval=1.5s --timeout=0s --retries=2 CMD ["a"]
"#;

fn parse() -> Dockerfile {
    Dockerfile::parse(TEXT).unwrap()
}

fn slice(word: &Word) -> &str {
    &TEXT[word.span.start..word.span.end]
}

#[test]
fn spans_lead_back_to_the_text() {
    let dockerfile = parse();
    assert_eq!(dockerfile.directives.syntax.as_ref().map(slice), Some("docker/dockerfile:1"));
    let Kind::Arg(declarations) = &dockerfile.instructions[0].kind else { panic!() };
    assert_eq!(declarations[1].name.value, "WIDE");
    let wide = declarations[1].default.as_ref().unwrap();
    assert_eq!((wide.value.as_str(), slice(wide)), ("ab", "a\\\nb"));
    let Kind::From(from) = &dockerfile.instructions[1].kind else { panic!() };
    let name = from.name.as_ref().unwrap();
    assert_eq!((name.value.as_str(), slice(name)), ("build", "Build"));
    let Kind::Run(run) = &dockerfile.instructions[2].kind else { panic!() };
    let target = run.mounts[0].value(MountKey::Target).unwrap();
    assert_eq!(target.value, "/c d");
    assert_eq!(slice(&run.mounts[0].written), "type=cache,target=\"/c d\"");
}

#[test]
fn an_instruction_knows_its_lines_and_comments() {
    let instructions = parse().instructions;
    let comments = |of: &Instruction| of.comments.iter().map(|comment| comment.value.clone()).collect::<Vec<_>>();
    assert_eq!(comments(&instructions[0]), ["VERSION of the base"]);
    assert_eq!(instructions[0].original, "ARG VERSION=1     WIDE=ab");
    let run = &instructions[2];
    assert_eq!(comments(run), ["deps: python requirements.txt"]);
    assert!(run.empty_continuation.is_some());
    assert!(TEXT[run.span.start..run.span.end].starts_with("RUN --mount"));
    assert!(TEXT[run.span.start..run.span.end].ends_with("pip install\nEOF"));
    assert_eq!(run.keyword.value, "RUN");
}

#[test]
fn a_heredoc_is_a_script_only_if_it_is_the_whole_command() {
    let instructions = parse().instructions;
    let Kind::Run(script) = &instructions[2].kind else { panic!() };
    assert_eq!(script.script().unwrap().content.value, "pip install\n");
    let Kind::Run(input) = &instructions[3].kind else { panic!() };
    assert_eq!(input.script(), None);
}

#[test]
fn flags_and_sources_of_transfers() {
    let instructions = parse().instructions;
    let Kind::Copy(copy) = &instructions[4].kind else { panic!() };
    assert_eq!(copy.from.as_ref().unwrap().value, "build");
    assert!(!copy.flags.link);
    assert_eq!(copy.flags.exclude.iter().map(slice).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(copy.flags.chown, None);
    assert_eq!(copy.dest.value, "/dest");
    let [Source::Path(path), Source::Heredoc(heredoc)] = copy.sources.as_slice() else { panic!() };
    assert_eq!(path.value, "x");
    assert_eq!((heredoc.name.as_str(), heredoc.expand), ("one two", false));
    assert_eq!(slice(&heredoc.content), "body\n");
    let Kind::Add(add) = &instructions[5].kind else { panic!() };
    assert_eq!(add.unpack.as_ref().map(|flag| flag.value), Some(true));
    assert_eq!(add.keep_git_dir.as_ref().map(|flag| flag.value), Some(false));
}

#[test]
fn onbuild_keeps_text_and_instruction() {
    let instructions = parse().instructions;
    let Kind::Onbuild(onbuild) = &instructions[6].kind else { panic!() };
    assert_eq!(onbuild.text, "RUN <<-EOF cat\n\ttab\nEOF");
    let Kind::Run(run) = &onbuild.instruction.kind else { panic!() };
    assert_eq!(run.heredocs[0].content.value, "tab\n");
    assert!(TEXT[onbuild.instruction.span.start..].starts_with("RUN <<-EOF"));
    let again = Dockerfile::parse(&format!("FROM scratch\n{}", onbuild.text)).unwrap();
    assert_eq!(again.instructions[1].original, onbuild.instruction.original);
}

#[test]
fn healthcheck_times_are_nanoseconds() {
    let instructions = parse().instructions;
    let Kind::Healthcheck(Healthcheck::Cmd(check)) = &instructions[7].kind else { panic!() };
    assert_eq!(check.interval, Some(1_500_000_000));
    assert_eq!(check.timeout, Some(0));
    assert_eq!(check.start_period, None);
    assert_eq!(check.retries, Some(2));
    assert!(matches!(&check.command, Command::Exec(words) if words[0].value == "a"));
}

#[test]
fn frontends_of_the_same_language_are_welcome() {
    let welcome = [
        "docker/dockerfile",
        "docker/dockerfile:1.7-labs",
        "docker.io/docker/dockerfile:1",
        "docker/dockerfile-upstream:master",
        "mirror.example.com:5000/proxy/docker/dockerfile:1@sha256:00",
        "docker/dockerfile:1 // anything",
    ];
    for name in welcome {
        let text = format!("#syntax={name}\nFROM scratch");
        assert_eq!(Dockerfile::parse(&text).err(), None, "{name}");
    }
    for name in ["dockerfile", "other/dockerfile", "docker/dockerfile/other"] {
        assert!(Dockerfile::parse(&format!("#syntax={name}\nFROM scratch")).is_err(), "{name}");
    }
}
