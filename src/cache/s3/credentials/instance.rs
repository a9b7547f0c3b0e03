//! The metadata service of an instance, version 2 (the EC2 user guide, "Use IMDS"): a token first, then the role, then its
//! keys. Version 1, which anybody can be tricked into asking, is not spoken.

use super::{LARGEST_ANSWER, Lent, Variable, read};
use crate::cache::{CacheError, objects::Objects};
use reqwest::{RequestBuilder, Url};
use std::time::Duration;

const SERVICE: &str = "http://169.254.169.254";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";
/// How long the service may take, which is on the machine itself: elsewhere nobody should wait for what is not there.
const PATIENCE: Duration = Duration::from_secs(1);
const TOKEN_SECONDS: &str = "300";

/// The keys of the instance's role; none where there is no such service, or no role.
pub(super) async fn ask(objects: &Objects, variable: &Variable) -> Result<Option<Lent>, CacheError> {
    if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let service = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| SERVICE.to_owned());
    let refuse = |problem: String| CacheError::unusable(objects.origin(), format!("the metadata service: {problem}"));
    let url = |path: &str| {
        let text = format!("{}/{path}", service.trim_end_matches('/'));
        Url::parse(&text).map_err(|error| refuse(format!("{text}: {error}")))
    };
    let token = url("latest/api/token")?;
    let put = objects.client(&token).put(token.clone());
    let put = put.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS).header("content-length", 0);
    let Some(token) = text(put).await else { return Ok(None) };
    let get = |url: Url| objects.client(&url).get(url).header("x-aws-ec2-metadata-token", token.trim());
    let roles = text(get(url(ROLES)?)).await.unwrap_or_default();
    let Some(role) = roles.lines().next().map(str::trim).filter(|role| !role.is_empty()) else { return Ok(None) };
    let keys = text(get(url(&format!("{ROLES}{role}"))?)).await;
    let keys = keys.ok_or_else(|| refuse(format!("it does not say the keys of the role {role}")))?;
    read(&keys).map(Some).map_err(refuse)
}

/// A short answer; nothing if there is none.
async fn text(request: RequestBuilder) -> Option<String> {
    let response = request.timeout(PATIENCE).send().await.ok()?;
    let is_short = response.content_length().is_some_and(|length| length <= LARGEST_ANSWER as u64);
    if !response.status().is_success() || !is_short {
        return None;
    }
    response.text().await.ok()
}
