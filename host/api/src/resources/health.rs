//! Whether the process lives, whether it can do its work, and its metrics.

use assay_engine::PartStatus;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`: who can answer lives.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether all parts of the engine can do their work.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadinessJson {
    /// Whether events can be taken and scored.
    ready: bool,
    /// Workers, followers, stores.
    parts: Vec<PartJson>,
}

/// One part of the engine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartJson {
    /// Which part.
    name: String,
    /// Whether it does its work.
    ok: bool,
    /// What is wrong; empty if nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// What will go wrong if nothing is done, though it works; empty if nothing will.
    #[serde(skip_serializing_if = "String::is_empty")]
    warning: String,
    /// How many events or blocks it is behind.
    lag: u64,
}

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It lives", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether it can do its work: for load balancers, and for scripts that wait for a start.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "It can", body = ReadinessJson),
        (status = 503, description = "It cannot; the parts say why", body = ReadinessJson),
    )
)]
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    let readiness = app.engine.readiness();
    let parts = readiness.parts.into_iter().map(|PartStatus { name, ok, message, warning, lag }| PartJson {
        name,
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
    ([(header::CONTENT_TYPE, kind)], app.engine.measure()).into_response()
}
