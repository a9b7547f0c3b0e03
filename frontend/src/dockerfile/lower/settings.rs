//! `WORKDIR`, `USER`, `EXPOSE`, `VOLUME`, `STOPSIGNAL`, `MAINTAINER`, `ONBUILD`: how containers of the image start.

use super::{StageBuild, go, permission, port, signal};
use crate::{
    config::Empty,
    diagnostic::{Code, Diagnostic},
    dockerfile::{
        instruction::{Onbuild, Word},
        plan::Step,
    },
    graph::{FileAction, FileOp, MakeDir, Op},
    path::{clean, join},
};

/// The folder is made at once, for the user set so far: later steps and containers rely on it.
pub(super) fn workdir(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, path: &Word) -> Result<(), Diagnostic> {
    let written = stage.expand(path)?;
    // An absolute path stays as it was written; engines clean it themselves.
    let path = if written.starts_with('/') { written } else { join(&stage.working_dir(), &written) };
    let created_by = format!("WORKDIR {path}");
    let cleaned = clean(&path);
    if cleaned == "/" {
        stage.record(created_by);
    } else {
        let user = &stage.state.config.config.user;
        let owner = if user.is_empty() { None } else { Some(permission::owner(user, step.instruction.span)?) };
        let folder = FileAction::MakeDir(MakeDir { path: cleaned, mode: 0o755, owner });
        let title = stage.title(step);
        let name = stage.progress.next(&title);
        let root = stage.state.root;
        let made = stage.add(Op::File(FileOp { actions: vec![folder] }), vec![root], name, step);
        stage.push_layer(made, created_by);
    }
    stage.state.config.config.working_dir = path;
    stage.state.has_workdir = true;
    Ok(())
}

pub(super) fn user(stage: &mut StageBuild<'_, '_>, user: &Word) -> Result<(), Diagnostic> {
    let user = stage.expand(user)?;
    stage.record(format!("USER {user}"));
    stage.state.config.config.user = user;
    Ok(())
}

pub(super) fn expose(stage: &mut StageBuild<'_, '_>, words: &[Word]) -> Result<(), Diagnostic> {
    let mut words: Vec<&Word> = words.iter().collect();
    words.sort_by(|left, right| left.value.cmp(&right.value));
    let mut ports = Vec::new();
    for word in words {
        for text in stage.state.scope.visible.expand_words(word, stage.escape)? {
            ports.extend(port::ports(&text, word.span)?);
        }
    }
    stage.record(format!("EXPOSE {}", go::list(&ports)));
    stage.state.config.config.exposed_ports.extend(ports.into_iter().map(|port| (port, Empty {})));
    Ok(())
}

pub(super) fn volume(stage: &mut StageBuild<'_, '_>, words: &[Word]) -> Result<(), Diagnostic> {
    let mut paths = Vec::with_capacity(words.len());
    for word in words {
        let path = stage.expand(word)?;
        if path.is_empty() {
            return Err(Diagnostic::error(
                Code::EmptyVolume,
                format!("the volume `{}` is empty once expanded", word.value),
                word.span,
            ));
        }
        paths.push(path);
    }
    stage.record(format!("VOLUME {}", go::list(&paths)));
    stage.state.config.config.volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
    Ok(())
}

pub(super) fn stopsignal(stage: &mut StageBuild<'_, '_>, word: &Word) -> Result<(), Diagnostic> {
    let signal = stage.expand(word)?;
    if !signal::is_known(&signal) {
        return Err(Diagnostic::error(Code::InvalidSignal, format!("`{signal}` is no signal"), word.span)
            .with_hint("write a name such as SIGTERM or SIGRTMIN+3, or a number"));
    }
    stage.record(format!("STOPSIGNAL {signal}"));
    stage.state.config.config.stop_signal = signal;
    Ok(())
}

pub(super) fn maintainer(stage: &mut StageBuild<'_, '_>, name: &Word) {
    stage.record(format!("MAINTAINER {}", name.value));
    stage.state.config.author = Some(name.value.clone());
}

/// Only recorded, and not even in the history: it is done by whoever starts from the image.
pub(super) fn onbuild(stage: &mut StageBuild<'_, '_>, onbuild: &Onbuild) {
    stage.state.config.config.on_build.push(onbuild.text.clone());
}
