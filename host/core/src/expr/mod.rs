//! Expressions: CEL on columns. A source is parsed, checked against the names and types of a [`Scope`],
//! lowered once to kernels, and evaluated a column at a time: [`Expr`].
//!
//! The language is described for its users in `docs/expressions.md`; this is what it is made of:
//! - `tokens` splits a source into CEL's tokens, `limits` bounds it before and after it is parsed, `hints` has advice
//!   for syntax of other languages, and `parse` runs CEL's parser. These and `check` run on a stack of their own:
//!   `parser_stack`.
//! - `check` gives every node its type by the names of a scope and the overloads in `functions`, and lowers it to a
//!   `node`. A chain of names such as `views.card.spent` is one path, which is resolved as a whole.
//! - A node is evaluated on an `eval_context`: the rows of a batch or, in the body of a macro, the items of all their
//!   lists (`comprehension`). `hoist` moves parts of a body that do not depend on the item out of it.
//! - `kernels` compute a column from columns. None fails: a result that does not exist is missing. Ints that overflow or
//!   are divided by zero, conversions without a result, times out of range and texts longer than 64 KiB are missing in
//!   their row.
//! - `pattern` translates RE2's regular expressions.
//! - `common_subexpressions` evaluates equal parts of many expressions once.
//!
//! # Limits
//! A source has at most [`MAX_SOURCE_BYTES`] bytes, [`MAX_OPEN_BRACKETS`] open brackets and [`MAX_CHAIN`] operators in a
//! chain, and its tree has at most [`MAX_DEPTH`] levels. Compiling has a stack of its own that no source of this length
//! can overflow. With a tree of this depth all other work (evaluating, sharing, dropping) needs less than 1 MiB of stack.
//! The items that a macro evaluates for one event are bounded, too: see `comprehension`.

mod call_argument;
mod check;
mod column;
mod common_subexpressions;
mod compiled;
mod comprehension;
mod error;
mod eval_context;
mod functions;
mod hints;
mod hoist;
mod kernels;
mod limits;
mod lists;
mod loops;
mod node;
mod parse;
mod parser_stack;
mod pattern;
mod scope;
mod suggest;
mod text_builder;
mod tokens;
mod tree;

pub(crate) use call_argument::call_argument;
pub use common_subexpressions::{CommonSubexpressions, CseCache};
pub use compiled::Expr;
pub use error::{EvalError, ExprError};
pub use limits::{MAX_CHAIN, MAX_DEPTH, MAX_OPEN_BRACKETS, MAX_SOURCE_BYTES};
pub use scope::{Columns, Resolution, Scope, advice};
