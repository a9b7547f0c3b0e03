//! Finding and executing the program of a step, with the words and numbers of a shell when that fails.

use nix::errno::Errno;
use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::path::Path;

/// Where engines look for programs when an image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program could not be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotExecuted {
    /// What a shell would say.
    pub(super) message: String,
    /// What a shell would exit with.
    pub(super) code: i32,
}

impl NotExecuted {
    fn absent(program: &str, why: &str) -> Self {
        Self { message: format!("exec: {program:?}: {why}"), code: 127 }
    }

    fn refused(program: &str, why: &str) -> Self {
        Self { message: format!("exec: {program:?}: {why}"), code: 126 }
    }
}

/// Becomes the program. Only a failure returns.
pub(super) fn execute(args: &[String], env: &[String]) -> NotExecuted {
    let Some(program) = args.first() else { return NotExecuted::absent("", "no program given") };
    let (Ok(argv), Ok(envp)) = (c_strings(args), c_strings(env)) else {
        return NotExecuted::refused(program, "an argument or a variable holds a NUL byte");
    };
    let Err(error) = find_and_execute(program, &argv, env, &envp);
    error
}

fn find_and_execute(
    program: &str,
    argv: &[CString],
    env: &[String],
    envp: &[CString],
) -> Result<Infallible, NotExecuted> {
    if program.contains('/') {
        let Err(error) = nix::unistd::execve(&argv[0], argv, envp);
        return Err(explain(program, program, error));
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut forbidden = false;
    for folder in path.split(':') {
        let folder = if folder.is_empty() { "." } else { folder };
        let candidate = format!("{folder}/{program}");
        let Ok(c_candidate) = CString::new(candidate.clone()) else { continue };
        let Err(error) = nix::unistd::execve(&c_candidate, argv, envp);
        match error {
            Errno::ENOENT | Errno::ENOTDIR if !Path::new(&candidate).is_file() => {}
            // A later folder may have one that is permitted; only if none has, the user hears of this.
            Errno::EACCES => forbidden = true,
            other => return Err(explain(program, &candidate, other)),
        }
    }
    if forbidden {
        return Err(NotExecuted::refused(program, "permission denied"));
    }
    Err(NotExecuted::absent(program, "not found in PATH of the image"))
}

fn explain(program: &str, path: &str, error: Errno) -> NotExecuted {
    if error == Errno::ENOENT && Path::new(path).is_file() {
        return NotExecuted::absent(program, "its interpreter or loader is not in the image");
    }
    match error {
        Errno::ENOENT | Errno::ENOTDIR => NotExecuted::absent(program, "no such file in the image"),
        Errno::EACCES => NotExecuted::refused(program, "permission denied"),
        Errno::ENOEXEC => {
            NotExecuted::refused(program, "exec format error: built for another architecture, or no program")
        }
        other => NotExecuted::refused(program, other.desc()),
    }
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, NulError> {
    texts.iter().map(|text| CString::new(text.as_str())).collect()
}
