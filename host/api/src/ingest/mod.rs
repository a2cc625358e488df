//! Ingest: splits bodies into rows, submits the rows to the log, and may wait for their verdicts.

mod answer;
mod codec;
mod container;
mod format;
mod post;
mod rows;

pub(crate) use answer::answer_units;
pub(crate) use post::{__path_post_events, post_events};
