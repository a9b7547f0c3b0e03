//! Which packages share a layer.
//!
//! A package of its own layer is the same layer in every project, and when it changes, nothing else does. But an image may
//! have some hundred layers at most, and who builds on it needs some of them. So once there are many, small packages
//! share layers, in a way that a change of one package changes one layer. What is small is told
//!
//! - by the size of the artifact, where an index says it ([`by_size()`]), or of the files, where they are there
//!   ([`by_size_of`]);
//! - by the name, where a lock says no more ([`by_name()`]).
//!
//! What is [`huge`] is several layers.

mod by_name;
mod by_size;
mod huge;

pub(super) use by_name::pack as by_name;
pub(super) use by_size::pack as by_size;
pub(crate) use by_size::{LAYERS as MOST_LAYERS, Sized, pack_any as by_size_of};
