//! The answer with verdicts. It is written while it is read from the log, a chunk at a time: neither the number of events
//! nor that of rules nor a slow client makes it take memory.

use std::io;
use std::time::Duration;

use assay_engine::ports::{Place, StoreError};
use assay_engine::{OutcomeReader, VerdictMarks};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use super::post::{IngestAnswer, RowResult};
use crate::app::App;
use crate::http::Hold;
use crate::render::outcome_json;

/// Bytes of an answer that are written at once, about.
const CHUNK_BYTES: usize = 64 << 10;
/// One permit of what answers may read from, in bytes.
const UNIT: usize = 64 << 10;
/// Events in a block of verdicts, at most, by default; the estimate needs no better.
const BLOCK_EVENTS: usize = 4096;
/// Bytes in a block of verdicts per event, and per event and rule, about.
const EVENT_BYTES: (usize, usize) = (48, 24);
/// How often to look for verdicts that are scored and not in the log yet.
const RETRY: Duration = Duration::from_millis(10);

/// How many units answers may read from at once.
pub(crate) fn answer_units(bytes: usize) -> usize {
    (bytes / UNIT).clamp(1, u32::MAX as usize)
}

/// Events whose verdicts are wanted.
pub(super) struct Asked {
    pub(super) stream: String,
    /// Their rows in the request, and where they are.
    pub(super) rows: Vec<usize>,
    pub(super) places: Vec<Place>,
    pub(super) marks: VerdictMarks,
    /// What the answer begins with.
    pub(super) answer: IngestAnswer,
    /// What `rows` and `places` take of the budget.
    pub(super) hold: Hold,
}

