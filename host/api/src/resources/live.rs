//! `GET /v1/verdicts/stream`: verdicts as they come, as server-sent events.
//! See <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! Each client has a cursor over the log, not a buffer: a slow one reads what is older. An event's id is the place behind
//! it, so that `Last-Event-ID` goes on exactly there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_engine::ports::catalog::Kind;
use assay_engine::{Live, LiveFilter, LiveVerdicts, Said};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Code, MAX_DETAIL_BYTES, Query, shorten};
use crate::render::{PlaceJson, VerdictJson, verdict_json};

/// How often to look for verdicts of other processes.
const ELSEWHERE: Duration = Duration::from_millis(500);
/// How soon a client shall come back.
const COME_BACK: Duration = Duration::from_secs(1);

/// Which verdicts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// Of this rule.
    #[param(example = "card-velocity")]
    rule: Option<String>,
    /// Of this stream.
    #[param(example = "payments")]
    stream: Option<String>,
    /// Those with this tag.
    tag: Option<String>,
    /// Those with at least this score.
    #[param(example = 0.9)]
    min: Option<f64>,
}

/// A verdict as it came.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveVerdictJson {
    /// The stream.
    stream: String,
    /// Where the event is.
    place: PlaceJson,
    /// The event's id; missing when the stream declares none.
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    /// Its entity.
    key: String,
    /// Its time, ms since 1970.
    time: i64,
    #[serde(flatten)]
    verdict: VerdictJson,
}

/// Follow verdicts as they come, as server-sent events.
///
/// Events are `verdict`, with a verdict as data, and `missed`, when the log has deleted verdicts before they could be
/// read. Their `id`, sent back as `Last-Event-ID`, goes on behind them; without it, verdicts from now on come. An empty
/// event with an id comes at the beginning and every 15 seconds.
#[utoipa::path(
    get,
    path = "/v1/verdicts/stream",
    tag = "scores",
    params(
        LiveQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received"),
    ),
    responses((status = 200, description = "Until the client has enough, or the server stops", body = LiveVerdictJson, content_type = "text/event-stream"))
)]
pub(crate) async fn follow_verdicts(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let permit = app.live_clients.clone().try_acquire_owned().map_err(|_| {
        let most = app.config.max_live_clients;
        ApiError::new(Code::Overloaded, format!("{most} clients follow verdicts already (server.max_live_clients)"))
    })?;
    let mark = headers.get("last-event-id").map(|mark| mark.to_str().unwrap_or("?").to_owned());
    let LiveQuery { rule, stream, tag, min } = query;
    let filter = LiveFilter { stream, rule, tag, min };
    let said = app.engine.said();
    let live = app.blocking(move |engine| Ok(engine.follow(filter, mark.as_deref())?)).await?;
    let begin = Event::default().id(live.mark()).retry(COME_BACK);
    let key_version = key_version(&app, &caller);
    let stopping = app.stopping.subscribe();
    let client = Client {
        app,
        caller,
        key_version,
        live: Some(live),
        said,
        stopping,
        waiting: VecDeque::from([begin]),
        spoke: Instant::now(),
        is_over: false,
        _permit: permit,
    };
    let events = stream::unfold(client, |mut client| async {
        let event = client.next().await?;
        Some((Ok::<_, Infallible>(event), client))
    });
    // Proxies would collect events otherwise.
    Ok(([(header::HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(events)).into_response())
}

/// One client that follows.
struct Client {
    app: App,
    caller: Arc<Caller>,
    key_version: Option<u64>,
    /// None only while it is read on another thread.
    live: Option<LiveVerdicts>,
    said: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    waiting: VecDeque<Event>,
    spoke: Instant,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    /// The next event; none: the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.spoke = Instant::now();
                return Some(event);
            }
            // A key that was deleted opens nothing any more.
            if self.is_over || *self.stopping.borrow() || key_version(&self.app, &self.caller) != self.key_version {
                return None;
            }
            self.said.borrow_and_update();
            match self.read().await {
                Ok(found) => self.waiting.extend(found.into_iter().map(event)),
                Err(mut error) => {
                    shorten(&mut error.detail, MAX_DETAIL_BYTES);
                    let detail =
                        json!({ "type": format!("urn:assay:{}", error.code.parts().0), "detail": error.detail });
                    self.waiting.push_back(Event::default().event("error").data(detail.to_string()));
                    self.is_over = true;
                }
            }
            if self.waiting.is_empty() {
                self.wait().await;
            }
            if self.waiting.is_empty() && self.spoke.elapsed() >= self.app.config.live_heartbeat {
                let mark = self.live.as_ref().map(LiveVerdicts::mark).unwrap_or_default();
                self.waiting.push_back(Event::default().id(mark));
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Live>, ApiError> {
        let Some(mut live) = self.live.take() else { return Err(ApiError::internal()) };
        let (live, found) = self
            .app
            .blocking(move |_| {
                let found = live.read();
                Ok((live, found))
            })
            .await?;
        self.live = Some(live);
        Ok(found?)
    }

    /// Until there may be something new.
    async fn wait(&mut self) {
        let ring = async {
            if self.said.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = ring => {}
            _ = self.stopping.changed() => {}
            () = tokio::time::sleep(ELSEWHERE) => {}
        }
    }
}

/// The version since which the caller's key holds.
fn key_version(app: &App, caller: &Caller) -> Option<u64> {
    app.engine.plan().snapshot.get(Kind::Key, &caller.name).map(|key| key.version)
}

fn event(live: Live) -> Event {
    match live {
        Live::Said(said) => {
            let Said { stream, place, id, key, time, verdict, mark } = *said;
            let verdict = verdict_json(&verdict);
            let json = LiveVerdictJson { stream: stream.to_string(), place: place.into(), id, key, time, verdict };
            // Maps with text keys and plain values always serialize.
            Event::default().id(mark).event("verdict").data(serde_json::to_string(&json).unwrap_or_default())
        }
        Live::Missed { of, batches, mark } => {
            let json = json!({ "stream": &*of.stream, "partition": of.partition.0, "batches": batches });
            Event::default().id(mark).event("missed").data(json.to_string())
        }
    }
}
