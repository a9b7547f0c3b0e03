//! Passwords from the keyring of the person who builds, asked as pip and uv do: `keyring get SERVICE USER`, without a shell.
//!
//! Only if the configuration of pip or uv turns it on, only for an index whose address has a user and no password, and only when
//! something has to be fetched there: a keyring is slow, and may ask its person back. What it answers stays in the memory
//! of this process, and what it complains of is not shown, because others read logs.

use std::{collections::HashMap, process::Stdio, time::Duration};
use tokio::{process::Command, sync::Mutex};
use url::Url;

const PROGRAM: &str = "keyring";
/// How long it may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a keyring is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Login {
    /// Names of the service, in the order in which they are tried.
    services: [String; 2],
    pub(super) user: String,
}

/// The passwords that were asked for.
#[derive(Default)]
pub(super) struct Keyring {
    /// Held while the program runs: others want the same password.
    answers: Mutex<HashMap<Login, Option<String>>>,
}

impl Login {
    /// For the index at `url`, an address without credentials; its server's name is tried after it.
    pub(super) fn new(url: &Url, user: String) -> Self {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Self { services: [url.to_string(), format!("{}{port}", url.host_str().unwrap_or_default())], user }
    }
}

impl Keyring {
    /// The password, if the keyring has it.
    pub(super) async fn password(&self, login: Login) -> Option<String> {
        let mut answers = self.answers.lock().await;
        if let Some(known) = answers.get(&login) {
            return known.clone();
        }
        let mut answer = None;
        // Nobody is called that: it would be an option of the program.
        if !login.user.starts_with('-') {
            for service in &login.services {
                answer = ask(service, &login.user).await;
                if answer.is_some() {
                    break;
                }
            }
        }
        answers.insert(login, answer.clone());
        answer
    }
}

async fn ask(service: &str, user: &str) -> Option<String> {
    let asked = Command::new(PROGRAM)
        .args(["get", service, user])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let password = String::from_utf8(output.stdout).ok()?;
    let password = password.trim_end_matches(['\r', '\n']);
    (output.status.success() && !password.is_empty()).then(|| password.to_owned())
}
