//! A token of somebody who vouches for us (a CI service, a cluster), exchanged for keys at the token service (the action
//! `AssumeRoleWithWebIdentity` of the STS API reference).

use super::{LARGEST_ANSWER, Lent};
use crate::cache::{CacheError, S3Credentials, error::At as _, objects::Objects};
use reqwest::Url;
use std::path::PathBuf;

/// What a session is called if nobody says; it is in logs of the account.
const SESSION: &str = "flashbuild";

/// A token, and the role that it is good for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) role: String,
    pub(super) token: PathBuf,
    pub(super) session: Option<String>,
}

/// What the environment says.
pub(super) fn of_variables(variable: &dyn Fn(&str) -> Option<String>) -> Option<Exchange> {
    let (token, role) = (variable("AWS_WEB_IDENTITY_TOKEN_FILE")?.into(), variable("AWS_ROLE_ARN")?);
    Some(Exchange { role, token, session: variable("AWS_ROLE_SESSION_NAME") })
}

impl Exchange {
    pub(super) async fn exchange(
        &self,
        objects: &Objects,
        region: &str,
        variable: &(dyn Fn(&str) -> Option<String> + Send + Sync),
    ) -> Result<Lent, CacheError> {
        let token = std::fs::read_to_string(&self.token).at(&self.token)?;
        let refuse = |problem: &str| CacheError::unusable(objects.origin(), format!("the token service: {problem}"));
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| format!("https://sts.{region}.{domain}"));
        let endpoint = Url::parse(&endpoint).map_err(|_| refuse("its address is none"))?;
        let form = form_urlencoded(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role),
            ("RoleSessionName", self.session.as_deref().unwrap_or(SESSION)),
            ("WebIdentityToken", token.trim()),
        ]);
        let request = || {
            let request = objects.client(&endpoint).post(endpoint.clone());
            Ok(request.header("content-type", "application/x-www-form-urlencoded").body(form.clone()))
        };
        let text = objects.text(request, LARGEST_ANSWER).await?;
        keys(&text).map_err(|problem| refuse(&problem))
    }
}

fn form_urlencoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The keys in an answer, which is XML without attributes or references where they are.
fn keys(text: &str) -> Result<Lent, String> {
    let value = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.trim().to_owned())
    };
    let (Some(access_key_id), Some(secret_access_key)) = (value("AccessKeyId"), value("SecretAccessKey")) else {
        return Err("its answer holds no keys".to_owned());
    };
    let until = value("Expiration").map(|text| text.parse()).transpose();
    Ok(Lent {
        keys: S3Credentials { access_key_id, secret_access_key, session_token: value("SessionToken") },
        until: until.map_err(|_| "its answer says no time at which its keys end".to_owned())?,
    })
}
