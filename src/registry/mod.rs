//! Images in registries: a client of the OCI distribution specification.
//!
//! 0. Files of the machine say where images come from: mirrors, other locations, what is blocked (module `place`).
//! 1. A [`Client`] keeps, for each registry, its connections, tokens and a limit on transfers.
//! 2. [`Client::resolve`] turns a name into a verified document; [`Client::image`] goes on to the image of a platform.
//! 3. [`Client::fetch_blob`] streams a layer to where it belongs, verified on the way.
//! 4. [`Client::push_blob`] sends a layer unless the registry has it, then [`Client::push_manifest`] names it. A push
//!    is complete in this order: blobs, manifests by digest, the index, the tag last. Whoever pulls in the meantime
//!    sees the old image or the new one.
//!
//! What holds throughout:
//!
//! - No byte leaves this room unverified: documents are checked against their digest before they are parsed, blobs
//!   while they stream. A mismatch is an error and never tried again until it fits.
//! - A credential goes to the registry that it was saved for, or to the token service that this registry names
//!   (module `host`), and to nobody else.
//! - Everything that a registry decides has a limit: sizes of documents, depth of indexes, redirects, waits, silence.
//! - A failure that may pass is tried again (module `retry`); a transfer goes on where it broke.

mod auth;
mod blob;
mod body;
mod challenge;
mod client;
mod credentials;
mod error;
mod fetch;
mod host;
mod login;
mod place;
mod pull;
mod push;
mod referrers;
mod retry;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod traffic;
mod transport;
mod upload;

pub use body::BlobSource;
pub use client::{Client, Options};
pub use credentials::default_credential_files;
pub use error::RegistryError;
pub use login::{check_password, forget_password, save_password};
pub use place::PlaceFiles;
pub use pull::{Known, Resolved, ResolvedImage};
pub use push::PushOutcome;
pub use retry::RetryPolicy;
pub use traffic::Traffic;

/// Told how many bytes of a blob have been transferred. A transfer that starts over counts from zero again.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);
