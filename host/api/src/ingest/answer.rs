//! The answer with verdicts. It is written in chunks while verdicts are read from the log, so its memory does not
//! depend on the number of events, the number of rules, or the speed of the client.

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

/// About how many bytes of an answer are in a chunk.
const CHUNK_BYTES: usize = 64 << 10;
/// The bytes of verdict blocks for one permit.
const UNIT_BYTES: usize = 64 << 10;
/// The default of the largest number of events in a verdict block, which is exact enough for the estimate.
const BLOCK_EVENTS: usize = 4096;
/// About how many bytes an event takes in a verdict block, without its verdicts.
const EVENT_BYTES: usize = 48;
/// About how many bytes a verdict takes in a verdict block.
const VERDICT_BYTES: usize = 24;
/// The interval at which the log is read again for verdicts that are scored but not appended yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// The number of units that all answers may read at once.
pub(crate) fn answer_units(bytes: usize) -> usize {
    (bytes / UNIT_BYTES).clamp(1, u32::MAX as usize)
}

/// The events whose verdicts the answer contains.
pub(super) struct VerdictsRequest {
    pub(super) stream: String,
    /// The rows of the events in the request, and their places, in the same order.
    pub(super) rows: Vec<usize>,
    pub(super) places: Vec<Place>,
    pub(super) marks: VerdictMarks,
    /// The beginning of the answer.
    pub(super) answer: IngestAnswer,
    /// The memory of `rows` and `places` in the budget.
    pub(super) hold: Hold,
}

