//! `/registry`: the schema registry, as Confluent's API has it, for the serializers of Kafka clients. What it means is
//! in [`assay_engine::registry`]; here are its routes, its JSON and its error codes.
//!
//! Absent on purpose: deleting (events may be written in any schema), levels of compatibility other than BACKWARD,
//! references, JSON Schema and Protobuf, contexts, modes. What would change one of these is refused and says so.

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
use answer::{Failure, Refused};
pub(crate) use answer::{MEDIA_TYPE, render_errors};

/// Producers read what they and others have registered.
const READERS: &[Role] = &[Role::Read, Role::Ingest];
/// Producers register schemas as they begin to write in them, authors ahead of it.
const WRITERS: &[Role] = &[Role::Ingest, Role::Author];

/// The registry's routes; `guard` puts a lock before those that need one of some roles.
pub(crate) fn routes(guard: impl Fn(&'static [Role], Router<App>) -> Router<App>) -> Router<App> {
    guard(READERS, reading()).merge(guard(WRITERS, writing()))
}

fn reading() -> Router<App> {
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

fn writing() -> Router<App> {
    Router::new().route("/registry/subjects/{subject}/versions", post(subjects::register))
}

/// Asks the registry on a thread that may block.
async fn ask<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(Registry<'_>) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Failure> {
    let answer = app.blocking(move |engine| Ok(work(Registry::new(&*engine.ports().catalog)))).await;
    Ok(answer??)
}
