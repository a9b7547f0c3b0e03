//! For which Pythons and machines a lock was made. For others it says nothing, even where its packages would install: markers
//! are written for what is in the range, and versions were chosen for it.
//!
//! | lock | says it in |
//! |---|---|
//! | `pylock.toml` | `requires-python`, also of each package; `environments` |
//! | `uv.lock` | `requires-python`; `supported-markers`, which the project calls `environments` |
//! | `poetry.lock` | `metadata.python-versions`, in Poetry's own words |
//! | `Pipfile.lock` | `_meta.requires`, of which pipenv makes a warning |

use super::{
    super::{super::PackageError, target::Target},
    marker, problem,
};
use pep508_rs::pep440_rs::VersionSpecifiers;
use std::{fmt::Write as _, str::FromStr as _};

/// Refuses a target whose Python is not in `range` (`requires-python`). `what` is made for the range: the lock, a package.
pub(super) fn check_python(file: &str, what: &str, range: &str, target: &Target) -> Result<(), PackageError> {
    let specifiers = VersionSpecifiers::from_str(range)
        .map_err(|_| problem(file, format!("requires-python = {range:?} is no range of versions of Python")))?;
    if target.may_be(&specifiers) { Ok(()) } else { Err(refused(file, what, range, target)) }
}

/// Refuses a target that none of the markers is about; without markers, all are supported.
pub(super) fn check_environments(file: &str, environments: &[String], target: &Target) -> Result<(), PackageError> {
    for environment in environments {
        if target.may_fit(&marker(file, environment)?) {
            return Ok(());
        }
    }
    if environments.is_empty() {
        return Ok(());
    }
    let platform = target.machine_name();
    Err(problem(
        file,
        format!(
            "the lock is for other environments than {} on {platform} ({}): choose another Python or platform, or lock for this one",
            target.interpreter_name(),
            environments.join("; "),
        ),
    ))
}

/// Refuses a target whose Python is not in `constraint`, which is in Poetry's words ("Dependency specification").
pub(super) fn check_poetry(file: &str, constraint: &str, target: &Target) -> Result<(), PackageError> {
    let mut fits = false;
    for alternative in constraint.split('|').filter(|alternative| !alternative.trim().is_empty()) {
        let specifiers = of_poetry(alternative).and_then(|text| VersionSpecifiers::from_str(&text).ok());
        let unknown = || problem(file, format!("python-versions = {constraint:?} is no range of versions of Python"));
        fits |= target.may_be(&specifiers.ok_or_else(unknown)?);
    }
    if fits { Ok(()) } else { Err(refused(file, "the lock", constraint, target)) }
}

fn refused(file: &str, what: &str, range: &str, target: &Target) -> PackageError {
    problem(
        file,
        format!(
            "{what} is for Python {range}, and the interpreter is {}: choose another with --python or another image, or lock for \
             this one",
            target.interpreter_name()
        ),
    )
}

/// One of Poetry's alternatives, as PEP 440 has it.
fn of_poetry(text: &str) -> Option<String> {
    let mut specifiers = String::new();
    let mut operator = "";
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        // A blank may stand behind an operator.
        let (own, version) = word.split_at(word.find(|c: char| c.is_ascii_digit() || c == '*').unwrap_or(word.len()));
        operator = if own.is_empty() { operator } else { own };
        if version.is_empty() {
            continue;
        }
        let separator = if specifiers.is_empty() { "" } else { "," };
        let _ = match operator {
            _ if version == "*" => Ok(()),
            "^" => write!(
                specifiers,
                "{separator}>={version},<{}",
                next(version, |numbers| {
                    numbers.iter().position(|number| *number != 0).unwrap_or(numbers.len() - 1)
                })?
            ),
            "~" => {
                write!(specifiers, "{separator}>={version},<{}", next(version, |numbers| (numbers.len() - 1).min(1))?)
            }
            "" | "=" => write!(specifiers, "{separator}=={version}"),
            other => write!(specifiers, "{separator}{other}{version}"),
        };
        operator = "";
    }
    operator.is_empty().then_some(specifiers)
}

/// The version that has one more at the place that `place` chooses among the numbers, and none behind.
fn next(version: &str, place: impl Fn(&[u64]) -> usize) -> Option<String> {
    let numbers: Option<Vec<u64>> = version.split('.').map(|number| number.parse().ok()).collect();
    let mut numbers = numbers?;
    numbers.truncate(place(&numbers) + 1);
    *numbers.last_mut()? += 1;
    Some(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_poetry_are_those_of_pep_440() {
        for (poetry, expected) in [
            ("*", ""),
            ("^3.11", ">=3.11,<4"),
            ("^3.11.2", ">=3.11.2,<4"),
            ("^0.2.3", ">=0.2.3,<0.3"),
            ("~3", ">=3,<4"),
            ("~3.11", ">=3.11,<3.12"),
            ("~3.11.2", ">=3.11.2,<3.12"),
            ("3.11.*", "==3.11.*"),
            ("3.11", "==3.11"),
            (">= 3.9, <4.0", ">=3.9,<4.0"),
            (">=3.9 <4.0 !=3.9.7", ">=3.9,<4.0,!=3.9.7"),
            ("~=3.11", "~=3.11"),
        ] {
            assert_eq!(of_poetry(poetry).unwrap(), expected, "{poetry}");
        }
        for unknown in ["^3.x", "whatever", ">="] {
            assert_eq!(of_poetry(unknown), None, "{unknown}");
        }
    }
}
