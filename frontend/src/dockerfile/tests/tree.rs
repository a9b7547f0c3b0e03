//! Statements as S-expressions, one a line: `(copy ["--from=build"] "a" "b")`. Heredocs follow their statement's words.

use crate::dockerfile::{
    instruction::{ArgDeclaration, Command, Heredoc, KeyValue, Word},
    syntax::{Arguments, Statement},
};
use std::fmt::Write;

/// The statements as text, each ending in a line feed.
pub(super) fn render(statements: &[Statement]) -> String {
    statements.iter().map(|statement| expression(statement) + "\n").collect()
}

fn expression(statement: &Statement) -> String {
    let mut text = format!("({}", statement.keyword.value.to_lowercase());
    if !statement.flags.is_empty() {
        let flags: Vec<_> = statement.flags.iter().map(|flag| quote(&flag.text.value)).collect();
        write!(text, " [{}]", flags.join(" ")).unwrap();
    }
    for item in items(&statement.arguments) {
        write!(text, " {item}").unwrap();
    }
    for heredoc in &statement.heredocs {
        write!(text, " {}", body(heredoc)).unwrap();
    }
    text + ")"
}

fn items(arguments: &Arguments) -> Vec<String> {
    match arguments {
        Arguments::Add(list) | Arguments::Copy(list) | Arguments::Volume(list) => words(&list.words),
        Arguments::Arg(declarations) => declarations.iter().map(declaration).collect(),
        Arguments::Cmd(command)
        | Arguments::Entrypoint(command)
        | Arguments::Run(command)
        | Arguments::Shell(command) => command_words(command),
        Arguments::Env(pairs) | Arguments::Label(pairs) => pairs.iter().flat_map(pair).collect(),
        Arguments::Expose(list) | Arguments::From(list) => words(list),
        Arguments::Deps(Some(deps)) => {
            let flags = deps.flags.iter().map(|flag| quote(&flag.text.value));
            std::iter::once(quote(&deps.ecosystem.value)).chain(flags).chain(words(&deps.words)).collect()
        }
        Arguments::Deps(None) | Arguments::Healthcheck(None) | Arguments::Onbuild(None) | Arguments::Unknown(_) => {
            Vec::new()
        }
        Arguments::Healthcheck(Some(check)) => {
            let mut items = vec![quote(&check.form.value)];
            items.extend(command_words(&check.command));
            items
        }
        Arguments::Maintainer(text)
        | Arguments::Stopsignal(text)
        | Arguments::User(text)
        | Arguments::Workdir(text) => text.iter().map(|word| quote(&word.value)).collect(),
        Arguments::Onbuild(Some(inner)) => vec![expression(inner)],
    }
}

fn words(words: &[Word]) -> Vec<String> {
    words.iter().map(|word| quote(&word.value)).collect()
}

fn command_words(command: &Command) -> Vec<String> {
    match command {
        Command::Exec(list) => words(list),
        Command::Shell(line) if line.value.is_empty() => Vec::new(),
        Command::Shell(line) => vec![quote(&line.value)],
    }
}

fn declaration(declaration: &ArgDeclaration) -> String {
    let name = &declaration.name.value;
    match &declaration.default {
        Some(default) => quote(&format!("{name}={}", default.value)),
        None => quote(name),
    }
}

fn pair(pair: &KeyValue) -> [String; 3] {
    let separator = if pair.legacy { "" } else { "=" };
    [quote(&pair.key.value), quote(&pair.value.value), quote(separator)]
}

fn body(heredoc: &Heredoc) -> String {
    let descriptor = heredoc.descriptor;
    let expand = if heredoc.expand { " expand" } else { "" };
    let chomp = if heredoc.chomp { " chomp" } else { "" };
    let (name, content) = (quote(&heredoc.name), quote(&heredoc.content.value));
    format!("(heredoc {descriptor} {name}{expand}{chomp} {content})")
}

/// A string literal of Go.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            control if control.is_ascii_control() => write!(quoted, "\\x{:02x}", u32::from(control)).unwrap(),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
