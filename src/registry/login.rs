//! Logging in and out: a password that a registry has taken is saved where other tools look for it.
//!
//! The file is the first of [`default_credential_files`](super::default_credential_files). If it names a helper program
//! for the registry (`credHelpers`, `credsStore`), that gets the password, else it goes into `auths`, as `docker login`
//! does it. What else is in the file stays.

use super::auth::Access;
use super::client::{Client, Options};
use super::credentials::file_key;
use super::error::{RegistryError, printable};
use super::transport::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flashbuild_frontend::reference::Reference;
use reqwest::Method;
use serde_json::{Map, Value};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// Asks the registry `host` whether it takes a password. One that wants none takes every password.
pub async fn check_password(options: Options, host: &str, user: &str, password: &str) -> Result<(), RegistryError> {
    let set_up = |error: io::Error| RegistryError::SetUp(error.to_string());
    // A file that nobody else may read, for as long as the question takes.
    let mut file = tempfile::NamedTempFile::new().map_err(set_up)?;
    let mut config = Map::new();
    put_auth(&mut config, host, user, password);
    file.write_all(Value::from(config).to_string().as_bytes()).map_err(set_up)?;
    let client = Client::new(Options { credential_files: vec![file.path().to_owned()], ..options })?;
    client.ping(host).await
}

impl Client {
    /// Whether a registry is there and lets us in (distribution-spec, "Determining Support").
    async fn ping(&self, name: &str) -> Result<(), RegistryError> {
        let reference: Reference = format!("{name}/login")
            .parse()
            .map_err(|error| RegistryError::SetUp(format!("{name:?} is no registry: {error}")))?;
        let host = self.host(&reference)?;
        let url = host.base.clone();
        self.ask(&host, &Access::to_registry(), &Request::new(Method::GET, url), &[200], name).await.map(drop)
    }
}

/// Saves a password for the registry `host` in the file `path`, or with the helper that it names.
pub fn save_password(path: &Path, host: &str, user: &str, password: &str) -> io::Result<()> {
    let mut config = read(path)?;
    if let Some(helper) = helper(&config, host) {
        let secret = serde_json::json!({"ServerURL": file_key(host), "Username": user, "Secret": password});
        return run_helper(&helper, "store", &secret.to_string());
    }
    put_auth(&mut config, host, user, password);
    write(path, &config)
}

/// Forgets the password for the registry `host`; whether the file, or its helper, had one.
pub fn forget_password(path: &Path, host: &str) -> io::Result<bool> {
    let mut config = read(path)?;
    if let Some(helper) = helper(&config, host) {
        return run_helper(&helper, "erase", file_key(host)).map(|()| true);
    }
    let auths = config.get_mut("auths").and_then(Value::as_object_mut);
    let removed = auths.is_some_and(|auths| auths.remove(file_key(host)).is_some());
    if removed {
        write(path, &config)?;
    }
    Ok(removed)
}

fn put_auth(config: &mut Map<String, Value>, host: &str, user: &str, password: &str) {
    let auths = config.entry("auths").or_insert_with(|| Value::Object(Map::new()));
    let auth = STANDARD.encode(format!("{user}:{password}"));
    if let Some(auths) = auths.as_object_mut() {
        auths.insert(file_key(host).to_owned(), serde_json::json!({ "auth": auth }));
    }
}

/// The helper program that keeps the passwords of a registry.
fn helper(config: &Map<String, Value>, host: &str) -> Option<String> {
    let of_host = config.get("credHelpers").and_then(|helpers| helpers.get(file_key(host)));
    let helper = of_host.or_else(|| config.get("credsStore"))?.as_str()?;
    (!helper.is_empty()).then(|| helper.to_owned())
}

fn run_helper(helper: &str, verb: &str, input: &str) -> io::Result<()> {
    let program = format!("docker-credential-{helper}");
    let mut command = Command::new(&program);
    command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let why = printable(String::from_utf8_lossy(&output.stderr).trim());
    Err(io::Error::other(format!("{program} {verb} failed: {why}")))
}

fn read(path: &Path) -> io::Result<Map<String, Value>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(error),
    }
}

/// Replaces the file; only its owner may read it.
fn write(path: &Path, config: &Map<String, Value>) -> io::Result<()> {
    // Whoever keeps the file elsewhere and has a link to it keeps both.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(env::current_dir, |folder| Ok(folder.to_owned()))?;
    fs::create_dir_all(&folder)?;
    let mut staged = tempfile::NamedTempFile::new_in(&folder)?;
    serde_json::to_writer_pretty(staged.as_file_mut(), config)?;
    staged.write_all(b"\n")?;
    staged.as_file().sync_all()?;
    staged.persist(&path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::{forget_password, save_password};
    use serde_json::Value;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_password_comes_and_goes_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/config.json");
        save_password(&file, "r.example", "me", "secret").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, r#"{"auths":{"r.example":{"auth":"old"},"x.example":{}},"psFormat":"table"}"#).unwrap();
        save_password(&file, "r.example", "me", "secret").unwrap();
        save_password(&file, "docker.io", "me", "secret").unwrap();
        let read = || -> Value { serde_json::from_slice(&fs::read(&file).unwrap()).unwrap() };
        assert_eq!(read()["auths"]["r.example"]["auth"], "bWU6c2VjcmV0");
        assert_eq!(read()["auths"]["https://index.docker.io/v1/"]["auth"], "bWU6c2VjcmV0");
        assert!(forget_password(&file, "r.example").unwrap());
        assert!(!forget_password(&file, "r.example").unwrap());
        assert_eq!((&read()["psFormat"], read()["auths"].as_object().unwrap().len()), (&"table".into(), 2));

        fs::write(&file, r#"{"credsStore":"flashbuild-test-absent"}"#).unwrap();
        let error = save_password(&file, "r.example", "me", "secret").unwrap_err().to_string();
        assert!(error.starts_with("docker-credential-flashbuild-test-absent: "), "{error}");
        fs::write(&file, "{").unwrap();
        assert!(save_password(&file, "r.example", "me", "secret").is_err());
        assert_eq!(fs::read(&file).unwrap(), b"{");
    }
}
