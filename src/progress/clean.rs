//! Text from strangers, made harmless.
//!
//! Output of processes, names and errors may hold what a terminal or a CI service would act upon. Rules, in the order
//! in which they apply:
//!
//! | found | becomes |
//! |---|---|
//! | a whole escape sequence (colours, cursor, titles, clipboard: ECMA-48 5.4, 5.6) | nothing |
//! | a backspace | the character before it goes |
//! | a tab | spaces up to the next column that is a multiple of eight |
//! | a line break | one space: a line is one line |
//! | any other control character: C0, DEL, C1, a lone escape | spelled out, `\u{1b}` |
//! | bidirectional controls, line and paragraph separators, interlinear marks | spelled out, `\u{202e}` |
//! | a workflow command (only [`inert`], only in logs) | its first character is spelled out |
//!
//! Colours go too. Steps have no terminal and seldom write any, and text without escapes can be cut at any column.

use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';
const TAB_STOP: usize = 8;

/// One line of text without anything that a terminal acts upon.
pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            ESCAPE => after_sequence(after).unwrap_or_else(|| {
                clean.extend(ESCAPE.escape_unicode());
                after
            }),
            '\u{8}' => {
                clean.pop();
                after
            }
            '\t' => {
                let column = clean.chars().count();
                clean.extend(std::iter::repeat_n(' ', TAB_STOP - column % TAB_STOP));
                after
            }
            '\n' | '\r' => {
                clean.push(' ');
                after
            }
            _ if is_active(character) => {
                clean.extend(character.escape_unicode());
                after
            }
            _ => {
                clean.push(character);
                after
            }
        };
    }
    clean
}

/// Whether a terminal or a reader's eye would be led astray by the character.
pub(super) fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            // Bidirectional marks, embeddings, overrides and isolates (UAX #9), and deprecated format characters.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Interlinear annotations.
            | '\u{fff9}'..='\u{fffb}')
}

/// What follows the escape sequence whose text after the escape character starts here, if it is a whole one.
fn after_sequence(text: &str) -> Option<&str> {
    let kind = text.chars().next()?;
    match kind {
        // Control sequence: parameters, intermediates, a final character.
        '[' => {
            let rest = text[1..].trim_start_matches(|c| matches!(c, '0'..='?'));
            let rest = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
            rest.strip_prefix(|c| matches!(c, '@'..='~'))
        }
        // Strings: operating system command, device control, start of string, privacy message, application command.
        ']' | 'P' | 'X' | '^' | '_' => {
            let end = text.find([BELL, ESCAPE])?;
            text[end..].strip_prefix(BELL).or_else(|| text[end..].strip_prefix("\u{1b}\\"))
        }
        // Escape sequence of two or more characters.
        _ => text.trim_start_matches(|c| matches!(c, ' '..='/')).strip_prefix(|c| matches!(c, '0'..='~')),
    }
}

/// A line of a log without anything that a CI service acts upon.
///
/// GitHub takes `::command::` at the start of a line, after blanks, and `##[command]` anywhere in it; Azure Pipelines
/// takes `##vso[command]`, `TeamCity` `##teamcity[command]`. Expects [`printable`] text.
pub(super) fn inert(line: &str) -> Cow<'_, str> {
    let colons = line.trim_start().starts_with("::").then(|| line.len() - line.trim_start().len());
    let starts = |at: &usize| {
        let after_hashes = line[*at..].strip_prefix("##");
        after_hashes.is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).starts_with('['))
    };
    let hashes = line.match_indices('#').map(|(at, _)| at).filter(starts);
    let mut clean = String::new();
    let mut done = 0;
    for at in colons.into_iter().chain(hashes) {
        clean.push_str(&line[done..at]);
        clean.extend(char::from(line.as_bytes()[at]).escape_unicode());
        done = at + 1;
    }
    if done == 0 {
        return Cow::Borrowed(line);
    }
    clean.push_str(&line[done..]);
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_upon_is_gone() {
        for (hostile, harmless) in [
            ("plain, \u{e4}\u{6f22}\u{1f980}", "plain, \u{e4}\u{6f22}\u{1f980}"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[2J\u{1b}[1;1H\u{1b}[?25lgone", "gone"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link", "alink"),
            ("\u{1b}]52;c;cm0gLXJm\u{7}paste", "paste"),
            ("\u{1b}]52;c;endless", "\\u{1b}]52;c;endless"),
            ("\u{1b}Pq#0\u{1b}\\sixel", "sixel"),
            ("\u{1b}(Bcharset\u{1b}c", "charset"),
            ("\u{1b}\u{1b}[m[31mnested", "\\u{1b}[31mnested"),
            ("cut \u{1b}[3", "cut \\u{1b}[3"),
            ("cut \u{1b}", "cut \\u{1b}"),
            ("\u{9b}31mC1 \u{90}x", "\\u{9b}31mC1 \\u{90}x"),
            ("bell\u{7} nul\u{0} del\u{7f}", "bell\\u{7} nul\\u{0} del\\u{7f}"),
            ("user\u{202e}nimda\u{2066}", "user\\u{202e}nimda\\u{2066}"),
            ("N\u{8}NA\u{8}A \u{8}\u{8}\u{8}\u{8}ok", "ok"),
            ("a\tb", "a       b"),
            ("two\r\nlines\u{2028}", "two  lines\\u{2028}"),
        ] {
            let clean = printable(hostile);
            assert_eq!(clean, harmless);
            assert!(!clean.chars().any(is_active), "{clean:?}");
        }
    }

    #[test]
    fn what_a_ci_service_acts_upon_is_inert() {
        for (hostile, harmless) in [
            ("::set-output name=a::b", "\\u{3a}:set-output name=a::b"),
            ("  ::add-mask::b", "  \\u{3a}:add-mask::b"),
            ("a::b", "a::b"),
            ("x ##[error]y", "x \\u{23}#[error]y"),
            ("###[group]", "#\\u{23}#[group]"),
            ("##vso[task.setvariable]", "\\u{23}#vso[task.setvariable]"),
            ("## Heading [link]", "## Heading [link]"),
        ] {
            assert_eq!(inert(hostile), harmless);
        }
    }
}
