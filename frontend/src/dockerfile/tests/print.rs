//! Instructions back to text, so that what was read can be read again.

use crate::dockerfile::{
    Dockerfile,
    instruction::{
        Add, ArgDeclaration, Command, Copy, Deps, From, Healthcheck, HealthcheckCommand, Heredoc, Instruction,
        KeyValue, Kind, Run, Source, TransferFlags, Word,
    },
};
use std::fmt::Write as _;

/// The file as text: one line an instruction, and the heredocs below it.
pub(super) fn print(file: &Dockerfile) -> String {
    let escape = file.directives.escape;
    let mut text = format!("# escape={escape}\n");
    for instruction in &file.instructions {
        let (line, heredocs) = statement(&instruction.kind, escape);
        writeln!(text, "{line}").unwrap();
        for Heredoc { content, name, .. } in heredocs {
            writeln!(text, "{}{name}", content.value).unwrap();
        }
    }
    text
}

fn statement(kind: &Kind, escape: char) -> (String, Vec<&Heredoc>) {
    let line = match kind {
        Kind::Add(add) => return transfer_add(add, escape),
        Kind::Copy(copy) => return transfer_copy(copy, escape),
        Kind::Run(run) => return (print_run(run, escape), run.heredocs.iter().collect()),
        Kind::Onbuild(onbuild) => {
            let Instruction { kind, .. } = &onbuild.instruction;
            let (line, heredocs) = statement(kind, escape);
            return (format!("ONBUILD {line}"), heredocs);
        }
        Kind::Arg(declarations) => format!("ARG {}", joined(declarations.iter().map(declaration))),
        Kind::Deps(deps) => print_deps(deps, escape),
        Kind::Cmd(words) => format!("CMD {}", command(words)),
        Kind::Entrypoint(words) => format!("ENTRYPOINT {}", command(words)),
        Kind::Env(all) => format!("ENV {}", joined(all.iter().map(pair))),
        Kind::Expose(ports) => format!("EXPOSE {}", joined(ports.iter().map(|port| port.value.clone()))),
        Kind::From(from) => print_from(from, escape),
        Kind::Healthcheck(check) => print_check(check),
        Kind::Label(all) => format!("LABEL {}", joined(all.iter().map(pair))),
        Kind::Maintainer(name) => format!("MAINTAINER {}", argument(&name.value)),
        Kind::Shell(words) => format!("SHELL {}", json(words)),
        Kind::Stopsignal(signal) => format!("STOPSIGNAL {}", argument(&signal.value)),
        Kind::User(user) => format!("USER {}", argument(&user.value)),
        Kind::Volume(paths) => format!("VOLUME {}", json(paths)),
        Kind::Workdir(path) => format!("WORKDIR {}", argument(&path.value)),
    };
    (line, Vec::new())
}

fn joined(words: impl Iterator<Item = String>) -> String {
    argument(&words.collect::<Vec<_>>().join(" "))
}

/// What stands behind flags, protected if it looks like one.
fn argument(text: &str) -> String {
    if text.starts_with("--") { format!("-- {text}") } else { text.to_owned() }
}

fn declaration(ArgDeclaration { name, default }: &ArgDeclaration) -> String {
    match default {
        Some(default) => format!("{}={}", name.value, default.value),
        None => name.value.clone(),
    }
}

fn pair(KeyValue { key, value, legacy }: &KeyValue) -> String {
    format!("{}{}{}", key.value, if *legacy { " " } else { "=" }, value.value)
}

fn command(command: &Command) -> String {
    match command {
        Command::Exec(words) => json(words),
        Command::Shell(line) => argument(&line.value),
    }
}

fn json(words: &[Word]) -> String {
    serde_json::to_string(&words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>()).unwrap()
}

/// A flag whose value may hold anything.
fn flag(name: &str, value: Option<&Word>, escape: char) -> String {
    let Some(value) = value else { return String::new() };
    let mut text = format!("--{name}=");
    for character in value.value.chars() {
        if character.is_whitespace() || character == escape || matches!(character, '\'' | '"') {
            text.push(escape);
        }
        text.push(character);
    }
    text + " "
}

fn flags<'a>(name: &str, values: impl IntoIterator<Item = &'a Word>, escape: char) -> String {
    values.into_iter().map(|value| flag(name, Some(value), escape)).collect()
}

