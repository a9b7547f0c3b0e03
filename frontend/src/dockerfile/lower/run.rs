//! `RUN`: a process on the tree.
//!
//! What runs depends on the form (Dockerfile reference, "RUN" and "Here-documents"):
//!
//! | written | runs |
//! |---|---|
//! | `RUN ["a", "b"]` | that program |
//! | `RUN line` | the shell, with the line |
//! | `RUN <<EOF` | the shell, with the body |
//! | `RUN <<EOF`, the body starts with `#!` | the shell, with the path of a file that holds the body |
//! | `RUN cat <<EOF` | the shell, with the line and the bodies below it: the shell reads them |
//!
//! No variable is expanded: the process has them in its environment.

use super::{StageBuild, command::with_shell, mount};
use crate::{
    diagnostic::{Code, Diagnostic},
    dockerfile::{
        instruction::{Command, Heredoc, Run, Word},
        plan::Step,
    },
    graph::{Device, ExecOp, Network, Op, ScriptFile, Security},
};

/// Where scripts are put while they run.
const SCRIPTS: &str = "/dev/pipes";

pub(super) fn run(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, run: &Run) -> Result<(), Diagnostic> {
    let network = network(run.network.as_ref(), stage.target.options.network)?;
    let security = security(run.security.as_ref())?;
    let devices = run.devices.iter().map(|word| device(stage, word)).collect::<Result<_, _>>()?;
    let (args, files) = command_line(stage, run)?;
    let mut inputs = vec![stage.state.root];
    let mounts = mount::mounts(stage, step, run, &mut inputs)?;
    let mut title = stage.title(step);
    if let Some(script) = run.script() {
        title.push_str(&summary(&script.content.value));
    }
    let name = stage.progress.next(&title);
    let created_by = format!("RUN {}{} # buildkit", stage.state.scope.args_for_history(), args.join(" "));
    let op = ExecOp {
        args,
        env: stage.state.scope.visible.write(),
        cwd: stage.working_dir(),
        user: stage.state.config.config.user.clone(),
        hostname: stage.target.options.hostname.clone(),
        network,
        security,
        devices,
        mounts,
        files,
        needs: Vec::new(),
        epoch: None,
    };
    let ran = stage.add_on_platform(Op::Exec(Box::new(op)), inputs, name, step);
    stage.push_layer(ran, created_by);
    Ok(())
}

fn security(word: Option<&Word>) -> Result<Security, Diagnostic> {
    match word.map(|word| (word, word.value.as_str())) {
        None | Some((_, "sandbox")) => Ok(Security::Sandbox),
        Some((_, "insecure")) => Ok(Security::Insecure),
        Some((word, other)) => {
            Err(Diagnostic::error(Code::UnknownSecurity, format!("`{other}` is no security mode"), word.span)
                .with_hint("the modes are sandbox and insecure"))
        }
    }
}

/// `NAME`, or `NAME,required`.
fn device(stage: &StageBuild<'_, '_>, word: &Word) -> Result<Device, Diagnostic> {
    let text = stage.expand(word)?;
    let (name, rest) = text.split_once(',').map_or((text.as_str(), None), |(name, rest)| (name, Some(rest)));
    let required = match rest {
        None | Some("required=false") => false,
        Some("required" | "required=true") => true,
        Some(other) => {
            return Err(Diagnostic::error(Code::InvalidDevice, format!("a device has no field `{other}`"), word.span)
                .with_hint("write `NAME` or `NAME,required`"));
        }
    };
    let name = name.strip_prefix("name=").unwrap_or(name);
    if name.is_empty() {
        return Err(Diagnostic::error(Code::InvalidDevice, "the device has no name", word.span));
    }
    Ok(Device { name: name.to_owned(), required })
}

fn network(word: Option<&Word>, default: Network) -> Result<Network, Diagnostic> {
    match word.map(|word| (word, word.value.as_str())) {
        None => Ok(default),
        Some((_, "default")) => Ok(Network::Default),
        Some((_, "none")) => Ok(Network::None),
        Some((_, "host")) => Ok(Network::Host),
        Some((word, other)) => {
            Err(Diagnostic::error(Code::UnknownNetwork, format!("`{other}` is no network mode"), word.span)
                .with_hint("the modes are default, none and host"))
        }
    }
}

fn command_line(stage: &StageBuild<'_, '_>, run: &Run) -> Result<(Vec<String>, Vec<ScriptFile>), Diagnostic> {
    let config = &stage.state.config.config;
    let line = match (&run.command, run.script()) {
        (Command::Exec(words), _) => return Ok((words.iter().map(|word| word.value.clone()).collect(), Vec::new())),
        (Command::Shell(_), Some(script)) if script.content.value.starts_with("#!") => {
            let path = format!("{SCRIPTS}/{}", file_name(script)?);
            let file = ScriptFile { path: path.clone(), content: script.content.value.clone(), mode: 0o755 };
            return Ok((with_shell(config, path), vec![file]));
        }
        (Command::Shell(_), Some(script)) => script.content.value.clone(),
        (Command::Shell(line), None) => {
            let mut line = line.value.clone();
            for heredoc in &run.heredocs {
                line.push('\n');
                line.push_str(&heredoc.content.value);
                line.push_str(&heredoc.name);
            }
            line
        }
    };
    Ok((with_shell(config, line), Vec::new()))
}

/// The delimiter of a heredoc, which becomes the name of a file.
pub(super) fn file_name(heredoc: &Heredoc) -> Result<&str, Diagnostic> {
    let name = heredoc.name.as_str();
    if name.contains(['/', '\0']) || matches!(name, "." | "..") {
        return Err(Diagnostic::error(
            Code::InvalidHeredocName,
            format!("`{name}` cannot be the name of a file"),
            heredoc.mark.span,
        )
        .with_hint("use a delimiter without slashes, such as EOF"));
    }
    Ok(name)
}

/// The first line of a script, for people.
fn summary(body: &str) -> String {
    let body = body.trim();
    match body.split_once('\n') {
        Some((first, _)) => format!(" ({}...)", first.trim_end()),
        None if body.is_empty() => String::new(),
        None => format!(" ({body})"),
    }
}
