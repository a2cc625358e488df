//! `POST /v1/streams/{stream}/events`: events in, an acknowledgement or their verdicts out.

use std::time::Duration;

use assay_core::schema::{EventError, Resolver};
use assay_core::shorten::shorten;
use assay_core::span::Span;
use assay_engine::{Engine, Ingest, Submitted, VerdictMarks};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{VerdictsRequest, answer_with_verdicts};
use super::container::{Container, Limits};
use super::format::detect_format;
use super::rows::{Row, split_json, split_lines};
use crate::app::App;
use crate::http::{ApiError, BodyFormat, Code, HeldBody, Path, Query, body_format};
use crate::render::OutcomeJson;

/// How many refused events an answer names.
const MAX_ERRORS: usize = 100;
/// Bytes of the message about a refused event, because it may quote the event.
const MAX_ERROR_BYTES: usize = 300;
/// Bytes of the field's name of a refused event.
const MAX_FIELD_BYTES: usize = 100;
/// Bytes of the row and the place of an event that waits for its verdicts.
const WAITING_BYTES: usize = 32;
/// The default of `timeout` with `wait=verdicts`.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// The condition for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitFor {
    /// The verdicts of all accepted events.
    Verdicts,
}

/// The parameters of sending events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct IngestQuery {
    /// `verdicts`: the answer comes when the events are scored, with their verdicts. By default it comes when they are durable.
    #[param(inline)]
    wait: Option<WaitFor>,
    /// How long to wait for verdicts, such as `500ms` or `5s`; 5s by default, at most 60s.
    #[param(value_type = Option<String>, example = "5s")]
    timeout: Option<Span>,
}

/// An event that was refused. It is not stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RowError {
    /// Its number from 1: the element of the array, the line of NDJSON, the record of the Avro file.
    row: usize,
    /// The kind of problem, as in dead letters: `event-malformed`, `event-key-invalid`, `time-ahead` and others.
    #[schema(example = "event-malformed")]
    code: &'static str,
    /// The dotted path of the field with the mistake, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "amount")]
    field: Option<String>,
    /// The expected and the given value.
    #[schema(example = "field `amount`: expected a number, found \"12\"")]
    message: String,
}

/// A file of events, as bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct EventsFile(#[allow(dead_code, reason = "only its schema is used")] Vec<u8>);

/// The result of a request with events. Accepted events are on disk, refused ones are not stored.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct IngestAnswer {
    /// How many events were stored.
    accepted: usize,
    /// How many were refused.
    rejected: usize,
    /// The first 100 refused events, with reasons.
    errors: Vec<RowError>,
    /// With `wait=verdicts`: one per accepted event, in the order of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<RowResult>>,
    /// The reason for missing verdicts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// The verdicts on an accepted event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowResult {
    /// The number of the event in the request, as in `errors`.
    pub(super) row: usize,
    #[serde(flatten)]
    pub(super) outcome: OutcomeJson,
}

/// The events of a request after the check.
#[derive(Default)]
struct CheckedEvents {
    /// The rows of the accepted events.
    rows: Vec<usize>,
    rejected: usize,
    errors: Vec<RowError>,
    /// None if no event was accepted.
    submitted: Option<Submitted>,
    /// The positions after which the verdicts of the accepted events will be appended, if the client waits for them.
    marks: VerdictMarks,
}

/// Send events: a JSON object, an array of them, NDJSON, or an Avro object container file.
///
/// The answer 202 comes when the accepted events are on disk. Each event is checked on its own: refused ones are named
/// and the others are stored. With `wait=verdicts` the answer is 200 with the verdicts. If they take longer than `timeout`
/// it is 202 with a note, and the events are stored. The body may be compressed, with `Content-Encoding: gzip` or `zstd`;
/// limits hold for the uncompressed size. While too many events wait to be scored, nothing is stored and the answer is
/// 503 with `Retry-After`.
#[utoipa::path(
    post,
    path = "/v1/streams/{stream}/events",
    tag = "events",
    params(("stream" = String, Path, description = "The stream", example = "payments"), IngestQuery),
    request_body(
        content(
            (Object = "application/json", example = json!({"id": "p1", "card": "card-1", "merchant": "m-7", "country": "DE", "amount": 12.5, "time": 1767225600000_i64})),
            (inline(EventsFile) = "application/octet-stream"),
            (inline(EventsFile) = "application/avro"),
            (String = "application/x-ndjson", example = "{\"id\":\"p1\",\"card\":\"card-1\",\"amount\":12.5,\"time\":1767225600000}\n{\"id\":\"p2\",\"card\":\"card-2\",\"amount\":3.0,\"time\":1767225600500}\n"),
        ),
        description = "An event as JSON, or an array of them; one event per line; an Avro file. application/octet-stream may be any of these, and is recognised by its content"
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
    let accepted = [BodyFormat::Json, BodyFormat::JsonLines, BodyFormat::Avro, BodyFormat::Octets];
    let announced = body_format(&headers, &accepted)?;
    let wait = read_wait(&query, app.config.max_wait)?;
    let limits = Limits { bytes: app.config.max_events_body, events: app.config.max_events };
    let HeldBody { bytes, mut hold } = app.read_body(&headers, body, limits.bytes, "send several smaller ones").await?;
    let format = detect_format(announced, &bytes)?;
    let size = bytes.len();
    if format == BodyFormat::Avro {
        // Its blocks are decompressed one after the other.
        hold.grow(limits.bytes).await?;
    }
    let stream_name = stream.clone();
    let checked = app
        .blocking(move |engine| {
            let (ingest, checked) = match format {
                BodyFormat::Avro => check_file(engine, &stream_name, &bytes, limits)?,
                _ => check_rows(engine, &stream_name, &split_rows(&bytes, format, limits.events)?)?,
            };
            drop(bytes);
            checked.submit(ingest, wait.is_some())
        })
        .await?;
    hold.shrink_to(size);
    let answer = IngestAnswer {
        accepted: checked.rows.len(),
        rejected: checked.rejected,
        errors: checked.errors,
        ..IngestAnswer::default()
    };
    let Some(submitted) = checked.submitted else {
        return if answer.rejected > 0 {
            Err(all_refused_error(&answer))
        } else {
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        };
    };
    let places = submitted.durable().await?;
    let Some(timeout) = wait else { return Ok((StatusCode::ACCEPTED, Json(answer)).into_response()) };
    hold.shrink_to(places.len() * WAITING_BYTES);
    let request = VerdictsRequest { stream, rows: checked.rows, places, marks: checked.marks, answer, hold };
    Ok(answer_with_verdicts(&app, request, timeout).await)
}

