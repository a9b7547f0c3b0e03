//! What is in an image, and what of it is needed.
//!
//! | file | question |
//! |---|---|
//! | [`analyze`] | what is in it, what is it worth, what is wasted? |
//! | [`diff`] | do two images hold the same? |
//! | [`owner`] | which packages are in it, and whose is a file? |
//! | [`passes`] | what can it do without? |

pub mod analyze;
pub mod diff;
pub mod owner;
pub mod passes;
