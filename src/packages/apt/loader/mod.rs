//! `/etc/ld.so.cache`: where the dynamic loader finds libraries (`ldconfig(8)`), made without a process for any architecture.
//!
//! 1. [`folders`] says where libraries are: what `/etc/ld.so.conf` names, then the trusted folders.
//! 2. [`libraries`] lists those of each folder. What a library is called, and whom it is for, stands in its file ([`elf`]).
//! 3. [`table`] is the file's format: sorted, in the byte order of the architecture.
//!
//! An image may have such a file. What it says of its own layer and of those below it is believed, so that no library there has to
//! be fetched to be read again; libraries of layers above it are read, and what is gone is left out.
//!
//! As `ldconfig` does, a library gets the link that is called as it wants to be called, if its folder has nothing of that name.
//! Not made: entries for folders of `glibc-hwcaps`, without which the loader takes the library that runs everywhere.

mod elf;
mod folders;
mod libraries;
mod table;

pub(super) use libraries::{CACHE, Found, Libraries, is_setting};
pub(super) use table::Library;

/// The file for Debian's `architecture`.
pub(super) fn write(architecture: &str, libraries: Vec<Library>) -> Vec<u8> {
    table::write(architecture, libraries)
}
