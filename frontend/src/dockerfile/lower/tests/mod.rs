//! Tests of lowering, on data.

mod asked;
mod cases;
mod dump;
mod hostile;
