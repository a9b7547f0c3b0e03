//! The portable spelling of `DEPS`: it has to be obeyed, and the `RUN` below it has to ask for the same, or builders disagree.

use super::Rule;
use crate::{
    diagnostic::nearest,
    dockerfile::{
        instruction::{Command, Deps, Instruction, Kind, Run},
        lint::{Check, Place, findings::Findings},
    },
    package::Ecosystem,
};
use std::collections::BTreeSet;

pub(super) static DEPS_DIFFER_FROM_RUN: Rule = Rule {
    name: "DepsDifferFromRun",
    description: "A comment `# deps:` takes the place of the RUN below it, which asks for something else",
    page: None,
    experimental: false,
    check: Check::Line(check),
};

pub(super) static DEPS_COMMENT_IGNORED: Rule = Rule {
    name: "DepsCommentIgnored",
    description: "A comment `# deps:` only counts right above a RUN, and with the name of an ecosystem",
    page: None,
    experimental: false,
    check: Check::Line(check_comments),
};

/// Flags of installers whose value is the next word.
const WITH_VALUE: [&str; 18] = [
    "-r",
    "--requirement",
    "-c",
    "--constraint",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "-t",
    "--target",
    "--prefix",
    "--python",
    "--cache-dir",
    "--cache",
    "--registry",
    "-o",
    "--omit",
];

fn check(instruction: &Instruction, findings: &mut Findings) {
    if let Kind::Run(run) = &instruction.kind
        && let Some(deps) = &run.deps
    {
        for difference in differences(run, deps) {
            findings.add(&DEPS_DIFFER_FROM_RUN, Place::of(instruction), difference);
        }
    }
}

/// Only comments that seem to be meant for flashbuild: others begin with `deps:` for people.
fn check_comments(instruction: &Instruction, findings: &mut Findings) {
    let is_obeyed = matches!(&instruction.kind, Kind::Run(run) if run.deps.is_some());
    let obeyed = instruction.comments.len() - usize::from(is_obeyed);
    for comment in instruction.comments.iter().take(obeyed) {
        let Some(word) = Deps::named_in_comment(comment) else { continue };
        let names = Ecosystem::ALL.map(Ecosystem::name);
        let detail = if names.contains(&word) {
            format!("`# {}` does nothing here: it has to be on the line above a RUN", comment.value)
        } else if let Some(name) = nearest(word, names) {
            format!("`# {}` does nothing: DEPS does not know `{word}`; did you mean `{name}`?", comment.value)
        } else {
            continue;
        };
        findings.add(&DEPS_COMMENT_IGNORED, Place { span: comment.span, ..Place::of(instruction) }, detail);
    }
}

fn differences(run: &Run, deps: &Deps) -> Vec<String> {
    let line = match (&run.command, run.script()) {
        (_, Some(script)) => script.content.value.clone(),
        (Command::Shell(line), None) => line.value.clone(),
        (Command::Exec(words), None) => words.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(" "),
    };
    let mut found = Vec::new();
    let mut installs = 0;
    for command in line.split(['\n', ';', '&', '|']).map(str::trim).filter(|command| !command.is_empty()) {
        let words: Vec<&str> =
            command.split_whitespace().skip_while(|word| word.contains('=') || *word == "sudo").collect();
        match purpose(deps.ecosystem, &words) {
            Purpose::Install(arguments) => {
                installs += 1;
                found.extend(against(deps, &arguments));
            }
            Purpose::Beside => {}
            Purpose::Other => found.push(format!("RUN also runs `{command}`, which DEPS does not")),
        }
    }
    if installs == 0 {
        found.push(format!("RUN installs nothing that DEPS {} would", deps.ecosystem.name()));
    }
    found
}

/// What a command is for.
enum Purpose<'a> {
    /// To install packages; with its arguments.
    Install(Vec<&'a str>),
    /// To prepare that, or to tidy up behind it.
    Beside,
    Other,
}

