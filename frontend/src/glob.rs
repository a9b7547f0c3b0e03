//! Path patterns: `*`, `?`, `[…]`, `\`, and `**` across folders.
//!
//! Two dialects share one machine, because the Dockerfile language has two:
//!
//! | | wildcards of `COPY` and `ADD` ([`Glob::for_copy`]) | `.dockerignore` ([`Glob::for_ignore`]) |
//! |---|---|---|
//! | model | Go's `filepath.Match` for each component | moby/patternmatcher |
//! | `**` as a whole component | any number of components | the same |
//! | `**` beside other text | `*` twice | any text that ends in a slash, or none |
//! | `**` at the very end | everything below | any text |
//! | `**text` at the very start, no other wildcard | `*` twice | any path that ends in `text` |
//! | `[^a]` and a slash | does not match | matches |
//!
//! What is malformed (`[`, `[]a]`, `[a-]`, a `\` at the end) is malformed in both, as `filepath.Match` says.
//! Matching simulates all ways at once: its time is the length of the path times that of the pattern, whatever they are.
//!
//! One deviation from patternmatcher, which rewrites a pattern into a regular expression: what only means something
//! there (`\d`, `[[:alpha:]]`, `^` at a start, `*` inside brackets) means here what it means to `filepath.Match`.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A `[` without its `]`, or with nothing in it.
    #[error("a '[' needs characters and a ']' behind it")]
    Class,
    /// `[z-a]`.
    #[error("a range in '[…]' runs from the lower to the higher character")]
    Range,
    /// A `\` with nothing behind it.
    #[error("a '\\' at the end escapes nothing")]
    Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: any character but a slash.
    One,
    /// `*`: any text without a slash.
    Run,
    /// `**/`: nothing, or any text that ends in a slash.
    Folders,
    /// Any text.
    Rest,
    Class(Class),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
    /// Whether it may match a slash at all.
    slash: bool,
}

/// Whether `pattern`, in the dialect of `COPY`, matches the whole of `path`. A malformed pattern matches nothing.
pub fn glob_match(pattern: &str, path: &str) -> bool {
    Glob::for_copy(pattern).is_ok_and(|glob| glob.matches(path))
}

/// Whether a source of `COPY` is a pattern; if not, it is a plain path, backslashes included.
pub fn has_wildcards(source: &str) -> bool {
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    false
}

/// The source of `COPY` that means just the path `path`, whatever characters are in it.
pub fn literal(path: &str) -> String {
    if !has_wildcards(path) {
        return path.to_owned();
    }
    let mut pattern = String::new();
    for c in path.chars() {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            '\\' => pattern.push_str("\\\\"),
            other => pattern.push(other),
        }
    }
    pattern
}

impl Glob {
    /// A pattern of `COPY` or `ADD`; a leading slash of pattern and path counts for nothing.
    pub fn for_copy(pattern: &str) -> Result<Self, GlobError> {
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        let mut tokens = Vec::new();
        let mut components = pattern.split('/').peekable();
        while let Some(component) = components.next() {
            let last = components.peek().is_none();
            if component == "**" {
                push(&mut tokens, if last { Token::Rest } else { Token::Folders });
                continue;
            }
            let mut rest = component.chars().peekable();
            while let Some(c) = rest.next() {
                let token = match c {
                    '*' => Token::Run,
                    other => plain_token(other, &mut rest, false)?,
                };
                push(&mut tokens, token);
            }
            if !last {
                tokens.push(Token::Char('/'));
            }
        }
        Ok(Self { tokens })
    }

