//! `--debug-shell`: a shell where a step failed, at the terminal of the person who builds, or over pipes.

use super::console;
use crate::{
    exec::DebugShell,
    progress::{self, Output},
    sandbox::{Input, Isolation, SandboxError, Spec},
};
use futures_util::future::{BoxFuture, FutureExt as _};
use std::io;

/// The shell of who asked for one.
#[derive(Debug)]
pub(super) struct Shell {
    /// The program that is run: a path or a name inside the image.
    pub(super) program: String,
}

impl DebugShell for Shell {
    fn open<'a>(&'a self, mut spec: Spec, why: &'a str) -> BoxFuture<'a, Result<(), SandboxError>> {
        async move {
            // Steps that fail at once get their shells one after the other.
            let _held = progress::hold().await;
            say(&format!("{why}: {} in its sandbox; the build goes on when it ends", self.program))?;
            spec.args = vec![self.program.clone()];
            spec.input = match (console::terminal_size(false), spec.isolation, &spec.runtime) {
                (Some(size), Isolation::Namespaces, None) => Input::Terminal(size),
                _ => Input::Given,
            };
            if matches!(spec.input, Input::Terminal(_)) && !spec.env.iter().any(|pair| pair.starts_with("TERM=")) {
                spec.env.push("TERM=xterm".to_owned());
            }
            match console::attend(&spec, None).await {
                Ok(_) => Ok(()),
                Err(SandboxError::Program { message, .. }) => Ok(say(&message)?),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = Output::stderr();
    out.line(progress::printable(text))?;
    out.finish()
}
