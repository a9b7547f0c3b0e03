//! What is in an image, and what of it is needed.
//!
//! | file | question |
//! |---|---|
//! | [`analyze`] | what is in it, what is it worth, what is wasted? |
//! | [`diff`] | do two images hold the same? |
//! | [`observed`] | what of it is needed, as far as it was seen to run? |
//! | [`owner`] | which packages are in it, and whose is a file? |
//! | [`passes`] | what can it do without? |
//! | [`rewrite`] | the same image in other layers, or without what nobody needs |
//! | `strip` | a program without debug symbols, and without code for other GPUs |

pub mod analyze;
pub mod diff;
pub mod observed;
pub mod owner;
pub mod passes;
pub mod rewrite;
mod strip;
