//! `COPY` and `ADD` of files: one layer, whatever the number of sources.
//!
//! - Sources are paths or patterns inside the context, a stage or an image; whatever they say, they stay inside: `../a` is `/a`.
//!   Relative destinations start from the working directory.
//! - With `--link` the files are put on the empty tree and that is merged over the stage's: the layer does not depend on what is
//!   below it. Only names of owners still have to be looked up there.
//! - Sources of `ADD` may be elsewhere: the module `fetch` reads what is said about them.
//! - A heredoc is a source whose name is its delimiter; its file is for everyone to read and for the owner to write.

use super::{
    StageBuild,
    fetch::{FetchFlags, Taken},
    permission,
    run::file_name,
};
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    dockerfile::{
        instruction::{Add, Copy, Heredoc, Source, TransferFlags, Word},
        plan::Step,
    },
    glob::{Glob, has_wildcards, literal},
    graph::{CopyAction, CopySource, FileAction, FileOp, MakeFile, Mode, NodeId, Op, Owner},
    ignore::IgnoreRules,
    path::{clean, join},
    remote::Remote,
};

const HEREDOC_MODE: Mode = Mode::Octal(0o644);

pub(super) fn copy(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, copy: &Copy) -> Result<(), Diagnostic> {
    let transfer = Transfer {
        keyword: "COPY",
        flags: &copy.flags,
        sources: &copy.sources,
        dest: &copy.dest,
        parents: copy.parents.is_some(),
        unpack: Some(false),
        fetch: None,
    };
    transfer.lower(stage, step)
}

pub(super) fn add(stage: &mut StageBuild<'_, '_>, step: &Step<'_>, add: &Add) -> Result<(), Diagnostic> {
    let fetch = FetchFlags { checksum: add.checksum.as_ref(), keep_git_dir: add.keep_git_dir.as_ref() };
    let transfer = Transfer {
        keyword: "ADD",
        flags: &add.flags,
        sources: &add.sources,
        dest: &add.dest,
        parents: false,
        unpack: add.unpack.as_ref().map(|unpack| unpack.value),
        fetch: Some(fetch),
    };
    transfer.lower(stage, step)
}

