//! Paragraphs of fields, as Debian's control files have them (Debian Policy, section 5.1; `deb822(5)`).

/// `Field: value` lines between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// All paragraphs of a file. A line that is neither field, continuation nor comment is an error, given back.
    pub(crate) fn read_all(text: &str) -> Result<Vec<Self>, String> {
        let mut paragraphs = vec![Self::default()];
        for line in text.lines() {
            let current = paragraphs.last_mut().expect("there is always a last one");
            if line.starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                if !current.fields.is_empty() {
                    paragraphs.push(Self::default());
                }
            } else if line.starts_with([' ', '\t']) {
                let (_, value) = current.fields.last_mut().ok_or(line)?;
                value.push('\n');
                value.push_str(line);
            } else {
                let (name, value) = line.split_once(':').filter(|(name, _)| is_name(name)).ok_or(line)?;
                current.fields.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        paragraphs.retain(|paragraph| !paragraph.fields.is_empty());
        Ok(paragraphs)
    }

    /// The value of a field; names are the same in both cases. Further lines begin with their space.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// The values of a field that may come several times.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str())
    }

    /// The words of a field, none if it is absent.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        self.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_continuations_and_comments() {
        let text = "# about\nPackage: a\nDepends: b,\n c\n# between\nEmpty:\n\n\nPackage: d\n";
        let read = Paragraph::read_all(text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].get("package"), Some("a"));
        assert_eq!(read[0].words("Depends"), ["b,", "c"]);
        assert_eq!(read[0].get("Empty"), Some(""));
        assert_eq!(read[1].get("Depends"), None);
    }

    #[test]
    fn other_lines_are_given_back() {
        for line in ["no field", " continues nothing", ": nameless", "a name: with a space"] {
            assert_eq!(Paragraph::read_all(line), Err(line.to_owned()));
        }
    }
}
