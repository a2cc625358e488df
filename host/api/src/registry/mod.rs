//! `/registry`: the schema registry with Confluent's API, for the serializers of Kafka clients. This module has its routes,
//! its JSON and its error codes; [`assay_engine::registry`] implements it.
//!
//! Absent on purpose: deleting (events may be written in any schema), levels of compatibility other than BACKWARD,
//! references, JSON Schema and Protobuf, contexts, modes. Requests for these are refused with a reason.

mod answer;
mod request;
mod schemas;
mod settings;
mod subjects;

use assay_engine::registry::{Registry, RegistryError};
use axum::Router;
use axum::routing::{get, post};

use crate::app::App;
use crate::auth::Role;
pub(crate) use answer::{MEDIA_TYPE, render_errors};
use answer::{RegistryFailure, RegistryRefusal};

/// The roles that may read. Producers look up their own schemas and those of others.
const READERS: &[Role] = &[Role::Read, Role::Ingest];
/// The roles that may register. Producers register a schema when they begin to use it, authors before that.
const WRITERS: &[Role] = &[Role::Ingest, Role::Author];

/// The registry's routes. `guard` adds the check of the roles.
pub(crate) fn routes(guard: impl Fn(&'static [Role], Router<App>) -> Router<App>) -> Router<App> {
    guard(READERS, read_routes()).merge(guard(WRITERS, write_routes()))
}

fn read_routes() -> Router<App> {
    Router::new()
        .route("/registry", get(settings::root))
        .route("/registry/", get(settings::root))
        .route("/registry/subjects", get(subjects::list))
        .route("/registry/subjects/{subject}", post(subjects::lookup))
        .route("/registry/subjects/{subject}/versions", get(subjects::versions))
        .route("/registry/subjects/{subject}/versions/{version}", get(subjects::version))
        .route("/registry/subjects/{subject}/versions/{version}/schema", get(subjects::version_schema))
        .route("/registry/compatibility/subjects/{subject}/versions/{version}", post(subjects::compatibility))
        .route("/registry/schemas/types", get(schemas::types))
        .route("/registry/schemas/ids/{id}", get(schemas::by_id))
        .route("/registry/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/registry/schemas/ids/{id}/subjects", get(schemas::subjects_of_id))
        .route("/registry/schemas/ids/{id}/versions", get(schemas::versions_of_id))
        .route("/registry/config", get(settings::config))
        .route("/registry/config/{subject}", get(settings::config_of))
        .route("/registry/mode", get(settings::mode))
        .route("/registry/mode/{subject}", get(settings::mode_of))
}

fn write_routes() -> Router<App> {
    Router::new().route("/registry/subjects/{subject}/versions", post(subjects::register))
}

/// Calls the registry on a thread of the blocking pool.
async fn run_on_registry<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(Registry<'_>) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, RegistryFailure> {
    let answer = app.blocking(move |engine| Ok(work(engine.catalog().schema_registry()))).await;
    Ok(answer??)
}
