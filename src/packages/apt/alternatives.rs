//! Alternatives (`update-alternatives(1)`): `/usr/bin/awk` -> `/etc/alternatives/awk` -> `/usr/bin/mawk`.
//!
//! Packages install them in their script. The calls there are mostly written by debhelper and are literal; those are
//! read here, not run. One with a variable in it is left alone. Where two packages offer the same name, that of the
//! upper layer would be seen: priorities are compared in the layer that is made of the whole tree ([`choices`](super::choices)).

use super::tree::PackageTree;

/// A link that a script asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    /// Absolute path of the link that programs use.
    pub(super) link: String,
    /// Name in `/etc/alternatives`.
    pub(super) name: String,
    /// Absolute path of what is meant.
    pub(super) target: String,
}

/// A call in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The alternative, and what comes and goes with it.
    pub(super) group: Vec<Alternative>,
    /// If it is a literal number: the highest wins.
    pub(super) priority: Option<i64>,
}

/// Makes the links that `script` asks for and whose targets are in `tree`.
pub(super) fn make(tree: &mut PackageTree<'_>, script: &str) {
    for Call { group, .. } in calls(script) {
        // The first is what the others follow: a manual page without its program is no alternative.
        if !group.first().is_some_and(|master| is_there(tree, &master.target)) {
            continue;
        }
        for Alternative { link, name, target } in group {
            if is_there(tree, &target) {
                tree.link(&merged(&link), &format!("/etc/alternatives/{name}"));
                tree.link(&format!("etc/alternatives/{name}"), &target);
            }
        }
    }
}

fn is_there(tree: &PackageTree<'_>, path: &str) -> bool {
    tree.get(&merged(path)).is_some()
}

/// The path in the layer of an absolute path.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let in_usr = ["bin/", "sbin/", "lib/", "lib64/"].iter().any(|folder| path.starts_with(folder));
    if in_usr { format!("usr/{path}") } else { path.to_owned() }
}

/// The lines of a script with literal `update-alternatives --install`, each in one piece; empty if there is none.
pub(super) fn said(script: &str) -> String {
    let lines = script.replace("\\\n", " ");
    lines
        .lines()
        .map(str::trim)
        .filter(|line| call(line).is_some())
        .fold(String::new(), |text, line| text + line + "\n")
}

/// All literal `update-alternatives --install` in a script, each with its slaves.
pub(super) fn calls(script: &str) -> Vec<Call> {
    let lines = script.replace("\\\n", " ");
    lines.lines().filter_map(|line| call(line.trim())).collect()
}

/// `update-alternatives [OPTION…] --install LINK NAME TARGET PRIORITY [--slave LINK NAME TARGET]…`.
fn call(line: &str) -> Option<Call> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.first()? != "update-alternatives" {
        return None;
    }
    let position = words.iter().position(|word| *word == "--install")?;
    let mut group = vec![alternative(words.get(position + 1..position + 4)?)?];
    let mut rest = words.get(position + 5..)?;
    while let ["--slave", slave @ ..] = rest {
        group.push(alternative(slave.get(..3)?)?);
        rest = &slave[3..];
    }
    Some(Call { group, priority: words.get(position + 4)?.parse().ok() })
}

fn alternative(words: &[&str]) -> Option<Alternative> {
    let [link, name, target] = words else { return None };
    let valid = is_path(link) && is_path(target) && is_literal(name) && !name.contains('/') && !name.starts_with('.');
    valid.then(|| Alternative { link: (*link).to_owned(), name: (*name).to_owned(), target: (*target).to_owned() })
}

/// Whether it is an absolute path, and leads nowhere else.
pub(super) fn is_path(path: &str) -> bool {
    path.starts_with('/') && !path[1..].split('/').any(|part| matches!(part, "" | "." | "..")) && is_literal(path)
}

pub(super) fn is_literal(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-:@%,=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternative(link: &str, name: &str, target: &str) -> Alternative {
        Alternative { link: link.to_owned(), name: name.to_owned(), target: target.to_owned() }
    }

    #[test]
    fn literal_calls_are_read_with_their_slaves() {
        let script = "\
set -e
if [ \"$1\" = configure ]; then
\tupdate-alternatives --quiet --install /usr/bin/awk awk /usr/bin/mawk 5 \\
\t    --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz \\
\t    --slave /usr/bin/nawk nawk /usr/bin/mawk
fi
update-alternatives --install /lib/cpp cpp /usr/bin/cpp 10
";
        let awk = vec![
            alternative("/usr/bin/awk", "awk", "/usr/bin/mawk"),
            alternative("/usr/share/man/man1/awk.1.gz", "awk.1.gz", "/usr/share/man/man1/mawk.1.gz"),
            alternative("/usr/bin/nawk", "nawk", "/usr/bin/mawk"),
        ];
        let cpp = vec![alternative("/lib/cpp", "cpp", "/usr/bin/cpp")];
        let expected = [Call { group: awk, priority: Some(5) }, Call { group: cpp, priority: Some(10) }];
        assert_eq!(calls(script), expected);
        assert_eq!(calls(&said(script)), expected);
        assert_eq!(calls("update-alternatives --install /a a /b $priority")[0].priority, None);
    }

    #[test]
    fn what_is_not_literal_or_leads_elsewhere_is_left_alone() {
        for line in [
            "update-alternatives --remove awk /usr/bin/mawk",
            "update-alternatives --install \"$BIN\"/x x /usr/bin/y 5",
            "update-alternatives --install /usr/bin/x ../x /usr/bin/y 5",
            "update-alternatives --install /usr/../x x /usr/bin/y 5",
            "update-alternatives --install usr/x x /usr/bin/y 5",
            "update-alternatives --install /usr/bin/x x",
            "update-alternatives --install /usr/bin/x x /usr/bin/y 5 --slave /a",
            "echo update-alternatives --install /usr/bin/x x /usr/bin/y 5",
        ] {
            assert_eq!(calls(line), [], "{line}");
            assert_eq!(said(line), "", "{line}");
        }
    }
}
