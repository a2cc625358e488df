//! Expressions: CEL on columns. A source is parsed, checked against the names and types of a [`Scope`],
//! lowered once to kernels, and evaluated a column at a time: [`Expr`].
//!
//! # The language
//! - Types: bool, int (64 bits, signed), double, string, timestamp and duration (both to the millisecond).
//!   Lists can be tested (`has`, `size`, `== null`); a list literal stands only behind `in`.
//! - A chain of names such as `views.card.spent` is one path, looked up whole.
//! - Operators: `+ - * / %`, `== != < <= > >=`, `&& || !`, `?:`, `in [...]`. Ints and doubles do not mix in
//!   arithmetic: write `double(n)`. But an int literal that stands where a double is needed is one (`x * 2`).
//!   They do compare, exactly: an int is not rounded to a double first. Texts compare by code points, bools
//!   with false before true; `%` of doubles has the sign of the dividend.
//! - Every function is also a method: `f(a, b)` and `a.f(b)` are the same.
//!
//! | functions | |
//! |---|---|
//! | `int(x)` `double(x)` `string(x)` `bool(x)` | conversions; `int(double)` drops the fraction, `int(timestamp)` is Unix seconds |
//! | `timestamp(x)` `duration("1h30m")` | from RFC 3339 or Unix seconds; from a constant of d, h, m, s, ms, us, ns |
//! | `abs` `ceil` `floor` `round` `exp` `log` `sqrt` `min(a, b)` `max(a, b)` | `round` takes halves away from zero; `log` is natural; `min` and `max` are NaN if either is |
//! | `grid(x, step)` | the lower edge of a cell, `floor(x / step) * step` |
//! | `haversine(lat1, lon1, lat2, lon2)` | km between places in degrees, on a sphere of 6371.0088 km |
//! | `size` `contains` `startsWith` `endsWith` `lower` `upper` | of strings, in code points; `size` also of lists |
//! | `matches(s, "pattern")` | whether the constant regular expression matches anywhere in the string |
//! | `hash(s)` | XXH3 of the UTF-8 bytes, 64 bits as an int |
//! | `hour(t)` `day(t)` `month(t)` | of a timestamp in UTC: 0-23, 1-31, 1-12 |
//! | `getFullYear` `getMonth` (from 0) `getDate` (from 1) `getDayOfMonth` (from 0) `getDayOfYear` (from 0) `getDayOfWeek` (0 is Sunday) `getHours` `getMinutes` `getSeconds` `getMilliseconds` | CEL's own, in UTC; the last four also of durations |
//! | `has(a.b)` `coalesce(a, b)` | whether there is a value; the first that there is |
//!
//! # Missing values
//! Any value may be missing (null), and what is computed from a missing one is missing, except:
//! - `false && missing` is false, `true || missing` is true;
//! - `c ? a : b` is missing if `c` or the chosen one is; the other does not matter;
//! - `has(x)`, `x == null` and `x != null` say whether it is there; `coalesce(a, b)` replaces it;
//! - `x in [...]` is never missing: a missing `x` is in the list if `null` (or another missing value) is.
//!
//! A filter passes only what is true. No row is ever an error: an int that overflows or is divided by zero,
//! a conversion without a result (`int("abc")`), a time out of range, and a joined string longer than
//! 64 KiB are missing in that row. Doubles follow IEEE 754: `1.0 / 0.0` is infinite, NaN equals nothing.
//!
//! # Limits
//! A source has at most [`LONGEST_SOURCE`] bytes, [`DEEPEST_NESTING`] open brackets and [`LONGEST_CHAIN`]
//! operators in a chain; with these, compiling needs less than 1 MiB of stack and some milliseconds.

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