/// What `COPY` and `ADD` have in common.
struct Transfer<'a> {
    keyword: &'static str,
    flags: &'a TransferFlags,
    sources: &'a [Source],
    dest: &'a Word,
    /// Whether sources keep the folders that they are in.
    parents: bool,
    /// Whether archives are unpacked; if nothing is said, those that are files here are, and those from elsewhere not.
    unpack: Option<bool>,
    /// What is said about sources from elsewhere; `None` if there can be none.
    fetch: Option<FetchFlags<'a>>,
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
        let taken = self.taken(stage, &mut show)?;
        let bodies = self.bodies(stage, &mut show)?;
        let written = stage.expand(self.dest)?;
        show(&written);
        created_by.push_str(" # buildkit");

        let into_dir = self.needs_folder(&written)?;
        let mut placed = Placed { dest: join(&stage.working_dir(), &written), into_dir, exclude, owner, mode };

        let parent = stage.state.root;
        let mut inputs = vec![if self.flags.link { stage.target.empty_tree() } else { parent }];
        let copies = self.copies(stage, step, taken, &mut inputs);
        if let Some(owner) = &mut placed.owner
            && self.flags.link
            && permission::has_names(owner)
        {
            owner.names_in = inputs.len();
            inputs.push(parent);
        }
        let mut actions: Vec<_> = copies.into_iter().map(|copied| placed.copy(copied)).collect();
        actions.extend(bodies.into_iter().map(|(name, content)| placed.make_file(name, content)));

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
                Err(error) => Err(Diagnostic::error(Code::InvalidPattern, error.to_string(), word.span)
                    .with_hint("--exclude takes the patterns of .dockerignore")),
            })
            .collect()
    }

    /// The sources that are no heredocs.
    fn taken(&self, stage: &StageBuild<'_, '_>, show: &mut impl FnMut(&str)) -> Result<Vec<Taken>, Diagnostic> {
        let mut taken = Vec::new();
        for source in self.sources {
            let Source::Path(word) = source else {
                continue;
            };
            let path = stage.expand(word)?;
            show(&path);
            let elsewhere = Remote::read(&path)
                .map_err(|error| Diagnostic::error(Code::InvalidAddress, error.to_string(), word.span))?;
            match (elsewhere, &self.fetch) {
                (Some(remote), Some(flags)) => taken.push(flags.fetch(stage, remote, word.span)?),
                (Some(_), None) => {
                    return Err(Diagnostic::error(
                        Code::CopyFromElsewhere,
                        format!("COPY cannot take `{path}`: it is no file"),
                        word.span,
                    )
                    .with_hint("ADD takes files from elsewhere"));
                }
                (None, _) => {
                    if has_wildcards(&path) {
                        Glob::for_copy(&path).map_err(|reason| {
                            let message = format!("the pattern `{path}` is malformed: {reason}");
                            Diagnostic::error(Code::InvalidPattern, message, word.span)
                        })?;
                    }
                    taken.push(Taken::Files(self.source(&path)));
                }
            }
        }
        if let Some(flags) = &self.fetch {
            flags.check(&taken)?;
        }
        Ok(taken)
    }

    /// Adds what is taken to the inputs, and says what of each is copied. Neighbours from one input are one copy.
    fn copies(
        &self,
        stage: &mut StageBuild<'_, '_>,
        step: &Step<'_>,
        taken: Vec<Taken>,
        inputs: &mut Vec<NodeId>,
    ) -> Vec<Copied> {
        let mut copies: Vec<Copied> = Vec::new();
        let mut files = None;
        for taken in taken {
            let (from, source, unpack) = match taken {
                Taken::Files(source) => {
                    let from = *files.get_or_insert_with(|| {
                        inputs.push(stage.source(step.from.as_ref(), step));
                        inputs.len() - 1
                    });
                    (from, source, self.unpack.unwrap_or(true))
                }
                Taken::File(op) => {
                    let name = format!("load {}", op.shown());
                    let source = CopySource::Flat(literal(&format!("/{}", op.name)));
                    inputs.push(stage.add(Op::Http(op), Vec::new(), name, step));
                    (inputs.len() - 1, source, self.unpack.unwrap_or(false))
                }
                Taken::Repository(op, subdir) => {
                    let name = format!("check out {}", op.shown());
                    inputs.push(stage.add(Op::Git(op), Vec::new(), name, step));
                    (inputs.len() - 1, CopySource::Flat(literal(&format!("/{}", subdir.unwrap_or_default()))), false)
                }
            };
            match copies.last_mut().filter(|last| last.from == from) {
                Some(last) => last.sources.push(source),
                None => copies.push(Copied { from, sources: vec![source], unpack }),
            }
        }
        copies
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
            return Err(Diagnostic::error(Code::DestinationNotFolder, message, self.dest.span)
                .with_hint(format!("end it with a slash: `{dest}/`")));
        }
        Ok(is_dir)
    }
}

/// What is copied from one input.
struct Copied {
    from: usize,
    sources: Vec<CopySource>,
    unpack: bool,
}

impl Placed {
    fn copy(&self, copied: Copied) -> FileAction {
        FileAction::Copy(CopyAction {
            from: copied.from,
            sources: copied.sources,
            exclude: self.exclude.clone(),
            dest: self.dest.clone(),
            into_dir: self.into_dir,
            owner: self.owner.clone(),
            mode: self.mode.clone(),
            unpack: copied.unpack,
        })
    }

    fn make_file(&self, name: &str, content: String) -> FileAction {
        let slash = if self.into_dir && self.dest != "/" { "/" } else { "" };
        FileAction::MakeFile(MakeFile {
            path: format!("{}{slash}", self.dest),
            name: name.to_owned(),
            content,
            mode: Some(self.mode.clone().unwrap_or(HEREDOC_MODE)),
            owner: self.owner.clone(),
        })
    }
}
