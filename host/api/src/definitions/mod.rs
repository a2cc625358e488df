//! Streams, views and rules: written, read, deleted, listed, each with all its revisions.

mod answer;
mod body;
mod changes;
mod filters;
mod precondition;
mod rollback;
mod rule_status;
mod rules;
mod store;
mod streams;
mod views;

pub(crate) use answer::{EffectJson, effects_json};
pub(crate) use changes::*;
pub(crate) use rollback::*;
pub(crate) use rule_status::*;
pub(crate) use rules::*;
pub(crate) use store::DryRun;
pub(crate) use streams::*;
pub(crate) use views::*;
