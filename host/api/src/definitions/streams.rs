//! Streams: logs of events of one Avro schema.

use std::sync::Arc;

use assay_engine::ports::catalog::Kind;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{DefinitionJson, DefinitionList, PutAnswer};
use super::filters::StreamFilter;
use super::store::{self, DryRun};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path, Query};

/// Create or change a stream.
///
/// The definition is checked whole against everything that is there; 422 names all problems, and nothing is changed
/// then. The answer comes when the new revision is in effect on all workers. The same definition again makes no new
/// revision. `If-Match: "REVISION"` changes it only if that revision is still the current one, else 412.
#[utoipa::path(
    put,
    path = "/v1/streams/{name}",
    tag = "streams",
    params(("name" = String, Path, description = "The stream's name", example = "payments"), DryRun),
    request_body(
        content(
            (Object = "application/json", example = json!({"stream": "payments", "key": "card", "time": "time", "id": "id", "schema": {"type": "record", "name": "Payment", "fields": [{"name": "id", "type": "string"}, {"name": "card", "type": "string"}, {"name": "amount", "type": "double"}, {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}})),
            (String = "application/yaml"),
        ),
        description = "The definition, as JSON or YAML"
    ),
    responses(
        (status = 200, description = "Changed, unchanged, or only checked", body = PutAnswer),
        (status = 201, description = "Created", body = PutAnswer),
    )
)]
pub(crate) async fn put_stream(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    store::put(&app, caller, Kind::Stream, name, query.dry_run, &headers, body).await
}

/// A stream's definition, revision, author and time.
#[utoipa::path(
    get,
    path = "/v1/streams/{name}",
    tag = "streams",
    params(("name" = String, Path, description = "The stream's name", example = "payments")),
    responses((status = 200, description = "The revision in effect", body = DefinitionJson))
)]
pub(crate) async fn get_stream(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    store::get(&app, Kind::Stream, &name)
}

/// All streams, or some.
#[utoipa::path(
    get,
    path = "/v1/streams",
    tag = "streams",
    params(StreamFilter),
    responses((status = 200, description = "By name", body = DefinitionList))
)]
pub(crate) async fn list_streams(
    State(app): State<App>,
    Query(filter): Query<StreamFilter>,
) -> Result<Response, ApiError> {
    store::list(&app, Kind::Stream, filter.from.as_deref(), |stream| filter.takes(stream))
}

/// Delete a stream; its revisions stay.
#[utoipa::path(
    delete,
    path = "/v1/streams/{name}",
    tag = "streams",
    params(("name" = String, Path, description = "The stream's name", example = "payments")),
    responses((status = 204, description = "Deleted"))
)]
pub(crate) async fn delete_stream(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    store::delete(&app, caller, Kind::Stream, name, &headers).await
}
