//! Here-documents: `<<NAME` in a line, and the lines that it stands for.
//!
//! Rules (Dockerfile reference, "Here-documents"; where it is silent, what the frontend of moby/buildkit does):
//!
//! - A mark is a word of its own: digits (a file descriptor) if any, `<<`, `-` if any, blanks if any, the delimiter.
//!   The word must hold no other `<`, which excludes `<<<`.
//! - Words are told apart as a POSIX shell does it, so a mark inside quotes is none. The escape character is always a
//!   backslash here, whatever the directive says, because the line is the shell's.
//! - The delimiter loses its quotes; if it had any, variables in the body are not expanded.
//! - Bodies follow in the order of their marks, each up to a line that consists of its delimiter. With `-`, leading tabs
//!   of all these lines do not count.

use super::{instruction::Heredoc, lexer::Lexer, line::Piece};
use crate::diagnostic::{Code, Diagnostic, Span, Spanned};

/// A mark in a line, its body not yet read.
#[derive(Debug)]
pub(super) struct Mark<'l> {
    piece: Piece<'l>,
    descriptor: u32,
    chomp: bool,
    name: String,
    quoted: bool,
}

/// The marks of a line. A line with an unclosed quote has none.
pub(super) fn marks(line: Piece<'_>) -> Vec<Mark<'_>> {
    let text = line.as_str();
    let mut marks = Vec::new();
    let mut position = 0;
    if !text.contains("<<") {
        return marks;
    }
    loop {
        let rest = text[position..].trim_start();
        position = text.len() - rest.len();
        if rest.is_empty() {
            return marks;
        }
        let opening = Opening::read(rest);
        let body = position + opening.as_ref().map_or(0, |opening| opening.length);
        let Some(word) = ShellWord::read(&text[body..]) else {
            return Vec::new();
        };
        let end = body + word.length;
        if let Some(opening) = opening
            && !word.text.is_empty()
            && !text[body..end].contains('<')
        {
            marks.push(Mark {
                piece: line.slice(position..end),
                descriptor: opening.descriptor,
                chomp: opening.chomp,
                name: word.text,
                quoted: word.quoted,
            });
        }
        position = end;
    }
}

/// Reads the bodies of `marks` from the lines behind them.
pub(super) fn read_bodies(
    marks: Vec<Mark<'_>>,
    lexer: &mut Lexer<'_>,
    source: &str,
) -> Result<(Vec<Heredoc>, Option<Span>), Diagnostic> {
    let mut heredocs = Vec::with_capacity(marks.len());
    let mut last_line = None;
    for mark in marks {
        let word = mark.piece.word();
        let Some((body, end)) = lexer.heredoc_body(&mark.name, mark.chomp) else {
            return Err(Diagnostic::error(Code::UnclosedHeredoc, "this heredoc is never closed", word.span)
                .with_hint(format!("end it with a line that consists of `{}`", mark.name)));
        };
        let lines = &source[body.start..body.end];
        let content = if mark.chomp {
            lines.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
        } else {
            lines.to_owned()
        };
        heredocs.push(Heredoc {
            mark: word,
            name: mark.name,
            descriptor: mark.descriptor,
            content: Spanned::new(content, body),
            expand: !mark.quoted,
            chomp: mark.chomp,
        });
        last_line = Some(end);
    }
    Ok((heredocs, last_line))
}

/// What a mark starts with: `3<<- `.
struct Opening {
    length: usize,
    descriptor: u32,
    chomp: bool,
}

impl Opening {
    fn read(text: &str) -> Option<Self> {
        let behind_digits = text.trim_start_matches(|each: char| each.is_ascii_digit());
        let digits = &text[..text.len() - behind_digits.len()];
        let behind_arrows = behind_digits.strip_prefix("<<")?;
        let behind_dash = behind_arrows.strip_prefix('-');
        let rest = behind_dash.unwrap_or(behind_arrows).trim_start_matches([' ', '\t', '\r']);
        Some(Self {
            length: text.len() - rest.len(),
            descriptor: digits.parse().unwrap_or_default(),
            chomp: behind_dash.is_some(),
        })
    }
}

/// A word of a shell line, quotes and escapes removed.
struct ShellWord {
    length: usize,
    text: String,
    quoted: bool,
}

impl ShellWord {
    /// The word at the start of `text`; `None` if a quote is not closed.
    fn read(text: &str) -> Option<Self> {
        let mut word = Self { length: text.len(), text: String::new(), quoted: false };
        let mut quote = None;
        let mut characters = text.char_indices();
        while let Some((at, character)) = characters.next() {
            match (quote, character) {
                (None, blank) if blank.is_whitespace() => {
                    word.length = at;
                    return Some(word);
                }
                (None, '\'' | '"') => {
                    word.quoted = true;
                    quote = Some(character);
                }
                (Some(open), close) if open == close => quote = None,
                (None, '\\') => word.text.extend(characters.next().map(|(_, next)| next)),
                (Some('"'), '\\') => {
                    let mut ahead = characters.clone();
                    match ahead.next() {
                        Some((_, next @ ('"' | '$' | '\\'))) => {
                            characters = ahead;
                            word.text.push(next);
                        }
                        _ => word.text.push('\\'),
                    }
                }
                (_, other) => word.text.push(other),
            }
        }
        quote.is_none().then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::line::LogicalLine;

    #[test]
    fn marks_are_words_of_their_own() {
        let cases: [(&str, &[&str]); 21] = [
            ("RUN <<EOF", &["0 EOF expand"]),
            ("RUN 3<<EOF cat", &["3 EOF expand"]),
            ("RUN <<-EOF", &["0 EOF expand chomp"]),
            ("RUN <<  EOF > x", &["0 EOF expand"]),
            ("RUN <<- EOF", &["0 EOF expand chomp"]),
            ("RUN << -EOF", &["0 -EOF expand"]),
            ("RUN <<'EOF'", &["0 EOF"]),
            ("RUN <<\"EOF\"", &["0 EOF"]),
            ("RUN <<eo'f'", &["0 eof"]),
            ("RUN <<eo\\'f", &["0 eo'f expand"]),
            ("RUN <<'one two' | sh", &["0 one two"]),
            ("RUN <<$EOF", &["0 $EOF expand"]),
            ("COPY <<A <<B /x", &["0 A expand", "0 B expand"]),
            ("RUN cat <<A && cat <<B", &["0 A expand", "0 B expand"]),
            ("RUN \"<<EOF\"", &[]),
            ("RUN '<<EOF'", &[]),
            ("RUN <<<EOF", &[]),
            ("RUN x<<EOF", &[]),
            ("RUN <<", &[]),
            ("RUN <<''", &[]),
            ("RUN echo it's <<EOF", &[]),
        ];
        for (source, expected) in cases {
            let mut line = LogicalLine::default();
            line.push(source, 0);
            let found: Vec<_> = marks(line.piece())
                .iter()
                .map(|mark| {
                    let expand = if mark.quoted { "" } else { " expand" };
                    let chomp = if mark.chomp { " chomp" } else { "" };
                    format!("{} {}{expand}{chomp}", mark.descriptor, mark.name)
                })
                .collect();
            assert_eq!(found, expected, "{source}");
        }
    }
}
