//! The operations on definitions of any kind: put, get, list, delete, revisions.

use std::collections::BTreeSet;
use std::sync::Arc;

use assay_engine::definition::{Definition, DefinitionType};
use assay_engine::ports::catalog::{Change, Kind, Revision};
use assay_engine::{ChangeError, Engine};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{DefinitionJson, DefinitionList, PutAnswer, effects_json, with_tag};
use super::body::read_text;
use super::precondition::Precondition;
use crate::app::App;
use crate::auth::Caller;
use crate::http::{ApiError, BodyFormat, Code, body_format};

/// Whether a change is carried out.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DryRun {
    /// True: check everything, change nothing.
    #[serde(default)]
    pub(crate) dry_run: bool,
}

/// Reads a definition from a request and makes it the new revision.
pub(super) async fn put(
    app: &App,
    caller: Arc<Caller>,
    kind: Kind,
    name: String,
    dry_run: bool,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let format = body_format(headers, &[BodyFormat::Json, BodyFormat::Yaml])?;
    let precondition = Precondition::of(headers)?;
    let limit = app.config.max_definition_body;
    let text = app.read_body(headers, body, limit, "a definition is smaller").await?;
    let definition = read_text(kind, &name, format, &text).map_err(|problem| ChangeError::Invalid(vec![problem]))?;
    app.blocking(move |engine| {
        let expected = expected(engine, &precondition, kind, &name)?;
        replace(engine, &caller.name, &name, definition, expected, dry_run)
    })
    .await
}

/// The revision that a change must be based on; none: any.
fn expected(engine: &Engine, precondition: &Precondition, kind: Kind, name: &str) -> Result<Option<u32>, ApiError> {
    let have = current(engine, kind, name).map_or(0, |revision| revision.revision);
    precondition.expected(&format!("{kind} '{name}'"), have)
}

/// Makes a definition the new revision, and answers what it is now.
pub(super) fn replace(
    engine: &Engine,
    author: &str,
    name: &str,
    definition: Definition,
    expected: Option<u32>,
    dry_run: bool,
) -> Result<Response, ApiError> {
    let kind = definition.kind();
    let existed = current(engine, kind, name).is_ok();
    let change = Change::set(name, definition);
    let applied = engine
        .catalog()
        .change(vec![change], author, expected, dry_run)
        .map_err(|error| conditional(error, expected.is_some()))?;
    let changed = applied.unchanged == 0;
    let effects = effects_json(applied.effects);
    let made = applied.revisions.into_iter().find(|revision| revision.kind == kind && revision.name == name);
    let revision = match made {
        Some(revision) => revision,
        None => current(engine, kind, name)?,
    };
    let status = if existed || dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let number = revision.revision;
    Ok(with_tag(status, number, PutAnswer { definition: revision.into(), changed, dry_run, effects }))
}

/// The revision in effect.
pub(super) fn current(engine: &Engine, kind: Kind, name: &str) -> Result<Revision, ApiError> {
    let plan = engine.plan();
    let found = plan.snapshot.get(kind, name).cloned();
    found.ok_or_else(|| ApiError::not_found(format!("there is no {kind} '{name}'")))
}

/// All revisions of a definition, the newest first, also of a deleted one.
pub(super) fn revisions(engine: &Engine, kind: Kind, name: &str) -> Result<Vec<Revision>, ApiError> {
    let revisions = engine.catalog().revisions(kind, name)?;
    if revisions.is_empty() {
        return Err(ApiError::not_found(format!("there is no {kind} '{name}', and there never was")));
    }
    Ok(revisions)
}

/// Answers the revision in effect.
pub(super) fn get(app: &App, kind: Kind, name: &str) -> Result<Response, ApiError> {
    let revision = current(&app.engine, kind, name)?;
    Ok(with_tag(StatusCode::OK, revision.revision, DefinitionJson::from(revision)))
}

/// Answers the definitions of a type that are wanted, those of a stream if one is named. The tag is the catalog's
/// version.
pub(super) fn list<T: DefinitionType>(
    app: &App,
    stream: Option<&str>,
    is_wanted: impl Fn(&T) -> bool,
) -> Result<Response, ApiError> {
    let plan = app.engine.plan();
    if let Some(stream) = stream.filter(|stream| plan.snapshot.get(Kind::Stream, stream).is_none()) {
        return Err(ApiError::not_found(format!("there is no stream '{stream}'")));
    }
    let wanted = plan.snapshot.all::<T>().filter(|(_, def)| is_wanted(def));
    let items = wanted.map(|(revision, _)| DefinitionJson::from(revision.clone())).collect();
    Ok(with_tag(StatusCode::OK, plan.snapshot.version, DefinitionList { items }))
}

/// Deletes a definition.
pub(super) async fn delete(
    app: &App,
    caller: Arc<Caller>,
    kind: Kind,
    name: String,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let precondition = Precondition::of(headers)?;
    app.blocking(move |engine| {
        let expected = expected(engine, &precondition, kind, &name)?;
        current(engine, kind, &name)?;
        let change = Change::delete(kind, name);
        engine
            .catalog()
            .change(vec![change], &caller.name, expected, false)
            .map_err(|error| if is_refused(&error) { in_use(error) } else { conditional(error, expected.is_some()) })?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

fn is_refused(error: &ChangeError) -> bool {
    matches!(error, ChangeError::Invalid(_))
}

/// Why something cannot be deleted. A deletion has nothing in it that could be wrong, so all problems are those of others
/// that use what is deleted.
pub(super) fn in_use(error: ChangeError) -> ApiError {
    let ChangeError::Invalid(problems) = error else { return error.into() };
    let users: BTreeSet<(Kind, &str)> = problems.iter().map(|problem| (problem.kind, problem.name.as_str())).collect();
    let named: Vec<String> = users.iter().map(|(kind, name)| format!("{kind} '{name}'")).collect();
    let detail = format!("it is used by {}: change or delete them first; nothing was changed", named.join(", "));
    let users = users.iter().map(|(kind, name)| serde_json::json!({ "kind": kind, "name": name }));
    ApiError::new(Code::InUse, detail).with("users", users.collect::<Vec<_>>())
}

/// A conflict with the revision that the client asked for has a status of its own.
pub(super) fn conditional(error: ChangeError, is_conditional: bool) -> ApiError {
    match error {
        ChangeError::Conflict(message) if is_conditional => ApiError::new(Code::RevisionMismatch, message),
        error => error.into(),
    }
}
