//! `POST /v1/streams/{stream}/events`: events in, an acknowledgement or their verdicts out.

use std::time::Duration;

use assay_core::schema::{EventError, Resolver};
use assay_core::span::Span;
use assay_core::verdict::Outcome;
use assay_engine::ports::Place;
use assay_engine::{Engine, Ingest, Submitted};
use axum::Json;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::budget::shrink;
use super::container::{Container, Limits};
use super::rows::{Row, split_json, split_lines};
use crate::app::App;
use crate::http::{ApiError, BodyFormat, Code, body_format, read_body};
use crate::render::{OutcomeJson, outcome_json};

/// How many refused events an answer names.
const MAX_ERRORS: usize = 100;
/// How long `wait=verdicts` waits without a `timeout`.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// What the sender waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitFor {
    /// The verdicts of all accepted events.
    Verdicts,
}

/// How events are sent.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct IngestQuery {
    /// `verdicts`: answer when the events are scored, with their verdicts. Else the answer comes when they are durable.
    #[param(inline)]
    wait: Option<WaitFor>,
    /// How long to wait for verdicts, such as `500ms` or `5s`; 5s without it, at most 60s.
    #[param(value_type = Option<String>, example = "5s")]
    timeout: Option<Span>,
}

/// An event that was refused. It is not stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RowError {
    /// Which one, counted from 1: the element of the array, the line of NDJSON, the record of the Avro file.
    row: usize,
    /// What was expected, and what came.
    #[schema(example = "field `amount`: expected a number, found \"12\"")]
    message: String,
}

/// What became of the events of a request. Accepted events are on disk, refused ones are not stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestAnswer {
    /// How many events were stored.
    accepted: usize,
    /// How many were refused.
    rejected: usize,
    /// The first 100 that were refused, and why.
    errors: Vec<RowError>,
    /// With `wait=verdicts`: one per accepted event, in the order of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<RowResult>>,
    /// Why the verdicts that were waited for are not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What was said of an accepted event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowResult {
    /// Which event of the request, counted as in `errors`.
    row: usize,
    #[serde(flatten)]
    outcome: OutcomeJson,
}

/// A request's events after they were checked.
#[derive(Default)]
struct Checked {
    /// The rows of the accepted ones.
    rows: Vec<usize>,
    rejected: usize,
    errors: Vec<RowError>,
    /// None: nothing was accepted.
    submitted: Option<Submitted>,
}

/// Send events: a JSON object, an array of them, NDJSON, or an Avro object container file.
///
/// The answer 202 comes when the accepted events are on disk. Each event is checked on its own: refused ones are named
/// and the others are stored. With `wait=verdicts` the answer is 200 with the verdicts; if they take longer than
/// `timeout` it is 202 with a note, and the events are stored all the same. The body may be compressed, with
/// `Content-Encoding: gzip` or `zstd`; limits are on what it becomes.
#[utoipa::path(
    post,
    path = "/v1/streams/{stream}/events",
    tag = "events",
    params(("stream" = String, Path, description = "The stream", example = "payments"), IngestQuery),
    request_body(
        content(
            (serde_json::Value = "application/json", example = json!({"id": "p1", "card": "card-1", "merchant": "m-7", "country": "DE", "amount": 12.5, "time": 1767225600000_i64})),
            (Vec<u8> = "application/avro"),
            (String = "application/x-ndjson", example = "{\"id\":\"p1\",\"card\":\"card-1\",\"amount\":12.5,\"time\":1767225600000}\n{\"id\":\"p2\",\"card\":\"card-2\",\"amount\":3.0,\"time\":1767225600500}\n"),
        ),
        description = "One event, an array of events, one event a line, or an Avro file"
    ),
    responses(
        (status = 200, description = "Scored: with `wait=verdicts`", body = IngestAnswer),
        (status = 202, description = "Stored", body = IngestAnswer, example = json!({"accepted": 2, "rejected": 0, "errors": []})),
    )
)]
pub(crate) async fn post_events(
    State(app): State<App>,
    Path(stream): Path<String>,
    Query(query): Query<IngestQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let format = body_format(&headers, &[BodyFormat::Json, BodyFormat::JsonLines, BodyFormat::Avro])?;
    let limits = Limits { bytes: app.config.max_events_body, events: app.config.max_events };
    let mut budget = app.budget.take(size_in_memory(&headers, &body, format, limits.bytes)).await?;
    let body = read_body(&headers, body, limits.bytes, app.config.body_timeout, "send several smaller ones").await?;
    let size = body.len();
    if format != BodyFormat::Avro {
        shrink(&mut budget, size);
    }
    let to = stream.clone();
    let checked = app
        .blocking(move |engine| match format {
            BodyFormat::Avro => take_file(engine, &to, &body, limits),
            _ => take_rows(engine, &to, &split(&body, format, limits.events)?),
        })
        .await?;
    // The blocks of an Avro file are unpacked by now, and gone.
    shrink(&mut budget, size);
    let mut answer = IngestAnswer {
        accepted: checked.rows.len(),
        rejected: checked.rejected,
        errors: checked.errors,
        results: None,
        note: None,
    };
    let Some(submitted) = checked.submitted else {
        return if answer.rejected > 0 {
            Err(all_refused(&answer))
        } else {
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        };
    };
    let places = submitted.durable().await?;
    drop(budget);
    if query.wait.is_none() {
        return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
    }
    let at_most = query.timeout.map_or(DEFAULT_WAIT, |span| Duration::from_millis(span.0)).min(app.config.max_wait);
    match app.engine.outcomes(&stream, &places, at_most).await {
        Ok(outcomes) => {
            answer.results = Some(results(&checked.rows, &places, &outcomes));
            Ok(Json(answer).into_response())
        }
        Err(error) => {
            answer.note = Some(error.to_string());
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        }
    }
}