/// Answers when the events are scored: 200 with their verdicts. If that takes longer than `at_most`: 202 with a note.
pub(super) async fn answer_with_verdicts(app: &App, mut asked: Asked, at_most: Duration) -> Response {
    let deadline = Instant::now() + at_most;
    let scored = app.engine.wait_scored(&asked.stream, &asked.places, at_most).await;
    if let Err(error) = scored {
        return without_verdicts(asked.answer, error.to_string());
    }
    let units = app.answers.clone().acquire_many_owned(units_of(app, &asked));
    let Ok(Ok(permit)) = tokio::time::timeout_at(deadline, units).await else {
        let note = "too many answers with verdicts are under way; the events are stored and scored: GET \
                    /v1/events/{stream}/{id} has their verdicts";
        return without_verdicts(asked.answer, note.to_owned());
    };
    let head = head(std::mem::take(&mut asked.answer));
    let mut writer = Writer {
        reader: Some(app.engine.outcomes(&asked.stream, asked.marks)),
        events: asked.rows.into_iter().zip(asked.places).collect(),
        written: 0,
        deadline: deadline.max(Instant::now() + RETRY),
        _hold: asked.hold,
        _permit: permit,
    };
    let (first, is_last) = writer.next_chunk(head).await;
    let body = if is_last { Body::from(first) } else { stream_rest(first, writer, app.config.max_wait) };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

fn without_verdicts(mut answer: IngestAnswer, note: String) -> Response {
    answer.note = Some(note);
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

/// Units of the blocks that the events' verdicts are read from, one of each partition at a time.
fn units_of(app: &App, asked: &Asked) -> u32 {
    let partitions = asked.places.iter().map(|place| place.partition).collect::<std::collections::BTreeSet<_>>().len();
    let plan = app.engine.plan();
    let rules = plan.streams.get(&asked.stream).map_or(0, |stream| stream.rules.len());
    let per_event = EVENT_BYTES.0 + EVENT_BYTES.1 * rules;
    let bytes = partitions * per_event * asked.places.len().min(BLOCK_EVENTS);
    let most = answer_units(app.config.max_answers_in_flight);
    u32::try_from(bytes.div_ceil(UNIT).clamp(1, most)).unwrap_or(u32::MAX)
}

/// The answer up to its results.
fn head(answer: IngestAnswer) -> Vec<u8> {
    // Plain values always serialize.
    let mut head = serde_json::to_vec(&answer).unwrap_or_default();
    head.pop();
    head.extend_from_slice(b",\"results\":[");
    head
}

/// Writes the results.
struct Writer {
    /// None only while it reads on another thread.
    reader: Option<OutcomeReader>,
    events: Vec<(usize, Place)>,
    written: usize,
    /// Until when what is not in the log yet is waited for.
    deadline: Instant,
    _hold: Hold,
    _permit: OwnedSemaphorePermit,
}

/// How far a chunk came.
enum Written {
    Full,
    All,
    /// The next verdicts are not in the log yet.
    NotThere,
}

impl Writer {
    /// Adds results to a chunk until it is full; the last chunk has the end of the answer. Returns whether it is that.
    async fn next_chunk(&mut self, mut chunk: Vec<u8>) -> (Vec<u8>, bool) {
        loop {
            match self.write(&mut chunk).await {
                Ok(Written::Full) => return (chunk, false),
                Ok(Written::All) => return (end(chunk, None), true),
                Ok(Written::NotThere) if Instant::now() < self.deadline => tokio::time::sleep(RETRY).await,
                Ok(Written::NotThere) => {
                    let note =
                        format!("the verdicts of the events from the {}. on were not there in time", self.written + 1);
                    return (end(chunk, Some(note)), true);
                }
                Err(error) => {
                    tracing::warn!(%error, "an answer with verdicts lacks some");
                    let note =
                        format!("the verdicts of the events from the {}. on cannot be read: {error}", self.written + 1);
                    return (end(chunk, Some(note)), true);
                }
            }
        }
    }

    /// Reads and writes on a thread that may block.
    async fn write(&mut self, chunk: &mut Vec<u8>) -> Result<Written, StoreError> {
        let lost = |what: &str| StoreError::Broken { store: "log", message: format!("reading verdicts {what}") };
        let Some(mut reader) = self.reader.take() else { return Err(lost("ended")) };
        let (events, mut out) = (std::mem::take(&mut self.events), std::mem::take(chunk));
        let from = self.written;
        let work = tokio::task::spawn_blocking(move || {
            let (written, result) = write_results(&mut reader, &events, from, &mut out);
            (reader, events, out, written, result)
        });
        let (reader, events, out, written, result) = work.await.map_err(|_| lost("failed"))?;
        (self.reader, self.events, self.written, *chunk) = (Some(reader), events, written, out);
        result
    }
}

/// Writes the results of events from the one with number `at` on. Returns how many events are written then.
fn write_results(
    reader: &mut OutcomeReader,
    events: &[(usize, Place)],
    mut at: usize,
    out: &mut Vec<u8>,
) -> (usize, Result<Written, StoreError>) {
    while let Some((row, place)) = events.get(at) {
        if out.len() >= CHUNK_BYTES {
            return (at, Ok(Written::Full));
        }
        let outcome = match reader.read(*place) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return (at, Ok(Written::NotThere)),
            Err(error) => return (at, Err(error)),
        };
        if at > 0 {
            out.push(b',');
        }
        let result = RowResult { row: *row, outcome: outcome_json(*place, &outcome) };
        // Plain values always serialize, and a vector takes everything.
        out.extend(serde_json::to_vec(&result).unwrap_or_default());
        at += 1;
    }
    (at, Ok(Written::All))
}

/// Ends the results and the answer.
fn end(mut chunk: Vec<u8>, note: Option<String>) -> Vec<u8> {
    chunk.push(b']');
    if let Some(note) = note {
        chunk.extend_from_slice(b",\"note\":");
        chunk.extend(serde_json::to_vec(&note).unwrap_or_default());
    }
    chunk.push(b'}');
    chunk
}

/// A part of the body.
enum Part {
    More(Vec<u8>),
    Last(Vec<u8>),
}

/// The body of an answer that takes more than one chunk. A client that does not take all of it within `at_most` gets
/// less, and an end of the connection that tells it so; what the answer held is given back then.
fn stream_rest(first: Vec<u8>, mut writer: Writer, at_most: Duration) -> Body {
    // One chunk waits for the client, no more.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let all = async {
            let mut part = Part::More(first);
            loop {
                let is_last = matches!(part, Part::Last(_));
                if sender.send(part).await.is_err() || is_last {
                    return;
                }
                let (chunk, is_last) = writer.next_chunk(Vec::new()).await;
                part = if is_last { Part::Last(chunk) } else { Part::More(chunk) };
            }
        };
        if tokio::time::timeout(at_most, all).await.is_err() {
            tracing::warn!(seconds = at_most.as_secs(), "a client did not take its answer with verdicts in time");
        }
    });
    let chunks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Part::More(chunk)) => Some((Ok(Bytes::from(chunk)), Some(receiver))),
            Some(Part::Last(chunk)) => Some((Ok(Bytes::from(chunk)), None)),
            None => Some((Err(io::Error::other("the client did not take its answer in time")), None)),
        }
    });
    // What compresses the answer asks again after its end.
    Body::from_stream(chunks.fuse())
}
