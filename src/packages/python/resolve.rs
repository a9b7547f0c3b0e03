//! Requirements without hashes: what they mean now, by asking uv, or pip where there is no uv.
//!
//! uv answers for all platforms at once, with markers, so platforms do not drift apart and one answer serves them all. pip
//! answers for the target alone, and decides markers about machines as if it were this one. Neither may run a package's
//! own code: only wheels count, and what stands in for sources ([`stand_in`](super::stand_in)).

use super::{config::Sources, target::Target};
use crate::packages::PackageError;
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Stdio};
use tokio::process::Command;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// Lines of requirements.
    pub(super) requirements: Vec<String>,
    /// Lines of constraints.
    pub(super) constraints: Vec<String>,
    /// Whether versions before a release count.
    pub(super) pre: bool,
}

/// Requirements with hashes, as a text, and who made it.
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) by: &'static str,
}

/// Asks.
pub(super) async fn resolve(
    file: &str,
    question: &Question,
    target: &Target,
    sources: &Sources,
) -> Result<Answer, PackageError> {
    let failed = |problem: String| PackageError::Lock { file: file.to_owned(), problem };
    let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    for (name, lines) in [("requirements.txt", &question.requirements), ("constraints.txt", &question.constraints)] {
        std::fs::write(folder.path().join(name), lines.join("\n") + "\n").map_err(|error| failed(error.to_string()))?;
    }
    for asked in [uv(folder.path(), question, target, sources), pip(folder.path(), question, target, sources)] {
        let (by, mut command) = asked;
        command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        let output = match command.output().await {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(format!("{by} cannot be started: {error}"))),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            if said.contains("No module named pip") {
                continue;
            }
            return Err(failed(format!("{by} finds no versions for it:\n{}", said.trim())));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = if by == "pip" { of_report(&text).map_err(failed)? } else { text };
        return Ok(Answer { text, by });
    }
    Err(failed(
        "some requirements have no hash, and neither uv nor pip is here to find out what they mean: pin them with \
         `uv pip compile --generate-hashes` or `pip-compile --generate-hashes`"
            .to_owned(),
    ))
}

/// `uv pip compile`, its indexes in variables because arguments are seen by everybody.
fn uv(folder: &Path, question: &Question, target: &Target, sources: &Sources) -> (&'static str, Command) {
    let mut uv = Command::new("uv");
    uv.args(["pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]);
    uv.args(["--only-binary", ":all:", "--python-version", &target.version()]);
    uv.args(["--constraints", "constraints.txt"]);
    if question.pre {
        uv.args(["--prerelease", "allow"]);
    }
    uv.arg(folder.join("requirements.txt"));
    // Certificates of the system count, as they do for everything else here.
    uv.env("UV_SYSTEM_CERTS", "true").env("UV_NATIVE_TLS", "true");
    for name in ["UV_INDEX_URL", "UV_EXTRA_INDEX_URL"] {
        uv.env_remove(name);
    }
    if let Some(index) = &sources.index {
        uv.env("UV_DEFAULT_INDEX", index);
    }
    uv.env("UV_INDEX", sources.extra.join(" ")).env("UV_FIND_LINKS", sources.find_links.join(","));
    if sources.no_index {
        uv.arg("--no-index");
    }
    if sources.keyring == Some(true) {
        uv.env("UV_KEYRING_PROVIDER", "subprocess");
    }
    ("uv", uv)
}

fn pip(folder: &Path, question: &Question, target: &Target, sources: &Sources) -> (&'static str, Command) {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--ignore-installed"]);
    pip.args(["--disable-pip-version-check", "--root-user-action", "ignore", "--only-binary", ":all:"]);
    pip.args(["--python-version", &target.version(), "--constraint", "constraints.txt"]);
    for platform in target.tags.platforms() {
        pip.args(["--platform", platform]);
    }
    if question.pre {
        pip.arg("--pre");
    }
    pip.arg("--target").arg(folder.join("nothing")).arg("--requirement").arg(folder.join("requirements.txt"));
    if let Some(index) = &sources.index {
        pip.env("PIP_INDEX_URL", index);
    }
    pip.env("PIP_EXTRA_INDEX_URL", sources.extra.join(" ")).env("PIP_FIND_LINKS", sources.find_links.join(" "));
    if sources.no_index {
        pip.env("PIP_NO_INDEX", "true");
    }
    if sources.keyring == Some(true) {
        pip.env("PIP_KEYRING_PROVIDER", "subprocess");
    }
    ("pip", pip)
}

/// "Installation Report" of pip, as far as it is needed.
#[derive(Deserialize)]
struct Report {
    install: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    metadata: Metadata,
    download_info: Download,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Download {
    archive_info: Option<Archive>,
}

#[derive(Deserialize)]
struct Archive {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// The requirements of a report.
fn of_report(text: &str) -> Result<String, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| format!("pip's report cannot be read: {error}"))?;
    let mut lines = String::new();
    for Installed { metadata: Metadata { name, version }, download_info } in report.install {
        let hash = download_info.archive_info.and_then(|archive| archive.hashes.get("sha256").cloned());
        let hash = hash.ok_or_else(|| format!("pip has no sha256 hash for {name} {version}"))?;
        let _ = writeln!(lines, "{name}=={version} --hash=sha256:{hash}");
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_requirements_with_hashes() {
        let report = r#"{"version": "1", "install": [
            {"download_info": {"url": "u", "archive_info": {"hash": "sha256=ab", "hashes": {"sha256": "ab"}}},
             "metadata": {"name": "Six", "version": "1.17.0", "summary": "s"}}]}"#;
        assert_eq!(of_report(report).unwrap(), "Six==1.17.0 --hash=sha256:ab\n");
        let folder = r#"{"install": [{"download_info": {"dir_info": {}}, "metadata": {"name": "a", "version": "1"}}]}"#;
        assert_eq!(of_report(folder).unwrap_err(), "pip has no sha256 hash for a 1");
    }
}