fn print_from(from: &From, escape: char) -> String {
    let name = from.name.as_ref().map(|name| format!(" AS {}", name.value)).unwrap_or_default();
    format!("FROM {}{}{name}", flag("platform", from.platform.as_ref(), escape), argument(&from.base.value))
}

fn print_deps(deps: &Deps, escape: char) -> String {
    let given = deps.flags.iter().map(|(name, value)| flag(name, Some(value), escape));
    let given: String = given
        .chain([flag("from", deps.from.as_ref(), escape), flag("build-from", deps.build_from.as_ref(), escape)])
        .collect();
    let arguments = joined(deps.arguments.iter().map(|word| word.value.clone()));
    format!("DEPS {} {given}{arguments}", deps.ecosystem.name())
}

fn print_check(check: &Healthcheck) -> String {
    let Healthcheck::Cmd(check) = check else { return "HEALTHCHECK NONE".to_owned() };
    let HealthcheckCommand { command: words, interval, timeout, start_period, start_interval, retries } = check;
    let times = [
        ("interval", interval),
        ("timeout", timeout),
        ("start-period", start_period),
        ("start-interval", start_interval),
    ];
    let mut text = "HEALTHCHECK ".to_owned();
    for (name, time) in times {
        text += &time.map(|time| format!("--{name}={time}ns ")).unwrap_or_default();
    }
    text += &retries.map(|retries| format!("--retries={retries} ")).unwrap_or_default();
    let line = match words {
        Command::Exec(words) => json(words),
        Command::Shell(line) => line.value.clone(),
    };
    format!("{text}CMD {line}")
}

fn print_run(run: &Run, escape: char) -> String {
    let comment = run.deps.as_ref().map(|deps| print_deps(deps, escape).replacen("DEPS", "# deps:", 1) + "\n");
    format!(
        "{}RUN {}{}{}{}{}",
        comment.unwrap_or_default(),
        flags("mount", run.mounts.iter().map(|mount| &mount.written), escape),
        flag("network", run.network.as_ref(), escape),
        flag("security", run.security.as_ref(), escape),
        flags("device", &run.devices, escape),
        command(&run.command)
    )
}

fn shared(given: &TransferFlags, escape: char) -> String {
    format!(
        "{}{}{}{}",
        flag("chown", given.chown.as_ref(), escape),
        flag("chmod", given.chmod.as_ref(), escape),
        if given.link { "--link " } else { "" },
        flags("exclude", &given.exclude, escape)
    )
}

fn transfer_copy(copy: &Copy, escape: char) -> (String, Vec<&Heredoc>) {
    let parents = if copy.parents.is_some() { "--parents " } else { "" };
    let given = format!("COPY {}{parents}{}", flag("from", copy.from.as_ref(), escape), shared(&copy.flags, escape));
    transfer(given, &copy.sources, &copy.dest)
}

fn transfer_add(add: &Add, escape: char) -> (String, Vec<&Heredoc>) {
    let mut given = format!("ADD {}{}", flag("checksum", add.checksum.as_ref(), escape), shared(&add.flags, escape));
    for (name, switch) in [("keep-git-dir", &add.keep_git_dir), ("unpack", &add.unpack)] {
        given += &switch.as_ref().map(|switch| format!("--{name}={} ", switch.value)).unwrap_or_default();
    }
    transfer(given, &add.sources, &add.dest)
}

/// Words with heredocs among them cannot be JSON; others may hold what only JSON can.
fn transfer<'a>(given: String, sources: &'a [Source], dest: &Word) -> (String, Vec<&'a Heredoc>) {
    let heredocs: Vec<&Heredoc> = sources
        .iter()
        .filter_map(|source| match source {
            Source::Heredoc(heredoc) => Some(heredoc),
            Source::Path(_) => None,
        })
        .collect();
    let words = sources.iter().map(|source| match source {
        Source::Heredoc(heredoc) => &heredoc.mark,
        Source::Path(path) => path,
    });
    let words: Vec<Word> = words.chain([dest]).cloned().collect();
    let text = if heredocs.is_empty() { json(&words) } else { joined(words.into_iter().map(|word| word.value)) };
    (given + &text, heredocs)
}
