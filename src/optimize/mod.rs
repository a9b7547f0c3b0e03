//! What is in an image, and what of it is needed.
//!
//! | file | question |
//! |---|---|
//! | [`diff`] | do two images hold the same? |
//! | [`owner`] | which packages are in it, and whose is a file? |

pub mod diff;
pub mod owner;
