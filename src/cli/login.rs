//! `login` and `logout`: passwords for registries.

use super::{Failed, config};
use crate::{
    progress::Output,
    registry::{RegistryError, check_password, default_credential_files, forget_password, save_password},
};
use clap::Args;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use std::{
    io::{self, Read as _},
    path::PathBuf,
};

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// The registry
    #[arg(default_value = "docker.io")]
    registry: String,
    /// Name of the user
    #[arg(short, long, value_name = "NAME")]
    username: String,
    /// Read the password from standard input; else it is asked for
    #[arg(long)]
    password_stdin: bool,
    /// The registry may speak plain HTTP
    #[arg(long)]
    insecure: bool,
}

#[derive(Debug, Args)]
pub(super) struct LogoutArgs {
    /// The registry
    #[arg(default_value = "docker.io")]
    registry: String,
}

pub(super) fn login(args: &LoginArgs) -> Result<(), Failed> {
    let password = if args.password_stdin { piped_password() } else { typed_password() }?;
    let insecure = if args.insecure { vec![args.registry.clone()] } else { Vec::new() };
    let options = config::registry_options(&config::load()?, &insecure);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::environment)?;
    let checked = runtime.block_on(check_password(options, &args.registry, &args.username, &password));
    checked.map_err(|error| {
        if let RegistryError::Unauthorized { host, .. } = error {
            return Failed::build(format!("registry {host} does not take this user name and password"));
        }
        Failed::environment(error)
    })?;
    let file = credential_file()?;
    let at = |error: io::Error| Failed::environment(format!("{}: {error}", file.display()));
    save_password(&file, &args.registry, &args.username, &password).map_err(at)?;
    say(format!("logged in to {}; saved in {}", args.registry, file.display()))
}

pub(super) fn logout(args: &LogoutArgs) -> Result<(), Failed> {
    let file = credential_file()?;
    let at = |error: io::Error| Failed::environment(format!("{}: {error}", file.display()));
    if forget_password(&file, &args.registry).map_err(at)? {
        say(format!("logged out of {}", args.registry))
    } else {
        say(format!("{} has nothing for {}", file.display(), args.registry))
    }
}

fn credential_file() -> Result<PathBuf, Failed> {
    let first = default_credential_files().into_iter().next();
    first.ok_or_else(|| Failed::usage("there is no HOME to keep a password in: set DOCKER_CONFIG"))
}

fn piped_password() -> Result<String, Failed> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(Failed::environment)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks a person, and shows nothing of what they type.
fn typed_password() -> Result<String, Failed> {
    let stdin = io::stdin();
    if !isatty(&stdin) {
        return Err(Failed::usage("nobody is there to ask for a password: pipe it in with --password-stdin"));
    }
    let mut err = Output::stderr();
    err.line("password: ").and_then(|()| err.finish()).map_err(Failed::environment)?;
    let shown = tcgetattr(&stdin).map_err(Failed::environment)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &hidden).map_err(Failed::environment)?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &shown).map_err(Failed::environment)?;
    read.map_err(Failed::environment)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn say(text: String) -> Result<(), Failed> {
    let mut out = Output::stdout();
    out.line(text).and_then(|()| out.finish()).map_err(Failed::environment)
}
