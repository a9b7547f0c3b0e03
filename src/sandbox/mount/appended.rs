//! Text at the end of files of the tree, for as long as a step runs.

use crate::sandbox::failure::{Doing, Failure};
use crate::sandbox::tree::Tree;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

/// Text to append to a file of the tree. It goes to `upper`, and is the caller's to take out again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The file, which is there: a path relative to the root of the tree. What is no regular file is left alone.
    pub path: PathBuf,
    /// What to append.
    pub text: String,
}

/// Appends the text to its file, resolved inside the tree.
pub(in crate::sandbox) fn append(appended: &Appended, tree: &Tree) -> Result<(), Failure> {
    let file = tree.existing(&appended.path)?;
    let stat = rustix::fs::statat(&file, "", AtFlags::EMPTY_PATH).doing(|| "look at a file".to_owned())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let open = || {
        // By its descriptor: nobody can have put something else in its place.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?;
        File::from(opened).write_all(appended.text.as_bytes())
    };
    open().doing(|| format!("append to {}", appended.path.display()))
}
