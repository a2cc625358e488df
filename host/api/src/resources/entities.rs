//! `/v1/entities/{stream}/{key}`: an entity's profile with the values of its views, and the deletion of its data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_core::view::ViewDef;
use assay_engine::{Engine, EntityTag, ReadError, now_ms};
use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::existence::{partition_of, unknown_entity};
use super::{LatestJson, Measured};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path, Query, Time};

/// An entity: its latest verdicts, its tags, its views.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityJson {
    /// The stream.
    #[schema(example = "payments")]
    stream: String,
    /// The entity.
    #[schema(example = "card-1")]
    key: String,
    /// The tags of the latest verdicts of all rules that are active now. Those that have expired are left out.
    tags: BTreeSet<String>,
    /// The same tags with their rules and times.
    tagged: Vec<TagJson>,
    /// Rule -> its latest verdict on the entity.
    rules: BTreeMap<String, LatestJson>,
    /// View -> its values for the entity.
    views: BTreeMap<String, Measured>,
}

/// A tag of an entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TagJson {
    /// The tag.
    #[schema(example = "review")]
    tag: String,
    /// The rule that gave it.
    #[schema(example = "card-velocity")]
    rule: String,
    /// The time of the event that last gave it, ms since 1970.
    #[schema(example = 1_767_225_600_000_i64)]
    at: i64,
    /// The time at which it expires, ms since 1970, by the rule's `expire`. Missing: it stays until the rule's next
    /// verdict on the entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl From<EntityTag> for TagJson {
    fn from(EntityTag { tag, rule, at, expires_at }: EntityTag) -> Self {
        Self { tag, rule, at, expires_at }
    }
}

/// The time of the query.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityQuery {
    /// Tags that have expired at this time are left out: RFC 3339 or ms since 1970. Without it: now, by the server's
    /// clock.
    #[param(value_type = Option<String>, example = "2026-01-31T12:00:00Z")]
    at: Option<Time>,
}

/// An entity's latest scores and tags, and the values of its views.
///
/// Verdicts of deleted rules are not shown, even if a rule of the same name was made again. Profiles receive verdicts
/// some milliseconds later. Values of views come from the worker that owns the partition.
#[utoipa::path(
    get,
    path = "/v1/entities/{stream}/{key}",
    tag = "entities",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("key" = String, Path, description = "The entity, percent-encoded", example = "card-1"),
        EntityQuery,
    ),
    responses((status = 200, description = "The entity; 404 if no event of it was seen", body = EntityJson))
)]
pub(crate) async fn get_entity(
    State(app): State<App>,
    Path((stream, key)): Path<(String, String)>,
    Query(query): Query<EntityQuery>,
) -> Result<Json<EntityJson>, ApiError> {
    let at = query.at.map_or_else(now_ms, |at| at.0);
    app.blocking(move |engine| read_entity(engine, stream, key, at).map(Json)).await
}

/// The deleted data of an entity.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DeletedEntity {
    /// Its events, and their copies in derived streams.
    events: u64,
    /// Verdicts on them.
    verdicts: u64,
    /// Dead letters of them.
    dead_letters: u64,
    /// Edges of the graph that no later event made again.
    edges: u64,
    /// True if it had a profile.
    profile: bool,
}

/// Delete all data of an entity. Later events begin with an empty state.
///
/// The answer comes when everything is deleted, also from the files of the data folder. A deletion that has begun is
/// completed even after a crash; the counts are then those of the last part. For an entity that was never seen nothing
/// is begun. Not on servers (501).
#[utoipa::path(
    delete,
    path = "/v1/entities/{stream}/{key}",
    tag = "entities",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("key" = String, Path, description = "The entity, percent-encoded", example = "card-1"),
    ),
    responses((status = 200, description = "The deleted data; 404 if there was none", body = DeletedEntity))
)]
pub(crate) async fn delete_entity(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path((stream, key)): Path<(String, String)>,
) -> Result<Json<DeletedEntity>, ApiError> {
    app.blocking(move |engine| {
        let erased = engine.erasure().erase(&stream, &key, &caller.name)?;
        let deleted = DeletedEntity {
            events: erased.events,
            verdicts: erased.verdicts,
            dead_letters: erased.dead_letters,
            edges: erased.edges,
            profile: erased.profiles > 0,
        };
        if deleted == DeletedEntity::default() {
            return Err(unknown_entity(&stream, &key));
        }
        Ok(Json(deleted))
    })
    .await
}

fn read_entity(engine: &Engine, stream: String, key: String, at: i64) -> Result<EntityJson, ApiError> {
    let queries = engine.queries();
    let key = queries.canonical_key(&stream, &key);
    let partition_id = partition_of(engine, &stream, &key)?;
    let profile = queries.profile(&partition_id, &key, at)?;
    let mut views = BTreeMap::new();
    let mut is_known = profile.is_known;
    let snapshot = engine.catalog().snapshot();
    for (_, def) in snapshot.all::<ViewDef>().filter(|(_, def)| def.stream == stream) {
        match queries.view(&def.view, &key, None) {
            Ok(values) => {
                is_known |= values.as_of.is_some();
                views.insert(def.view.clone(), values.into());
            }
            // The view was deleted meanwhile, or has no events of this key.
            Err(ReadError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !is_known && !queries.has_events(&partition_id, &key)? {
        return Err(unknown_entity(&stream, &key));
    }
    let tags = profile.tags.iter().map(|tag| tag.tag.clone()).collect();
    let tagged = profile.tags.into_iter().map(TagJson::from).collect();
    let partition = partition_id.partition.0;
    let rules = profile.rules.into_iter().map(|(rule, latest)| (rule, LatestJson::new(latest, partition))).collect();
    Ok(EntityJson { stream, key, tags, tagged, rules, views })
}
