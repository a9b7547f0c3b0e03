//! What steps are given: flags of `build`.
//!
//! Their spellings are those of `docker buildx build`:
//!
//! | flag | takes |
//! |---|---|
//! | `--secret` | `id=ID` and one of `src=FILE`, `env=VARIABLE`, `cmd=COMMAND`; without one, the variable called `ID`, else the file |
//! | `--ssh` | `ID` or `ID=SOCKET` or `ID=KEY,KEY…`; without a path, the socket in `SSH_AUTH_SOCK` |
//!
//! A variable that is not set gives no secret: only a step that requires it will fail.

use super::Failed;
use crate::{
    config::Config,
    exec::{AgentSource, Agents, Certificates, Grants, SecretSource, Secrets},
    pipeline::Entitlement,
};
use clap::Args;
use flashbuild_frontend::graph::Network;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What steps may use.
#[derive(Debug, Args)]
#[command(next_help_heading = "What steps may use")]
pub(super) struct GrantArgs {
    /// Secret for steps: id=ID[,src=FILE | ,env=VARIABLE | ,cmd=COMMAND] (repeatable)
    #[arg(long, value_name = "SPEC")]
    secret: Vec<String>,
    /// SSH agent for steps: ID[=SOCKET | =KEY,KEY…], such as default (repeatable)
    #[arg(long, value_name = "SPEC")]
    ssh: Vec<String>,
    /// Certificates of private authorities that steps, downloads and registries may show, as PEM; they are in no layer
    /// (repeatable) [default: ca-certificates of the configuration]
    #[arg(long, value_name = "FILE")]
    ca_certificates: Vec<PathBuf>,
    /// What steps reach of the network unless they say otherwise: default, none or host
    #[arg(long, value_name = "MODE", value_parser = network, default_value = "default")]
    network: Network,
    /// Something that steps may do: network.host, security.insecure, device or device=NAME (repeatable)
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<Entitlement>,
    /// Let steps for different platforms use the same cache mounts
    #[arg(long)]
    share_cache_mounts: bool,
}

impl GrantArgs {
    /// What steps reach of the network where the file does not say.
    pub(super) fn network(&self) -> Network {
        self.network
    }

    /// What steps may do to this machine. To ask for its network is to allow it.
    pub(super) fn allowed(&self) -> Vec<Entitlement> {
        let implied = (self.network == Network::Host).then_some(Entitlement::HostNetwork);
        self.allow.iter().cloned().chain(implied).collect()
    }

    /// Files of private authorities: as was typed, else as is configured.
    pub(super) fn ca_certificates<'a>(&'a self, config: &'a Config) -> &'a [PathBuf] {
        if self.ca_certificates.is_empty() { &config.ca_certificates.value } else { &self.ca_certificates }
    }

    /// What was given, looked up and checked.
    pub(super) fn grants(&self, config: &Config) -> Result<Grants, Failed> {
        let mut secrets = BTreeMap::new();
        for spec in &self.secret {
            let wrong = |what: String| Failed::usage(format!("--secret {spec:?}: {what}"));
            let (id, source) = secret(spec).map_err(wrong)?;
            match &source {
                SecretSource::File(path) => {
                    readable(path).map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
                }
                SecretSource::Env(name) if std::env::var_os(name).is_none() => continue,
                SecretSource::Env(_) | SecretSource::Command(_) => {}
            }
            secrets.insert(id, source);
        }
        let mut agents = BTreeMap::new();
        for spec in &self.ssh {
            let (id, source) = agent(spec).map_err(|what| Failed::usage(format!("--ssh {spec:?}: {what}")))?;
            agents.insert(id, source);
        }
        let certificates = Certificates::read(self.ca_certificates(config))
            .map_err(|error| Failed::usage(format!("--ca-certificates {error}")))?;
        Ok(Grants {
            certificates,
            share_caches: self.share_cache_mounts,
            secrets: Secrets::new(secrets),
            agents: Agents::new(agents),
        })
    }
}

fn readable(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    std::fs::File::open(path).map(drop)
}

