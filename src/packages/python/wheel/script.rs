//! Scripts: those that a wheel brings, and those that stand for its entry points.

use super::archive::Member;

/// The longest first line that Linux reads (`BINPRM_BUF_SIZE`), with its `#!`.
const LONGEST_SHEBANG: usize = 127;

/// The first line that starts the interpreter at `path`.
fn shebang(path: &str) -> String {
    let line = format!("#!{path}");
    if line.len() <= LONGEST_SHEBANG && !path.contains(' ') {
        return line + "\n";
    }
    // The shell runs the second line; to Python it is the end of a text.
    format!("#!/bin/sh\n'''exec' \"{path}\" \"$0\" \"$@\"\n' '''\n")
}

/// The script with the interpreter's path in place of `#!python`; nothing if it does not begin with that.
pub(super) fn rewritten(member: &Member, interpreter: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    if !member.beginning(8)?.starts_with(b"#!python") {
        return Ok(None);
    }
    let bytes = member.bytes(limit)?;
    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
    // What follows are arguments, but for the `w` of the interpreter without a console.
    let line = String::from_utf8_lossy(&bytes[8..end]);
    let arguments = line.strip_prefix('w').unwrap_or(&line).trim();
    let first = match (shebang(interpreter), arguments) {
        (first, "") => first,
        (first, arguments) => format!("{} {arguments}\n", first.trim_end()),
    };
    Ok(Some([first.as_bytes(), &bytes[end..]].concat()))
}

/// The script as the wheel has it.
pub(super) fn original(member: &Member) -> Result<Vec<u8>, String> {
    member.bytes(u64::MAX)
}

/// Names and texts of the scripts of `entry_points.txt` ("Entry points specification").
pub(super) fn launchers(text: &str, interpreter: &str) -> Result<Vec<(String, String)>, String> {
    let mut launchers = Vec::new();
    let mut wanted = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            wanted = matches!(section.trim(), "console_scripts" | "gui_scripts");
            continue;
        }
        let Some((name, object)) = line.split_once('=').filter(|_| wanted) else { continue };
        let name = name.trim();
        if matches!(name, "" | "." | "..") || name.contains(['/', '\\', '\0']) || name.starts_with('-') {
            return Err(format!("the entry point {name:?} is no name of a script"));
        }
        // Extras behind the object are about dependencies.
        let object = object.split('[').next().unwrap_or_default().trim();
        let (module, function) =
            object.split_once(':').map_or((object, ""), |(module, function)| (module.trim(), function.trim()));
        if !is_dotted(module) || !is_dotted(function) {
            return Err(format!("the entry point {name} is {object:?}, which names no function"));
        }
        let first = function.split('.').next().unwrap_or_default();
        let launcher = format!(
            "{}import sys\n\nfrom {module} import {first}\n\nif __name__ == \"__main__\":\n    sys.exit({function}())\n",
            shebang(interpreter)
        );
        launchers.push((name.to_owned(), launcher));
    }
    Ok(launchers)
}

/// The scripts of pip itself: its wheel names those of the Python that built it, and every installer makes those of the
/// Python that it installs for instead.
pub(super) fn name_for_version(launchers: &mut Vec<(String, String)>, version: &str) {
    let Some((_, launcher)) = launchers.iter().find(|(name, _)| name == "pip").cloned() else { return };
    launchers.retain(|(name, _)| !name.starts_with("pip"));
    for name in ["pip".to_owned(), "pip3".to_owned(), format!("pip{version}")] {
        launchers.push((name, launcher.clone()));
    }
}

/// Whether it is identifiers joined by dots.
fn is_dotted(text: &str) -> bool {
    text.split('.').all(|part| {
        !part.starts_with(|first: char| first.is_ascii_digit())
            && !part.is_empty()
            && part.chars().all(|character| character.is_alphanumeric() || character == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_points_become_scripts() {
        let text =
            "[console_scripts]\n; comment\na = pkg.cli:main.run [extra]\n\n[other]\nb = x\n[gui_scripts]\nc=d:e\n";
        let launchers = launchers(text, "/opt/venv/bin/python").unwrap();
        assert_eq!(launchers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        let expected = "#!/opt/venv/bin/python\nimport sys\n\nfrom pkg.cli import main\n\nif __name__ == \"__main__\":\n    sys.exit(main.run())\n";
        assert_eq!(launchers[0].1, expected);
    }

    #[test]
    fn pip_is_named_for_the_python_that_it_is_for() {
        let text = "[console_scripts]\npip = pip:main\npip3 = pip:main\npip3.9 = pip:main\n";
        let mut launchers = launchers(text, "/p").unwrap();
        name_for_version(&mut launchers, "3.11");
        assert_eq!(launchers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pip", "pip3", "pip3.11"]);
    }

    #[test]
    fn hostile_entry_points_are_refused() {
        for line in ["../../x = a:b", "a/b = a:b", ".. = a:b", "x = a:b()", "x = a", "x = a:b;c"] {
            assert!(launchers(&format!("[console_scripts]\n{line}"), "/p").is_err(), "{line}");
        }
    }

    #[test]
    fn a_long_path_takes_the_shell_along() {
        let path = format!("/{}/bin/python", "x".repeat(130));
        assert!(shebang(&path).starts_with("#!/bin/sh\n'''exec' \"/xxx"));
    }
}