/// How long to wait for verdicts; none without `wait`.
fn read_wait(query: &IngestQuery, max_wait: Duration) -> Result<Option<Duration>, ApiError> {
    let timeout = query.timeout.map(|span| Duration::from_millis(span.0));
    if let Some(timeout) = timeout.filter(|timeout| *timeout > max_wait) {
        let (max, got) = (max_wait.as_secs(), timeout.as_secs_f64());
        let detail = format!("timeout: expected at most {max}s (server.max_wait), got {got}s");
        return Err(ApiError::bad_request(detail));
    }
    Ok(query.wait.map(|WaitFor::Verdicts| timeout.unwrap_or(DEFAULT_WAIT).min(max_wait)))
}

fn split_rows(body: &[u8], format: BodyFormat, max_events: usize) -> Result<Vec<Row<'_>>, ApiError> {
    let rows = match format {
        BodyFormat::JsonLines => split_lines(body),
        _ => split_json(body).map_err(|error| ApiError::bad_request(error.to_string()))?,
    };
    if rows.len() > max_events {
        let detail =
            format!("the body has {} events, at most {max_events} are allowed; send several smaller ones", rows.len());
        return Err(ApiError::new(Code::TooLarge, detail));
    }
    Ok(rows)
}

/// Checks every row, and collects the accepted ones for the log.
fn check_rows(engine: &Engine, stream: &str, rows: &[Row<'_>]) -> Result<(Ingest, CheckedEvents), ApiError> {
    let mut ingest = engine.ingest(stream)?;
    let mut checked = CheckedEvents { rows: Vec::with_capacity(rows.len()), ..CheckedEvents::default() };
    for row in rows {
        checked.count_row(row.number, ingest.push_json(row.text));
    }
    Ok((ingest, checked))
}

/// Checks every record of an Avro file, and converts the accepted ones to the stream's schema.
fn check_file(engine: &Engine, stream: &str, file: &[u8], limits: Limits) -> Result<(Ingest, CheckedEvents), ApiError> {
    let mut ingest = engine.ingest(stream)?;
    let container = Container::open(file)?;
    let resolver = Resolver::new(&container.schema, ingest.schema()).map_err(|error| {
        let detail = format!("the file's schema cannot be read as that of '{stream}': {error}; nothing was stored");
        ApiError::new(Code::InvalidEvents, detail)
    })?;
    let mut checked = CheckedEvents::default();
    container.for_each_record(limits, |row, record| {
        let pushed = record.map_err(EventError::from).and_then(|bytes| ingest.push_avro(resolver.as_ref(), bytes));
        checked.count_row(row, pushed);
    })?;
    Ok((ingest, checked))
}

impl CheckedEvents {
    /// Counts a row as accepted or refused.
    fn count_row(&mut self, row: usize, pushed: Result<(), EventError>) {
        match pushed {
            Ok(()) => self.rows.push(row),
            Err(error) => {
                self.rejected += 1;
                if self.errors.len() < MAX_ERRORS {
                    let (code, field) = (
                        error.code().as_str(),
                        error.field().map(|field| shorten(field, MAX_FIELD_BYTES).into_owned()),
                    );
                    let message = shorten(&error.to_string(), MAX_ERROR_BYTES).into_owned();
                    self.errors.push(RowError { row, code, field, message });
                }
            }
        }
    }

    /// Submits the accepted events to the log, unless too many events wait to be scored. Blocks while the log's queue
    /// is full.
    fn submit(mut self, ingest: Ingest, is_waiting: bool) -> Result<Self, ApiError> {
        if !self.rows.is_empty() {
            ingest.check_backlog()?;
            if is_waiting {
                self.marks = ingest.verdict_marks()?;
            }
            self.submitted = Some(ingest.submit()?);
        }
        Ok(self)
    }
}

fn all_refused_error(answer: &IngestAnswer) -> ApiError {
    let detail = match answer.errors.as_slice() {
        [only] => format!("the event was refused: {}", only.message),
        _ => format!("all {} events were refused; nothing was stored", answer.rejected),
    };
    ApiError::new(Code::InvalidEvents, detail)
        .with("accepted", 0)
        .with("rejected", answer.rejected)
        .with("errors", serde_json::json!(answer.errors))
}
