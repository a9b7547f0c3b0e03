//! Profiles in the files that the clients of Amazon share: `~/.aws/credentials` and `~/.aws/config` ("Configuration and
//! credential file settings" of the AWS CLI's guide).

use super::{Lent, read, web_identity::Exchange};
use crate::cache::S3Credentials;
use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio, time::Duration};
use tokio::process::Command;

/// How long a command may take to say which keys to use.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a profile says about who we are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// These keys.
    Keys(S3Credentials),
    /// Those that this command prints.
    Process(String),
    /// Those that a token is exchanged for.
    WebIdentity(Exchange),
}

type Profile = BTreeMap<String, String>;

/// What the profile in use says; nothing if there is none, or it says nothing about that.
pub(super) fn find(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Source>, String> {
    let Some((name, mut profile)) = load(variable)? else { return Ok(None) };
    let keys = (profile.remove("aws_access_key_id"), profile.remove("aws_secret_access_key"));
    if let (Some(access_key_id), Some(secret_access_key)) = keys {
        let session_token = profile.remove("aws_session_token");
        return Ok(Some(Source::Keys(S3Credentials { access_key_id, secret_access_key, session_token })));
    }
    if let Some(command) = profile.remove("credential_process") {
        return Ok(Some(Source::Process(command)));
    }
    match (profile.remove("role_arn"), profile.remove("web_identity_token_file")) {
        (Some(role), Some(token)) => {
            let session = profile.remove("role_session_name");
            return Ok(Some(Source::WebIdentity(Exchange { role, token: token.into(), session })));
        }
        (Some(_), None) => return Err(elsewhere(&name, "takes a role on by the keys of another one")),
        (None, _) => {}
    }
    if profile.contains_key("sso_session") || profile.contains_key("sso_start_url") {
        return Err(elsewhere(&name, "signs in on a page of the web"));
    }
    Ok(None)
}

/// The region that the profile in use names.
pub fn region() -> Option<String> {
    let (_, mut profile) = load(&|name| std::env::var(name).ok().filter(|value| !value.is_empty())).ok().flatten()?;
    profile.remove("region")
}

fn elsewhere(name: &str, what: &str) -> String {
    format!(
        "the profile {name:?} {what}, which flashbuild does not do: let `aws configure export-credentials --profile \
         {name} --format env` set the variables, or name that command as credential_process of a profile"
    )
}

/// The profile in use and its name, what both files say of it together.
fn load(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<(String, Profile)>, String> {
    let chosen = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
    let name = chosen.clone().unwrap_or_else(|| "default".to_owned());
    let home = PathBuf::from(variable("HOME").unwrap_or_default());
    let file = |named: &str, usual: &str| variable(named).map_or_else(|| home.join(".aws").join(usual), PathBuf::from);
    let (config, credentials) = (file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    let mut found =
        section(&read(&config), |title| title == format!("profile {name}") || name == "default" && title == "default");
    if let Some(of_credentials) = section(&read(&credentials), |title| title == name) {
        found.get_or_insert_default().extend(of_credentials);
    }
    match (found, chosen) {
        (Some(profile), _) => Ok(Some((name, profile))),
        (None, None) => Ok(None),
        (None, Some(name)) => Err(format!(
            "there is no profile {name:?} in {} or {}: is AWS_PROFILE right?",
            config.display(),
            credentials.display()
        )),
    }
}

/// The settings of a section. What is indented belongs to a setting of settings, of which none is asked for.
fn section(text: &str, is_wanted: impl Fn(&str) -> bool) -> Option<Profile> {
    let mut found: Option<Profile> = None;
    let mut is_inside = false;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with(['#', ';', ' ', '\t'])) {
        if let Some(title) = line.trim().strip_prefix('[').and_then(|title| title.strip_suffix(']')) {
            is_inside = is_wanted(&title.split_whitespace().collect::<Vec<_>>().join(" "));
            if is_inside {
                found.get_or_insert_default();
            }
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_inside) {
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().to_owned());
            found.get_or_insert_default().insert(key, value);
        }
    }
    found
}

/// The keys that a command prints.
pub(super) async fn run(command: &str) -> Result<Lent, String> {
    let mut process = Command::new("sh");
    process.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let failed = |problem: String| format!("the credential_process of the profile in use failed: {problem}");
    match tokio::time::timeout(PATIENCE, process.output()).await {
        Err(_) => Err(failed(format!("it took longer than {PATIENCE:?}"))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(output)) if !output.status.success() => Err(failed(output.status.to_string())),
        Ok(Ok(output)) => read(&String::from_utf8_lossy(&output.stdout)).map_err(failed),
    }
}
