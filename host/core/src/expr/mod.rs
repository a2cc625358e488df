//! Expressions: CEL on columns. A source is parsed, checked against the names and types of a [`Scope`],
//! lowered once to kernels, and evaluated a column at a time: [`Expr`].
//!
//! The language is described for its users in `docs/expressions.md`; this is what it is made of:
//! - `tokens` cuts a source as CEL's grammar does, `limits` bounds it before and after it is parsed, `hints` has advice
//!   for what other languages write, `parse` runs CEL's parser; all of this and `check` on a stack of its own: `own_stack`.
//! - `check` gives every node its type by the names of a scope and the overloads in `functions`, and lowers it to a
//!   `node`. A chain of names such as `views.card.spent` is one path, looked up whole.
//! - A node is evaluated on a `frame`: the rows of a batch, or, in the body of a macro, the items of all their lists
//!   (`each`). What of a body does not depend on the item is moved out of it (`place`).
//! - `kernels` compute a column from columns. None fails: what has no value is missing. Ints that overflow or are
//!   divided by zero, conversions without a result, times out of range and texts beyond 64 KiB are missing in their row.
//! - `share` lets equal parts of many expressions be evaluated once.
//!
//! # Limits
//! A source has at most [`MAX_SOURCE_BYTES`] bytes, [`MAX_OPEN_BRACKETS`] open brackets and [`MAX_CHAIN`] operators in a
//! chain, and its tree at most [`MAX_DEPTH`] levels. Compiling has a stack of its own that no source of this
//! length can fill; with a tree of this depth everything else (evaluating, sharing, dropping) needs less than 1 MiB.
//! What one event can make a macro look at is bounded too: see `each`.

mod check;
mod column;
mod compiled;
mod each;
mod error;
mod frame;
mod functions;
mod hints;
mod kernels;
mod limits;
mod lists;
mod loops;
mod node;
mod own_stack;
mod parse;
mod pattern;
mod place;
mod scope;
mod share;
mod suggest;
mod text_builder;
mod tokens;
mod tree;

pub use compiled::Expr;
pub use error::{EvalError, ExprError};
pub use limits::{MAX_CHAIN, MAX_DEPTH, MAX_OPEN_BRACKETS, MAX_SOURCE_BYTES};
pub use scope::{Columns, Resolution, Scope, advice};
pub use share::{Memo, Sharing};
pub(crate) use tokens::call_argument;
