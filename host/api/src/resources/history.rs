//! `GET /v1/entities/{stream}/{key}/events` and `.../verdicts`: the history of an entity, newest first.

use assay_core::verdict::Outcome;
use assay_engine::Engine;
use assay_engine::ports::archive::{ArchivedEvent, HistoryQuery};
use assay_engine::ports::{Page, PartitionId};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::existence::{check_entity, partition_of};
use crate::app::App;
use crate::http::{ApiError, Listing, Path, Query, Time, page_limit, time_range};
use crate::render::{OutcomeJson, PlaceJson, outcome_json};

/// The times and the page of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimesQuery {
    /// The earliest time of an event: RFC 3339 or ms since 1970.
    #[param(value_type = Option<String>, example = "2026-01-31T00:00:00Z")]
    from: Option<Time>,
    /// The exclusive end of the times.
    #[param(value_type = Option<String>, example = "2026-02-01T00:00:00Z")]
    to: Option<Time>,
    /// The number of items of the page: 1 to 1000; 50 by default.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<usize>,
    /// The `cursor` of the page before. Without it: the first page.
    cursor: Option<String>,
}

/// A stored event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventJson {
    /// Its place in the log.
    place: PlaceJson,
    /// When it was stored, ms since 1970.
    appended_at: i64,
    /// The event; missing if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    event: Option<Value>,
    /// The reason why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// An entity's events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsPage {
    /// The newest time first.
    items: Vec<EventJson>,
    /// Send it back as `cursor` for the next page; null on the last page.
    cursor: Option<String>,
}

/// The verdicts on an entity's events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerdictsPage {
    /// Newest first; events that no rule has judged are left out.
    items: Vec<OutcomeJson>,
    /// Send it back as `cursor` for the next page; null on the last page.
    cursor: Option<String>,
}

/// An entity's events.
#[utoipa::path(
    get,
    path = "/v1/entities/{stream}/{key}/events",
    tag = "entities",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("key" = String, Path, description = "The entity, percent-encoded", example = "card-1"),
        TimesQuery,
    ),
    responses((status = 200, description = "The newest time first", body = EventsPage))
)]
pub(crate) async fn entity_events(
    State(app): State<App>,
    Path((stream, key)): Path<(String, String)>,
    Query(query): Query<TimesQuery>,
) -> Result<Json<EventsPage>, ApiError> {
    app.blocking(move |engine| {
        let (_, page) = read_history(engine, &stream, key, query)?;
        let items = page.items.iter().map(|event| event_json(engine, &stream, event)).collect();
        Ok(Json(EventsPage { items, cursor: page.cursor }))
    })
    .await
}

/// The verdicts on an entity's events.
#[utoipa::path(
    get,
    path = "/v1/entities/{stream}/{key}/verdicts",
    tag = "entities",
    params(
        ("stream" = String, Path, description = "The stream", example = "payments"),
        ("key" = String, Path, description = "The entity, percent-encoded", example = "card-1"),
        TimesQuery,
    ),
    responses((status = 200, description = "The newest time first", body = VerdictsPage))
)]
pub(crate) async fn entity_verdicts(
    State(app): State<App>,
    Path((stream, key)): Path<(String, String)>,
    Query(query): Query<TimesQuery>,
) -> Result<Json<VerdictsPage>, ApiError> {
    app.blocking(move |engine| {
        let (partition, page) = read_history(engine, &stream, key, query)?;
        let mut items = Vec::with_capacity(page.items.len());
        for event in &page.items {
            let outcome: Option<Outcome> = engine.queries().outcome(&partition, event.place.offset)?;
            items.extend(outcome.map(|outcome| outcome_json(event.place, &outcome)));
        }
        Ok(Json(VerdictsPage { items, cursor: page.cursor }))
    })
    .await
}

fn read_history(
    engine: &Engine,
    stream: &str,
    key: String,
    query: TimesQuery,
) -> Result<(PartitionId, Page<ArchivedEvent>), ApiError> {
    let key = engine.queries().canonical_key(stream, &key);
    let partition = partition_of(engine, stream, &key)?;
    let (from, to) = (query.from.map(|time| time.0), query.to.map(|time| time.0));
    // Events and verdicts have the same places, so a cursor of one listing is valid for the other.
    let listing = Listing::new("history", &[&stream, &key, &from, &to]);
    let times = time_range(query.from, query.to);
    let query = HistoryQuery { key, times, limit: page_limit(query.limit)?, cursor: listing.open(query.cursor)? };
    let mut page = engine.queries().history(&partition, &query)?;
    if page.items.is_empty() && query.cursor.is_none() {
        check_entity(engine, &partition, &query.key)?;
    }
    page.cursor = listing.seal(page.cursor);
    Ok((partition, page))
}

/// An event as JSON, or the reason why it cannot be read.
pub(super) fn event_json(engine: &Engine, stream: &str, event: &ArchivedEvent) -> EventJson {
    let (json, error) = match engine.queries().event_json(stream, event) {
        Ok(json) => (Some(json), None),
        Err(error) => (None, Some(error.to_string())),
    };
    EventJson { place: event.place.into(), appended_at: event.appended_at, event: json, error }
}
