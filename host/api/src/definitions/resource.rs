//! The HTTP resource of all kinds of definitions that people write: put, get, list, delete, revisions.
//!
//! Kinds differ in their `impl Resource` and in routes beside these. The handlers serve any kind; `document` describes
//! them.

mod document;

use std::sync::Arc;

use assay_engine::definition::DefinitionType;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{MethodRouter, get, put};
use axum::{Extension, Json};
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::{Operation, Paths};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::answer::{DefinitionJson, DefinitionList};
use super::store::{self, DryRun};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, Path, Query};

/// A kind of definition that people write.
pub(crate) trait Resource: DefinitionType + Send + Sync {
    /// Which of them a list shows.
    type Filter: Filter<Self>;
    /// An example of a name, for the document.
    const EXAMPLE_NAME: &'static str;

    /// An example of a definition, for the document.
    fn example() -> Value;
}

/// Which definitions of a list are wanted: the query of its route.
pub(crate) trait Filter<T>: DeserializeOwned + IntoParams + Send + 'static {
    /// The stream to which all of them belong; none: any.
    fn stream(&self) -> Option<&str>;

    /// Returns whether a definition is wanted.
    fn takes(&self, def: &T) -> bool;
}

/// The routes that read definitions of a kind.
pub(crate) fn definition_read_routes<T: Resource>() -> OpenApiRouter<App> {
    let list = [(HttpMethod::Get, document::list::<T>())];
    let one = [(HttpMethod::Get, document::get::<T>())];
    OpenApiRouter::default()
        .routes(described(T::KIND.properties().path, get(list_definitions::<T>), list))
        .routes(described(&path_of_one::<T>(), get(get_definition::<T>), one))
}

/// The route that reads all revisions of a definition.
pub(crate) fn definition_revision_routes<T: Resource>() -> OpenApiRouter<App> {
    let path = format!("{}/revisions", path_of_one::<T>());
    let revisions = [(HttpMethod::Get, document::revisions::<T>())];
    OpenApiRouter::default().routes(described(&path, get(list_revisions::<T>), revisions))
}

/// The routes that change definitions of a kind.
pub(crate) fn definition_author_routes<T: Resource>() -> OpenApiRouter<App> {
    let handlers = put(put_definition::<T>).delete(delete_definition::<T>);
    let changes = [(HttpMethod::Put, document::put::<T>()), (HttpMethod::Delete, document::delete::<T>())];
    OpenApiRouter::default().routes(described(&path_of_one::<T>(), handlers, changes))
}

fn path_of_one<T: Resource>() -> String {
    format!("{}/{{name}}", T::KIND.properties().path)
}

/// The handlers of a path with what the document says of them.
fn described<const N: usize>(
    path: &str,
    handlers: MethodRouter<App>,
    operations: [(HttpMethod, Operation); N],
) -> UtoipaMethodRouter<App> {
    let mut paths = Paths::new();
    for (method, operation) in operations {
        paths.add_path_operation(path, vec![method], operation);
    }
    (document::schemas(), paths, handlers)
}

async fn put_definition<T: Resource>(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    Query(query): Query<DryRun>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    store::put(&app, caller, T::KIND, name, query.dry_run, &headers, body).await
}

async fn get_definition<T: Resource>(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    store::get(&app, T::KIND, &name)
}

async fn list_definitions<T: Resource>(
    State(app): State<App>,
    Query(filter): Query<T::Filter>,
) -> Result<Response, ApiError> {
    store::list(&app, filter.stream(), |def: &T| filter.takes(def))
}

async fn delete_definition<T: Resource>(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    store::delete(&app, caller, T::KIND, name, &headers).await
}

async fn list_revisions<T: Resource>(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<DefinitionList>, ApiError> {
    let revisions = app.blocking(move |engine| store::revisions(engine, T::KIND, &name)).await?;
    Ok(Json(DefinitionList { items: revisions.into_iter().map(DefinitionJson::from).collect() }))
}