/// Answers when the events are scored: 200 with their verdicts. After `timeout`: 202 with a note.
pub(super) async fn answer_with_verdicts(app: &App, mut request: VerdictsRequest, timeout: Duration) -> Response {
    let deadline = Instant::now() + timeout;
    let scored = app.engine.ingest().wait_scored(&request.stream, &request.places, timeout).await;
    if let Err(error) = scored {
        return without_verdicts(request.answer, error.to_string());
    }
    let units = app.answers.clone().acquire_many_owned(count_units(app, &request));
    let Ok(Ok(permit)) = tokio::time::timeout_at(deadline, units).await else {
        let note = "too many answers with verdicts are in progress; the events are stored and scored: GET \
                    /v1/events/{stream}/{id} has their verdicts";
        return without_verdicts(request.answer, note.to_owned());
    };
    let head = begin_answer(std::mem::take(&mut request.answer));
    let mut writer = ResultsWriter {
        reader: Some(app.engine.ingest().outcomes(&request.stream, request.marks)),
        events: request.rows.into_iter().zip(request.places).collect(),
        written: 0,
        deadline: deadline.max(Instant::now() + RETRY_INTERVAL),
        _hold: request.hold,
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

/// The units of the verdict blocks that are in memory at once: one block of each partition.
fn count_units(app: &App, request: &VerdictsRequest) -> u32 {
    let partitions =
        request.places.iter().map(|place| place.partition).collect::<std::collections::BTreeSet<_>>().len();
    let rules = app.engine.ingest().count_rules(&request.stream);
    let per_event = EVENT_BYTES + VERDICT_BYTES * rules;
    let bytes = partitions * per_event * request.places.len().min(BLOCK_EVENTS);
    let max_units = answer_units(app.config.max_answers_in_flight);
    u32::try_from(bytes.div_ceil(UNIT_BYTES).clamp(1, max_units)).unwrap_or(u32::MAX)
}

/// The answer up to its results.
fn begin_answer(answer: IngestAnswer) -> Vec<u8> {
    // Plain values always serialize.
    let mut head = serde_json::to_vec(&answer).unwrap_or_default();
    head.pop();
    head.extend_from_slice(b",\"results\":[");
    head
}

/// Writes the results of an answer.
struct ResultsWriter {
    /// None only while another thread reads.
    reader: Option<OutcomeReader>,
    events: Vec<(usize, Place)>,
    written: usize,
    /// The end of the wait for verdicts that are not in the log yet.
    deadline: Instant,
    _hold: Hold,
    _permit: OwnedSemaphorePermit,
}

/// The state of a chunk.
enum ChunkStatus {
    Full,
    All,
    /// The next verdicts are not in the log yet.
    NotAppended,
}

impl ResultsWriter {
    /// Adds results to a chunk until it is full. The last chunk has the end of the answer. Returns whether this is the
    /// last.
    async fn next_chunk(&mut self, mut chunk: Vec<u8>) -> (Vec<u8>, bool) {
        loop {
            match self.write(&mut chunk).await {
                Ok(ChunkStatus::Full) => return (chunk, false),
                Ok(ChunkStatus::All) => return (finish_answer(chunk, None), true),
                Ok(ChunkStatus::NotAppended) if Instant::now() < self.deadline => {
                    tokio::time::sleep(RETRY_INTERVAL).await
                }
                Ok(ChunkStatus::NotAppended) => {
                    let note =
                        format!("the verdicts of the events from the {}. on were not there in time", self.written + 1);
                    return (finish_answer(chunk, Some(note)), true);
                }
                Err(error) => {
                    tracing::warn!(%error, "an answer lacks verdicts");
                    let note =
                        format!("the verdicts of the events from the {}. on cannot be read: {error}", self.written + 1);
                    return (finish_answer(chunk, Some(note)), true);
                }
            }
        }
    }

    /// Reads and writes on a thread of the blocking pool.
    async fn write(&mut self, chunk: &mut Vec<u8>) -> Result<ChunkStatus, StoreError> {
        let read_error = |what: &str| StoreError::Broken { store: "log", message: format!("reading verdicts {what}") };
        let Some(mut reader) = self.reader.take() else { return Err(read_error("ended")) };
        let (events, mut out) = (std::mem::take(&mut self.events), std::mem::take(chunk));
        let from = self.written;
        let work = tokio::task::spawn_blocking(move || {
            let (written, result) = write_results(&mut reader, &events, from, &mut out);
            (reader, events, out, written, result)
        });
        let (reader, events, out, written, result) = work.await.map_err(|_| read_error("failed"))?;
        (self.reader, self.events, self.written, *chunk) = (Some(reader), events, written, out);
        result
    }
}

/// Writes the results of the events from index `at` on. Returns the number of written events.
fn write_results(
    reader: &mut OutcomeReader,
    events: &[(usize, Place)],
    mut at: usize,
    out: &mut Vec<u8>,
) -> (usize, Result<ChunkStatus, StoreError>) {
    while let Some((row, place)) = events.get(at) {
        if out.len() >= CHUNK_BYTES {
            return (at, Ok(ChunkStatus::Full));
        }
        let outcome = match reader.read(*place) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return (at, Ok(ChunkStatus::NotAppended)),
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
    (at, Ok(ChunkStatus::All))
}

/// Appends the end of the results and of the answer.
fn finish_answer(mut chunk: Vec<u8>, note: Option<String>) -> Vec<u8> {
    chunk.push(b']');
    if let Some(note) = note {
        chunk.extend_from_slice(b",\"note\":");
        chunk.extend(serde_json::to_vec(&note).unwrap_or_default());
    }
    chunk.push(b'}');
    chunk
}

/// A part of the body.
enum BodyPart {
    More(Vec<u8>),
    Last(Vec<u8>),
}

/// The body of an answer with more than one chunk. If the client does not read all of it within `timeout`, the body
/// ends with an error, the connection is closed, and the answer's memory is returned.
fn stream_rest(first: Vec<u8>, mut writer: ResultsWriter, timeout: Duration) -> Body {
    // At most one chunk waits for the client.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let all = async {
            let mut part = BodyPart::More(first);
            loop {
                let is_last = matches!(part, BodyPart::Last(_));
                if sender.send(part).await.is_err() || is_last {
                    return;
                }
                let (chunk, is_last) = writer.next_chunk(Vec::new()).await;
                part = if is_last { BodyPart::Last(chunk) } else { BodyPart::More(chunk) };
            }
        };
        if tokio::time::timeout(timeout, all).await.is_err() {
            tracing::warn!(seconds = timeout.as_secs(), "a client did not read its answer with verdicts in time");
        }
    });
    let chunks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(BodyPart::More(chunk)) => Some((Ok(Bytes::from(chunk)), Some(receiver))),
            Some(BodyPart::Last(chunk)) => Some((Ok(Bytes::from(chunk)), None)),
            None => Some((Err(io::Error::other("the client did not read its answer in time")), None)),
        }
    });
    // The compression layer polls once more after the end.
    Body::from_stream(chunks.fuse())
}
