//! `init`: a Dockerfile and a `.dockerignore` for a project, and why they are as they are.

use super::Failed;
use crate::{
    init::{InitError, Project, Proposal, propose},
    progress::Output,
};
use clap::Args;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Folder of the project
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Write over a Dockerfile and a .dockerignore that are there
    #[arg(long)]
    force: bool,
}

pub(super) fn init(args: &InitArgs) -> Result<(), Failed> {
    let Proposal { dockerfile, dockerignore, reasons } =
        Project::read(&args.folder).and_then(|project| propose(&project)).map_err(failed)?;
    let files = [("Dockerfile", dockerfile), (".dockerignore", dockerignore)];
    if !args.force {
        let there =
            files.iter().map(|(name, _)| *name).filter(|name| args.folder.join(name).symlink_metadata().is_ok());
        let there: Vec<&str> = there.collect();
        if !there.is_empty() {
            return Err(Failed::build(format!(
                "there is a {} already, and nothing was written: --force writes over it",
                there.join(" and a ")
            )));
        }
    }
    for (name, text) in &files {
        let path = args.folder.join(name);
        let written = if args.force { fs::write(&path, text) } else { write_new(&path, text) };
        written.map_err(|error| Failed::environment(format!("{}: {error}", path.display())))?;
    }
    tell(&files[0].1, &reasons).map_err(Failed::environment)
}

/// Writes a file that is not there; never over one that appears meanwhile.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn tell(dockerfile: &str, reasons: &[String]) -> io::Result<()> {
    let mut out = Output::stdout();
    out.line("Wrote Dockerfile and .dockerignore:\n")?;
    for line in dockerfile.trim_end().lines() {
        out.line(format!("    {line}").trim_end())?;
    }
    out.line("\nBecause")?;
    for reason in reasons {
        out.line(format!("- {reason}"))?;
    }
    out.line("\nBuild it with: flashbuild build .")?;
    out.finish()
}

fn failed(error: InitError) -> Failed {
    match error {
        InitError::Folder { .. } => Failed::environment(error),
        InitError::NoFolder(_) | InitError::Unknown | InitError::NoLock { .. } | InitError::Manifest { .. } => {
            Failed::build(error)
        }
    }
}