/// Installers: whose packages, programs, their verbs, and words behind the verb that are not arguments.
const INSTALLERS: [(Ecosystem, &[&str], &[&str], usize); 9] = [
    (Ecosystem::Apt, &["apt", "apt-get"], &["install"], 0),
    (Ecosystem::Node, &["npm"], &["ci", "install", "i", "clean-install"], 0),
    (Ecosystem::Node, &["pnpm", "bun"], &["install", "i", "ci"], 0),
    (Ecosystem::Python, &["pip", "pip3"], &["install"], 0),
    (Ecosystem::Python, &["python", "python3"], &["pip"], 1),
    (Ecosystem::Python, &["uv"], &["sync"], 0),
    (Ecosystem::Python, &["uv"], &["pip"], 1),
    (Ecosystem::Python, &["poetry"], &["install"], 0),
    (Ecosystem::Python, &["pipenv"], &["install", "sync"], 0),
];

/// What is often beside them and changes no packages: programs and their verbs, any verb if there are none.
const BESIDE: [(&[&str], &[&str]); 6] = [
    (&["rm", "set", "cd", "mkdir", "true", ":", "export", "corepack"], &[]),
    (&["apt", "apt-get"], &["update", "clean", "autoclean", "autoremove"]),
    (&["npm", "pnpm"], &["cache", "store", "prune"]),
    (&["pip", "pip3"], &["cache"]),
    (&["uv"], &["cache", "venv"]),
    (&["python", "python3"], &["venv"]),
];

fn purpose<'a>(ecosystem: Ecosystem, words: &[&'a str]) -> Purpose<'a> {
    let flags = words.iter().skip(1).take_while(|word| word.starts_with('-')).count();
    let program = words.first().copied().unwrap_or_default();
    let verb = words.get(1 + flags).copied().unwrap_or_default();
    let installer = INSTALLERS.iter().find(|(whose, programs, verbs, _)| {
        *whose == ecosystem && programs.contains(&program) && verbs.contains(&verb)
    });
    if let Some((_, _, _, more)) = installer {
        return Purpose::Install(words.iter().skip(2 + flags + more).copied().collect());
    }
    let beside = |(programs, verbs): &(&[&str], &[&str])| {
        programs.contains(&program) && (verbs.is_empty() || verbs.contains(&verb))
    };
    if BESIDE.iter().any(beside) { Purpose::Beside } else { Purpose::Other }
}

/// What an installer is asked for and the comment is not, or the other way round.
fn against(deps: &Deps, arguments: &[&str]) -> Vec<String> {
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let mut files = Vec::new();
    let mut without_dev = false;
    let mut words = arguments.iter().copied();
    while let Some(word) = words.next() {
        if let Some(file) = word.strip_prefix("--requirement=") {
            files.push(file);
        } else if WITH_VALUE.contains(&word) {
            let value = words.next().unwrap_or_default();
            match word {
                "-r" | "--requirement" => files.push(value),
                "--omit" => without_dev |= value == "dev",
                _ => {}
            }
        } else if word.starts_with('-') {
            without_dev |= matches!(word, "--omit=dev" | "--production" | "--prod" | "-P" | "--only=production");
        } else {
            named.insert(word);
        }
    }
    let asked: BTreeSet<&str> = deps.arguments.iter().map(|word| word.value.as_str()).collect();
    match deps.ecosystem {
        Ecosystem::Apt => {
            let only = |these: &BTreeSet<&str>, those: &BTreeSet<&str>| -> Vec<String> {
                these.difference(those).map(|name| format!("`{name}`")).collect()
            };
            let (run, comment) = (only(&named, &asked), only(&asked, &named));
            let mut found = Vec::new();
            if !run.is_empty() {
                found.push(format!("RUN installs {}, DEPS does not", run.join(", ")));
            }
            if !comment.is_empty() {
                found.push(format!("DEPS installs {}, RUN does not", comment.join(", ")));
            }
            found
        }
        Ecosystem::Node | Ecosystem::Python => {
            let lock = deps.arguments.first().map(|word| word.value.as_str()).unwrap_or_default();
            let other = files.iter().filter(|file| file.trim_start_matches("./") != lock.trim_start_matches("./"));
            let mut found: Vec<String> =
                other.map(|file| format!("RUN installs what {file} says, DEPS what {lock} says")).collect();
            found.extend(named.iter().map(|name| format!("RUN installs `{name}`, DEPS only what {lock} says")));
            let omits = deps.flags.iter().any(|(name, value)| *name == "omit" && value.value.contains("dev"));
            if deps.ecosystem == Ecosystem::Node && omits != without_dev {
                let (who, other) = if without_dev { ("RUN", "DEPS") } else { ("DEPS", "RUN") };
                found.push(format!("{who} leaves packages for development out, {other} does not"));
            }
            found
        }
    }
}
