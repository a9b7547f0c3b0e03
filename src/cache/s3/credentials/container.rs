//! The agent of a container ("Container credential provider" of the AWS SDKs' reference guide), which knows keys for what
//! runs in it: of ECS at an address of its own, of EKS and others where the variable says.

use super::{LARGEST_ANSWER, Lent, Variable, read};
use crate::{
    cache::{CacheError, error::At as _, objects::Objects},
    http::{is_link_local, is_loopback},
};
use reqwest::Url;
use std::path::PathBuf;

/// Where the agent of ECS is.
const AGENT: &str = "http://169.254.170.2";

/// An agent.
#[derive(Debug)]
pub(super) struct Agent {
    url: Url,
    token: Token,
}

/// What it wants to be shown.
#[derive(Debug)]
enum Token {
    Nothing,
    Text(String),
    File(PathBuf),
}

/// The agent that the environment names. An error is what is wrong with it.
pub(super) fn find(variable: &Variable) -> Result<Option<Agent>, String> {
    let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{AGENT}{path}"));
    let Some(text) = relative.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) else { return Ok(None) };
    let url = Url::parse(&text).map_err(|error| format!("AWS_CONTAINER_CREDENTIALS_FULL_URI: {error}"))?;
    // Keys in the clear may come from no further than this machine.
    if url.scheme() != "https" && !is_loopback(&url) && !is_link_local(&url) {
        return Err(format!(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI={text}: expected https://, or an address of this machine"
        ));
    }
    let token = match variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => Token::File(path.into()),
        None => variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map_or(Token::Nothing, Token::Text),
    };
    Ok(Some(Agent { url, token }))
}

impl Agent {
    pub(super) async fn ask(&self, objects: &Objects) -> Result<Lent, CacheError> {
        let token = match &self.token {
            Token::Nothing => None,
            Token::Text(text) => Some(text.clone()),
            Token::File(path) => Some(std::fs::read_to_string(path).at(path)?),
        };
        let request = || {
            let request = objects.client(&self.url).get(self.url.clone());
            Ok(match &token {
                Some(token) => request.header("authorization", token.trim()),
                None => request,
            })
        };
        let text = objects.text(request, LARGEST_ANSWER).await?;
        read(&text)
            .map_err(|problem| CacheError::unusable(objects.origin(), format!("the container's agent: {problem}")))
    }
}
