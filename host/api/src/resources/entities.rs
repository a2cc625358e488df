//! `/v1/entities/{stream}/{key}`: an entity's profile, with what its views have counted, and the deletion of its data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_engine::ports::StreamPartition;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::{Engine, ReadError};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::{LatestJson, Measured};
use crate::app::App;
use crate::auth::Caller;
use crate::http::ApiError;

/// An entity: its latest verdicts, its tags, its views.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityJson {
    /// The stream.
    #[schema(example = "payments")]
    stream: String,
    /// The entity.
    #[schema(example = "card-1")]
    key: String,
    /// The tags of the latest verdicts of all rules that are active now.
    tags: BTreeSet<String>,
    /// Rule -> its latest verdict on the entity.
    rules: BTreeMap<String, LatestJson>,
    /// View -> what it has counted for the entity.
    views: BTreeMap<String, Measured>,
}

/// An entity's latest scores and tags, and what its views have counted.
///
/// Profiles follow the verdicts within milliseconds; views are answered by the worker that keeps them.
#[utoipa::path(
    get,
    path = "/v1/entities/{stream}/{key}",
    tag = "entities",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("key" = String, Path, description = "The entity, percent-encoded", example = "card-1"),
    ),
    responses((status = 200, description = "The entity; 404 if no event of it was seen", body = EntityJson))
)]
pub(crate) async fn get_entity(
    State(app): State<App>,
    Path((stream, key)): Path<(String, String)>,
) -> Result<Json<EntityJson>, ApiError> {
    app.blocking(move |engine| read_entity(engine, stream, key).map(Json)).await
}

/// What was deleted of an entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedEntity {
    /// Its events, and their copies in derived streams.
    events: u64,
    /// Verdicts on them.
    verdicts: u64,
    /// Dead letters of them.
    dead_letters: u64,
    /// Edges of the graph that no later event made again.
    edges: u64,
    /// Whether it had a profile.
    profile: bool,
}

/// Delete what is held of an entity. What comes later begins from nothing.
///
/// Answered when it is done and written out of the files of the data folder. What was begun is carried out in any case,
/// also after a crash; counts are then of what was left to do. Not on servers (501).
#[utoipa::path(
    delete,
    path = "/v1/entities/{stream}/{key}",
    tag = "entities",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("key" = String, Path, description = "The entity, percent-encoded", example = "card-1"),
    ),
    responses((status = 200, description = "What was deleted; zeros if there was nothing", body = DeletedEntity))
)]
pub(crate) async fn delete_entity(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path((stream, key)): Path<(String, String)>,
) -> Result<Json<DeletedEntity>, ApiError> {
    app.blocking(move |engine| {
        let erased = engine.erase(&stream, &key, &caller.name)?;
        Ok(Json(DeletedEntity {
            events: erased.events,
            verdicts: erased.verdicts,
            dead_letters: erased.dead_letters,
            edges: erased.edges,
            profile: erased.profiles > 0,
        }))
    })
    .await
}

/// The partition of an entity, or that there is no such stream.
pub(super) fn partition_of(engine: &Engine, stream: &str, key: &str) -> Result<StreamPartition, ApiError> {
    engine.partition_of(stream, key).ok_or_else(|| ApiError::not_found(format!("there is no stream '{stream}'")))
}

fn read_entity(engine: &Engine, stream: String, key: String) -> Result<EntityJson, ApiError> {
    let of = partition_of(engine, &stream, &key)?;
    let plan = engine.plan();
    let rules = engine.ports().profiles.get(&of, &key)?.unwrap_or_default().rules;
    let mut views = BTreeMap::new();
    let mut is_known = !rules.is_empty();
    // The stream may have been deleted since its partition was found.
    let stream_plan = plan.streams.get(&stream);
    for view in stream_plan.iter().flat_map(|stream| &stream.views) {
        match engine.view(&view.def.view, &key, None) {
            Ok(values) => {
                is_known |= values.as_of.is_some();
                views.insert(view.def.view.clone(), values.into());
            }
            // It was deleted meanwhile, or has nothing of this key.
            Err(ReadError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !is_known && !has_events(engine, &of, &key)? {
        return Err(ApiError::not_found(format!("no event of '{key}' was seen in the stream '{stream}'")));
    }
    let active: BTreeSet<&str> = stream_plan
        .iter()
        .flat_map(|stream| &stream.rules)
        .filter(|rule| rule.is_active())
        .map(|rule| rule.stamp.rule.as_str())
        .collect();
    let counted = rules.iter().filter(|(rule, _)| active.contains(rule.as_str()));
    let tags = counted.flat_map(|(_, latest)| latest.tags.iter().cloned()).collect();
    let partition = of.partition.0;
    let rules = rules.into_iter().map(|(rule, latest)| (rule, LatestJson::new(latest, partition))).collect();
    Ok(EntityJson { stream, key, tags, rules, views })
}

fn has_events(engine: &Engine, of: &StreamPartition, key: &str) -> Result<bool, ApiError> {
    let query = HistoryQuery { key: key.to_owned(), from: i64::MIN, to: i64::MAX, limit: 1, cursor: None };
    Ok(!engine.ports().archive.history(of, &query)?.items.is_empty())
}
