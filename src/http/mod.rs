//! Files at addresses: what `ADD` of a URL and contexts behind URLs come from.
//!
//! 1. [`Clients`] make connections, for this room and for registries.
//! 2. [`Web::download`] brings a file into the store's blobs. What the server said to tell versions apart by (`ETag`,
//!    `Last-Modified`) is remembered by address, so that a file that did not change does not come again.
//!
//! What holds throughout:
//!
//! - Whoever wrote the address decides where to ask first. Where a *server* sends us is limited (module `redirect`).
//! - Credentials in an address go to its own [`Origin`] and nowhere else, and are in no message.
//! - A file is kept under its digest once all of it came; it may have any size. What is limited is silence.

mod address;
mod clients;
mod download;
mod error;
mod get;
mod redirect;
mod resolver;

pub use address::{Origin, is_link_local, is_loopback, shown};
pub use clients::{Clients, Trust, certificates, innermost};
pub use download::{Download, Web};
pub use error::HttpError;
pub use resolver::SystemResolver;
