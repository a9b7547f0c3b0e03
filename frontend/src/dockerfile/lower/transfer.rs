//! `COPY` and `ADD` of files: one layer, whatever the number of sources.
//!
//! - Sources are paths or patterns inside the context, a stage or an image; whatever they say, they stay inside: `../a` is `/a`.
//!   Relative destinations start from the working directory.
//! - With `--link` the files are put on the empty tree and that is merged over the stage's: the layer does not depend on what is
//!   below it. Only names of owners still have to be looked up there.
//! - A heredoc is a source whose name is its delimiter; its file is for everyone to read and for the owner to write.

use super::{StageBuild, permission, run::file_name, stage::not_yet};
use crate::{
    diagnostic::{Diagnostic, Span},
    dockerfile::{
        instruction::{Add, Copy, Heredoc, Source, TransferFlags, Word},
        plan::Step,
    },
    glob::{Glob, has_wildcards},
    graph::{CopyAction, CopySource, FileAction, FileOp, MakeFile, Mode, Op, Owner},
    ignore::IgnoreRules,
    path::{clean, join},
};

const HEREDOC_MODE: Mode = Mode::Octal(0o644);

pub(super) fn copy(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, copy: &Copy) -> Result<(), Diagnostic> {
    let transfer = Transfer {
        keyword: "COPY",
        flags: &copy.flags,
        sources: &copy.sources,
        dest: &copy.dest,
        parents: copy.parents.is_some(),
        unpack: false,
    };
    transfer.lower(stage, step)
}

pub(super) fn add(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, add: &Add) -> Result<(), Diagnostic> {
    if let Some(checksum) = &add.checksum {
        return Err(not_yet("ADD --checksum", checksum.span, "only what is downloaded has one: fetch it with RUN"));
    }
    if let Some(keep) = &add.keep_git_dir {
        return Err(not_yet("ADD --keep-git-dir", keep.span, "clone the repository with RUN"));
    }
    let unpack = add.unpack.as_ref().is_none_or(|unpack| unpack.value);
    let (flags, sources, dest) = (&add.flags, &add.sources, &add.dest);
    Transfer { keyword: "ADD", flags, sources, dest, parents: false, unpack }.lower(stage, step)
}

/// What `COPY` and `ADD` have in common.
struct Transfer<'a> {
    keyword: &'static str,
    flags: &'a TransferFlags,
    sources: &'a [Source],
    dest: &'a Word,
    /// Whether sources keep the folders that they are in.
    parents: bool,
    unpack: bool,
}

/// Flags and destination, expanded.
struct Placed {
    /// Absolute and clean.
    dest: String,
    into_dir: bool,
    exclude: Vec<String>,
    owner: Option<Owner>,
    mode: Option<Mode>,
}

