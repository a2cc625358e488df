//! `GET /v1/events/{stream}/{id}`: an event with the inputs and the verdicts of the rules.

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::Explained;
use assay_engine::ports::{Place, StoreError};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::DeadLetterJson;
use crate::app::App;
use crate::http::{ApiError, Listing, PageQuery, Path, Query, page_limit};
use crate::render::{FailureJson, PlaceJson, VerdictJson, failure_json, verdict_json};

/// An event with its verdicts, failures and dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedJson {
    /// Its place in the log.
    place: PlaceJson,
    /// When it was stored, ms since 1970.
    appended_at: i64,
    /// The event.
    #[schema(value_type = Object)]
    event: Value,
    /// True if a rule has judged it or failed on it. False while it waits to be scored.
    judged: bool,
    /// Its entity; null if it was not judged.
    key: Option<String>,
    /// Its time, ms since 1970; null if it was not judged.
    time: Option<i64>,
    /// One per rule that judged it, with the rule's inputs.
    verdicts: Vec<VerdictJson>,
    /// One per rule that failed on it.
    failures: Vec<FailureJson>,
    /// The dead letters of the event.
    dead_letters: Vec<DeadLetterJson>,
}

/// All events with an id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplanationJson {
    /// The stream.
    stream: String,
    /// The id that was asked for.
    id: String,
    /// By partition, then oldest first. More than one if a producer sent the same id again.
    events: Vec<ExplainedJson>,
    /// Send it back as `cursor` for the next page; null on the last page.
    cursor: Option<String>,
}

/// Explain an event: its content, and the inputs and the verdict of each rule.
#[utoipa::path(
    get,
    path = "/v1/events/{stream}/{id}",
    tag = "events",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("id" = String, Path, description = "The event's own id, or PARTITION-OFFSET", example = "p1"),
        PageQuery,
    ),
    responses((status = 200, description = "The explanation", body = ExplanationJson))
)]
pub(crate) async fn explain_event(
    State(app): State<App>,
    Path((stream, id)): Path<(String, String)>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ExplanationJson>, ApiError> {
    let limit = page_limit(query.limit)?;
    let listing = Listing::new("events", &[&stream, &id]);
    let cursor = listing.open(query.cursor)?;
    let after = cursor.as_deref().map(|cursor| read_place(cursor).ok_or(StoreError::BadCursor)).transpose()?;
    app.blocking(move |engine| {
        let page = engine.queries().explain(&stream, &id, after, limit)?;
        let events: Vec<_> = page.events.into_iter().map(explained_json).collect();
        if events.is_empty() && after.is_none() {
            return Err(ApiError::not_found(format!("there is no event '{id}' in the stream '{stream}'")));
        }
        let cursor = page.last.map(|place| format!("{}-{}-", place.partition, place.offset));
        Ok(Json(ExplanationJson { stream, id, events, cursor: listing.seal(cursor) }))
    })
    .await
}

/// Reads the place in a cursor, `PARTITION-OFFSET-`.
fn read_place(cursor: &str) -> Option<Place> {
    let (partition, offset) = cursor.strip_suffix('-')?.split_once('-')?;
    Some(Place { partition: PartitionIndex(partition.parse().ok()?), offset: Offset(offset.parse().ok()?) })
}

fn explained_json(explained: Explained) -> ExplainedJson {
    let outcome = explained.outcome.as_ref();
    ExplainedJson {
        place: explained.event.place.into(),
        appended_at: explained.event.appended_at,
        event: explained.json,
        judged: outcome.is_some(),
        key: outcome.map(|outcome| outcome.key.clone()),
        time: outcome.map(|outcome| outcome.time),
        verdicts: outcome.iter().flat_map(|outcome| &outcome.verdicts).map(verdict_json).collect(),
        failures: outcome.iter().flat_map(|outcome| &outcome.failures).map(failure_json).collect(),
        dead_letters: explained.dead_letters.into_iter().map(DeadLetterJson::from).collect(),
    }
}
