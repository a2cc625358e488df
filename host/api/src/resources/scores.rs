//! `GET /v1/scores`: the entities with the highest scores of a rule.

use assay_core::names::Digest;
use assay_engine::ports::catalog::Kind;
use assay_engine::ports::profiles::LatestVerdict;
use assay_engine::{WantedScores, now_ms};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::existence::check_was_defined;
use crate::app::App;
use crate::http::{ApiError, Listing, Query, page_limit};

/// The filter of scores.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoresQuery {
    /// The rule.
    #[param(example = "card-velocity")]
    rule: String,
    /// The rule's stream; optional.
    stream: Option<String>,
    /// Only scores of at least this.
    #[param(example = 0.9)]
    min: Option<f64>,
    /// The number of items of the page: 1 to 1000; 50 by default.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<usize>,
    /// The `cursor` of the page before. Without it: the first page.
    cursor: Option<String>,
}

/// A rule's latest verdict on an entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatestJson {
    /// The score, or null.
    #[schema(example = 0.93)]
    pub(super) score: Option<f64>,
    /// The tags; empty if they have expired.
    pub(super) tags: Vec<String>,
    /// The event's time, ms since 1970.
    pub(super) time: i64,
    /// The event: its own id, or PARTITION-OFFSET. `GET /v1/events/{stream}/{id}` explains it.
    #[schema(example = "p1")]
    pub(super) event: String,
    /// The event's offset in the entity's partition.
    pub(super) offset: u64,
    /// The rule's revision.
    pub(super) revision: u32,
    /// The plugin's digest; missing for an expression rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(super) plugin: Option<Digest>,
}

impl LatestJson {
    /// The verdict as JSON. The partition is part of the id of events without an id of their own.
    pub(super) fn new(latest: LatestVerdict, partition: u32) -> Self {
        let offset = latest.offset.0;
        let event = if latest.event.is_empty() { format!("{partition}-{offset}") } else { latest.event };
        Self {
            score: latest.score.filter(|score| score.is_finite()),
            tags: latest.tags,
            time: latest.time,
            event,
            offset,
            revision: latest.revision,
            plugin: latest.plugin,
        }
    }
}

/// An entity and its score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RankedJson {
    /// The entity.
    #[schema(example = "card-1")]
    key: String,
    #[serde(flatten)]
    latest: LatestJson,
}

/// Entities by score.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScoresPage {
    /// The stream of the entities.
    stream: String,
    /// The rule.
    rule: String,
    /// Highest first, equal scores by key.
    items: Vec<RankedJson>,
    /// Send it back as `cursor` for the next page; null on the last page.
    cursor: Option<String>,
}

/// The entities with the highest latest scores of a rule.
///
/// Verdicts of a deleted rule are not listed, even if a rule of this name was made again.
#[utoipa::path(
    get,
    path = "/v1/scores",
    tag = "scores",
    params(ScoresQuery),
    responses((status = 200, description = "The highest first", body = ScoresPage))
)]
pub(crate) async fn get_scores(
    State(app): State<App>,
    Query(query): Query<ScoresQuery>,
) -> Result<Json<ScoresPage>, ApiError> {
    let limit = page_limit(query.limit)?;
    app.blocking(move |engine| {
        let ScoresQuery { rule, stream, min, cursor, .. } = query;
        if let Some(stream) = &stream {
            check_was_defined(engine, Kind::Stream, stream)?;
            check_was_defined(engine, Kind::Rule, &rule)?;
        }
        let listing = Listing::new("scores", &[&stream, &rule, &min]);
        let cursor = listing.open(cursor)?;
        let wanted = WantedScores { rule: rule.clone(), stream, min, limit, cursor, at: now_ms() };
        let (stream, page) = engine.queries().highest_scores(wanted)?;
        let items = page.items.into_iter().map(|ranked| {
            let partition =
                engine.queries().partition_of(&stream, &ranked.key).map_or(0, |partition_id| partition_id.partition.0);
            RankedJson { latest: LatestJson::new(ranked.latest, partition), key: ranked.key }
        });
        let items = items.collect();
        Ok(Json(ScoresPage { stream, rule, items, cursor: listing.seal(page.cursor) }))
    })
    .await
}
