//! `registry serve`: the local store for others.

use super::{Failed, StoreArgs};
use crate::{
    progress::Output,
    serve::{Access, Identity, Options, Passwords, Server},
};
use clap::{Args, Subcommand};
use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};

#[derive(Debug, Subcommand)]
pub(super) enum RegistryCommand {
    /// Serve the local store as an OCI registry
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Address to listen at; others reach it only if it is none of loopback
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "HOST:PORT")]
    listen: String,
    /// Take pushes, too: who pushes gives local names a meaning
    #[arg(long)]
    read_write: bool,
    /// File of lines USER:PASSWORD that only its owner may read; without it, everybody who can connect is served
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Certificates to show, PEM, the registry's own first
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn registry(command: &RegistryCommand) -> Result<(), Failed> {
    match command {
        RegistryCommand::Serve(args) => serve(args),
    }
}

fn serve(args: &ServeArgs) -> Result<(), Failed> {
    let address = address(&args.listen)?;
    let read = |what: &PathBuf, error: std::io::Error| Failed::environment(format!("{}: {error}", what.display()));
    let passwords = match &args.password_file {
        Some(file) => Some(Passwords::read(file).map_err(|error| read(file, error))?),
        None => None,
    };
    let identity = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Identity::read(certificate, key).map_err(Failed::environment)?),
        _ => None,
    };
    let scheme = if identity.is_some() { "https" } else { "http" };
    let access = if args.read_write { Access::ReadWrite } else { Access::ReadOnly };
    let store = args.store.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    runtime.block_on(async {
        let bound = Server::bind(store, address, Options { access, passwords, identity }).await;
        let server =
            bound.map_err(|error| Failed::environment(format!("cannot listen at {}: {error}", args.listen)))?;
        let address = server.address().map_err(Failed::environment)?;
        let mut out = Output::stdout();
        out.line(format!("serving at {scheme}://{address}"))
            .and_then(|()| out.finish())
            .map_err(Failed::environment)?;
        tokio::select! {
            ended = server.run() => ended.map_err(Failed::environment),
            () = super::interruption() => Err(Failed::interrupted()),
        }
    })
}

fn address(text: &str) -> Result<SocketAddr, Failed> {
    let wrong = |why: String| Failed::usage(format!("--listen {text:?}: {why}"));
    let found = text.to_socket_addrs().map_err(|error| wrong(error.to_string()))?.next();
    found.ok_or_else(|| wrong("it has no address".to_owned()))
}