    /// A pattern of `.dockerignore`, already cleaned, without its `!`.
    pub fn for_ignore(pattern: &str) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        let bare_suffix = pattern
            .strip_prefix("**")
            .is_some_and(|suffix| !suffix.starts_with('/') && !suffix.contains(['*', '?', '[', ']', '\\']));
        while let Some(c) = rest.next() {
            if c != '*' {
                tokens.push(plain_token(c, &mut rest, true)?);
            } else if rest.next_if_eq(&'*').is_none() {
                push(&mut tokens, Token::Run);
            } else {
                // `**/` means no more than `**`.
                rest.next_if_eq(&'/');
                let to_the_end = rest.peek().is_none() || (bare_suffix && tokens.is_empty());
                push(&mut tokens, if to_the_end { Token::Rest } else { Token::Folders });
            }
        }
        Ok(Self { tokens })
    }

    /// Whether the pattern matches the whole of `path`, components joined by slashes.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        self.states_after(path.chars()).accepts()
    }

    /// Whether some path below the folder `dir` could match.
    pub fn may_match_below(&self, dir: &str) -> bool {
        let dir = dir.strip_prefix('/').unwrap_or(dir);
        self.states_after(dir.chars().chain(['/'])).alive()
    }

    fn states_after(&self, text: impl Iterator<Item = char>) -> States {
        let mut now = States::new(self.tokens.len());
        let mut next = now.clone();
        now.enter(&self.tokens, 0);
        for c in text {
            if !now.alive() {
                break;
            }
            next.clear();
            for (index, token) in self.tokens.iter().enumerate() {
                if now.0[index] {
                    next.step(&self.tokens, index, token, c);
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        now
    }
}

/// Which tokens may come next; the place behind the last token is acceptance.
#[derive(Clone)]
struct States(Vec<bool>);

impl States {
    fn new(tokens: usize) -> Self {
        Self(vec![false; tokens + 1])
    }

    fn clear(&mut self) {
        self.0.fill(false);
    }

    fn alive(&self) -> bool {
        self.0.contains(&true)
    }

    fn accepts(&self) -> bool {
        self.0.last() == Some(&true)
    }

    /// Arrives at a token, and past all tokens that may match nothing.
    fn enter(&mut self, tokens: &[Token], index: usize) {
        for index in index..self.0.len() {
            if std::mem::replace(&mut self.0[index], true) {
                // A token that is already there may be in the midst of `Folders`: its successors still have to be entered.
                if !matches!(tokens.get(index), Some(Token::Folders)) {
                    return;
                }
            }
            match tokens.get(index) {
                Some(Token::Run | Token::Folders | Token::Rest) => {}
                Some(Token::Char(_) | Token::One | Token::Class(_)) | None => return,
            }
        }
    }

    fn step(&mut self, tokens: &[Token], index: usize, token: &Token, c: char) {
        match token {
            Token::Char(expected) if *expected == c => self.enter(tokens, index + 1),
            Token::One if c != '/' => self.enter(tokens, index + 1),
            Token::Class(class) if class.matches(c) => self.enter(tokens, index + 1),
            Token::Run if c != '/' => self.enter(tokens, index),
            Token::Rest => self.enter(tokens, index),
            Token::Folders => {
                self.0[index] = true;
                if c == '/' {
                    self.enter(tokens, index + 1);
                }
            }
            Token::Char(_) | Token::One | Token::Class(_) | Token::Run => {}
        }
    }
}

impl Class {
    fn matches(&self, c: char) -> bool {
        if c == '/' && !self.slash {
            return false;
        }
        let inside = self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
        inside != self.negated
    }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Appends a token. Two that may match nothing, side by side, are one: so no chain of them is longer than two.
fn push(tokens: &mut Vec<Token>, token: Token) {
    let may_be_nothing = matches!(token, Token::Run | Token::Folders | Token::Rest);
    if !(may_be_nothing && tokens.last() == Some(&token)) {
        tokens.push(token);
    }
}

/// The token that starts with `first`, which is no `*`.
fn plain_token(first: char, rest: &mut Rest<'_>, slash: bool) -> Result<Token, GlobError> {
    match first {
        '?' => Ok(Token::One),
        '[' => class(rest, slash).map(Token::Class),
        '\\' => rest.next().map(Token::Char).ok_or(GlobError::Escape),
        other => Ok(Token::Char(other)),
    }
}

fn class(rest: &mut Rest<'_>, slash: bool) -> Result<Class, GlobError> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = class_char(rest)?;
        let high = match rest.next_if_eq(&'-') {
            Some(_) => class_char(rest)?,
            None => low,
        };
        if high < low {
            return Err(GlobError::Range);
        }
        ranges.push((low, high));
    }
    Ok(Class { negated, ranges, slash })
}

fn class_char(rest: &mut Rest<'_>) -> Result<char, GlobError> {
    match rest.next() {
        None | Some('-' | ']') => Err(GlobError::Class),
        Some('\\') => rest.next().ok_or(GlobError::Class),
        Some(other) => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_wildcards() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("/d/*", "d/a", true),
            ("d/?", "d/ab", false),
            ("d/[a-c]x", "d/bx", true),
            ("d[^a]x", "d/x", false),
            ("**/a", "a", true),
            ("**/a", "x/y/a", true),
            ("**/a", "xa", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**", "a/x/y", true),
            ("a/**", "a", false),
            ("a**b", "axxb", true),
            ("a**b", "ax/b", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("[", "[", false),
            ("가?", "가나", true),
        ] {
            assert_eq!(glob_match(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn malformed_patterns_say_so() {
        for (pattern, expected) in [
            ("[", GlobError::Class),
            ("[]a]", GlobError::Class),
            ("[a-]", GlobError::Class),
            ("[^]", GlobError::Class),
            ("[z-a]", GlobError::Range),
            ("a\\", GlobError::Escape),
        ] {
            assert_eq!(Glob::for_copy(pattern), Err(expected), "{pattern}");
            assert_eq!(Glob::for_ignore(pattern), Err(expected), "{pattern}");
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let pattern = "*a".repeat(2_000);
        assert!(!glob_match(&pattern, &format!("{}b", "a".repeat(1_500))));
    }

    #[test]
    fn any_path_can_be_meant() {
        for path in ["a", "a\\b", "a*", "[x]?", "\\[", "*\\*", "]"] {
            let source = literal(path);
            assert!(if has_wildcards(&source) { glob_match(&source, path) } else { source == path }, "{path} {source}");
        }
        assert!(!glob_match(&literal("a*"), "ab"));
    }

    #[test]
    fn wildcards_are_told_from_paths() {
        assert!(has_wildcards("a/*") && has_wildcards("[a]") && has_wildcards("\\\\?"));
        assert!(!has_wildcards("a/b") && !has_wildcards("a\\*"));
    }
}
