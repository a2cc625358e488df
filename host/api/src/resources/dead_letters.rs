//! `GET /v1/dead-letters`: events that could not be scored, or not be stored by a sink, with the reasons.

use assay_core::names::{Digest, Offset, PartitionIndex};
use assay_core::recorded_failure_code::RecordedFailureCode;
use assay_engine::Engine;
use assay_engine::ports::PartitionId;
use assay_engine::ports::archive::ArchivedEvent;
use assay_engine::ports::catalog::Kind;
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::existence::check_was_defined;
use crate::app::App;
use crate::auth::secret::hex;
use crate::http::{ApiError, Listing, Path, Query, page_limit};
use crate::render::PlaceJson;

/// The filter of dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLettersQuery {
    /// Of this stream.
    #[param(example = "payments")]
    stream: Option<String>,
    /// Of this rule.
    rule: Option<String>,
    /// The number of items of the page: 1 to 1000; 50 by default.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<usize>,
    /// The `cursor` of the page before. Without it: the first page.
    cursor: Option<String>,
}

/// An event that a rule could not score, or that one of the stores does not take.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterJson {
    /// The stream.
    stream: String,
    /// The event's place in the log.
    place: PlaceJson,
    /// The event's time, ms since 1970; 0 if it could not be read.
    time: i64,
    /// The entity; missing if the event could not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    /// The event's id; missing when the stream declares none.
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    /// The rule that failed; null: the event could not be read, or `sink` could not store it.
    rule: Option<String>,
    /// The sink that could not write the event to its store, such as `graph`; missing: the event could not be scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<String>,
    /// The rule's revision.
    revision: Option<u32>,
    /// The plugin, as NAME@VERSION.
    plugin: Option<String>,
    /// The plugin's digest.
    #[schema(value_type = Option<String>)]
    digest: Option<Digest>,
    /// The code of the failure.
    #[schema(value_type = String, example = "plugin-trap")]
    code: RecordedFailureCode,
    /// A description of the failure.
    message: String,
}

impl From<DeadLetter> for DeadLetterJson {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { stream, place, time, key, id, rule, sink, revision, plugin, digest, code, message } = letter;
        Self { stream, place: place.into(), time, key, id, rule, sink, revision, plugin, digest, code, message }
    }
}

/// Dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLettersPage {
    /// By stream, then partition, then the newest first.
    items: Vec<DeadLetterJson>,
    /// Send it back as `cursor` for the next page; null on the last page.
    cursor: Option<String>,
}

/// The dead letters of one event, with the event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadEventJson {
    /// One per rule that failed, and one per sink that could not write the event.
    letters: Vec<DeadLetterJson>,
    /// The event; null if it cannot be read, or is no longer stored.
    #[schema(value_type = Option<Object>)]
    event: Option<Value>,
    /// The stored bytes in hex, only for an event that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_hex: Option<String>,
}

/// Events that could not be scored.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "dead letters",
    params(DeadLettersQuery),
    responses((status = 200, description = "By stream, then partition, then the newest first", body = DeadLettersPage))
)]
pub(crate) async fn list_dead_letters(
    State(app): State<App>,
    Query(query): Query<DeadLettersQuery>,
) -> Result<Json<DeadLettersPage>, ApiError> {
    let DeadLettersQuery { stream, rule, limit, cursor } = query;
    let listing = Listing::new("dead letters", &[&stream, &rule]);
    let query = DeadLetterQuery { stream, rule, limit: page_limit(limit)?, cursor: listing.open(cursor)? };
    app.blocking(move |engine| {
        for (kind, name) in [(Kind::Stream, &query.stream), (Kind::Rule, &query.rule)] {
            if let Some(name) = name {
                check_was_defined(engine, kind, name)?;
            }
        }
        let page = engine.queries().dead_letters(&query)?;
        let items = page.items.into_iter().map(DeadLetterJson::from).collect();
        Ok(Json(DeadLettersPage { items, cursor: listing.seal(page.cursor) }))
    })
    .await
}

/// One event that could not be scored, with its content.
#[utoipa::path(
    get,
    path = "/v1/dead-letters/{stream}/{partition}/{offset}",
    tag = "dead letters",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("partition" = u32, Path, description = "The event's partition", example = 3),
        ("offset" = u64, Path, description = "The event's offset", example = 4711),
    ),
    responses((status = 200, description = "The failures of the event, and the event", body = DeadEventJson))
)]
pub(crate) async fn get_dead_letter(
    State(app): State<App>,
    Path((stream, partition, offset)): Path<(String, u32, u64)>,
) -> Result<Json<DeadEventJson>, ApiError> {
    app.blocking(move |engine| {
        check_was_defined(engine, Kind::Stream, &stream)?;
        let partition_id = PartitionId { stream: stream.as_str().into(), partition: PartitionIndex(partition) };
        let offset = Offset(offset);
        let letters = engine.queries().dead_letters_of_event(&partition_id, offset)?;
        if letters.is_empty() {
            return Err(ApiError::not_found(format!("there is no dead letter of {partition_id} at offset {offset}")));
        }
        let letters = letters.into_iter().map(DeadLetterJson::from).collect();
        let event = engine.queries().event(&partition_id, offset)?;
        let (event, event_hex) = event.map_or((None, None), |event| event_content(engine, &stream, &event));
        Ok(Json(DeadEventJson { letters, event, event_hex }))
    })
    .await
}

/// An event's JSON, or its bytes if it cannot be read.
fn event_content(engine: &Engine, stream: &str, event: &ArchivedEvent) -> (Option<Value>, Option<String>) {
    match engine.queries().event_json(stream, event) {
        Ok(json) => (Some(json), None),
        Err(_) => (None, Some(hex(&event.bytes))),
    }
}
