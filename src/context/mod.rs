//! What a build is given: files, from wherever, and the Dockerfile among them.
//!
//! | CONTEXT | the files | the Dockerfile |
//! |---|---|---|
//! | a folder | what is in it, but for `.dockerignore` | `--file`, else `Dockerfile` in it |
//! | a folder, with `--file -` | the same | standard input |
//! | `-` | the archive on standard input, else none | in the archive, else standard input itself |
//! | a repository | a checkout, or a folder of it | in there |
//! | a URL | the archive behind it, else none | in the archive, else what is behind the URL |
//!
//! 1. `typed` reads what was written on the command line.
//! 2. [`Given::prepare`] makes folders of it all and finds the Dockerfile. What is elsewhere is fetched; so every context is a
//!    folder of this machine afterwards, and keys only ever depend on the files that steps take from it.
//! 3. `layout` answers for the images of OCI layouts.
//!
//! Where a context is not a folder of the person who builds, nothing in it can lead out of it: a Dockerfile that is a link is
//! looked up inside, and is a regular file.

mod dockerfile;
mod error;
mod image_name;
mod layout;
mod prepare;
mod typed;

pub use error::ContextError;
pub use image_name::ImageName;
pub use layout::Layouts;
pub use prepare::{Fetched, FetchedDigest, Folder, Prepared, Tools};
pub use typed::{Given, Main, Named, NamedSource};
