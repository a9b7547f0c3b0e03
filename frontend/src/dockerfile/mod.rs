//! Dockerfile text to [`Graph`](crate::graph::Graph).
//!
//! 1. [`lexer`]: text to logical lines (directives, continuations, comments, heredocs), every byte traceable to the source.
//! 2. [`syntax`]: a logical line to keyword, flags and words: the generic tree that the corpus of the language describes.
//! 3. [`instruction`]: the tree to typed instructions, one type each.
//! 4. [`expand`]: words with `$variables` and quotes to text.
//! 5. [`stage`]: instructions to stages, with what each needs of the others.
//! 6. [`lower`]: stages to a graph, for each target platform.

pub mod instruction;
