//! The keys of an account, looked for where the clients of Amazon look, in their order:
//!
//! | | where | file |
//! |---|---|---|
//! | 1 | with the cache itself, or in `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` | (the command line) |
//! | 2 | a profile of the shared files | `profile` |
//! | 3 | a token of somebody who vouches for us, exchanged for keys (`AWS_WEB_IDENTITY_TOKEN_FILE`) | `web_identity` |
//! | 4 | the agent of a container (`AWS_CONTAINER_CREDENTIALS_FULL_URI` and the like) | `container` |
//! | 5 | the metadata service of an instance, version 2 | `instance` |
//!
//! A place that is not configured is passed over; one that is and does not answer is an error, or somebody would write as
//! nobody and wonder. Keys that end are asked for again before they do.

mod container;
mod instance;
mod profile;
mod web_identity;

pub use profile::region as profile_region;

use super::S3Credentials;
use crate::cache::{CacheError, objects::Objects};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long before their end keys are not used any more.
const MARGIN: Duration = Duration::from_mins(5);
/// Bytes of an answer with keys.
const LARGEST_ANSWER: usize = 64 << 10;

/// Looks up a variable of the environment; an empty one is none.
pub(super) type Variable = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Variables of this process.
pub(super) fn of_this_process() -> Variable {
    Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Keys, and when they end.
#[derive(Debug, Clone)]
struct Lent {
    keys: S3Credentials,
    until: Option<jiff::Timestamp>,
}

impl Lent {
    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| jiff::Timestamp::now() + MARGIN < until)
    }
}

/// Who we are, found out when somebody wants to know.
pub(super) struct Identity {
    given: Option<S3Credentials>,
    region: String,
    variable: Variable,
    found: Mutex<Found>,
}

/// What was found last.
#[derive(Default)]
enum Found {
    #[default]
    NotAsked,
    Nobody,
    Keys(Lent),
}

impl Identity {
    pub(super) fn new(given: Option<S3Credentials>, region: &str, variable: Variable) -> Self {
        Self { given, region: region.to_owned(), variable, found: Mutex::default() }
    }

    /// The keys to sign with now; none if nobody has any.
    pub(super) async fn keys(&self, objects: &Objects) -> Result<Option<S3Credentials>, CacheError> {
        if self.given.is_some() {
            return Ok(self.given.clone());
        }
        let mut found = self.found.lock().await;
        let is_known = match &*found {
            Found::NotAsked => false,
            Found::Nobody => true,
            Found::Keys(lent) => lent.is_fresh(),
        };
        if !is_known {
            *found = self.look(objects).await?.map_or(Found::Nobody, Found::Keys);
        }
        Ok(match &*found {
            Found::NotAsked | Found::Nobody => None,
            Found::Keys(lent) => Some(lent.keys.clone()),
        })
    }

    async fn look(&self, objects: &Objects) -> Result<Option<Lent>, CacheError> {
        let variable = &self.variable;
        let refuse = |problem: String| CacheError::unusable(objects.origin(), problem);
        let by_profile = tokio::task::block_in_place(|| profile::find(variable)).map_err(refuse)?;
        let exchange = match by_profile {
            Some(profile::Source::Keys(keys)) => return Ok(Some(Lent { keys, until: None })),
            Some(profile::Source::Process(command)) => return profile::run(&command).await.map(Some).map_err(refuse),
            Some(profile::Source::WebIdentity(exchange)) => Some(exchange),
            None => web_identity::of_variables(variable),
        };
        if let Some(exchange) = exchange {
            return exchange.exchange(objects, &self.region, variable).await.map(Some);
        }
        if let Some(agent) = container::find(variable).map_err(refuse)? {
            return agent.ask(objects).await.map(Some);
        }
        instance::ask(objects, variable).await
    }
}

/// Keys as all of these places write them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "SessionToken")]
    token: Option<String>,
    expiration: Option<String>,
}

/// Reads such an answer. An error is what is wrong with it, without a word of it.
fn read(text: &str) -> Result<Lent, String> {
    let answer: Answer = serde_json::from_str(text).map_err(|_| "the answer holds no keys".to_owned())?;
    let until = answer.expiration.map(|text| text.parse()).transpose();
    let keys = S3Credentials {
        access_key_id: answer.access_key_id,
        secret_access_key: answer.secret_access_key,
        session_token: answer.token.filter(|token| !token.is_empty()),
    };
    Ok(Lent { keys, until: until.map_err(|_| "the answer says no time at which its keys end".to_owned())? })
}

#[cfg(test)]
mod tests;
