//! Dockerfile text to [`Graph`](crate::graph::Graph).
//!
//! 1. `directive`: the comments at the very top that change how the rest is read.
//! 2. `lexer` and `heredoc`: text to logical lines (continuations, comments, heredocs), every byte traceable to
//!    the source through `line`.
//! 3. `syntax`, with `flags` and `words`: a logical line to keyword, flags and words: the generic tree that the
//!    corpus of the language describes.
//! 4. [`instruction`]: the tree to typed instructions, one type each.
//! 5. [`expand`]: words with `$variables` and quotes to text.
//! 6. `stage` and `plan`: instructions to stages, with what each needs of the others and of images.
//! 7. `lower`: stages to a graph, for each target platform, with the variables that `scope` gives them. [`lint`] watches,
//!    and [`call`] tells what a file offers.
//!
//! Reading is total and takes time in proportion to the text: any text gives instructions or diagnostics. One bad line
//! does not hide the next, and `survey` finds what is wrong in the steps behind it.

pub mod call;
mod directive;
pub mod expand;
mod expanded;
mod flags;
mod heredoc;
mod inputs;
pub mod instruction;
mod lexer;
mod line;
pub mod lint;
mod lower;
mod order;
mod plan;
mod scope;
mod stage;
mod survey;
mod syntax;
#[cfg(test)]
mod tests;
mod words;

pub use directive::Directives;
pub use inputs::{Inputs, Missing, NamedContext, NoCache, Options, ResolvedImage};
pub use stage::Stage;

use crate::diagnostic::{Code, Diagnostic, MAX_FOUND};
use instruction::Instruction;
use lexer::{Lexed, Lexer};
use order::Order;
use syntax::Statement;

/// What the entries of a history say of their own form. Tools that take texts of `docker history` apart look for it: it
/// names the frontend of moby/buildkit, whose texts ours are.
pub const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// A Dockerfile, read but not yet related to any build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The text; all spans point into it.
    pub source: String,
    /// What its directives say.
    pub directives: Directives,
    /// Its instructions. There is at least one `FROM`, and only `ARG`s come before the first.
    pub instructions: Vec<Instruction>,
    /// What of the text could not be read.
    pub lost: Lost,
}

/// What of a text could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// Nothing: all of it was.
    #[default]
    Nothing,
    /// Steps: the stages are all there, with fewer instructions than they have.
    Steps,
    /// More: what is there may belong to other stages than it seems.
    Stages,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    ///
    /// # Errors
    /// With everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        let (file, errors) = Self::read(text);
        if errors.is_empty() { Ok(file) } else { Err(errors) }
    }

    /// Reads what can be read of a Dockerfile, and says what is wrong with the rest, in the order of the text. If
    /// anything is wrong, the file may lack stages: it is good for looking at, not for lowering.
    pub fn read(text: &str) -> (Self, Vec<Diagnostic>) {
        let mut errors = Vec::new();
        let mut instructions = Vec::new();
        let mut order = Order::default();
        let (directives, start) = directive::read(text, &mut errors);
        let mut lost = if errors.is_empty() { Lost::Nothing } else { Lost::Stages };
        let mut lexer = Lexer::new(text, start, directives.escape);
        while let Some(line) = lexer.next_line() {
            if errors.len() == MAX_FOUND {
                lost = Lost::Stages;
                break;
            }
            let begins_stage = order.look_at(&line);
            let read = read_statement(&line, &mut lexer, text, directives.escape)
                .and_then(|statement| instruction::read(statement, text))
                .and_then(|instruction| order.admit(instruction));
            let commented = read.and_then(|instruction| {
                let (comments, empty_continuation) = (line.comments, line.empty_continuation);
                Instruction { comments, empty_continuation, ..instruction }.with_comment(text, directives.escape)
            });
            match commented {
                Ok(instruction) => instructions.push(instruction),
                Err(error) => {
                    // A heredoc without an end has swallowed what is below it.
                    let hides_more = begins_stage || error.code == Code::UnclosedHeredoc;
                    lost = lost.max(if hides_more { Lost::Stages } else { Lost::Steps });
                    errors.push(error);
                }
            }
        }
        if let Some(error) = order.missing_stage() {
            lost = Lost::Stages;
            if errors.is_empty() {
                errors.push(error);
            }
        }
        errors.sort_by_key(|error| error.span);
        (Self { source: text.to_owned(), directives, instructions, lost }, errors)
    }
}

/// Reads a line and the heredocs behind it.
fn read_statement(line: &Lexed, lexer: &mut Lexer<'_>, source: &str, escape: char) -> Result<Statement, Diagnostic> {
    let piece = line.text.piece();
    let mut statement = syntax::read(piece, escape)?;
    if statement.takes_heredocs() {
        let (heredocs, last_line) = heredoc::read_bodies(heredoc::marks(piece), lexer, source)?;
        if let Some(last_line) = last_line {
            statement.attach(heredocs, last_line);
        }
    }
    Ok(statement)
}
