//! Tests of the whole grammar, on data.

mod cases;
mod codes;
mod corpus;
pub(in crate::dockerfile) mod expect;
mod hostile;
mod print;
mod round_trip;
mod tree;
mod typed;

use super::{directive, lexer::Lexer, read_statement, syntax::Statement};
use crate::diagnostic::Diagnostic;

/// The statements of a text, before their instructions' own rules are applied, and what is wrong with it so far.
fn statements(source: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
    let (mut statements, mut errors) = (Vec::new(), Vec::new());
    let (directives, start) = directive::read(source, &mut errors);
    let mut lexer = Lexer::new(source, start, directives.escape);
    while let Some(line) = lexer.next_line() {
        match read_statement(&line, &mut lexer, source, directives.escape) {
            Ok(statement) => statements.push(statement),
            Err(error) => errors.push(error),
        }
    }
    (statements, errors)
}
