//! Expressions: CEL on columns. A source is parsed, checked against the names and types of a [`Scope`],
//! lowered once to kernels, and evaluated a column at a time: [`Expr`].
//!
//! The language is described for its users in `docs/expressions.md`; this is what it is made of:
//! - `tokens` bounds a source before CEL's parser sees it, `parse` turns the parser's tree and errors into ours.
//! - `check` gives every node its type by the names of a scope and the overloads in `functions`, and lowers it to a
//!   `node`. A chain of names such as `views.card.spent` is one path, looked up whole.
//! - A node is evaluated on a `frame`: the rows of a batch, or, in the body of a macro, the items of all their lists
//!   (`each`). What of a body does not depend on the item is moved out of it (`place`).
//! - `kernels` compute a column from columns. None fails: what has no value is missing. Ints that overflow or are
//!   divided by zero, conversions without a result, times out of range and texts beyond 64 KiB are missing in their row.
//! - `share` lets equal parts of many expressions be evaluated once.
//!
//! # Limits
//! A source has at most [`LONGEST_SOURCE`] bytes, [`DEEPEST_NESTING`] open brackets and [`LONGEST_CHAIN`]
//! operators in a chain; with these, compiling needs less than 1 MiB of stack and some milliseconds. What one event can
//! make a macro look at is bounded too: see `each`.

mod check;
mod column;
mod compiled;
mod each;
mod error;
mod frame;
mod functions;
mod kernels;
mod lists;
mod loops;
mod node;
mod parse;
mod place;
mod scope;
mod share;
mod suggest;
mod text_builder;
mod tokens;

pub use compiled::Expr;
pub use error::{EvalError, ExprError};
pub use scope::{Columns, Resolution, Scope, advice};
pub use share::{Memo, Sharing};
pub use tokens::{DEEPEST_NESTING, LONGEST_CHAIN, LONGEST_SOURCE};
