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

use super::answer::{Asked, answer_with_verdicts};
use super::container::{Container, Limits};
use super::format::format_of;
use super::rows::{Row, split_json, split_lines};
use crate::app::App;
use crate::http::{ApiError, BodyFormat, Code, HeldBody, Path, Query, body_format, plain_syntax};
use crate::render::OutcomeJson;

/// How many refused events an answer names.
const MAX_ERRORS: usize = 100;
/// Bytes of what is said of a refused event, as JSON: it may repeat what came.
const MAX_ERROR_BYTES: usize = 300;
/// Bytes of a field's name there.
const MAX_FIELD_BYTES: usize = 100;
/// Bytes of the row and the place of an event whose verdicts are waited for.
const WAITING_BYTES: usize = 32;
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
    /// The kind of problem, as in dead letters: `event-malformed`, `event-key-invalid`, `time-ahead` and others.
    #[schema(example = "event-malformed")]
    code: &'static str,
    /// The dotted path of the field that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "amount")]
    field: Option<String>,
    /// What was expected, and what came.
    #[schema(example = "field `amount`: expected a number, found \"12\"")]
    message: String,
}

/// A file of events, as bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct EventsFile(#[allow(dead_code, reason = "only its schema is used")] Vec<u8>);

/// What became of the events of a request. Accepted events are on disk, refused ones are not stored.
#[derive(Debug, Default, Serialize, ToSchema)]
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
    /// Why verdicts that were waited for are not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
}

/// What was said of an accepted event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowResult {
    /// Which event of the request, counted as in `errors`.
    pub(super) row: usize,
    #[serde(flatten)]
    pub(super) outcome: OutcomeJson,
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
    /// Where the verdicts of the accepted ones will come, if they are waited for.
    marks: VerdictMarks,
}

/// Send events: a JSON object, an array of them, NDJSON, or an Avro object container file.
///
/// The answer 202 comes when the accepted events are on disk. Each event is checked on its own: refused ones are named
/// and the others are stored. With `wait=verdicts` the answer is 200 with the verdicts; if they take longer than
/// `timeout` it is 202 with a note, and the events are stored all the same. The body may be compressed, with
/// `Content-Encoding: gzip` or `zstd`; limits are on what it becomes. While too much waits to be scored, nothing is stored
/// and the answer is 503 with `Retry-After`.
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
        description = "An event as JSON, or an array of them; one event a line; an Avro file. As application/octet-stream any of these: it is told by its content"
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
    let taken = [BodyFormat::Json, BodyFormat::JsonLines, BodyFormat::Avro, BodyFormat::Octets];
    let announced = body_format(&headers, &taken)?;
    let wait = read_wait(&query, app.config.max_wait)?;
    let limits = Limits { bytes: app.config.max_events_body, events: app.config.max_events };
    let HeldBody { bytes, mut hold } = app.read_body(&headers, body, limits.bytes, "send several smaller ones").await?;
    let format = format_of(announced, &bytes)?;
    let size = bytes.len();
    if format == BodyFormat::Avro {
        // Its blocks are unpacked one after the other.
        hold.grow(limits.bytes).await?;
    }
    let to = stream.clone();
    let checked = app
        .blocking(move |engine| {
            let (ingest, checked) = match format {
                BodyFormat::Avro => take_file(engine, &to, &bytes, limits)?,
                _ => take_rows(engine, &to, &split(&bytes, format, limits.events)?)?,
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
            Err(all_refused(&answer))
        } else {
            Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
        };
    };
    let places = submitted.durable().await?;
    let Some(at_most) = wait else { return Ok((StatusCode::ACCEPTED, Json(answer)).into_response()) };
    hold.shrink_to(places.len() * WAITING_BYTES);
    let asked = Asked { stream, rows: checked.rows, places, marks: checked.marks, answer, hold };
    Ok(answer_with_verdicts(&app, asked, at_most).await)
}

/// How long verdicts are waited for; none: they are not.
fn read_wait(query: &IngestQuery, most: Duration) -> Result<Option<Duration>, ApiError> {
    let timeout = query.timeout.map(|span| Duration::from_millis(span.0));
    if let Some(timeout) = timeout.filter(|timeout| *timeout > most) {
        let (most, got) = (most.as_secs(), timeout.as_secs_f64());
        let detail = format!("timeout: expected at most {most}s (server.max_wait), got {got}s");
        return Err(ApiError::bad_request(detail));
    }
    Ok(query.wait.map(|WaitFor::Verdicts| timeout.unwrap_or(DEFAULT_WAIT).min(most)))
}

fn split(body: &[u8], format: BodyFormat, max_events: usize) -> Result<Vec<Row<'_>>, ApiError> {
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

/// Checks every row.
fn take_rows(engine: &Engine, stream: &str, rows: &[Row<'_>]) -> Result<(Ingest, Checked), ApiError> {
    let mut ingest = engine.ingest(stream)?;
    let mut checked = Checked { rows: Vec::with_capacity(rows.len()), ..Checked::default() };
    for row in rows {
        checked.note(row.number, ingest.push_json(row.text));
    }
    Ok((ingest, checked))
}

/// The same with the records of an Avro file, each turned into one of the stream's schema.
fn take_file(engine: &Engine, stream: &str, file: &[u8], limits: Limits) -> Result<(Ingest, Checked), ApiError> {
    let mut ingest = engine.ingest(stream)?;
    let container = Container::open(file)?;
    let resolver = Resolver::new(&container.schema, ingest.schema()).map_err(|error| {
        let detail = format!("the file's schema cannot be read as that of '{stream}': {error}; nothing was stored");
        ApiError::new(Code::InvalidEvents, detail)
    })?;
    let mut checked = Checked::default();
    container.each(limits, |row, record| {
        let pushed = record.map_err(EventError::from).and_then(|bytes| ingest.push_avro(resolver.as_ref(), bytes));
        checked.note(row, pushed);
    })?;
    Ok((ingest, checked))
}

impl Checked {
    /// Notes what became of a row.
    fn note(&mut self, row: usize, pushed: Result<(), EventError>) {
        match pushed {
            Ok(()) => self.rows.push(row),
            Err(error) => {
                self.rejected += 1;
                if self.errors.len() < MAX_ERRORS {
                    let (code, field) =
                        (error.code(), error.field().map(|field| shorten(field, MAX_FIELD_BYTES).into_owned()));
                    let message = shorten(&in_words(&error), MAX_ERROR_BYTES).into_owned();
                    self.errors.push(RowError { row, code, field, message });
                }
            }
        }
    }

    /// Hands the good ones to the log, unless too much waits to be scored. Blocks while the log has too much to do.
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

/// Why an event is refused. The JSON parser's words are not for users.
fn in_words(error: &EventError) -> String {
    match error {
        EventError::Syntax { path, message } if path.is_empty() => format!("not valid JSON: {}", plain_syntax(message)),
        EventError::Syntax { path, message } => format!("not valid JSON in field `{path}`: {}", plain_syntax(message)),
        error => error.to_string(),
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
