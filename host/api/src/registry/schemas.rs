//! Schemas by id.

use assay_engine::registry::{Registry, RegistryError, StoredSchema};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::answer::{RegistryAnswer, RegistryRefusal, RegistryResult, schema_text};
use super::request::Params;
use super::{RegistryFailure, run_on_registry};
use crate::app::App;
use crate::http::{Path, Query};

/// A schema. Without a type it is AVRO.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaJson {
    schema: String,
    /// The highest id of the registry, if the request asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_id: Option<i32>,
}

/// A subject and version of a schema.
#[derive(Serialize)]
pub(super) struct SubjectVersionJson {
    subject: String,
    version: u32,
}

/// `GET /schemas/types`
pub(super) async fn types() -> RegistryAnswer<[&'static str; 1]> {
    RegistryAnswer(["AVRO"])
}

/// `GET /schemas/ids/{id}`
pub(super) async fn by_id(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> RegistryResult<SchemaJson> {
    let stored = find_schema(&app, id).await?;
    let max_id = match params.fetch_max_id() {
        true => Some(run_on_registry(&app, |registry| Ok(registry.max_id()?)).await?),
        false => None,
    };
    Ok(RegistryAnswer(SchemaJson { schema: stored.schema, max_id }))
}

/// `GET /schemas/ids/{id}/schema`
pub(super) async fn text_by_id(State(app): State<App>, Path(id): Path<String>) -> Result<Response, RegistryFailure> {
    Ok(schema_text(find_schema(&app, id).await?.schema))
}

/// `GET /schemas/ids/{id}/subjects`
pub(super) async fn subjects_of_id(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> RegistryResult<Vec<String>> {
    let places = list_places(&app, id, &params).await?;
    Ok(RegistryAnswer(places.into_iter().map(|place| place.subject).collect()))
}

/// `GET /schemas/ids/{id}/versions`
pub(super) async fn versions_of_id(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> RegistryResult<Vec<SubjectVersionJson>> {
    Ok(RegistryAnswer(list_places(&app, id, &params).await?))
}

async fn list_places(app: &App, id: String, params: &Params) -> Result<Vec<SubjectVersionJson>, RegistryFailure> {
    let places = find_schema(app, id).await?.subjects.into_iter();
    let mut places: Vec<_> = places.map(|(subject, version)| SubjectVersionJson { subject, version }).collect();
    if let Some(wanted) = &params.subject {
        places.retain(|place| place.subject == *wanted);
    }
    Ok(params.page(places)?)
}

async fn find_schema(app: &App, id: String) -> Result<StoredSchema, RegistryFailure> {
    // An id that is not a number is unknown.
    let Ok(number) = id.parse::<i32>() else { return Err(RegistryRefusal::UnknownId(id).into()) };
    let find = move |registry: Registry<'_>| registry.by_id(number).map_err(RegistryError::from);
    run_on_registry(app, find).await?.ok_or_else(|| RegistryRefusal::UnknownId(id).into())
}
