//! What must hold of any bytes that somebody hands over as a Dockerfile, a word or an ignore file.

pub mod expand;
pub mod ignore;
pub mod parse;
