//! `GET /v1/verdicts/stream`: live verdicts as server-sent events.
//! See <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
//!
//! Each client has a cursor over the log instead of a buffer: a slow client reads older verdicts. An event's id is the
//! position after it, from which a request with that `Last-Event-ID` continues.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_engine::ports::catalog::Kind;
use assay_engine::{LiveFilter, LiveItem, LiveVerdict, LiveVerdicts};
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

/// The interval at which the log is read for verdicts of other processes.
const REMOTE_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The time after which a client should reconnect.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// The filter of live verdicts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// Of this rule.
    #[param(example = "card-velocity")]
    rule: Option<String>,
    /// Of this stream.
    #[param(example = "payments")]
    stream: Option<String>,
    /// Only verdicts with this tag.
    tag: Option<String>,
    /// Only verdicts with at least this score.
    #[param(example = 0.9)]
    min: Option<f64>,
}

/// A live verdict.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveVerdictJson {
    /// The stream.
    stream: String,
    /// The event's place in the log.
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

/// Read live verdicts as server-sent events.
///
/// Events are `verdict`, with a verdict as data, and `missed`, when the log has deleted verdicts before they could be
/// read. A request with the `id` of an event as `Last-Event-ID` continues after it. Without it, the stream begins with
/// new verdicts. An empty event with an id comes at the beginning and every 15 seconds.
#[utoipa::path(
    get,
    path = "/v1/verdicts/stream",
    tag = "scores",
    params(
        LiveQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received"),
    ),
    responses((status = 200, description = "Until the client disconnects, or the server stops", body = LiveVerdictJson, content_type = "text/event-stream"))
)]
pub(crate) async fn follow_verdicts(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let permit = app.live_clients.clone().try_acquire_owned().map_err(|_| {
        let max = app.config.max_live_clients;
        ApiError::new(Code::Overloaded, format!("{max} clients read live verdicts already (server.max_live_clients)"))
    })?;
    let mark = headers.get("last-event-id").map(|mark| mark.to_str().unwrap_or("?").to_owned());
    let LiveQuery { rule, stream, tag, min } = query;
    let filter = LiveFilter { stream, rule, tag, min };
    let appended = app.engine.live_verdicts().subscribe();
    let live = app.blocking(move |engine| Ok(engine.live_verdicts().follow(filter, mark.as_deref())?)).await?;
    let begin = Event::default().id(live.mark()).retry(RECONNECT_DELAY);
    let key_version = key_version(&app, &caller);
    let stopping = app.stopping.subscribe();
    let client = LiveClient {
        app,
        caller,
        key_version,
        live: Some(live),
        appended,
        stopping,
        pending: VecDeque::from([begin]),
        last_sent: Instant::now(),
        is_over: false,
        _permit: permit,
    };
    let events = stream::unfold(client, |mut client| async {
        let event = client.next().await?;
        Some((Ok::<_, Infallible>(event), client))
    });
    // Proxies would buffer events otherwise.
    Ok(([(header::HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(events)).into_response())
}

/// One client of the live stream.
struct LiveClient {
    app: App,
    caller: Arc<Caller>,
    key_version: Option<u64>,
    /// None only while another thread reads.
    live: Option<LiveVerdicts>,
    appended: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    pending: VecDeque<Event>,
    last_sent: Instant,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl LiveClient {
    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.last_sent = Instant::now();
                return Some(event);
            }
            // A deleted key ends its streams.
            if self.is_over || *self.stopping.borrow() || key_version(&self.app, &self.caller) != self.key_version {
                return None;
            }
            self.appended.borrow_and_update();
            match self.read_items().await {
                Ok(found) => self.pending.extend(found.into_iter().map(sse_event)),
                Err(mut error) => {
                    shorten(&mut error.detail, MAX_DETAIL_BYTES);
                    let detail =
                        json!({ "type": format!("urn:assay:{}", error.code.parts().0), "detail": error.detail });
                    self.pending.push_back(Event::default().event("error").data(detail.to_string()));
                    self.is_over = true;
                }
            }
            if self.pending.is_empty() {
                self.wait_for_news().await;
            }
            if self.pending.is_empty() && self.last_sent.elapsed() >= self.app.config.live_heartbeat {
                let mark = self.live.as_ref().map(LiveVerdicts::mark).unwrap_or_default();
                self.pending.push_back(Event::default().id(mark));
            }
        }
    }

    async fn read_items(&mut self) -> Result<Vec<LiveItem>, ApiError> {
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

    /// Waits until there may be new verdicts.
    async fn wait_for_news(&mut self) {
        let appended = async {
            if self.appended.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = appended => {}
            _ = self.stopping.changed() => {}
            () = tokio::time::sleep(REMOTE_POLL_INTERVAL) => {}
        }
    }
}

/// The version of the catalog since which the caller's key exists.
fn key_version(app: &App, caller: &Caller) -> Option<u64> {
    app.engine.catalog().snapshot().get(Kind::Key, &caller.name).map(|key| key.version)
}

fn sse_event(live: LiveItem) -> Event {
    match live {
        LiveItem::Verdict(appended) => {
            let LiveVerdict { stream, place, id, key, time, verdict, mark } = *appended;
            let verdict = verdict_json(&verdict);
            let json = LiveVerdictJson { stream: stream.to_string(), place: place.into(), id, key, time, verdict };
            // Maps with text keys and plain values always serialize.
            Event::default().id(mark).event("verdict").data(serde_json::to_string(&json).unwrap_or_default())
        }
        LiveItem::Missed { partition, batches, mark } => {
            let json = json!({ "stream": &*partition.stream, "partition": partition.partition.0, "batches": batches });
            Event::default().id(mark).event("missed").data(json.to_string())
        }
    }
}