/// How much memory a body will take, at most: what is packed, or of unknown length, counts as the largest one.
fn size_in_memory(headers: &HeaderMap, body: &Body, format: BodyFormat, limit: usize) -> usize {
    let is_packed = headers.contains_key(header::CONTENT_ENCODING) || format == BodyFormat::Avro;
    let size = HttpBody::size_hint(body).upper().filter(|_| !is_packed);
    size.and_then(|size| usize::try_from(size).ok()).map_or(limit, |size| size.min(limit))
}

fn split(body: &Bytes, format: BodyFormat, max_events: usize) -> Result<Vec<Row<'_>>, ApiError> {
    let rows = match format {
        BodyFormat::JsonLines => split_lines(body),
        _ => split_json(body).map_err(|error| ApiError::bad_request(error.to_string()))?,
    };
    if rows.len() > max_events {
        let detail = format!(
            "the body has {} events, at most {max_events} are taken at once; send several smaller ones",
            rows.len()
        );
        return Err(ApiError::new(Code::TooLarge, detail));
    }
    Ok(rows)
}

/// Checks every row and hands the good ones to the log. Blocks while the log has too much to do.
fn take_rows(engine: &Engine, stream: &str, rows: &[Row<'_>]) -> Result<Checked, ApiError> {
    let mut ingest = engine.ingest(stream)?;
    let mut checked = Checked { rows: Vec::with_capacity(rows.len()), ..Checked::default() };
    for row in rows {
        checked.note(row.number, ingest.push_json(row.text));
    }
    checked.submit(ingest)
}

/// The same with the records of an Avro file, each turned into one of the stream's schema.
fn take_file(engine: &Engine, stream: &str, file: &[u8], limits: Limits) -> Result<Checked, ApiError> {
    let mut ingest = engine.ingest(stream)?;
    let container = Container::open(file)?;
    let resolver = Resolver::new(&container.schema, ingest.schema()).map_err(|error| {
        let detail = format!("the file's schema cannot be read as that of '{stream}': {error}; nothing was stored");
        ApiError::new(Code::InvalidEvents, detail)
    })?;
    let mut checked = Checked::default();
    container.each(limits, |row, record| checked.note(row, ingest.push_avro(resolver.as_ref(), record)))?;
    checked.submit(ingest)
}

impl Checked {
    /// Notes what became of a row.
    fn note(&mut self, row: usize, pushed: Result<(), EventError>) {
        match pushed {
            Ok(()) => self.rows.push(row),
            Err(error) => {
                self.rejected += 1;
                if self.errors.len() < MAX_ERRORS {
                    self.errors.push(RowError { row, message: error.to_string() });
                }
            }
        }
    }

    /// Hands the good ones to the log.
    fn submit(mut self, ingest: Ingest) -> Result<Self, ApiError> {
        if !self.rows.is_empty() {
            self.submitted = Some(ingest.submit()?);
        }
        Ok(self)
    }
}

fn all_refused(answer: &IngestAnswer) -> ApiError {
    let detail = match answer.errors.as_slice() {
        [only] => format!("the event was refused: {}", only.message),
        _ => format!("all {} events were refused; nothing was stored", answer.rejected),
    };
    ApiError::new(Code::InvalidEvents, detail)
        .with("accepted", 0)
        .with("rejected", answer.rejected)
        .with("errors", serde_json::json!(answer.errors))
}

fn results(rows: &[usize], places: &[Place], outcomes: &[Outcome]) -> Vec<RowResult> {
    let stands = rows.iter().zip(places).zip(outcomes);
    stands.map(|((row, place), outcome)| RowResult { row: *row, outcome: outcome_json(*place, outcome) }).collect()
}
