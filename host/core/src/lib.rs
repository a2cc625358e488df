//! The pure core of Assay: schemas, expressions, views, rules, verdicts, profiles.
//!
//! Data in, data out. Absent on purpose: IO, clocks (time is an argument), WebAssembly, and threads. The one exception
//! is the parser of expressions, which runs on a thread because it needs a large stack.

pub mod event_time;
pub mod expr;
pub mod failure_code;
pub mod json;
pub mod names;
pub mod plain_words;
pub mod retention;
pub mod rfc3339;
pub mod rule;
pub mod schema;
pub mod shape;
pub mod shorten;
pub mod size;
mod source;
pub mod span;
pub mod stream;
pub mod time_range;
pub mod time_text;
pub mod types;
pub mod value;
pub mod verdict;
pub mod view;
pub mod wire;
pub mod yaml;
