//! The rule for unknown names on all routes: an unknown stream, view, rule or plugin is 404 `not-found`, an entity or a
//! node without events is 404 `entity-not-found`.

use assay_core::time_range::TimeRange;
use assay_engine::Engine;
use assay_engine::ports::PartitionId;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::ports::catalog::Kind;

use crate::http::ApiError;

/// The partition of an entity, or the error that there is no such stream.
pub(super) fn partition_of(engine: &Engine, stream: &str, key: &str) -> Result<PartitionId, ApiError> {
    engine.partition_of(stream, key).ok_or_else(|| ApiError::not_found(format!("there is no stream '{stream}'")))
}

/// Refuses a name that the catalog never had. Deleted names are accepted, because verdicts of a deleted rule can be
/// read.
pub(super) fn check_was_defined(engine: &Engine, kind: Kind, name: &str) -> Result<(), ApiError> {
    let is_defined = engine.plan().snapshot.get(kind, name).is_some();
    if is_defined || !engine.catalog().revisions(kind, name)?.is_empty() {
        return Ok(());
    }
    Err(ApiError::not_found(format!("there is no {kind} '{name}', and there never was")))
}

/// Refuses an entity without events.
pub(super) fn check_entity(engine: &Engine, partition: &PartitionId, key: &str) -> Result<(), ApiError> {
    if has_profile(engine, partition, key)? || has_events(engine, partition, key)? {
        return Ok(());
    }
    Err(unknown_entity(&partition.stream, key))
}

/// Refuses an entity without events in the stream of a view.
pub(super) fn check_view_entity(engine: &Engine, view: &str, key: &str) -> Result<(), ApiError> {
    let plan = engine.plan();
    let stream = plan.streams.values().find(|stream| stream.views.iter().any(|plan| plan.def.view == view));
    // The view may have been deleted meanwhile.
    let Some(stream) = stream else { return Ok(()) };
    check_entity(engine, &partition_of(engine, &stream.def.stream, key)?, key)
}

pub(super) fn unknown_entity(stream: &str, key: &str) -> ApiError {
    ApiError::entity_not_found(format!("no event of '{key}' was seen in the stream '{stream}'"))
}

fn has_profile(engine: &Engine, partition: &PartitionId, key: &str) -> Result<bool, ApiError> {
    Ok(engine.ports().profiles.get(partition, key)?.is_some_and(|profile| !profile.rules.is_empty()))
}

pub(super) fn has_events(engine: &Engine, partition: &PartitionId, key: &str) -> Result<bool, ApiError> {
    let query = HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: 1, cursor: None };
    Ok(!engine.ports().archive.history(partition, &query)?.items.is_empty())
}