impl Transfer<'_> {
    fn lower(&self, stage: &mut StageBuild<'_, '_>, step: &Step<'_>) -> Result<(), Diagnostic> {
        let exclude = self.exclude()?;
        let mut created_by = self.keyword.to_owned();
        let mut show = |text: &str| {
            created_by.push(' ');
            created_by.push_str(text);
        };
        if self.parents {
            show("--parents");
        }
        let (owner, mode) = self.permissions(stage, &mut show)?;
        let paths = self.paths(stage, &mut show)?;
        let bodies = self.bodies(stage, &mut show)?;
        let written = stage.expand(self.dest)?;
        show(&written);
        created_by.push_str(" # buildkit");

        let into_dir = self.needs_folder(&written)?;
        let mut placed = Placed { dest: join(&stage.working_dir(), &written), into_dir, exclude, owner, mode };

        let parent = stage.state.root;
        let mut inputs = vec![if self.flags.link { stage.target.empty_tree() } else { parent }];
        let from = inputs.len();
        if !paths.is_empty() {
            inputs.push(stage.source(step.from.as_ref(), step));
        }
        if let Some(owner) = &mut placed.owner
            && self.flags.link
            && permission::has_names(owner)
        {
            owner.names_in = inputs.len();
            inputs.push(parent);
        }
        let actions = self.actions(from, paths, bodies, &placed);

        let title = stage.title(step);
        let name = stage.progress.next(&title);
        let files = stage.add(Op::File(FileOp { actions }), inputs, name, step);
        if self.flags.link {
            let name = stage.progress.name(&format!("LINK {title}"));
            let merged = stage.add(Op::Merge, vec![parent, files], name, step);
            stage.push_layer(merged, created_by);
        } else {
            stage.push_layer(files, created_by);
        }
        Ok(())
    }

    fn permissions(
        &self,
        stage: &StageBuild<'_, '_>,
        show: &mut impl FnMut(&str),
    ) -> Result<(Option<Owner>, Option<Mode>), Diagnostic> {
        let mut read = |flag: &str, word: &Option<Word>| -> Result<Option<(String, Span)>, Diagnostic> {
            let Some(word) = word else {
                return Ok(None);
            };
            let text = stage.expand(word)?;
            if text.is_empty() {
                return Ok(None);
            }
            show(&format!("--{flag}={text}"));
            Ok(Some((text, word.span)))
        };
        let owner = read("chown", &self.flags.chown)?;
        let mode = read("chmod", &self.flags.chmod)?;
        Ok((
            owner.map(|(text, span)| permission::owner(&text, span)).transpose()?,
            mode.map(|(text, span)| permission::mode(&text, span)).transpose()?,
        ))
    }

    /// The patterns of what stays behind. No variables are expanded in them, as in moby/buildkit.
    fn exclude(&self) -> Result<Vec<String>, Diagnostic> {
        let patterns = self.flags.exclude.iter();
        patterns
            .map(|word| match IgnoreRules::new([&word.value]) {
                Ok(_) => Ok(word.value.clone()),
                Err(error) => Err(Diagnostic::error(error.to_string(), word.span)
                    .with_hint("--exclude takes the patterns of .dockerignore")),
            })
            .collect()
    }

    /// The sources that are paths, absolute inside of what they are taken from.
    fn paths(&self, stage: &StageBuild<'_, '_>, show: &mut impl FnMut(&str)) -> Result<Vec<CopySource>, Diagnostic> {
        let mut paths = Vec::new();
        for source in self.sources {
            let Source::Path(word) = source else {
                continue;
            };
            let path = stage.expand(word)?;
            self.refuse_address(&path, word.span)?;
            if has_wildcards(&path) {
                Glob::for_copy(&path).map_err(|reason| {
                    Diagnostic::error(format!("the pattern `{path}` is malformed: {reason}"), word.span)
                })?;
            }
            show(&path);
            paths.push(self.source(&path));
        }
        Ok(paths)
    }

    fn source(&self, path: &str) -> CopySource {
        let inside = |path: &str| clean(&format!("/{path}"));
        if !self.parents {
            return CopySource::Flat(inside(path));
        }
        let (pivot, below) = path.split_once("/./").unwrap_or(("", path));
        let below = inside(below);
        let below = if below == "/" { "." } else { below.trim_start_matches('/') };
        CopySource::WithParents { pivot: inside(pivot), below: below.to_owned() }
    }

    fn bodies<'s>(
        &'s self,
        stage: &StageBuild<'_, '_>,
        show: &mut impl FnMut(&str),
    ) -> Result<Vec<(&'s str, String)>, Diagnostic> {
        let heredocs = self.sources.iter().filter_map(|source| match source {
            Source::Heredoc(heredoc) => Some(heredoc),
            Source::Path(_) => None,
        });
        heredocs
            .map(|heredoc: &Heredoc| {
                let name = file_name(heredoc)?;
                show(&format!("<<{name}"));
                Ok((name, stage.state.scope.visible.expand_body(heredoc)?))
            })
            .collect()
    }

    fn needs_folder(&self, dest: &str) -> Result<bool, Diagnostic> {
        let is_dir = matches!(dest, "" | ".") || dest.ends_with('/') || dest.ends_with("/.");
        if !is_dir && self.sources.len() > 1 {
            let message = format!("{} of several sources needs a folder as its destination", self.keyword);
            return Err(Diagnostic::error(message, self.dest.span).with_hint(format!("end it with a slash: `{dest}/`")));
        }
        Ok(is_dir)
    }

    fn refuse_address(&self, path: &str, span: Span) -> Result<(), Diagnostic> {
        let is_web = path.starts_with("http://") || path.starts_with("https://");
        let is_git = ["git://", "ssh://", "git@"].iter().any(|scheme| path.starts_with(scheme))
            || (is_web && path.split(['#', '?']).next().is_some_and(|address| address.strip_suffix(".git").is_some()));
        match (self.keyword, is_web || is_git) {
            (_, false) => Ok(()),
            ("ADD", true) if is_git => Err(not_yet("ADD of a git repository", span, "clone the repository with RUN")),
            ("ADD", true) => Err(not_yet("ADD of a URL", span, "download the file with RUN")),
            (_, true) => Err(Diagnostic::error(format!("COPY cannot take `{path}`: it is no file"), span)
                .with_hint("ADD takes files from elsewhere")),
        }
    }

    fn actions(
        &self,
        from: usize,
        paths: Vec<CopySource>,
        bodies: Vec<(&str, String)>,
        placed: &Placed,
    ) -> Vec<FileAction> {
        let mut actions = Vec::new();
        if !paths.is_empty() {
            actions.push(FileAction::Copy(CopyAction {
                from,
                sources: paths,
                exclude: placed.exclude.clone(),
                dest: placed.dest.clone(),
                into_dir: placed.into_dir,
                owner: placed.owner.clone(),
                mode: placed.mode.clone(),
                unpack: self.unpack,
            }));
        }
        for (name, content) in bodies {
            let slash = if placed.into_dir && placed.dest != "/" { "/" } else { "" };
            actions.push(FileAction::MakeFile(MakeFile {
                path: format!("{}{slash}", placed.dest),
                name: name.to_owned(),
                content,
                mode: Some(placed.mode.clone().unwrap_or(HEREDOC_MODE)),
                owner: placed.owner.clone(),
            }));
        }
        actions
    }
}
