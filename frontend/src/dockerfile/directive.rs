//! Parser directives: `# name=value` comments at the very top that change how the rest is read.
//!
//! Rules (Dockerfile reference, "Parser directives"):
//!
//! - They come before anything else: the first line that is not a known directive ends them, be it a comment or blank.
//!   Only a byte order mark and a `#!` line may come first.
//! - Names are case-insensitive; blanks around name and value do not count. Each may be given once.
//! - `escape` is `\` or a backtick. `check` is kept for the linter. `syntax` names another reader of the file: the
//!   language of `docker/dockerfile`, wherever it is mirrored, is the one read here; others cannot be.
//! - Files in other languages may name their reader in their own comments, `// syntax=NAME`, or be a JSON object with a key
//!   `syntax`: they are told so, instead of being taken for a Dockerfile.

use super::instruction::Word;
use crate::diagnostic::{Code, Diagnostic, Span, Spanned, nearest};
use serde::Deserialize;

/// What the directives of a file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`, the whole value.
    pub syntax: Option<Word>,
    /// `# escape=`: starts an escape and continues a line.
    pub escape: char,
    /// `# check=`, the whole value.
    pub check: Option<Word>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { syntax: None, escape: '\\', check: None }
    }
}

/// What language a file is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Syntax {
    /// The one that its `# syntax=` names; that of `docker/dockerfile` if it names none.
    #[default]
    OfFile,
    /// That of `docker/dockerfile`, whatever it names.
    Dockerfile,
}

/// Repositories whose frontends read the language that is read here.
const KNOWN_FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Reads the directives of `source`; returns them and the offset of the first line behind them.
pub(super) fn read(source: &str, syntax: Syntax, errors: &mut Vec<Diagnostic>) -> (Directives, usize) {
    let mut position = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    if source[position..].starts_with("#!") {
        position = line_end(source, position);
    }
    if let Some(named) = named_elsewhere(source, position)
        && let Some(error) = refuse_foreign_frontend(&named)
        && syntax == Syntax::OfFile
    {
        errors.push(error);
        return (Directives::default(), source.len());
    }
    let mut directives = Directives::default();
    let mut escape_seen = false;
    while let Some((name, value)) = directive(source, position) {
        let name_text = name.value.to_ascii_lowercase();
        let first = match name_text.as_str() {
            "syntax" => directives.syntax.replace(value.clone()).is_none(),
            "check" => directives.check.replace(value.clone()).is_none(),
            "escape" => !std::mem::replace(&mut escape_seen, true),
            _ => break,
        };
        if !first {
            errors.push(
                Diagnostic::error(Code::RepeatedDirective, format!("`{name_text}` is given twice"), name.span)
                    .with_hint("a parser directive can be used once; remove this line"),
            );
        } else if name_text == "escape" {
            match value.value.as_str() {
                "\\" => {}
                "`" => directives.escape = '`',
                other => errors.push(
                    Diagnostic::error(
                        Code::InvalidEscape,
                        format!("`{other}` cannot be the escape character"),
                        value.span,
                    )
                    .with_hint("use `\\` or a backtick"),
                ),
            }
        } else if name_text == "syntax" && syntax == Syntax::OfFile {
            errors.extend(refuse_foreign_frontend(&value));
        }
        position = line_end(source, position);
    }
    (directives, position)
}

/// Name and value of the line at `position`, if it has the form of a directive.
fn directive(source: &str, position: usize) -> Option<(Word, Word)> {
    let line = &source[position..line_end(source, position)];
    let body = line.trim_start().strip_prefix('#')?.trim_start();
    let (name, value) = body.split_once('=')?;
    let name_start = position + (line.len() - body.len());
    let value_start = name_start + name.len() + 1 + (value.len() - value.trim_start().len());
    let (name, value) = (name.trim_end(), value.trim());
    let well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|each| each.is_ascii_alphanumeric());
    let word = |text: &str, start| Spanned::new(text.to_owned(), Span::new(start, start + text.len()));
    (well_formed && !value.is_empty()).then(|| (word(name, name_start), word(value, value_start)))
}

/// The reader that a file in another language names: in a `//` comment at its top, or in JSON.
fn named_elsewhere(source: &str, position: usize) -> Option<Word> {
    #[derive(Deserialize)]
    struct Json {
        syntax: String,
    }
    let rest = &source[position..];
    if rest.starts_with('{') {
        let end = position + rest.trim_end().len();
        let json: Json = serde_json::from_str(rest).ok()?;
        return Some(Spanned::new(json.syntax, Span::new(position, end)));
    }
    let mut at = position;
    while source[at..].trim_start_matches([' ', '\t']).starts_with("//") {
        let line = &source[at..line_end(source, at)];
        let (name, value) = line.trim_start().strip_prefix("//")?.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("syntax") {
            let start = at + line.len() - value.trim_start().len();
            let value = value.trim();
            return Some(Spanned::new(value.to_owned(), Span::new(start, start + value.len())));
        }
        at = line_end(source, at);
    }
    None
}

/// Whether the frontend that is the image `image` reads the language that is read here.
pub fn reads(image: &str) -> bool {
    KNOWN_FRONTENDS.contains(&repository(image).as_str())
}

/// The last two parts of the name of an image, without tag and digest.
fn repository(image: &str) -> String {
    let untagged = image.split('@').next().unwrap_or_default();
    let (path, last) = untagged.rsplit_once('/').unwrap_or(("", untagged));
    let name = last.split(':').next().unwrap_or_default();
    let owner = path.rsplit('/').next().unwrap_or_default();
    format!("{owner}/{name}")
}

fn refuse_foreign_frontend(value: &Word) -> Option<Diagnostic> {
    let image = value.value.split_whitespace().next().unwrap_or_default();
    if reads(image) {
        return None;
    }
    let repository = repository(image);
    let hint = match nearest(&repository, KNOWN_FRONTENDS) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "only the language of `docker/dockerfile` can be read; remove the line if the file is written in it"
            .to_owned(),
    };
    Some(
        Diagnostic::error(Code::ForeignFrontend, format!("the frontend `{image}` cannot be run"), value.span)
            .with_hint(hint),
    )
}

/// Offset behind the line that contains `position`, its line feed included.
fn line_end(source: &str, position: usize) -> usize {
    source[position..].find('\n').map_or(source.len(), |at| position + at + 1)
}
