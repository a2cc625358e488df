//! Events come in: bodies are split into rows, rows go to the log, their verdicts may be waited for.

mod budget;
mod codec;
mod container;
mod post;
mod rows;

pub(crate) use budget::Budget;
pub(crate) use post::{__path_post_events, post_events};
