//! Credentials from a netrc file, as curl and pip read it: `machine NAME login USER password SECRET`, in any number of lines,
//! and `default` for all other machines. Macros are skipped.

/// A netrc file, read.
#[derive(Default)]
pub(super) struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Default)]
struct Entry {
    /// `None` is the default.
    machine: Option<String>,
    login: String,
    password: String,
}

impl Netrc {
    pub(super) fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut in_macro = false;
        for line in text.lines() {
            // A macro ends with an empty line.
            in_macro &= !line.trim().is_empty();
            let line = line.split('#').next().filter(|before| before.trim().is_empty()).map_or(line, |_| "");
            let mut words = line.split_whitespace();
            while let Some(word) = words.next().filter(|_| !in_macro) {
                match (word, entries.last_mut()) {
                    ("machine", _) => {
                        entries.push(Entry { machine: words.next().map(str::to_owned), ..Entry::default() });
                    }
                    ("default", _) => entries.push(Entry::default()),
                    ("login", Some(entry)) => words.next().unwrap_or_default().clone_into(&mut entry.login),
                    ("password", Some(entry)) => words.next().unwrap_or_default().clone_into(&mut entry.password),
                    ("macdef", _) => in_macro = true,
                    (_, _) => {}
                }
            }
        }
        Self { entries }
    }

    /// User and password for a host.
    pub(super) fn of(&self, host: &str) -> Option<(String, String)> {
        let named = self.entries.iter().find(|entry| entry.machine.as_deref() == Some(host));
        let entry = named.or_else(|| self.entries.iter().find(|entry| entry.machine.is_none()))?;
        Some((entry.login.clone(), entry.password.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_span_lines_and_macros_are_skipped() {
        let netrc = Netrc::parse(
            "# comment machine no\nmachine a.example\n  login u\n  password p#1\nmacdef init\nmachine evil login x\n\nmachine b login v password w default login d password e",
        );
        let of = |host| netrc.of(host).map(|(user, password)| format!("{user} {password}"));
        assert_eq!(of("a.example").unwrap(), "u p#1");
        assert_eq!(of("b").unwrap(), "v w");
        assert_eq!(of("evil").unwrap(), "d e");
        assert_eq!(Netrc::parse("").of("a"), None);
    }
}
