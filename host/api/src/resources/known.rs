//! One rule for names that nothing is known of: an unknown stream, view, rule or plugin is 404 `not-found`, an entity or a
//! node of which nothing was seen is 404 `entity-not-found`, whichever route is asked.

use assay_core::time_range::TimeRange;
use assay_engine::Engine;
use assay_engine::ports::StreamPartition;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::ports::catalog::Kind;

use crate::http::ApiError;

/// The partition of an entity, or that there is no such stream.
pub(super) fn partition_of(engine: &Engine, stream: &str, key: &str) -> Result<StreamPartition, ApiError> {
    engine.partition_of(stream, key).ok_or_else(|| ApiError::not_found(format!("there is no stream '{stream}'")))
}

/// Refuses a name that the catalog does not have and never had: what was said by a deleted rule can still be read.
pub(super) fn check_was_defined(engine: &Engine, kind: Kind, name: &str) -> Result<(), ApiError> {
    let is_there = engine.plan().snapshot.get(kind, name).is_some();
    if is_there || !engine.ports().catalog.revisions(kind, name)?.is_empty() {
        return Ok(());
    }
    Err(ApiError::not_found(format!("there is no {kind} '{name}', and there never was")))
}

/// Refuses an entity of which nothing was seen.
pub(super) fn check_entity(engine: &Engine, of: &StreamPartition, key: &str) -> Result<(), ApiError> {
    if has_profile(engine, of, key)? || has_events(engine, of, key)? {
        return Ok(());
    }
    Err(unknown_entity(&of.stream, key))
}

/// The same for an entity of a view's stream that the view has counted nothing of.
pub(super) fn check_view_entity(engine: &Engine, view: &str, key: &str) -> Result<(), ApiError> {
    let plan = engine.plan();
    let stream = plan.streams.values().find(|stream| stream.views.iter().any(|plan| plan.def.view == view));
    // The view may have been deleted this moment.
    let Some(stream) = stream else { return Ok(()) };
    check_entity(engine, &partition_of(engine, &stream.def.stream, key)?, key)
}

pub(super) fn unknown_entity(stream: &str, key: &str) -> ApiError {
    ApiError::entity_not_found(format!("no event of '{key}' was seen in the stream '{stream}'"))
}

fn has_profile(engine: &Engine, of: &StreamPartition, key: &str) -> Result<bool, ApiError> {
    Ok(engine.ports().profiles.get(of, key)?.is_some_and(|profile| !profile.rules.is_empty()))
}

pub(super) fn has_events(engine: &Engine, of: &StreamPartition, key: &str) -> Result<bool, ApiError> {
    let query = HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: 1, cursor: None };
    Ok(!engine.ports().archive.history(of, &query)?.items.is_empty())
}
