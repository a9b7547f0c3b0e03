//! `WWW-Authenticate`: how a registry wants to be asked.
//!
//! The grammar is RFC 9110, 11.6.1: a comma-separated list of challenges, each a scheme and comma-separated parameters
//! (or one `token68`), in one header or several. The parameters of `Bearer` are those of distribution's token
//! specification: `realm`, `service`, `scope`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A challenge that we can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Fetch a token at `realm` and show it.
    Bearer {
        /// Address of the token service, not checked yet.
        realm: String,
        /// What the token service calls the registry.
        service: Option<String>,
        /// What the registry thinks we need, space-separated.
        scope: Option<String>,
    },
    /// Show user name and password (RFC 7617).
    Basic,
}

impl Challenge {
    /// The best challenge in the headers of a 401: a token rather than the password.
    pub(super) fn find(headers: &HeaderMap) -> Option<Self> {
        let challenges: Vec<Self> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(parse)
            .filter_map(Parsed::answerable)
            .collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or(challenges.first()).cloned()
    }
}

/// A challenge of any scheme. Names are in lower case.
#[derive(Debug, Default)]
struct Parsed {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Parsed {
    fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }

    fn answerable(self) -> Option<Challenge> {
        match self.scheme.as_str() {
            "bearer" => Some(Challenge::Bearer {
                realm: self.parameter("realm")?,
                service: self.parameter("service"),
                scope: self.parameter("scope"),
            }),
            "basic" => Some(Challenge::Basic),
            _ => None,
        }
    }
}

/// Reads one header. What is malformed ends the reading; what came before it counts.
fn parse(text: &str) -> Vec<Parsed> {
    let mut challenges: Vec<Parsed> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after_word) = split_word(rest);
        if word.is_empty() {
            return challenges;
        }
        let after_space = after_word.trim_start_matches([' ', '\t']);
        // `word=value` belongs to the challenge before it; a word without `=` begins a challenge.
        if let (Some(value), Some(challenge)) = (after_space.strip_prefix('='), challenges.last_mut()) {
            let Some((value, after_value)) = split_value(value.trim_start_matches([' ', '\t'])) else {
                return challenges;
            };
            challenge.parameters.push((word.to_ascii_lowercase(), value));
            rest = after_value;
        } else {
            challenges.push(Parsed { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            rest = after_space;
        }
    }
}

/// A token (RFC 9110, 5.6.2) and what follows.
fn split_word(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A token or a quoted string, and what follows.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = split_word(text);
        // The padding of a `token68`, of a scheme that we do not know.
        return Some((word.to_owned(), rest.trim_start_matches('=')));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[position + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Challenge;
    use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

    fn find(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        match Challenge::find(&headers) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                format!("{realm}|{}|{}", service.unwrap_or_default(), scope.unwrap_or_default())
            }
            Some(Challenge::Basic) => "basic".to_owned(),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn challenges_are_read_as_the_grammar_says() {
        for (values, expected) in [
            (
                &[r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:x:pull,push""#][..],
                "https://a.example/token|r.example|repository:x:pull,push",
            ),
            (&[r#"bearer Realm = "https://a.example" , scope="a\"b""#], r#"https://a.example||a"b"#),
            (&["Bearer realm=https://a.example,service=r"], "https://a.example|r|"),
            (&[r#"Basic realm="Registry Realm""#], "basic"),
            (&[r#"Basic realm="x", Bearer realm="https://a.example""#], "https://a.example||"),
            (&[r#"Basic realm="x""#, r#"Bearer realm="https://a.example""#], "https://a.example||"),
            (&[r#"Negotiate YWJjZA==, Basic realm="x, Bearer realm=y""#], "basic"),
            (&[r#"Digest realm="x",nonce="y""#], "none"),
            (&[r#"Bearer service="x""#], "none"),
            (&[r#"Bearer realm="unclosed"#], "none"),
            (&["", ",,,", "=", "Bearer", "\"\""], "none"),
        ] {
            assert_eq!(find(values), expected, "{values:?}");
        }
    }
}
