//! Splitting the text behind a keyword into words, in the ways that the instructions do it.
//!
//! - [`split_quoted`]: at white space outside quotes; quotes and escapes stay in the words (`ENV`, `LABEL`, `ARG`).
//! - [`json_list`]: a JSON list of strings (the exec form).
//! - [`key_values`]: `key=value …`, or the legacy `key value`.
//! - [`declarations`]: `name` or `name=default`.
//!
//! Splitting at white space alone is [`Piece::split_blanks`].

use super::{
    instruction::{ArgDeclaration, KeyValue, Word},
    line::Piece,
};
use crate::diagnostic::{Code, Diagnostic, Spanned};
use serde::de::IgnoredAny;

/// Words as written. White space inside quotes does not separate, nor does escaped white space; nothing is escaped
/// inside single quotes.
pub(super) fn split_quoted(text: Piece<'_>, escape: char) -> Vec<Piece<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let source = text.as_str();
    let mut characters = source.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().map(|start| text.slice(start..at)));
            continue;
        }
        start.get_or_insert(at);
        if character == escape && quote != Some('\'') {
            characters.next();
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '\'' | '"') {
            quote = Some(character);
        }
    }
    words.extend(start.map(|start| text.tail(start)));
    words
}

/// The strings of a JSON list. `Ok(None)` if the text is no JSON list at all, so that it is meant for a shell.
///
/// # Errors
/// If it is a JSON list of something else than strings.
pub(super) fn json_list(text: Piece<'_>) -> Result<Option<Vec<Word>>, Diagnostic> {
    if !text.as_str().starts_with('[') {
        return Ok(None);
    }
    if let Some(words) = strings_in_list(text) {
        return Ok(Some(words));
    }
    match serde_json::from_str::<Vec<IgnoredAny>>(text.as_str()) {
        Ok(_) => Err(Diagnostic::error(Code::JsonNotStrings, "a list in JSON form can hold only strings", text.span())
            .with_hint("put every element in double quotes")),
        Err(_) => Ok(None),
    }
}

fn strings_in_list(text: Piece<'_>) -> Option<Vec<Word>> {
    let source = text.as_str();
    let mut words = Vec::new();
    let mut rest = source.strip_prefix('[')?.trim_start_matches(is_json_space);
    if let Some(behind) = rest.strip_prefix(']') {
        return behind.trim().is_empty().then_some(words);
    }
    loop {
        let start = source.len() - rest.len();
        let end = start + string_length(rest)?;
        let value = serde_json::from_str(&source[start..end]).ok()?;
        words.push(Spanned::new(value, text.slice(start..end).span()));
        rest = source[end..].trim_start_matches(is_json_space);
        if let Some(behind) = rest.strip_prefix(']') {
            return behind.trim().is_empty().then_some(words);
        }
        rest = rest.strip_prefix(',')?.trim_start_matches(is_json_space);
    }
}

/// Length of the JSON string literal at the start of `text`, quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut bytes = text.strip_prefix('"')?.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 2),
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    None
}

/// The four characters that JSON calls white space (RFC 8259, section 2).
fn is_json_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Pairs of `ENV` and `LABEL`. Whether the first word has a `=` decides between `key=value …` and the legacy form, in
/// which everything behind the first blank is the value.
pub(super) fn key_values(keyword: &str, text: Piece<'_>, escape: char) -> Result<Vec<KeyValue>, Diagnostic> {
    let words = split_quoted(text, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.as_str().contains('=') {
        let (key, value) = text.split_blank();
        let Some(value) = value else {
            return Err(Diagnostic::error(Code::ValueMissing, format!("{keyword} needs a value"), key.span())
                .with_hint(format!("write `{keyword} {}=VALUE`", key.as_str())));
        };
        return Ok(vec![KeyValue { key: key.word(), value: value.word(), legacy: true }]);
    }
    words.into_iter().map(|word| key_value(keyword, word)).collect()
}

/// Names of `ARG`, with their defaults.
pub(super) fn declarations(text: Piece<'_>, escape: char) -> Result<Vec<ArgDeclaration>, Diagnostic> {
    let words = split_quoted(text, escape);
    words
        .into_iter()
        .map(|word| match word.as_str().find('=') {
            Some(_) => key_value("ARG", word).map(|pair| ArgDeclaration { name: pair.key, default: Some(pair.value) }),
            None => Ok(ArgDeclaration { name: word.word(), default: None }),
        })
        .collect()
}

fn key_value(keyword: &str, word: Piece<'_>) -> Result<KeyValue, Diagnostic> {
    let text = word.as_str();
    match text.find('=') {
        Some(0) => Err(Diagnostic::error(Code::NameMissing, format!("{keyword} needs a name before `=`"), word.span())),
        Some(equals) => {
            Ok(KeyValue { key: word.slice(0..equals).word(), value: word.tail(equals + 1).word(), legacy: false })
        }
        None => Err(Diagnostic::error(Code::EqualsMissing, format!("`{text}` has no `=`"), word.span())
            .with_hint("put quotes around a value that contains white space: `name=\"some value\"`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::line::LogicalLine;

    fn line(text: &str) -> LogicalLine {
        let mut line = LogicalLine::default();
        line.push(text, 0);
        line
    }

    #[test]
    fn quotes_and_escapes_hold_words_together() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("a  b\tc", &["a", "b", "c"]),
            (r#"a="b c" d"#, &[r#"a="b c""#, "d"]),
            (r"a=b\ c d", &[r"a=b\ c", "d"]),
            (r"'a\' b", &[r"'a\'", "b"]),
            (r#""a\" b" c"#, &[r#""a\" b""#, "c"]),
            ("'open a", &["'open a"]),
        ];
        for (text, expected) in cases {
            let line = line(text);
            let words: Vec<_> = split_quoted(line.piece(), '\\').into_iter().map(Piece::as_str).collect();
            assert_eq!(words, expected, "{text}");
        }
    }

    #[test]
    fn json_lists_hold_strings_or_are_left_to_a_shell() {
        let cases: [(&str, Option<&[&str]>); 9] = [
            ("[]", Some(&[])),
            ("[ ] ", Some(&[])),
            (r#"["a", "b\n\u00e9"]"#, Some(&["a", "b\né"])),
            (r#"["a"] x"#, None),
            (r#"["a",]"#, None),
            (r#"["a"#, None),
            ("['a']", None),
            ("[ -f x ]", None),
            (r#"["\x"]"#, None),
        ];
        for (text, expected) in cases {
            let line = line(text);
            let words = json_list(line.piece()).unwrap();
            let words: Option<Vec<_>> = words.map(|words| words.into_iter().map(|word| word.value).collect());
            assert_eq!(
                words.as_deref(),
                expected.map(|e| e.iter().map(|&w| w.to_owned()).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        }
        for text in [r#"["a", 1]"#, r#"[["a"]]"#, "[null]"] {
            assert!(json_list(line(text).piece()).is_err(), "{text}");
        }
    }
}
