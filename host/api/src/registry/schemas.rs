//! Schemas by id.

use assay_engine::registry::{Registry, RegistryError, StoredSchema};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::answer::{Answer, Outcome, Refused, verbatim};
use super::request::Params;
use super::{Failure, ask};
use crate::app::App;
use crate::http::{Path, Query};

/// A schema. A type that is not said is AVRO.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaJson {
    schema: String,
    /// The highest id that was given, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_id: Option<i32>,
}

/// Where a schema is registered.
#[derive(Serialize)]
pub(super) struct SubjectVersionJson {
    subject: String,
    version: u32,
}

/// `GET /schemas/types`
pub(super) async fn types() -> Answer<[&'static str; 1]> {
    Answer(["AVRO"])
}

/// `GET /schemas/ids/{id}`
pub(super) async fn by_id(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Outcome<SchemaJson> {
    let stored = stored(&app, id).await?;
    let max_id = match params.fetch_max_id() {
        true => Some(ask(&app, |registry| Ok(registry.max_id()?)).await?),
        false => None,
    };
    Ok(Answer(SchemaJson { schema: stored.schema, max_id }))
}

/// `GET /schemas/ids/{id}/schema`
pub(super) async fn text_by_id(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Failure> {
    Ok(verbatim(stored(&app, id).await?.schema))
}

/// `GET /schemas/ids/{id}/subjects`
pub(super) async fn subjects_of_id(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Outcome<Vec<String>> {
    let places = places(&app, id, &params).await?;
    Ok(Answer(places.into_iter().map(|place| place.subject).collect()))
}

/// `GET /schemas/ids/{id}/versions`
pub(super) async fn versions_of_id(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Outcome<Vec<SubjectVersionJson>> {
    Ok(Answer(places(&app, id, &params).await?))
}

async fn places(app: &App, id: String, params: &Params) -> Result<Vec<SubjectVersionJson>, Failure> {
    let places = stored(app, id).await?.subjects.into_iter();
    let mut places: Vec<_> = places.map(|(subject, version)| SubjectVersionJson { subject, version }).collect();
    if let Some(wanted) = &params.subject {
        places.retain(|place| place.subject == *wanted);
    }
    Ok(params.page(places)?)
}

async fn stored(app: &App, id: String) -> Result<StoredSchema, Failure> {
    // What is no number is no id.
    let Ok(number) = id.parse::<i32>() else { return Err(Refused::UnknownId(id).into()) };
    let find = move |registry: Registry<'_>| registry.by_id(number).map_err(RegistryError::from);
    ask(app, find).await?.ok_or_else(|| Refused::UnknownId(id).into())
}
