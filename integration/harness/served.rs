//! A store that `flashbuild registry serve` serves.

use super::Workspace;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A running server, stopped with the value.
pub(crate) struct Served {
    server: Child,
    port: u16,
}

impl Served {
    /// Serves a store of the workspace, with more arguments.
    pub(crate) fn start(work: &Workspace, store: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashbuild"));
        command.args(["registry", "serve", "--listen", "127.0.0.1:0", "--root"]).arg(work.path(store)).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().expect("flashbuild starts");
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Self { server, port: port.unwrap_or_else(|| panic!("no address in {line:?}")) }
    }

    /// Its port on this machine.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The name of a repository or an image in it.
    pub(crate) fn name(&self, repository: &str) -> String {
        format!("localhost:{}/{repository}", self.port)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
