//! What images are made of: digests, descriptors, platforms, documents. Types only, no I/O.

mod digest;

pub use digest::{BlobDigest, ContentDigest, DiffId, Digest, DigestError, Sha256};
