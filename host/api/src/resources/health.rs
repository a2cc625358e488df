//! Liveness, readiness and metrics.

use assay_engine::PartStatus;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// The liveness of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// The state of all parts of the engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadinessJson {
    /// True if events can be accepted and scored.
    ready: bool,
    /// Partitions, sinks, threads, stores.
    parts: Vec<PartJson>,
}

/// One part of the engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartJson {
    /// The name of the part.
    name: String,
    /// True if it works.
    ok: bool,
    /// The failure; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// A failure that will happen if nothing is done; empty if there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    warning: String,
    /// The number of events or blocks that wait for it.
    lag: u64,
}

/// The liveness of the process.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It runs", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The readiness to accept and score events: for load balancers, and for scripts that wait for a start.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "It can", body = ReadinessJson),
        (status = 503, description = "It cannot; the parts have the reasons", body = ReadinessJson),
    )
)]
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let readiness = app.engine.status().readiness();
    let parts = readiness.parts.into_iter().map(|PartStatus { component, ok, message, warning, lag }| PartJson {
        name: component.to_string(),
        ok,
        message,
        warning,
        lag,
    });
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadinessJson { ready: readiness.ready, parts: parts.collect() })).into_response()
}

/// Metrics in the text format of Prometheus and OpenMetrics.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses((status = 200, description = "All metrics", body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], app.engine.status().encode_metrics()).into_response()
}
