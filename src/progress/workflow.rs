//! GitHub's workflow commands: lines of a log that its runner acts upon (GitHub documentation, "Workflow commands").
//!
//! Only this program's own lines are commands. What steps print goes through `clean::inert`.

use super::clean;
use std::fmt::Write as _;

/// Whether a runner reads what this process writes.
pub fn is_read() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// A text without lines that the runner acts upon.
pub fn inert(text: &str) -> String {
    text.lines().map(clean::inert).collect::<Vec<_>>().join("\n")
}

/// The line that says `name` with properties and a text.
pub fn command(name: &str, properties: &[(&str, &str)], text: &str) -> String {
    let mut line = format!("::{name}");
    for (number, (key, value)) in properties.iter().enumerate() {
        let separator = if number == 0 { ' ' } else { ',' };
        let value = escaped(value).replace(':', "%3A").replace(',', "%2C");
        let _ = write!(line, "{separator}{key}={value}");
    }
    // The older spelling of a command counts anywhere in a line, in another command's text too.
    line + "::" + &escaped(&clean::inert(text))
}

/// The annotations for an error that quotes a file (`error: text`, then ` --> FILE:LINE:COLUMN`); without a file where
/// none is quoted.
pub fn annotations(error: &str) -> Vec<String> {
    let mut annotations = Vec::new();
    let mut text = None;
    for line in error.lines() {
        if let Some(said) = line.strip_prefix("error: ").or_else(|| line.strip_prefix("error[").and_then(after_code)) {
            annotations.extend(text.replace(said).map(|text| command("error", &[], text)));
        } else if let Some(place) = line.trim_start().strip_prefix("--> ") {
            let mut parts = place.rsplitn(3, ':');
            if let (Some(column), Some(number), Some(file), Some(said)) =
                (parts.next(), parts.next(), parts.next(), text)
            {
                annotations.push(command("error", &[("file", file), ("line", number), ("col", column)], said));
                text = None;
            }
        }
    }
    annotations.extend(text.map(|text| command("error", &[], text)));
    annotations
}

/// What follows the code in `error[CODE]: text`.
fn after_code(rest: &str) -> Option<&str> {
    rest.split_once("]: ").map(|(_, text)| text)
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::{annotations, command, inert};

    #[test]
    fn a_text_cannot_end_its_command() {
        assert_eq!(command("group", &[], "100%\n::error::x"), "::group::100%25%0A::error::x");
        assert_eq!(command("group", &[], "RUN ##[error]"), "::group::RUN \\u{23}#[error]");
        assert_eq!(
            command("error", &[("file", "a,b:c%"), ("line", "3")], "no"),
            "::error file=a%2Cb%3Ac%25,line=3::no"
        );
    }

    #[test]
    fn an_error_is_noted_where_it_is_quoted() {
        let two = "error: no such stage `x`\n --> sub/Dockerfile:3:6\n  |\n3 | FROM x\n\nerror[W1]: other\n --> Dockerfile:9:1\n";
        assert_eq!(
            annotations(two),
            [
                "::error file=sub/Dockerfile,line=3,col=6::no such stage `x`",
                "::error file=Dockerfile,line=9,col=1::other"
            ]
        );
        assert_eq!(inert("error: a\n::add-mask::b"), "error: a\n\\u{3a}:add-mask::b");
        assert_eq!(annotations("error: no disk"), ["::error::no disk"]);
        assert_eq!(annotations("nothing"), Vec::<String>::new());
    }
}
