//! Subjects and their versions.

use std::sync::Arc;

use assay_engine::registry::RegisteredSchema;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use super::answer::{RegistryAnswer, RegistryResult, schema_text};
use super::request::{Params, read_schema, read_version};
use super::{RegistryFailure, run_on_registry};
use crate::app::App;
use crate::auth::Caller;
use crate::http::{Path, Query};

/// The id of a schema that was registered.
#[derive(Serialize)]
pub(super) struct IdJson {
    id: i32,
}

/// One version of a subject.
#[derive(Serialize)]
pub(super) struct VersionJson {
    subject: String,
    version: u32,
    id: i32,
    schema: String,
}

impl From<RegisteredSchema> for VersionJson {
    fn from(registered: RegisteredSchema) -> Self {
        let RegisteredSchema { subject, version, id, schema } = registered;
        Self { subject, version, id, schema }
    }
}

/// The answer to a compatibility check.
#[derive(Serialize)]
pub(super) struct CompatibilityJson {
    is_compatible: bool,
    /// The reasons against it, if the request asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<String>>,
}

/// `GET /subjects`
pub(super) async fn list(State(app): State<App>, Query(params): Query<Params>) -> RegistryResult<Vec<String>> {
    let mut subjects = run_on_registry(&app, |registry| registry.subjects()).await?;
    if let Some(prefix) = &params.subject_prefix {
        subjects.retain(|subject| subject.starts_with(prefix));
    }
    Ok(RegistryAnswer(params.page(subjects)?))
}

/// `GET /subjects/{subject}/versions`
pub(super) async fn versions(
    State(app): State<App>,
    Path(subject): Path<String>,
    Query(params): Query<Params>,
) -> RegistryResult<Vec<u32>> {
    let versions = run_on_registry(&app, move |registry| registry.versions(&subject)).await?;
    Ok(RegistryAnswer(params.page(versions)?))
}

/// `GET /subjects/{subject}/versions/{version}`
pub(super) async fn version(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
) -> RegistryResult<VersionJson> {
    let version = read_version(&version)?;
    Ok(RegistryAnswer(run_on_registry(&app, move |registry| registry.version(&subject, version)).await?.into()))
}

/// `GET /subjects/{subject}/versions/{version}/schema`
pub(super) async fn version_schema(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
) -> Result<Response, RegistryFailure> {
    let version = read_version(&version)?;
    let registered = run_on_registry(&app, move |registry| registry.version(&subject, version)).await?;
    Ok(schema_text(registered.schema))
}

/// `POST /subjects/{subject}`: looks up a schema.
pub(super) async fn lookup(
    State(app): State<App>,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> RegistryResult<VersionJson> {
    let schema = read_schema(&app, &headers, body).await?;
    Ok(RegistryAnswer(run_on_registry(&app, move |registry| registry.lookup(&subject, &schema)).await?.into()))
}

/// `POST /subjects/{subject}/versions`
pub(super) async fn register(
    State(app): State<App>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(subject): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> RegistryResult<IdJson> {
    let schema = read_schema(&app, &headers, body).await?;
    let registered = run_on_registry(&app, move |registry| registry.register(&subject, &schema, &caller.name)).await?;
    Ok(RegistryAnswer(IdJson { id: registered.id }))
}

/// `POST /compatibility/subjects/{subject}/versions/{version}`
pub(super) async fn compatibility(
    State(app): State<App>,
    Path((subject, version)): Path<(String, String)>,
    Query(params): Query<Params>,
    headers: HeaderMap,
    body: Body,
) -> RegistryResult<CompatibilityJson> {
    let version = read_version(&version)?;
    let schema = read_schema(&app, &headers, body).await?;
    let misfits = run_on_registry(&app, move |registry| registry.misfits(&subject, version, &schema)).await?;
    let is_compatible = misfits.is_empty();
    Ok(RegistryAnswer(CompatibilityJson { is_compatible, messages: params.verbose().then_some(misfits) }))
}