pub(super) fn network(text: &str) -> Result<Network, String> {
    match text {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err("expected default, none or host".to_owned()),
    }
}

/// Reads a `--secret`.
fn secret(spec: &str) -> Result<(String, SecretSource), String> {
    let (spec, command) = match spec.split_once("cmd=") {
        // A command may hold commas, so it is the last field.
        Some((before, command)) if before.is_empty() || before.ends_with(',') => {
            (before.trim_end_matches(','), Some(command))
        }
        _ => (spec, None),
    };
    let mut fields = BTreeMap::new();
    for part in spec.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KEY=VALUE"))?;
        let key = match key.trim().to_ascii_lowercase().as_str() {
            "source" => "src".to_owned(),
            other => other.to_owned(),
        };
        fields.insert(key, value);
    }
    let id = fields.remove("id").filter(|id| !id.is_empty()).ok_or("it needs id=ID")?.to_owned();
    let (kind, src, env) = (fields.remove("type"), fields.remove("src"), fields.remove("env"));
    if let Some(key) = fields.keys().next() {
        return Err(format!("unknown key {key:?}: expected id, type, src, env or cmd"));
    }
    let source = match (kind, src, env, command) {
        (None, None, None, Some(command)) => SecretSource::Command(command.to_owned()),
        (None | Some("file"), Some(path), None, None) => SecretSource::File(path.into()),
        (None | Some("env"), None, Some(name), None) | (Some("env"), Some(name), None, None) => {
            SecretSource::Env(name.to_owned())
        }
        (Some("env"), None, None, None) => SecretSource::Env(id.clone()),
        (None, None, None, None) if std::env::var_os(&id).is_some() => SecretSource::Env(id.clone()),
        (None | Some("file"), None, None, None) => SecretSource::File(id.clone().into()),
        (Some(kind), ..) if !["file", "env"].contains(&kind) => {
            return Err(format!("unknown type {kind:?}: expected file or env"));
        }
        _ => return Err("it comes from one place: src=FILE, env=VARIABLE or cmd=COMMAND".to_owned()),
    };
    Ok((id, source))
}

/// Reads a `--ssh`.
fn agent(spec: &str) -> Result<(String, AgentSource), String> {
    let (id, paths) = spec.split_once('=').unwrap_or((spec, ""));
    if id.is_empty() {
        return Err("it needs an id, such as default".to_owned());
    }
    let paths: Vec<PathBuf> = paths.split(',').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if paths.is_empty() {
        let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).ok_or_else(|| {
            format!("there is no SSH_AUTH_SOCK: start an agent (eval $(ssh-agent); ssh-add), or name a key: {id}=FILE")
        })?;
        return Ok((id.to_owned(), AgentSource::Socket(socket.into())));
    }
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let source = AgentSource::of_files(paths).map_err(|error| format!("{}: {error}", shown.join(",")))?;
    Ok((id.to_owned(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_one_place() {
        let file = |path: &str| SecretSource::File(path.into());
        let env = |name: &str| SecretSource::Env(name.to_owned());
        for (spec, source) in [
            ("id=a,src=f", file("f")),
            ("id=a,source=f,type=file", file("f")),
            ("id=a,env=V", env("V")),
            ("type=env,id=a,src=V", env("V")),
            ("id=a,type=env", env("a")),
            ("id=PATH", env("PATH")),
            ("id=no-such-variable", file("no-such-variable")),
            ("id=a,cmd=pass show a,b=c", SecretSource::Command("pass show a,b=c".to_owned())),
        ] {
            assert_eq!(secret(spec).unwrap().1, source, "{spec}");
        }
        for (spec, error) in [
            ("src=f", "it needs id=ID"),
            ("id=a,scr=f", "unknown key \"scr\": expected id, type, src, env or cmd"),
            ("id=a,type=vault", "unknown type \"vault\": expected file or env"),
            ("id=a,src=f,env=V", "it comes from one place: src=FILE, env=VARIABLE or cmd=COMMAND"),
            ("id", "\"id\" is not KEY=VALUE"),
        ] {
            assert_eq!(secret(spec).unwrap_err(), error, "{spec}");
        }
    }
}
