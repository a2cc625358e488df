//! `GET /v1/scores`: the entities with the highest scores of a rule.

use assay_core::names::Digest;
use assay_core::rule::RuleDef;
use assay_engine::Engine;
use assay_engine::ports::catalog::Kind;
use assay_engine::ports::profiles::LatestVerdict;
use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::http::{ApiError, page_limit};

/// Which scores are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoresQuery {
    /// The rule.
    #[param(example = "card-velocity")]
    rule: String,
    /// The rule's stream; only needed for a rule that was deleted.
    stream: Option<String>,
    /// Only scores of at least this.
    #[param(example = 0.9)]
    min: Option<f64>,
    /// The most items of the page: 1 to 1000, else 50.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<usize>,
    /// The `cursor` of the page before; none: the first page.
    cursor: Option<String>,
}

/// A rule's latest verdict on an entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatestJson {
    /// The score, or null.
    #[schema(example = 0.93)]
    pub(super) score: Option<f64>,
    /// The tags.
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
    /// With the partition, which makes an id for events that have none of their own.
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
    /// The highest first, equal ones by key.
    items: Vec<RankedJson>,
    /// Hand it back as `cursor` for the next page; null: this was the last.
    cursor: Option<String>,
}

/// The entities with the highest latest scores of a rule.
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
    if query.min.is_some_and(f64::is_nan) {
        return Err(ApiError::bad_request("min: expected a number"));
    }
    app.blocking(move |engine| {
        let ScoresQuery { rule, stream, min, cursor, .. } = query;
        let stream = match stream {
            Some(stream) => stream,
            None => stream_of(engine, &rule)?,
        };
        let page = engine.ports().profiles.highest(&stream, &rule, min, limit, cursor.as_deref())?;
        let items = page.items.into_iter().map(|ranked| {
            let partition = engine.partition_of(&stream, &ranked.key).map_or(0, |of| of.partition.0);
            RankedJson { latest: LatestJson::new(ranked.latest, partition), key: ranked.key }
        });
        let items = items.collect();
        Ok(Json(ScoresPage { stream, rule, items, cursor: page.cursor }))
    })
    .await
}

/// The stream that a rule judges.
fn stream_of(engine: &Engine, rule: &str) -> Result<String, ApiError> {
    let plan = engine.plan();
    let body = plan.snapshot.get(Kind::Rule, rule).and_then(|revision| revision.body.clone());
    let definition = body.and_then(|body| serde_json::from_value::<RuleDef>(body).ok());
    definition.map(|definition| definition.stream).ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no rule '{rule}'; for one that was deleted, say its stream with &stream="
        ))
    })
}
