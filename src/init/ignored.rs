//! `.dockerignore`: what no image needs, so that a change of it changes no image.

/// What is left out whatever the language.
const ALWAYS: [&str; 11] = [
    ".dockerignore",
    ".env",
    ".env.*",
    ".git",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".idea",
    ".vscode",
    "Dockerfile*",
    "*.md",
];

/// The file that leaves out `more` too.
pub(super) fn dockerignore(more: &[&str]) -> String {
    let mut lines: Vec<&str> = ALWAYS.iter().chain(more).copied().collect();
    lines.sort_unstable();
    lines.dedup();
    let mut text =
        String::from("# What no image needs. Secrets above all: what is not here is sent to whoever pulls.\n");
    for line in lines {
        text += line;
        text.push('\n');
    }
    text
}

/// Why there is such a file.
pub(super) const REASON: &str =
    ".dockerignore leaves out the repository, local settings and secrets, and what a build makes anew";
