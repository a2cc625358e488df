//! Views: aggregates of a stream's events by entity.

use std::sync::Arc;

use assay_engine::ports::catalog::Kind;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{DefinitionJson, DefinitionList, PutAnswer};
use super::filters::ViewFilter;
use super::store::{self, DryRun};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path, Query};

/// Create or change a view.
///
/// The definition is checked whole against everything that is there; 422 names all problems, and nothing is changed
/// then. The answer comes when the new revision is in effect on all workers. The same definition again makes no new
/// revision. `If-Match: "REVISION"` changes it only if that revision is still the current one, else 412.
#[utoipa::path(
    put,
    path = "/v1/views/{name}",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_spend"), DryRun),
    request_body(
        content(
            (Object = "application/json", example = json!({"view": "card_spend", "stream": "payments", "by": ["card"], "measures": {"payments": "count()", "spent": "sum(amount)"}, "over": "1h"})),
            (String = "application/yaml"),
        ),
        description = "The definition, as JSON or YAML"
    ),
    responses(
        (status = 200, description = "Changed, unchanged, or only checked", body = PutAnswer),
        (status = 201, description = "Created", body = PutAnswer),
    )
)]
pub(crate) async fn put_view(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    store::put(&app, caller, Kind::View, name, query.dry_run, &headers, body).await
}

/// A view's definition, revision, author and time.
#[utoipa::path(
    get,
    path = "/v1/views/{name}",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_spend")),
    responses((status = 200, description = "The revision in effect", body = DefinitionJson))
)]
pub(crate) async fn get_view(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    store::get(&app, Kind::View, &name)
}

/// All views, or some.
#[utoipa::path(
    get,
    path = "/v1/views",
    tag = "views",
    params(ViewFilter),
    responses((status = 200, description = "By name", body = DefinitionList))
)]
pub(crate) async fn list_views(State(app): State<App>, Query(filter): Query<ViewFilter>) -> Result<Response, ApiError> {
    store::list(&app, Kind::View, filter.stream.as_deref(), |view| filter.takes(view))
}

/// Delete a view; its revisions stay.
#[utoipa::path(
    delete,
    path = "/v1/views/{name}",
    tag = "views",
    params(("name" = String, Path, description = "The view's name", example = "card_spend")),
    responses((status = 204, description = "Deleted"))
)]
pub(crate) async fn delete_view(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    store::delete(&app, caller, Kind::View, name, &headers).await
}
