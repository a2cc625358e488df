//! Streams, views and rules: written, read, deleted, listed, each with all its revisions.

mod answer;
mod body;
mod changes;
mod filters;
mod precondition;
mod rules;
mod store;
mod streams;
mod views;

pub(crate) use changes::*;
pub(crate) use rules::*;
pub(crate) use streams::*;
pub(crate) use views::*;
