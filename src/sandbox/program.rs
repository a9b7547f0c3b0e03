//! Finding and executing the program of a step, with the words and numbers of a shell when that fails.

use rustix::io::Errno;
use std::convert::Infallible;
use std::ffi::{CStr, CString, NulError};
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
    let (Ok(words), Ok(variables)) = (c_strings(args), c_strings(env)) else {
        return NotExecuted::refused(program, "an argument or a variable holds a NUL byte");
    };
    let Err(error) = find_and_execute(program, &words, env, &variables);
    error
}

fn find_and_execute(
    program: &str,
    words: &[CString],
    env: &[String],
    variables: &[CString],
) -> Result<Infallible, NotExecuted> {
    if program.contains('/') {
        let Err(error) = execute_file(&words[0], words, variables);
        return Err(explain(program, program, error));
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut forbidden = false;
    for folder in path.split(':') {
        let folder = if folder.is_empty() { "." } else { folder };
        let candidate = format!("{folder}/{program}");
        let Ok(c_candidate) = CString::new(candidate.clone()) else { continue };
        let Err(error) = execute_file(&c_candidate, words, variables);
        match error {
            Errno::NOENT | Errno::NOTDIR if !Path::new(&candidate).is_file() => {}
            // A later folder may have one that is permitted; only if none has, the user hears of this.
            Errno::ACCESS => forbidden = true,
            other => return Err(explain(program, &candidate, other)),
        }
    }
    if forbidden {
        return Err(NotExecuted::refused(program, "permission denied"));
    }
    Err(NotExecuted::absent(program, "not found in PATH of the image"))
}

fn execute_file(file: &CStr, words: &[CString], variables: &[CString]) -> Result<Infallible, Errno> {
    nix::unistd::execve(file, words, variables).map_err(|error| Errno::from_raw_os_error(error as i32))
}

fn explain(program: &str, path: &str, error: Errno) -> NotExecuted {
    if error == Errno::NOENT && Path::new(path).is_file() {
        return NotExecuted::absent(program, "its interpreter or loader is not in the image");
    }
    match error {
        Errno::NOENT | Errno::NOTDIR => NotExecuted::absent(program, "no such file in the image"),
        Errno::ACCESS => NotExecuted::refused(program, "permission denied"),
        Errno::NOEXEC => {
            NotExecuted::refused(program, "exec format error: built for another architecture, or no program")
        }
        other => NotExecuted::refused(program, &std::io::Error::from(other).to_string()),
    }
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, NulError> {
    texts.iter().map(|text| CString::new(text.as_str())).collect()
}
