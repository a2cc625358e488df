//! Events come in: bodies are split into rows, rows go to the log, their verdicts may be waited for.

mod answer;
mod codec;
mod container;
mod format;
mod post;
mod rows;

pub(crate) use answer::answer_units;
pub(crate) use post::{__path_post_events, post_events};
