//! Definitions that people write: put, read, deleted, listed, each with all its revisions. `resource` serves all kinds;
//! `streams`, `views` and `rules` say in what they differ, and rules have routes of their own.

mod answer;
mod body;
mod changes;
mod filters;
mod precondition;
mod resource;
mod rollback;
mod rule_mode;
mod rule_status;
mod rules;
mod store;
mod streams;
mod views;

pub(crate) use answer::{EffectJson, effects_json};
pub(crate) use changes::*;
pub(crate) use resource::{definition_author_routes, definition_read_routes, definition_revision_routes};
pub(crate) use rollback::*;
pub(crate) use rule_mode::*;
pub(crate) use rule_status::*;
pub(crate) use store::DryRun;
