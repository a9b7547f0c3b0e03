//! What is in an image, and what of it is needed.
//!
//! | file | question |
//! |---|---|
//! | [`diff`] | do two images hold the same? |

pub mod diff;
