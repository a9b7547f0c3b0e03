//! Tests of lowering, on data.

pub(in crate::dockerfile) mod asked;
mod cases;
mod dump;
mod history;
mod hostile;
